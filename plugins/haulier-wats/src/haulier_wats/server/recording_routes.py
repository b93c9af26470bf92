"""The routes of stored recordings."""

from __future__ import annotations

from http import HTTPStatus
from typing import TYPE_CHECKING

from starlette.concurrency import run_in_threadpool

from haulier_wats.server.content import content_answer
from haulier_wats.server.listing import Listing, cursor_of
from haulier_wats.server.problems import Problem, json_answer
from haulier_wats.server.routing import forbidden, visit_of
from haulier_wats.server.tokens import Scope

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.responses import Response

    from haulier_wats.server.rows import Recording
    from haulier_wats.server.storage import Storage

__all__ = ["RecordingRoutes"]

_READ = frozenset({Scope.READ})


class RecordingRoutes:
    """Handlers of ``/recordings``.

    Args:
        storage: Where recordings are.
    """

    def __init__(self, storage: Storage) -> None:
        self._storage = storage

    async def page(self, request: Request) -> Response:
        """``GET /recordings``. Who may upload may ask for an item of its own, and no more."""
        wanted = Listing.from_query(request.query_params)
        caller = visit_of(request).caller
        if "item_id" not in wanted.filters and not (caller and caller.scopes & _READ):
            raise forbidden(_READ)
        search = self._storage.recordings.search
        found = await run_in_threadpool(
            search, wanted.filters, wanted.limit, offset=wanted.offset or 0, after=wanted.after
        )
        return json_answer(
            {
                "recordings": [recording.to_json() for recording in found.recordings],
                "total": found.total,
                "limit": wanted.limit,
                "offset": wanted.offset,
                "next_cursor": cursor_of(found.end),
            }
        )

    async def one(self, request: Request) -> Response:
        """``GET /recordings/{file_id}``."""
        return json_answer((await self._recording(request)).to_json())

    async def content(self, request: Request) -> Response:
        """``GET /recordings/{file_id}/content``: the video, whole or in ranges."""
        recording = await self._recording(request)
        media_type = recording.content_type or "application/octet-stream"
        return await self._file(request, recording, recording.stored_name, recording.name, media_type, recording.sha256)

    async def metadata(self, request: Request) -> Response:
        """``GET /recordings/{file_id}/metadata``: the metadata file, whole or in ranges."""
        recording = await self._recording(request)
        name, stored_name = recording.metadata_name, recording.metadata_stored_name
        if name is None or stored_name is None or recording.metadata_sha256 is None:
            raise Problem(HTTPStatus.NOT_FOUND, "the recording came without a metadata file")
        return await self._file(
            request, recording, stored_name, name, "application/octet-stream", recording.metadata_sha256
        )

    async def delete(self, request: Request) -> Response:
        """``DELETE /recordings/{file_id}``."""
        file_id = request.path_params["file_id"]
        if not await run_in_threadpool(self._storage.shelves.delete, file_id):
            raise _unknown()
        return json_answer({"deleted": True, "file_id": file_id})

    async def _file(
        self, request: Request, recording: Recording, stored_name: str, name: str, media_type: str, sha256: str
    ) -> Response:
        path = self._storage.folders.recording(recording.folder) / stored_name
        try:
            stat = await run_in_threadpool(path.stat)
        except FileNotFoundError:
            raise Problem(
                HTTPStatus.INTERNAL_SERVER_ERROR, "the stored file is missing; restore it or delete the recording"
            ) from None
        return content_answer(request, path, stat, name=name, media_type=media_type, sha256=sha256)

    async def _recording(self, request: Request) -> Recording:
        recording = await run_in_threadpool(self._storage.recordings.get, request.path_params["file_id"])
        if recording is None:
            raise _unknown()
        return recording


def _unknown() -> Problem:
    return Problem(HTTPStatus.NOT_FOUND, "there is no such recording")
