"""The end of an upload: what arrived is checked against what was said, then stored."""

from __future__ import annotations

import errno
import re
import secrets
from dataclasses import dataclass, replace
from functools import partial
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

from starlette.concurrency import run_in_threadpool

from haulier_wats.server.folders import folder_for
from haulier_wats.server.names import stored_names
from haulier_wats.server.payloads import Claim
from haulier_wats.server.problems import Problem
from haulier_wats.server.rows import Kind, Recording, SessionStatus
from haulier_wats.server.sink import RunningDigest
from haulier_wats.server.turns import OverdueError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from haulier_wats.server.lanes import Lane
    from haulier_wats.server.rows import Session, SessionFile
    from haulier_wats.server.storage import Storage

__all__ = ["Finalize", "UnreadFilesError", "finalize", "finalize_all", "read_files"]

_MEDIA_TYPE = re.compile(r"[A-Za-z0-9][\w.+-]*/[A-Za-z0-9][\w.+-]*", re.ASCII)


@dataclass(frozen=True, slots=True)
class _Checked:
    """A file as it lies on the disk: bytes, and SHA-256 in hexadecimal."""

    name: str
    size: int
    sha256: str


@dataclass(frozen=True, slots=True)
class Finalize:
    """What is asked for.

    Attributes:
        sid: The session; all its turns are held.
        claims: What its files must be.
        overdue_too: Whether it may be done to a session whose time is up: somebody else still works on it.
    """

    sid: str
    claims: Mapping[Kind, Claim]
    overdue_too: bool = False


class UnreadFilesError(Exception):
    """Files whose digests this process does not know: they arrived before it started."""

    def __init__(self, files: Sequence[SessionFile]) -> None:
        super().__init__("some files have to be read")
        self.files = files


async def finalize(storage: Storage, lane: Lane[Finalize, Recording], wanted: Finalize) -> Recording:
    """Store what a session brought. Repeated, it gives the same recording.

    Args:
        storage: Where the session is.
        lane: Where :func:`finalize_all` runs.
        wanted: What is asked for.

    Raises:
        Problem: 404 or 410, there is no such session any more; 409, a file is missing, or the item is stored with
            other content; 422, a file is not what it was said to be, and the session stays open.
    """
    sid, take = wanted.sid, storage.turns.take
    try:
        async with take(sid, "finalize"), take(sid, Kind.VIDEO), take(sid, Kind.METADATA):
            try:
                return await lane.do(wanted)
            except UnreadFilesError as unread:
                await run_in_threadpool(read_files, storage, unread.files)
            return await lane.do(wanted)
    except OverdueError:
        await run_in_threadpool(storage.usable, sid)  # which ends it, now that its turns are free
    return await finalize(storage, lane, replace(wanted, overdue_too=True))


def read_files(storage: Storage, files: Sequence[SessionFile]) -> None:
    """Make the digests of files known.

    Raises:
        OSError: One cannot be read, or is not as long as it was acknowledged.
    """
    for file in files:
        path = storage.path(file)
        digest = RunningDigest.of_file(path)
        if digest.length != file.held:
            raise OSError(errno.EIO, f"{path} holds {digest.length} bytes where {file.held} were acknowledged")
        storage.digests.keep(file.sid, file.copy, digest)


def finalize_all(storage: Storage, jobs: Sequence[Finalize]) -> list[Recording | Exception]:
    """Finalize sessions together, with few syncs for all.

    Returns:
        For each the recording, or why there is none: besides what :func:`finalize` raises, UnreadFilesError or
        OverdueError.
    """
    stuck = {recording.sid: error for recording, error in storage.shelves.settle_stores()}
    found = storage.commit([partial(_look, storage, job, stuck.get(job.sid)) for job in jobs])
    new = [each for each in found if isinstance(each, _New)]
    stored = dict(zip(map(id, new), storage.shelves.store_all([each.recording for each in new]), strict=True))
    for each in new:
        if not isinstance(stored[id(each)], Exception):
            storage.drop(each.recording.sid)
    return [stored[id(each)] if isinstance(each, _New) else each for each in found]


@dataclass(frozen=True, slots=True)
class _New:
    """A recording that is to be stored."""

    recording: Recording


def _look(storage: Storage, job: Finalize, stuck: OSError | None) -> Recording | _New:
    """What a session brought, checked; its recording, if it is completed already."""
    if stuck is not None:
        raise stuck
    session = storage.usable(job.sid)
    if storage.is_overdue(session) and not job.overdue_too:
        raise OverdueError(job.sid)
    if session.status is SessionStatus.COMPLETED:
        recording = storage.recordings.get(session.file_id or "")
        if recording is None:
            raise Problem(HTTPStatus.GONE, "the recording of this session was deleted; create a new session")
        _compare(_stored_files(recording), job.claims)
        return recording
    files = storage.sessions.files(job.sid)
    _require_complete(files, job.claims)
    checked = _check(storage, files)
    _compare(checked, {kind: Claim(size=file.size) for kind, file in files.items()})
    _compare(checked, job.claims)
    return _New(_recording(session, files[Kind.VIDEO], checked, storage.settings.clock()))


def _require_complete(files: Mapping[Kind, SessionFile], claims: Mapping[Kind, Claim]) -> None:
    missing = [kind for kind in {Kind.VIDEO, *files, *claims} if kind not in files or not files[kind].complete]
    if missing:
        names = " and ".join(sorted(missing, reverse=True))
        raise Problem(
            HTTPStatus.CONFLICT,
            f"not complete yet: {names}; upload the rest, then finalize again",
            members={"missing": sorted(missing, reverse=True)},
        )


def _check(storage: Storage, files: Mapping[Kind, SessionFile]) -> dict[Kind, _Checked]:
    known = {kind: storage.digests.at(file.sid, file.copy, file.held) for kind, file in files.items()}
    if unread := [files[kind] for kind, digest in known.items() if digest is None]:
        raise UnreadFilesError(unread)
    return {
        kind: _Checked(files[kind].name, files[kind].held, digest.hexdigest())
        for kind, digest in known.items()
        if digest
    }


def _compare(files: Mapping[Kind, _Checked], claims: Mapping[Kind, Claim]) -> None:
    differences: list[dict[str, Any]] = []
    for kind, claim in claims.items():
        held = files.get(kind)
        for member, said in (("size", claim.size), ("sha256", claim.sha256)):
            is_held = getattr(held, member, None)
            if said is not None and said != is_held:
                differences.append({"file": str(kind), "member": member, "declared": said, "held": is_held})
    if differences:
        words = "; ".join(
            f"{each['member']} of the {each['file']} file: {each['declared']} declared, {each['held']} held"
            for each in differences
        )
        raise Problem(
            HTTPStatus.UNPROCESSABLE_ENTITY,
            f"what arrived is not what was declared: {words}",
            members={"differences": differences},
        )


def _stored_files(recording: Recording) -> dict[Kind, _Checked]:
    files = {Kind.VIDEO: _Checked(recording.name, recording.size, recording.sha256)}
    if recording.metadata_name is not None:
        files[Kind.METADATA] = _Checked(
            recording.metadata_name, recording.metadata_size or 0, recording.metadata_sha256 or ""
        )
    return files


def _recording(session: Session, video_file: SessionFile, files: Mapping[Kind, _Checked], now: float) -> Recording:
    video, metadata = files[Kind.VIDEO], files.get(Kind.METADATA)
    file_id = secrets.token_hex(16)
    stored_name, metadata_stored_name = stored_names(video.name, metadata.name if metadata else None)
    return Recording(
        file_id=file_id,
        sid=session.sid,
        recording_session=session.recording_session,
        item_id=session.item_id,
        connection_info=session.connection_info,
        folder=folder_for(now, file_id),
        name=video.name,
        stored_name=stored_name,
        content_type=video_file.content_type if _MEDIA_TYPE.fullmatch(video_file.content_type) else "",
        size=video.size,
        sha256=video.sha256,
        metadata_name=metadata.name if metadata else None,
        metadata_stored_name=metadata_stored_name,
        metadata_size=metadata.size if metadata else None,
        metadata_sha256=metadata.sha256 if metadata else None,
        created_at=now,
    )
