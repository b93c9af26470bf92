"""The server as an ASGI application: its routes, who may call them, and what is answered to errors."""

from __future__ import annotations

from contextlib import asynccontextmanager
from http import HTTPStatus
from importlib.resources import files
from typing import TYPE_CHECKING, Any

from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from haulier_wats.server.problems import Problem, json_answer, problem_handlers
from haulier_wats.server.recording_routes import RecordingRoutes
from haulier_wats.server.resource_routes import ResourceRoutes
from haulier_wats.server.storage import Storage
from haulier_wats.server.upload_routes import PROTOCOL, UploadRoutes

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable

    from starlette.types import ASGIApp, Receive, Scope, Send

    from haulier_wats.server.settings import ServerSettings
    from haulier_wats.server.tokens import Tokens

    Handler = Callable[[Request], Awaitable[Response]]

__all__ = ["create_app"]

PUBLIC = ("/health", "/openapi.json")
"""What may be asked without a token."""


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

    @asynccontextmanager
    async def lifespan(_app: Starlette) -> AsyncIterator[None]:
        try:
            yield
        finally:
            await run_in_threadpool(storage.close)

    endpoints = [(path, list(handlers), _by_method(handlers)) for path, handlers in _handlers(storage).items()]
    app = Starlette(
        routes=[
            Route(base + path, endpoint, methods=methods)
            for base in settings.base_paths
            for path, methods, endpoint in endpoints
        ],
        middleware=[
            Middleware(
                _RequireToken,
                tokens=settings.tokens,
                public=frozenset(base + path for base in settings.base_paths for path in PUBLIC),
            )
        ],
        exception_handlers=problem_handlers(),
        lifespan=lifespan,
    )
    app.router.redirect_slashes = False
    app.state.storage = storage
    return app


def _handlers(storage: Storage) -> dict[str, dict[str, Handler]]:
    """What answers each method of each path."""
    uploads, resources, recordings = UploadRoutes(storage), ResourceRoutes(storage), RecordingRoutes(storage)
    service = _ServiceRoutes(storage.settings)
    return {
        "/health": {"GET": service.health},
        "/openapi.json": {"GET": service.openapi},
        "/uploads/create-session": {"POST": uploads.create},
        "/uploads/{session_id}": {"DELETE": uploads.cancel},
        "/uploads/{session_id}/status": {"GET": uploads.status},
        "/uploads/{session_id}/file": {"POST": uploads.file},
        "/uploads/{session_id}/files/{kind}": {"POST": uploads.named_file},
        "/uploads/{session_id}/resources/{kind}": {
            "HEAD": resources.head,
            "PATCH": resources.patch,
            "DELETE": resources.delete,
        },
        "/uploads/{session_id}/finalize": {"POST": uploads.finalize},
        "/recordings": {"GET": recordings.page},
        "/recordings/{file_id}": {"GET": recordings.one, "DELETE": recordings.delete},
        "/recordings/{file_id}/content": {"GET": recordings.content},
    }


def _by_method(handlers: dict[str, Handler]) -> Handler:
    """One endpoint per path, so that the answer to any other method names all that are allowed."""

    async def endpoint(request: Request) -> Response:
        return await handlers["GET" if request.method not in handlers else request.method](request)

    return endpoint


class _ServiceRoutes:
    """What the server says of itself."""

    def __init__(self, settings: ServerSettings) -> None:
        self._settings = settings

    async def health(self, _request: Request) -> Response:
        """``GET /health``."""
        capabilities = {
            "resumable": [PROTOCOL],
            "digests": ["sha-256"],
            "max_file_size": self._settings.max_file_size,
            "max_append_size": self._settings.max_append_size,
        }
        return json_answer({"status": "ok", "capabilities": capabilities})

    async def openapi(self, _request: Request) -> Response:
        """``GET /openapi.json``."""
        document = await run_in_threadpool(files("haulier_wats.server").joinpath("openapi.json").read_bytes)
        return Response(document, media_type="application/json")


class _RequireToken:
    """Lets nobody past without a token, not even to learn which paths there are."""

    def __init__(self, app: ASGIApp, tokens: Tokens, public: frozenset[str]) -> None:
        self._app = app
        self._tokens = tokens
        self._public = public

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and scope["path"] not in self._public:
            request = Request(scope)
            if not self._tokens.accepts(request.headers.get("authorization")):
                refusal = Problem(
                    HTTPStatus.UNAUTHORIZED,
                    "a known token is needed: send Authorization: Bearer TOKEN",
                    headers={"WWW-Authenticate": 'Bearer realm="WATS storage"'},
                )
                await refusal.response()(scope, receive, send)
                return
        await self._app(scope, receive, send)
