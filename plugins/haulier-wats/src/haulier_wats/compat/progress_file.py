"""Telling how far reading is: a file that reports, and callbacks of both shapes."""

from __future__ import annotations

import inspect
import io
from typing import IO, TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["ProgressFileWrapper", "reporter"]


class ProgressFileWrapper:
    """Wraps a binary file and reports how far it was read.

    Reading is passed on as it is asked for; nothing is held. After a seek the report follows the position, so a body
    that is sent again counts anew. Everything else is the file's own. Used by one thread at a time.

    Args:
        file_obj: The file; it stays the caller's to close.
        total_size: Bytes in all; None asks the file.
        progress_callback: Called after each read: with bytes and total if it takes two arguments, with whole percent
            if it takes one.

    Attributes:
        bytes_read: Position in bytes.
    """

    def __init__(
        self,
        file_obj: IO[bytes],
        total_size: int | None = None,
        progress_callback: Callable[..., object] | None = None,
    ) -> None:
        self.file_obj = file_obj
        self.total_size = _size_of(file_obj) if total_size is None else total_size
        self.progress_callback = progress_callback
        self.bytes_read = file_obj.tell()
        self._report = reporter(progress_callback)

    @property
    def progress(self) -> int:
        """Whole percent read, 0 to 100."""
        return _percent(self.bytes_read, self.total_size)

    def read(self, size: int | None = -1, /) -> bytes:
        """Read up to ``size`` bytes; -1 and None read to the end."""
        data = self.file_obj.read(-1 if size is None else size)
        self.bytes_read += len(data)
        self._report(self.bytes_read, self.total_size)
        return data

    def seek(self, offset: int, whence: int = io.SEEK_SET, /) -> int:
        """Move; the next report counts from there."""
        self.bytes_read = self.file_obj.seek(offset, whence)
        return self.bytes_read

    def tell(self) -> int:
        """The position in bytes."""
        return self.file_obj.tell()

    def __len__(self) -> int:
        return self.total_size

    def __getattr__(self, name: str) -> Any:
        return getattr(self.file_obj, name)


def reporter(callback: Callable[..., object] | None) -> Callable[[int, int], None]:
    """Call a callback of either shape: ``(bytes, total)`` or ``(percent)``; what it raises is raised."""
    if callback is None:
        return lambda done, total: None  # noqa: ARG005
    if _takes_two(callback):

        def report(done: int, total: int) -> None:
            callback(done, total)
    else:

        def report(done: int, total: int) -> None:
            callback(_percent(done, total))

    return report


def _percent(done: int, total: int) -> int:
    return min(100, done * 100 // total) if total else 100


def _takes_two(callback: Callable[..., object]) -> bool:
    try:
        inspect.signature(callback).bind(0, 0)
    except TypeError:
        return False
    except ValueError:  # built in C, with no signature to look at
        return True
    return True


def _size_of(file_obj: IO[bytes]) -> int:
    position = file_obj.tell()
    end = file_obj.seek(0, io.SEEK_END)
    file_obj.seek(position)
    return end
