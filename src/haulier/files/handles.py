"""A source file that is being read."""

from __future__ import annotations

import io
import os
import sys
import threading
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import TracebackType
    from typing import Self

__all__ = ["SourceHandle"]


class SourceHandle:
    """An open source: unbuffered, binary, read at offsets, through renames and even deletion of its name.

    Several threads may read at once. Close it after the last read has returned.

    Args:
        fd: An open descriptor; the handle owns it from now on.
        path: Canonical path at the time of opening, for messages and identities.
        positional: Whether reads at an offset are one system call here; else they take turns on the file position.
    """

    def __init__(self, fd: int, path: str, *, positional: bool = sys.platform != "win32") -> None:
        self.path = path
        self._file = io.FileIO(fd, "rb")
        self._turn = threading.Lock()
        self._read_some: Callable[[int, memoryview], int] = self._read_at if positional else self._seek_and_read

    def fileno(self) -> int:
        """The descriptor, which stays the handle's own."""
        return self._file.fileno()

    def stat(self) -> os.stat_result:
        """What the system says about the open file itself, not about its name.

        Raises:
            OSError: The volume does not answer.
        """
        return os.fstat(self._file.fileno())

    def readinto_at(self, offset: int, buffer: bytearray | memoryview) -> int:
        """Fill a buffer from an offset.

        Args:
            offset: Bytes from the start of the file.
            buffer: Writable bytes.

        Returns:
            Bytes read: fewer than the buffer holds only at the end of the file.

        Raises:
            OSError: The bytes cannot be read.
            ValueError: The handle is closed.
        """
        view = memoryview(buffer).cast("B")
        filled = 0
        while filled < len(view):
            count = self._read_some(offset + filled, view[filled:])
            if count == 0:
                break
            filled += count
        return filled

    def close(self) -> None:
        """Give the file back. May be called again."""
        self._file.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _read_at(self, offset: int, view: memoryview) -> int:
        if sys.platform != "win32":
            return os.preadv(self._file.fileno(), [view], offset)
        raise NotImplementedError

    def _seek_and_read(self, offset: int, view: memoryview) -> int:
        with self._turn:
            self._file.seek(offset)
            return self._file.readinto(view) or 0
