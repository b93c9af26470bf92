"""Appends whose whole body is small enough to be at hand: many are written, synced and acknowledged together."""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING

from starlette.concurrency import run_in_threadpool

from haulier_wats.server.appending import check_end, check_start, part_digest, progress_fields
from haulier_wats.server.incoming import BodyEnded, Incoming
from haulier_wats.server.rows import FileState, SessionStatus
from haulier_wats.server.sink import CopyFile
from haulier_wats.server.turns import OverdueError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from starlette.requests import Request

    from haulier_wats.server.appending import Append
    from haulier_wats.server.lanes import Lane
    from haulier_wats.server.rows import Kind, SessionFile
    from haulier_wats.server.sink import RunningDigest
    from haulier_wats.server.storage import Storage

__all__ = ["WholeAppend", "append_all", "append_whole", "is_small"]

SMALL = 64 << 10
"""Most bytes of a body that is waited for before anything is done; the server holds that much of any in any case."""


@dataclass(frozen=True, slots=True)
class WholeAppend:
    """One append to a resource whose turn is held.

    Attributes:
        sid: The session.
        kind: The file.
        wanted: What is asked for.
        announced: Bytes of the body as the client said.
        body: What came of them.
        ended: Why the rest did not come.
        began: Seconds since the epoch: a session whose time was up before is refused; None takes it, since somebody
            else still works on it.
    """

    sid: str
    kind: Kind
    wanted: Append
    announced: int
    body: bytes | bytearray = b""
    ended: BodyEnded | None = None
    began: float | None = None


def is_small(headers: Mapping[str, str], announced: int) -> bool:
    """Whether a body is of a length that is known and small, and the client does not ask whether to send it."""
    return "content-length" in headers and announced <= SMALL and "expect" not in headers


async def append_whole(
    storage: Storage, lane: Lane[WholeAppend, SessionFile], request: Request, job: WholeAppend
) -> SessionFile:
    """Take a turn and a small body, and append it.

    Args:
        storage: Where the resource is.
        lane: Where :func:`append_all` runs.
        request: Whose body.
        job: What is asked for, without the body.

    Returns:
        The resource as it stands afterwards.

    Raises:
        Problem: See :meth:`~haulier_wats.server.storage.Storage.resource` and
            :func:`~haulier_wats.server.appending.append`.
    """
    async with storage.turns.take(job.sid, job.kind) as turn:
        body, ended, began = bytearray(), None, storage.settings.clock()
        try:
            async for chunk in Incoming(request, storage.settings.silence, turn):
                body += chunk
        except BodyEnded as error:
            ended = error
        job = replace(job, body=body, ended=ended, began=began)
        try:
            return await lane.do(job)
        except OverdueError:
            pass
    await run_in_threadpool(storage.resource, job.sid, job.kind)  # which ends the session, now that the turn is free
    async with storage.turns.take(job.sid, job.kind):
        return await lane.do(replace(job, began=None))


def append_all(storage: Storage, jobs: Sequence[WholeAppend]) -> list[SessionFile | Exception]:
    """Append small bodies together. Blocks.

    Returns:
        For each the resource as it stands afterwards, or why the body was not appended, or not all of it.
    """
    found = storage.commit([partial(_look, storage, job) for job in jobs])
    with ExitStack() as stack:
        written = [_tried(stack, storage, job, file) for job, file in zip(jobs, found, strict=True)]
        synced = [_synced(each) for each in written]
    return _acknowledged(storage, synced)


@dataclass(slots=True)
class _Written:
    """Bytes in a file; ``whole`` is the digest of all that it holds, if it is known."""

    job: WholeAppend
    file: SessionFile
    copy: CopyFile
    whole: RunningDigest | None


def _look(storage: Storage, job: WholeAppend) -> SessionFile:
    session = storage.usable(job.sid)
    if job.began is not None and session.status is SessionStatus.OPEN and session.expires_at <= job.began:
        raise OverdueError(job.sid)
    return storage.resource_of(session, job.kind)


def _tried(
    stack: ExitStack, storage: Storage, job: WholeAppend, file: SessionFile | Exception
) -> _Written | SessionFile | Exception:
    if isinstance(file, Exception):
        return file
    try:
        return _written(stack, storage, job, file)
    except Exception as error:  # noqa: BLE001 - it is this job's, and raised where that came from
        return error


def _written(stack: ExitStack, storage: Storage, job: WholeAppend, file: SessionFile) -> _Written | SessionFile:
    """Write what came of a body; the file itself if the append was done before."""
    if not check_start(storage, file, job.wanted, job.announced):
        return file
    storage.room.require(job.announced)
    if job.ended is not None:
        job.ended.headers |= progress_fields(file)
        if job.wanted.digest is not None:
            raise job.ended
    whole = storage.digests.at(file.sid, file.copy, file.held)
    part = part_digest(job.wanted, file, whole)
    digests = {id(each): each for each in (whole, part) if each is not None}
    copy = CopyFile(storage.path(file), file.held, *digests.values())
    stack.callback(copy.close)
    copy.write(job.body)
    if job.ended is None:
        check_end(file, job.wanted, copy.offset, part)
    return _Written(job, file, copy, whole)


def _synced(each: _Written | SessionFile | Exception) -> _Written | SessionFile | Exception:
    if isinstance(each, _Written):
        try:
            each.copy.sync()  # what is acknowledged must survive a power cut
        except OSError as error:
            return error
    return each


def _acknowledged(
    storage: Storage, synced: Sequence[_Written | SessionFile | Exception]
) -> list[SessionFile | Exception]:
    expires_at = storage.expiry()
    written = [each for each in synced if isinstance(each, _Written)]
    files = iter(storage.commit([partial(_acknowledge, storage, each, expires_at) for each in written]))
    return [_end(storage, each, next(files)) if isinstance(each, _Written) else each for each in synced]


def _acknowledge(storage: Storage, each: _Written, expires_at: float) -> SessionFile:
    complete = each.job.wanted.complete and each.job.ended is None
    state = FileState.COMPLETE if complete else FileState.OPEN
    return storage.sessions.acknowledge(each.file, each.copy.offset, state, expires_at)


def _end(storage: Storage, each: _Written, file: SessionFile | Exception) -> SessionFile | Exception:
    if isinstance(file, Exception):
        return file
    storage.digests.keep(file.sid, file.copy, each.whole)
    if each.job.ended is None:
        return file
    each.job.ended.headers |= progress_fields(file)
    return each.job.ended
