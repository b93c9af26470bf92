"""The server as an ASGI application: its routes, who may call them, and what is answered to errors."""

from __future__ import annotations

import asyncio
import logging
from contextlib import asynccontextmanager, suppress
from typing import TYPE_CHECKING, Any

import apsw
from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.middleware import Middleware
from starlette.routing import Route

from haulier_wats.server.gate import Gate
from haulier_wats.server.problems import problem_handlers
from haulier_wats.server.recording_routes import RecordingRoutes
from haulier_wats.server.resource_routes import ResourceRoutes
from haulier_wats.server.routing import Operation, one_endpoint
from haulier_wats.server.service_routes import ServiceRoutes
from haulier_wats.server.storage import Storage
from haulier_wats.server.tokens import Scope
from haulier_wats.server.upload_routes import UploadRoutes

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from haulier_wats.server.settings import ServerSettings

__all__ = ["create_app"]

_UPLOAD = frozenset({Scope.UPLOAD})
_READ = frozenset({Scope.READ})
_DELETE = frozenset({Scope.DELETE})

_log = logging.getLogger(__name__)


def create_app(
    settings: ServerSettings,
    wrap: Callable[[str, Any], Any] = lambda name, port: port,  # noqa: ARG005
) -> Starlette:
    """Open the data folder and make the application. It closes the folder when its lifespan ends.

    Args:
        settings: How it behaves.
        wrap: See :class:`~haulier_wats.server.storage.Storage`.

    Raises:
        ServerSetupError: The folder cannot be used.
    """
    storage = Storage(settings, wrap)
    table = {**_service(storage), **_uploads(storage), **_recordings(storage)}
    open_to_all = [path for path, operations in table.items() if not any(each.scopes for each in operations.values())]
    endpoints = [(path, list(operations), one_endpoint(path, operations)) for path, operations in table.items()]
    app = Starlette(
        routes=[
            Route(base + path, endpoint, methods=methods)
            for base in settings.base_paths
            for path, methods, endpoint in endpoints
        ],
        middleware=[
            Middleware(
                Gate,
                tokens=settings.tokens,
                public=frozenset(base + path for base in settings.base_paths for path in open_to_all),
                metrics=storage.metrics,
                audit=storage.lane("audit", storage.audit.write_all),
            )
        ],
        exception_handlers=problem_handlers(),
        lifespan=lambda _app: _lifespan(storage),
    )
    app.router.redirect_slashes = False
    app.state.storage = storage
    return app


@asynccontextmanager
async def _lifespan(storage: Storage) -> AsyncIterator[None]:
    sweeper = asyncio.create_task(_sweep_for_ever(storage))
    try:
        await run_in_threadpool(storage.audit.write, "startServer")
        yield
    finally:
        sweeper.cancel()
        with suppress(asyncio.CancelledError):
            await sweeper
        await run_in_threadpool(storage.audit.write, "stopServer")
        await run_in_threadpool(storage.close)


async def _sweep_for_ever(storage: Storage) -> None:
    """End sessions whose time is up, whether or not anybody calls: their bytes take room."""
    while True:
        await asyncio.sleep(storage.settings.sweep_interval)
        try:
            await run_in_threadpool(storage.sweep)
        except (OSError, apsw.Error):
            _log.exception("sessions whose time is up could not be ended; it is tried again")


def _service(storage: Storage) -> dict[str, dict[str, Operation]]:
    routes = ServiceRoutes(storage)
    return {
        "/health": {"GET": Operation("health", routes.health, audited=False)},
        "/openapi.json": {"GET": Operation("openapi", routes.openapi, audited=False)},
        "/metrics": {"GET": Operation("metrics", routes.metrics, _READ, audited=False)},
    }


def _uploads(storage: Storage) -> dict[str, dict[str, Operation]]:
    uploads, resources = UploadRoutes(storage), ResourceRoutes(storage)
    session = "/uploads/{session_id}"
    return {
        "/uploads/create-session": {"POST": Operation("createSession", uploads.create, _UPLOAD)},
        session: {"DELETE": Operation("cancelSession", uploads.cancel, _UPLOAD)},
        f"{session}/status": {"GET": Operation("sessionStatus", uploads.status, _UPLOAD, audited=False)},
        f"{session}/file": {"POST": Operation("uploadEitherFile", uploads.file, _UPLOAD)},
        f"{session}/files/{{kind}}": {"POST": Operation("uploadFile", uploads.named_file, _UPLOAD)},
        f"{session}/resources/{{kind}}": {
            "HEAD": Operation("uploadOffset", resources.head, _UPLOAD, audited=False),
            "PATCH": Operation("append", resources.patch, _UPLOAD, audited=False),
            "DELETE": Operation("cancelUpload", resources.delete, _UPLOAD),
        },
        f"{session}/finalize": {"POST": Operation("finalize", uploads.finalize, _UPLOAD)},
    }


def _recordings(storage: Storage) -> dict[str, dict[str, Operation]]:
    routes = RecordingRoutes(storage)
    recording = "/recordings/{file_id}"
    return {
        # An uploader settles a lost answer by asking for its own item or recording.
        "/recordings": {"GET": Operation("listRecordings", routes.page, _READ | _UPLOAD)},
        recording: {
            "GET": Operation("getRecording", routes.one, _READ | _UPLOAD),
            "DELETE": Operation("deleteRecording", routes.delete, _DELETE),
        },
        f"{recording}/content": {"GET": Operation("getContent", routes.content, _READ)},
        f"{recording}/metadata": {"GET": Operation("getMetadata", routes.metadata, _READ)},
    }
