"""The bytes of an artifact, and the look that tells whether they are still the ones that were submitted."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from haulier.clock import seconds_text
from haulier.errors import SourceChangedError, SourceUnavailableError

if TYPE_CHECKING:
    from haulier.files import Files
    from haulier.models import ArtifactRecord, Identity

__all__ = ["ContentSource", "Readable", "inspect", "open_artifact", "read_fully"]


class Readable(Protocol):
    """Bytes by offset; several threads may read at once."""

    def readinto_at(self, offset: int, buffer: bytearray | memoryview, /) -> int:
        """Fill the buffer from an offset as far as one read goes; 0 at the end."""

    def close(self) -> None:
        """Release the handle."""


class ContentSource:
    """An artifact whose bytes are in memory: a sidecar from the journal, or one that a backend made."""

    def __init__(self, content: bytes) -> None:
        self._content = content

    def readinto_at(self, offset: int, buffer: bytearray | memoryview, /) -> int:
        """Copy bytes from ``offset``; how many."""
        piece = self._content[offset : offset + len(buffer)]
        buffer[: len(piece)] = piece
        return len(piece)

    def close(self) -> None:
        """Nothing to release."""


def read_fully(source: Readable, offset: int, view: memoryview, where: str) -> None:
    """Fill ``view`` from ``offset``.

    Raises:
        SourceChangedError: The file ended early.
        SourceUnavailableError: It cannot be read.
    """
    done = 0
    while done < len(view):
        try:
            count = source.readinto_at(offset + done, view[done:])
        except OSError as error:
            raise SourceUnavailableError(f"reading failed ({error.strerror})", where=where) from error
        if count == 0:
            raise SourceChangedError(f"the file ended at byte {offset + done}, earlier than before", where=where)
        done += count


def open_artifact(files: Files, artifact: ArtifactRecord, now: float) -> Readable:
    """Open an artifact's bytes. ``now`` is wall time, seconds since the epoch, for messages.

    Raises:
        SourceUnavailableError: It is missing or cannot be read.
    """
    if artifact.content is not None:
        return ContentSource(artifact.content)
    try:
        return files.open_source(artifact.path, resolved=True)
    except OSError as error:
        raise unavailable(files, artifact, error, now) from error


def unavailable(files: Files, artifact: ArtifactRecord, error: OSError, now: float) -> SourceUnavailableError:
    """Tell a file that is gone or forbidden from one whose folder is away or that another program holds."""
    path = artifact.path
    if isinstance(error, FileNotFoundError):
        if files.is_gone(path):
            age = seconds_text(now - artifact.mtime_ns / 1e9)
            return SourceUnavailableError(f"{artifact.name} is gone; it was {age} old", where=path)
        return SourceUnavailableError("the folder of the file is not reachable", where=path, passing=True)
    if getattr(error, "winerror", None) in {32, 33}:
        return SourceUnavailableError("another program holds the file open", where=path, passing=True)
    return SourceUnavailableError(f"the file cannot be read ({error.strerror})", where=path)


def inspect(files: Files, artifact: ArtifactRecord, source_id: str, now: float) -> Identity | None:
    """Look at the source: None when it is as submitted, else what it is now. ``now`` as for :func:`open_artifact`.

    Raises:
        SourceUnavailableError: It is missing or cannot be looked at.
    """
    if artifact.content is not None:
        return None
    try:
        found = files.identity(artifact.path, source_id, resolved=True)
    except OSError as error:
        raise unavailable(files, artifact, error, now) from error
    unchanged = (found.size, found.mtime_ns, found.file_id) == (artifact.size, artifact.mtime_ns, artifact.file_id)
    return None if unchanged else found
