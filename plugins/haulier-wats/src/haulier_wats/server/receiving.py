"""A whole file in a form, into a session."""

from __future__ import annotations

import secrets
from contextlib import AsyncExitStack
from dataclasses import dataclass
from http import HTTPStatus
from typing import TYPE_CHECKING

from starlette.concurrency import run_in_threadpool

from haulier_wats.server.incoming import Incoming, RoomCheck, content_length
from haulier_wats.server.problems import Problem
from haulier_wats.server.rows import FileState, Kind, SessionFile, SessionStatus
from haulier_wats.server.sink import RunningDigest, Sink

if TYPE_CHECKING:
    from starlette.requests import Request

    from haulier_wats.server.forms import FileForm
    from haulier_wats.server.storage import Storage

__all__ = ["Received", "open_for_files", "receive_file"]

FORM_OVERHEAD = 64 << 10
"""Bytes that a form may be longer than the file in it."""

_DEFAULT_NAMES = {Kind.VIDEO: "video", Kind.METADATA: "metadata.json"}


@dataclass(frozen=True, slots=True)
class Received:
    """A file that arrived whole: its id within the session, bytes, SHA-256 in hexadecimal."""

    file_id: str
    size: int
    sha256: str


def open_for_files(storage: Storage, sid: str, kind: Kind | None) -> None:
    """Check that a session takes a file.

    Raises:
        Problem: 404, there is no such session; 410, it is over; 409, it is completed or expects no such file.
    """
    session = storage.usable(sid)
    if session.status is not SessionStatus.OPEN:
        raise Problem(HTTPStatus.CONFLICT, "the upload session is completed; create a new one")
    if session.resumable and kind is not None and kind not in storage.sessions.files(sid):
        raise Problem(HTTPStatus.CONFLICT, f"no {kind} file was declared when the session was created")


async def receive_file(storage: Storage, sid: str, request: Request, form: FileForm) -> Received:
    """Take the file of a form into a new copy, which replaces the earlier one once it is whole.

    Raises:
        Problem: 413, it is too large; 400, the form is malformed; 507, the disk is nearly full; what was there before
            stays.
        BodyEnded: It broke off; what was there before stays.
    """
    announced = content_length(request)
    if announced > _limit(storage, form) + FORM_OVERHEAD:
        raise _too_large(_limit(storage, form))
    await run_in_threadpool(storage.room.require, announced)
    digest = RunningDigest()
    room = RoomCheck(storage.room)
    async with AsyncExitStack() as stack:
        incoming = Incoming(request, storage.settings.silence, stack.enter_context(storage.turns.free()))
        copy: _Copy | None = None
        async for chunk in incoming:
            content = form.feed(chunk)
            if form.overhead > FORM_OVERHEAD:
                raise Problem(
                    HTTPStatus.REQUEST_ENTITY_TOO_LARGE, f"a form adds at most {FORM_OVERHEAD} bytes to a file"
                )
            if copy is None and form.kind is not None and form.filename is not None:
                incoming.turn = await stack.enter_async_context(storage.turns.take(sid, form.kind))
                await run_in_threadpool(open_for_files, storage, sid, form.kind)
                copy = _Copy(storage, sid, form.kind, digest)
                stack.push_async_callback(copy.drop)
            if copy is not None and content:
                if copy.sink.taken + len(content) > _limit(storage, form):
                    raise _too_large(_limit(storage, form))
                await room.take(len(content))
                await copy.sink.feed(content)
        form.close()
        assert copy is not None  # noqa: S101 - a form without a file was refused
        return await copy.keep(form.filename or "")


class _Copy:
    """A copy that is being written."""

    def __init__(self, storage: Storage, sid: str, kind: Kind, digest: RunningDigest) -> None:
        self._storage = storage
        self._sid = sid
        self._kind = kind
        self._digest = digest
        self._name = f"{kind}-{secrets.token_hex(8)}"
        self._unneeded: str | None = self._name
        self.sink = Sink(storage.folders.copy(sid, self._name), 0, storage.share, digest)

    async def keep(self, filename: str) -> Received:
        """Put the copy in the place of the earlier one."""
        storage, sink = self._storage, self.sink
        await sink.finish(sync=True)
        file = SessionFile(
            sid=self._sid,
            kind=self._kind,
            file_id=secrets.token_hex(16),
            name=filename[-255:] or _DEFAULT_NAMES[self._kind],
            content_type="",
            size=None,
            copy=self._name,
            held=sink.offset,
            state=FileState.COMPLETE,
        )
        self._unneeded = await run_in_threadpool(storage.sessions.replace, file, storage.expiry())
        storage.digests.keep(self._sid, self._name, self._digest)
        return Received(file.file_id, file.held, self._digest.hexdigest())

    async def drop(self) -> None:
        """Close the file, and remove whichever copy is not needed any more."""
        self.sink.close()
        if self._unneeded is not None:
            self._storage.digests.keep(self._sid, self._unneeded, None)
            await run_in_threadpool(self._storage.folders.drop_copy, self._sid, self._unneeded)


def _limit(storage: Storage, form: FileForm) -> int:
    return storage.settings.max_size(form.kind or Kind.VIDEO)


def _too_large(limit: int) -> Problem:
    return Problem(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, f"a file holds at most {limit} bytes")
