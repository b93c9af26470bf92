"""The routes of upload resources (draft-ietf-httpbis-resumable-upload)."""

from __future__ import annotations

from contextlib import asynccontextmanager
from dataclasses import replace
from functools import partial
from http import HTTPStatus
from typing import TYPE_CHECKING

from starlette.concurrency import run_in_threadpool
from starlette.responses import Response

from haulier_wats.server.appending import Append, append, progress_fields
from haulier_wats.server.incoming import Incoming, content_length
from haulier_wats.server.problems import Problem
from haulier_wats.server.routing import visit_of
from haulier_wats.server.rows import FileState
from haulier_wats.server.upload_routes import kind_in_path
from haulier_wats.server.whole_appends import WholeAppend, append_all, append_whole, is_small

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from starlette.requests import Request

    from haulier_wats.server.rows import Kind, SessionFile
    from haulier_wats.server.storage import Storage
    from haulier_wats.server.turns import Turn

__all__ = ["ResourceRoutes"]


class ResourceRoutes:
    """Handlers of ``/uploads/{session_id}/resources/{kind}``. A newer request ends an older one.

    Args:
        storage: Where uploads go.
    """

    def __init__(self, storage: Storage) -> None:
        self._storage = storage
        self._appending = storage.lane("appends", partial(append_all, storage))

    async def head(self, request: Request) -> Response:
        """How far the upload is."""
        async with self._turn(request) as (_, file):
            return Response(
                status_code=HTTPStatus.NO_CONTENT,
                headers=progress_fields(file)
                | {
                    "Upload-Length": str(file.size or 0),
                    "Upload-Limit": self._limits(file.kind),
                    "Cache-Control": "no-store",
                },
            )

    async def patch(self, request: Request) -> Response:
        """Append."""
        wanted, announced = Append.from_headers(request.headers), content_length(request)
        if is_small(request.headers, announced):
            job = WholeAppend(request.path_params["session_id"], kind_in_path(request), wanted, announced)
            grown = await append_whole(self._storage, self._appending, request, job)
        else:
            async with self._turn(request) as (turn, file):
                incoming = Incoming(request, self._storage.settings.silence, turn)
                grown = await append(self._storage, file, wanted, incoming, announced)
        visit_of(request).audited |= grown.complete  # not each part: the file, once it is here
        return Response(status_code=HTTPStatus.NO_CONTENT, headers=progress_fields(grown))

    async def delete(self, request: Request) -> Response:
        """Cancel the upload of this file."""
        storage = self._storage
        async with self._turn(request) as (_, file):
            if (await run_in_threadpool(storage.session, file.sid)).file_id is not None:
                raise Problem(HTTPStatus.CONFLICT, "the upload is stored; delete the recording instead")
            cancelled = replace(file, held=0, state=FileState.CANCELLED)
            await run_in_threadpool(
                storage.sessions.acknowledge, file, cancelled.held, cancelled.state, storage.expiry()
            )
            storage.digests.keep(file.sid, file.copy, None)
            await run_in_threadpool(storage.folders.drop_copy, file.sid, file.copy)
        return Response(status_code=HTTPStatus.NO_CONTENT)

    @asynccontextmanager
    async def _turn(self, request: Request) -> AsyncIterator[tuple[Turn, SessionFile]]:
        sid, kind = request.path_params["session_id"], kind_in_path(request)
        # Looked at before the turn as well, for a session whose time is up can only end while nobody works on it.
        await run_in_threadpool(self._storage.resource, sid, kind)
        async with self._storage.turns.take(sid, kind) as turn:
            yield turn, await run_in_threadpool(self._storage.resource, sid, kind)

    def _limits(self, kind: Kind) -> str:
        settings = self._storage.settings
        return f"max-size={settings.max_size(kind)}, max-append-size={settings.max_append_size}"
