"""One append to an upload resource (draft-ietf-httpbis-resumable-upload, RFC 9530)."""

from __future__ import annotations

from contextlib import closing
from dataclasses import dataclass
from functools import partial
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

from starlette.concurrency import run_in_threadpool

from haulier_wats.server.fields import content_digest, sf_boolean, sf_integer
from haulier_wats.server.incoming import BodyEnded, RoomCheck
from haulier_wats.server.problems import Problem
from haulier_wats.server.rows import FileState
from haulier_wats.server.sink import RunningDigest, Sink

if TYPE_CHECKING:
    from collections.abc import Mapping

    from haulier_wats.server.incoming import Incoming
    from haulier_wats.server.rows import SessionFile
    from haulier_wats.server.storage import Storage

__all__ = ["Append", "append", "check_end", "check_start", "part_digest", "progress_fields"]

CHECKPOINT = 16 << 20
"""Bytes of an append without a digest after which what came is acknowledged in the database."""

PARTIAL_UPLOAD = "application/partial-upload"
_PROBLEMS = "https://iana.org/assignments/http-problem-types#"


@dataclass(frozen=True, slots=True)
class Append:
    """What a PATCH asks for: where its bytes belong, whether they end the file, and their SHA-256 if it was given."""

    offset: int
    complete: bool
    digest: bytes | None

    @classmethod
    def from_headers(cls, headers: Mapping[str, str]) -> Append:
        """Read the fields.

        Raises:
            Problem: 415, another content type; 400, a field is missing or malformed.
        """
        if headers.get("content-type", "").split(";", 1)[0].strip().lower() != PARTIAL_UPLOAD:
            raise Problem(
                HTTPStatus.UNSUPPORTED_MEDIA_TYPE,
                f"an append has Content-Type: {PARTIAL_UPLOAD}",
                headers={"Accept-Patch": PARTIAL_UPLOAD},
            )
        offset, complete = sf_integer(headers, "upload-offset"), sf_boolean(headers, "upload-complete")
        if offset is None or complete is None:
            raise Problem(
                HTTPStatus.BAD_REQUEST, "an append needs Upload-Offset: N, and Upload-Complete: ?0 or ?1, well-formed"
            )
        return cls(offset, complete, content_digest(headers))


def progress_fields(file: SessionFile) -> dict[str, str]:
    """The fields that say how far a resource is."""
    return {"Upload-Offset": str(file.held), "Upload-Complete": "?1" if file.complete else "?0"}


async def append(
    storage: Storage, file: SessionFile, wanted: Append, incoming: Incoming, announced: int
) -> SessionFile:
    """Append a body to a resource whose turn is held.

    Args:
        storage: Where it is.
        file: The resource as it stands.
        wanted: What is asked for.
        incoming: The bytes.
        announced: How many the client says they are; 0 when it does not say.

    Returns:
        The resource as it stands afterwards.

    Raises:
        Problem: 409, it stands elsewhere; 400, the length or the digest does not fit; 413, too much at once; 507, the
            disk is nearly full.
        BodyEnded: The body broke off, or the disk became full. What came is kept, unless a digest should have covered
            it.
    """
    if not check_start(storage, file, wanted, announced):
        return file
    return await _Receiver(storage, file, wanted).receive(incoming, announced)


def check_start(storage: Storage, file: SessionFile, wanted: Append, announced: int) -> bool:
    """Whether there is anything to append.

    Raises:
        Problem: 409, the resource stands elsewhere; 400, the length does not fit; 413, too much at once.
    """
    if file.complete and wanted.complete and not announced and wanted.offset == file.held:
        return False  # the answer to the append that closed it was lost
    if wanted.offset != file.held or file.complete:
        raise _mismatch(file, wanted)
    _check_length(storage, file, wanted, announced)
    return True


def part_digest(wanted: Append, file: SessionFile, whole: RunningDigest | None) -> RunningDigest | None:
    """What is to take the digest of what is appended; the one of the whole file where that is the same."""
    if wanted.digest is None:
        return None
    return RunningDigest() if file.held or whole is None else whole


def check_end(file: SessionFile, wanted: Append, offset: int, part: RunningDigest | None) -> None:
    """Check what was written.

    Args:
        file: The resource as it stood before.
        wanted: What was asked for.
        offset: Where it ends now.
        part: The digest of what was appended, if one was given.

    Raises:
        Problem: 400, the digest or the length is another.
    """
    if wanted.digest is not None and (part is None or part.digest() != wanted.digest):
        raise Problem(
            HTTPStatus.BAD_REQUEST,
            "the bytes are not those of Content-Digest and were dropped; send them again",
            headers=progress_fields(file),
        )
    if wanted.complete and offset != file.size:
        raise _inconsistent(file, offset)


class _Receiver:
    """Takes the bytes of one append."""

    def __init__(self, storage: Storage, file: SessionFile, wanted: Append) -> None:
        self._storage = storage
        self._file = file
        self._wanted = wanted
        self._whole = storage.digests.at(file.sid, file.copy, file.held)
        self._part = part_digest(wanted, file, self._whole)

    async def receive(self, incoming: Incoming, announced: int) -> SessionFile:
        with closing(await run_in_threadpool(self._open, announced)) as sink:
            try:
                await self._take(incoming, sink)
            except BodyEnded as ended:
                if self._part is None:
                    await sink.finish(sync=True)
                    await self._acknowledge(sink.offset, FileState.OPEN)
                ended.headers |= progress_fields(self._file)
                raise
            await sink.finish(sync=True)  # what is acknowledged must survive a power cut
            check_end(self._file, self._wanted, sink.offset, self._part)
            return await self._acknowledge(sink.offset, FileState.COMPLETE if self._wanted.complete else FileState.OPEN)

    def _open(self, announced: int) -> Sink:
        self._storage.room.require(announced)
        digests = (self._whole,) if self._whole is self._part else (self._whole, self._part)
        return Sink(self._storage.path(self._file), self._file.held, self._storage.share, *digests)

    async def _take(self, incoming: Incoming, sink: Sink) -> None:
        checkpoint = sink.offset + CHECKPOINT
        room = RoomCheck(self._storage.room)
        async for chunk in incoming:
            _check_length(self._storage, self._file, self._wanted, sink.taken + len(chunk), final=False)
            await room.take(len(chunk))
            await sink.feed(chunk)
            if self._part is None and sink.offset >= checkpoint:
                checkpoint = sink.offset + CHECKPOINT
                await sink.finish(sync=True)
                await self._record(sink.offset, FileState.OPEN)

    async def _acknowledge(self, held: int, state: FileState) -> SessionFile:
        """Record what is held once nothing is being written any more."""
        file = await self._record(held, state)
        self._storage.digests.keep(file.sid, file.copy, self._whole)
        return file

    async def _record(self, held: int, state: FileState) -> SessionFile:
        storage = self._storage
        acknowledge = partial(storage.sessions.acknowledge, self._file, held, state, storage.expiry())
        self._file = await storage.commits.do(acknowledge)
        return self._file


def _check_length(storage: Storage, file: SessionFile, wanted: Append, size: int, *, final: bool = True) -> None:
    """Refuse what cannot fit. ``final``: the size is all that will come, if it is not 0."""
    if size > storage.settings.max_append_size:
        raise Problem(
            HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
            f"an append holds at most {storage.settings.max_append_size} bytes; send less at once",
            headers=progress_fields(file),
        )
    end = wanted.offset + size
    if end > (file.size or 0) or (final and size and wanted.complete and end != file.size):
        raise _inconsistent(file, end)


def _mismatch(file: SessionFile, wanted: Append) -> Problem:
    members: dict[str, Any] = {"expected-offset": file.held, "provided-offset": wanted.offset}
    detail = "the upload is complete" if file.complete else f"the upload stands at {file.held}; go on from there"
    return Problem(
        HTTPStatus.CONFLICT,
        detail,
        type=f"{_PROBLEMS}mismatching-upload-offset",
        headers=progress_fields(file),
        members=members,
    )


def _inconsistent(file: SessionFile, end: int) -> Problem:
    return Problem(
        HTTPStatus.BAD_REQUEST,
        f"the upload would end at {end} bytes, but {file.size} were declared",
        type=f"{_PROBLEMS}inconsistent-upload-length",
        headers=progress_fields(file),
    )
