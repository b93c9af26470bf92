"""The routes of upload sessions."""

from __future__ import annotations

import re
import secrets
from dataclasses import asdict, replace
from functools import partial
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

from starlette.concurrency import run_in_threadpool
from starlette.responses import Response

from haulier_wats.server.fields import idempotency_key
from haulier_wats.server.finalizing import Finalize, finalize, finalize_all
from haulier_wats.server.forms import FileForm, kind_named
from haulier_wats.server.incoming import read_json
from haulier_wats.server.payloads import claims_from, session_request
from haulier_wats.server.problems import Problem, json_answer
from haulier_wats.server.receiving import open_for_files, receive_file
from haulier_wats.server.routing import visit_of
from haulier_wats.server.rows import KINDS, Kind, Session, SessionFile, SessionStatus, rfc3339

if TYPE_CHECKING:
    from collections.abc import Sequence

    from starlette.requests import Request

    from haulier_wats.server.payloads import SessionRequest
    from haulier_wats.server.storage import Storage

__all__ = ["UploadRoutes"]

PROTOCOL = "ietf-resumable-upload"
_HOST = re.compile(r"[A-Za-z0-9._~:\[\]-]{1,255}")


class UploadRoutes:
    """Handlers of ``/uploads``, except those of upload resources.

    Args:
        storage: Where uploads go.
    """

    def __init__(self, storage: Storage) -> None:
        self._storage = storage
        self._creating = storage.lane("sessions", self._create_all)
        self._finalizing = storage.lane("recordings", partial(finalize_all, storage))

    async def create(self, request: Request) -> Response:
        """``POST /uploads/create-session``."""
        storage = self._storage
        base = _base_url(request, storage)
        key = idempotency_key(request.headers)
        body = await read_json(request, storage.settings.silence, storage.turns)
        settings = storage.settings
        wanted = session_request(body, settings.max_size(Kind.VIDEO), settings.max_size(Kind.METADATA))
        session = await self._creating.do((wanted, key))
        visit_of(request).about = {"session_id": session.sid}
        answer = _session_json(session, base)
        if session.resumable:
            answer["resumable"] = self._offer(session, wanted, base)
        if session.status is SessionStatus.COMPLETED and session.item_id is not None and session.file_id is not None:
            recording = await run_in_threadpool(storage.recordings.get, session.file_id)
            if recording is not None:
                return json_answer(answer | {"recording": recording.to_json()})
        return json_answer(answer, HTTPStatus.CREATED)

    async def status(self, request: Request) -> Response:
        """``GET /uploads/{session_id}/status``."""
        sid = request.path_params["session_id"]
        session = await run_in_threadpool(self._storage.session, sid)
        files = await run_in_threadpool(self._storage.sessions.files, sid)
        answer: dict[str, Any] = {
            "session_id": sid,
            "status": str(session.status),
            "expires_at": rfc3339(session.expires_at),
            "item_id": session.item_id,
            "files": {
                str(kind): {"offset": file.held, "size": file.size, "complete": file.complete}
                for kind, file in files.items()
            },
        }
        return json_answer(answer | ({"file_id": session.file_id} if session.file_id else {}))

    async def cancel(self, request: Request) -> Response:
        """``DELETE /uploads/{session_id}``; a recording that is stored stays."""
        sid = request.path_params["session_id"]
        await run_in_threadpool(self._storage.session, sid)
        take = self._storage.turns.take
        async with take(sid, "finalize"), take(sid, Kind.VIDEO), take(sid, Kind.METADATA):
            await run_in_threadpool(self._storage.cancel, sid)
        return Response(status_code=HTTPStatus.NO_CONTENT)

    async def file(self, request: Request) -> Response:
        """``POST /uploads/{session_id}/file``: either file, told apart by ``kind`` or by its name."""
        told = request.query_params.get("kind")
        return await self._receive(request, kind_named(told) if told else None)

    async def named_file(self, request: Request) -> Response:
        """``POST /uploads/{session_id}/files/{kind}``."""
        return await self._receive(request, kind_in_path(request))

    async def finalize(self, request: Request) -> Response:
        """``POST /uploads/{session_id}/finalize``."""
        sid = request.path_params["session_id"]
        claims = claims_from(await read_json(request, self._storage.settings.silence, self._storage.turns))
        recording = await finalize(self._storage, self._finalizing, Finalize(sid, claims))
        visit_of(request).about["file_id"] = recording.file_id
        return json_answer(recording.finalized_json(sid))

    async def _receive(self, request: Request, kind: Kind | None) -> Response:
        sid = request.path_params["session_id"]
        form = FileForm(request, kind)
        await run_in_threadpool(open_for_files, self._storage, sid, kind)
        return json_answer(asdict(await receive_file(self._storage, sid, request, form)))

    def _create_all(self, jobs: Sequence[tuple[SessionRequest, str | None]]) -> list[Session | Exception]:
        self._storage.sweep()  # which frees the keys of sessions whose time is up
        return self._storage.commit([partial(self._create, *job) for job in jobs])

    def _create(self, wanted: SessionRequest, key: str | None) -> Session:
        storage = self._storage
        now = storage.settings.clock()
        session = Session(
            sid=secrets.token_urlsafe(24),
            recording_session=wanted.session_id,
            item_id=wanted.item_id,
            status=SessionStatus.OPEN,
            connection_info=wanted.connection_info,
            details=wanted.details,
            resumable=wanted.resumable,
            created_at=now,
            expires_at=now + storage.settings.session_ttl,
            fingerprint=wanted.fingerprint,
        )
        files = [
            SessionFile(
                sid=session.sid,
                kind=kind,
                file_id=secrets.token_hex(16),
                name=file.name,
                content_type=file.content_type,
                size=file.size,
                copy=f"{kind}-{secrets.token_hex(8)}",
            )
            for kind, file in wanted.files.items()
        ]
        stored = storage.recordings.of_item(wanted.item_id) if wanted.item_id else None
        if stored is not None:
            session = replace(session, status=SessionStatus.COMPLETED, file_id=stored.file_id)
        else:
            storage.room.require(wanted.size)
        return storage.sessions.create(session, files, key)

    def _offer(self, session: Session, wanted: SessionRequest, base: str) -> dict[str, Any]:
        urls = {
            f"{kind}_url": f"{base}/uploads/{session.sid}/resources/{kind}" for kind in KINDS if kind in wanted.files
        }
        return {
            "protocol": PROTOCOL,
            **urls,
            "max_append_size": self._storage.settings.max_append_size,
            "min_append_size": 0,
            "digests": ["sha-256"],
        }


def kind_in_path(request: Request) -> Kind:
    """Which file an address is about.

    Raises:
        Problem: 404, none.
    """
    try:
        return Kind(request.path_params["kind"])
    except ValueError:
        raise Problem(HTTPStatus.NOT_FOUND, "a session has the files video and metadata only") from None


def _session_json(session: Session, base: str) -> dict[str, Any]:
    upload = f"{base}/uploads/{session.sid}/files"
    return {
        "session_id": session.sid,
        "metadata_upload_url": f"{upload}/{Kind.METADATA}",
        "video_upload_url": f"{upload}/{Kind.VIDEO}",
        "expires_at": rfc3339(session.expires_at),
    }


def _base_url(request: Request, storage: Storage) -> str:
    """The address that the request came by, up to where the routes begin."""
    host = request.headers.get("host", "")
    if not _HOST.fullmatch(host):
        raise Problem(HTTPStatus.BAD_REQUEST, "the Host field is missing or malformed")
    path = request.url.path
    prefix = next(base for base in storage.settings.base_paths if path.startswith(f"{base}/"))
    return f"{request.url.scheme}://{host}{prefix}"
