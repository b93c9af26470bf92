"""Sources that misbehave while their bytes are sent: cut short, changed, broken off, endless."""

from __future__ import annotations

from typing import TYPE_CHECKING

from haulier.errors import SourceChangedError
from haulier.transfer.source import ContentSource

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["ChangingSource", "Interrupted", "InterruptedSource", "RepeatingSource", "cut_short", "interrupted_by"]


class Interrupted(BaseException):
    """The process ends here, as far as the backend can tell."""


class ChangingSource:
    """Gives one content when it is first read, another from then on, as a file that is written to meanwhile.

    Args:
        first: What the first reading of each byte finds.
        later: What every later one finds.
    """

    def __init__(self, first: bytes, later: bytes) -> None:
        self._contents = (ContentSource(first), ContentSource(later))
        self._read_to = 0

    def readinto_at(self, offset: int, buffer: bytearray | memoryview, /) -> int:
        """Copy bytes from ``offset``; how many."""
        is_first = offset >= self._read_to
        count = self._contents[0 if is_first else 1].readinto_at(offset, buffer)
        self._read_to = max(self._read_to, offset + count)
        return count

    def close(self) -> None:
        """Nothing to release."""


class InterruptedSource:
    """Gives bytes up to a point, then raises.

    Args:
        content: The bytes.
        end: How many of them can be read.
        make_error: What is raised there.
    """

    def __init__(self, content: bytes, end: int, make_error: Callable[[], BaseException]) -> None:
        self._content = ContentSource(content[:end])
        self._make_error = make_error

    def readinto_at(self, offset: int, buffer: bytearray | memoryview, /) -> int:
        """Copy bytes from ``offset``; how many."""
        count = self._content.readinto_at(offset, buffer)
        if not count:
            raise self._make_error()
        return count

    def close(self) -> None:
        """Nothing to release."""


def cut_short(content: bytes, end: int) -> InterruptedSource:
    """A file that was truncated while it was read."""
    return InterruptedSource(content, end, lambda: SourceChangedError("the file ended early", where="clip.mp4"))


def interrupted_by(content: bytes, end: int) -> InterruptedSource:
    """A file in whose middle the process is killed."""
    return InterruptedSource(content, end, lambda: Interrupted("killed here"))


class RepeatingSource:
    """Bytes without end, made as they are read: one block again and again.

    Args:
        block: What is repeated.
    """

    def __init__(self, block: bytes) -> None:
        self._block = block

    def readinto_at(self, offset: int, buffer: bytearray | memoryview, /) -> int:
        """Copy bytes from ``offset``; how many."""
        start = offset % len(self._block)
        count = min(len(buffer), len(self._block) - start)
        memoryview(buffer)[:count] = self._block[start : start + count]
        return count

    def close(self) -> None:
        """Nothing to release."""
