"""The routes of stored recordings."""

from __future__ import annotations

from http import HTTPStatus
from typing import TYPE_CHECKING

from starlette.concurrency import run_in_threadpool
from starlette.datastructures import Headers
from starlette.responses import FileResponse

from haulier_wats.server.fields import whole_number
from haulier_wats.server.problems import Problem, json_answer
from haulier_wats.server.recording_table import FILTERS

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.responses import Response
    from starlette.types import Message, Receive, Scope, Send

    from haulier_wats.server.rows import Recording
    from haulier_wats.server.storage import Storage

__all__ = ["RecordingRoutes"]

DEFAULT_LIMIT = 50
MAX_LIMIT = 1000
MAX_OFFSET = 10**12


class _Content(FileResponse):
    """A file, whole or in ranges; a range that cannot be served is a problem like any other."""

    chunk_size = 1 << 20

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def send_unless_refused(message: Message) -> None:
            status = message.get("status", HTTPStatus.OK)
            if status >= HTTPStatus.BAD_REQUEST:
                headers = Headers(raw=message["headers"])
                told = {"Content-Range": headers["content-range"]} if "content-range" in headers else {}
                raise Problem(HTTPStatus(status), "Range names no bytes of the video; see its size", headers=told)
            await send(message)

        await super().__call__(scope, receive, send_unless_refused)


class RecordingRoutes:
    """Handlers of ``/recordings``.

    Args:
        storage: Where recordings are.
    """

    def __init__(self, storage: Storage) -> None:
        self._storage = storage

    async def page(self, request: Request) -> Response:
        """``GET /recordings``."""
        query = request.query_params
        limit = whole_number(query, "limit", DEFAULT_LIMIT, 1, MAX_LIMIT)
        offset = whole_number(query, "offset", 0, 0, MAX_OFFSET)
        filters = {name: query[name] for name in FILTERS if name in query}
        if "sha256" in filters:
            filters["sha256"] = filters["sha256"].lower()
        recordings, total = await run_in_threadpool(self._storage.recordings.page, filters, limit, offset)
        entries = [recording.to_json() for recording in recordings]
        return json_answer({"recordings": entries, "total": total, "limit": limit, "offset": offset})

    async def one(self, request: Request) -> Response:
        """``GET /recordings/{file_id}``."""
        return json_answer((await self._recording(request)).to_json())

    async def content(self, request: Request) -> Response:
        """``GET /recordings/{file_id}/content``: the video, whole or in ranges."""
        recording = await self._recording(request)
        path = self._storage.folders.recording(recording.folder) / recording.stored_name
        if not await run_in_threadpool(path.is_file):
            raise Problem(
                HTTPStatus.INTERNAL_SERVER_ERROR, "the stored file is missing; restore it or delete the recording"
            )
        return _Content(
            path,
            filename=recording.name,
            media_type=recording.content_type or "application/octet-stream",
            headers={"X-Content-Type-Options": "nosniff", "Cache-Control": "private, no-cache"},
        )

    async def delete(self, request: Request) -> Response:
        """``DELETE /recordings/{file_id}``."""
        file_id = request.path_params["file_id"]
        if not await run_in_threadpool(self._storage.shelves.delete, file_id):
            raise _unknown()
        return json_answer({"deleted": True, "file_id": file_id})

    async def _recording(self, request: Request) -> Recording:
        recording = await run_in_threadpool(self._storage.recordings.get, request.path_params["file_id"])
        if recording is None:
            raise _unknown()
        return recording


def _unknown() -> Problem:
    return Problem(HTTPStatus.NOT_FOUND, "there is no such recording")
