"""The end of an upload: what arrived is checked against what was said, then stored."""

from __future__ import annotations

import re
import secrets
from dataclasses import dataclass
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

from starlette.concurrency import run_in_threadpool

from haulier_wats.server.folders import folder_for, sync_file
from haulier_wats.server.names import stored_names
from haulier_wats.server.payloads import Claim
from haulier_wats.server.problems import Problem
from haulier_wats.server.rows import Kind, Recording, SessionStatus
from haulier_wats.server.sink import sha256_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    from haulier_wats.server.rows import Session, SessionFile
    from haulier_wats.server.storage import Storage

__all__ = ["finalize"]

_MEDIA_TYPE = re.compile(r"[A-Za-z0-9][\w.+-]*/[A-Za-z0-9][\w.+-]*", re.ASCII)


@dataclass(frozen=True, slots=True)
class _Checked:
    """A file as it lies on the disk: bytes, and SHA-256 in hexadecimal."""

    name: str
    size: int
    sha256: str


async def finalize(storage: Storage, sid: str, claims: Mapping[Kind, Claim]) -> Recording:
    """Store what a session brought. Repeated, it gives the same recording.

    Args:
        storage: Where the session is.
        sid: The session.
        claims: What its files must be.

    Raises:
        Problem: 404 or 410, there is no such session any more; 409, a file is missing, or the item is stored with
            other content; 422, a file is not what it was said to be, and the session stays open.
    """
    await run_in_threadpool(storage.usable, sid)
    take = storage.turns.take
    async with take(sid, "finalize"), take(sid, Kind.VIDEO), take(sid, Kind.METADATA):
        return await run_in_threadpool(_finalize, storage, sid, claims)


def _finalize(storage: Storage, sid: str, claims: Mapping[Kind, Claim]) -> Recording:
    storage.shelves.settle_stores(lambda other: other.sid == sid)
    session = storage.usable(sid)
    if session.status is SessionStatus.COMPLETED:
        recording = storage.recordings.get(session.file_id or "")
        if recording is None:
            raise Problem(HTTPStatus.GONE, "the recording of this session was deleted; create a new session")
        _compare(_stored_files(recording), claims)
        return recording
    files = storage.sessions.files(sid)
    _require_complete(files, claims)
    checked = {kind: _check(storage, file) for kind, file in files.items()}
    _compare(checked, {kind: Claim(size=file.size) for kind, file in files.items()})
    _compare(checked, claims)
    for file in files.values():
        sync_file(storage.path(file))
    stored = storage.shelves.store(_recording(session, files[Kind.VIDEO], checked, storage.settings.clock()))
    storage.drop(sid)
    return stored


def _require_complete(files: Mapping[Kind, SessionFile], claims: Mapping[Kind, Claim]) -> None:
    missing = [kind for kind in {Kind.VIDEO, *files, *claims} if kind not in files or not files[kind].complete]
    if missing:
        names = " and ".join(sorted(missing, reverse=True))
        raise Problem(
            HTTPStatus.CONFLICT,
            f"not complete yet: {names}; upload the rest, then finalize again",
            members={"missing": sorted(missing, reverse=True)},
        )


def _check(storage: Storage, file: SessionFile) -> _Checked:
    known = storage.digests.at(file.sid, file.copy, file.held)
    return _Checked(file.name, file.held, known.hexdigest() if known else sha256_of(storage.path(file)))


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
