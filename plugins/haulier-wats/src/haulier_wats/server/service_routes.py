"""The routes of the server itself."""

from __future__ import annotations

from importlib.resources import files
from typing import TYPE_CHECKING, Any

from starlette.concurrency import run_in_threadpool
from starlette.responses import Response

from haulier_wats.server.problems import json_answer
from haulier_wats.server.rows import Kind
from haulier_wats.server.upload_routes import PROTOCOL

if TYPE_CHECKING:
    from starlette.requests import Request

    from haulier_wats.server.storage import Storage

__all__ = ["ServiceRoutes"]


class ServiceRoutes:
    """Handlers of what the server says of itself.

    Args:
        storage: What it serves.
    """

    def __init__(self, storage: Storage) -> None:
        self._storage = storage

    async def health(self, _request: Request) -> Response:
        """``GET /health``."""
        settings = self._storage.settings
        capabilities = {
            "resumable": [PROTOCOL],
            "digests": ["sha-256"],
            "max_file_size": settings.max_file_size,
            "max_metadata_size": settings.max_size(Kind.METADATA),
            "max_append_size": settings.max_append_size,
        }
        return json_answer({"status": "ok", "capabilities": capabilities})

    async def openapi(self, _request: Request) -> Response:
        """``GET /openapi.json``."""
        document = await run_in_threadpool(files("haulier_wats.server").joinpath("openapi.json").read_bytes)
        return Response(document, media_type="application/json")

    async def metrics(self, _request: Request) -> Response:
        """``GET /metrics``."""
        return json_answer(await run_in_threadpool(self._metrics))

    def _metrics(self) -> dict[str, Any]:
        storage, counted = self._storage, self._storage.metrics
        return {
            "uptime_seconds": round(counted.uptime(), 3),
            "requests": counted.requests(),
            "bytes_received": counted.total("bytes_received"),
            "sessions": {"open": storage.sessions.count_open(), "expired": counted.total("sessions_expired")},
            "recordings": {"stored": storage.recordings.count()},
            "disk": {"free_bytes": storage.room.free(), "min_free_bytes": storage.settings.min_free},
            "audit": {"failures": counted.total("audit_failures")},
        }
