"""The bytes of one part, read from a file or from memory while they are sent; nothing is held."""

from __future__ import annotations

import hashlib
import io
from typing import IO, TYPE_CHECKING

from haulier.errors import SourceChangedError, SourceUnavailableError

if TYPE_CHECKING:
    from collections.abc import Callable

    from haulier.backends.api import Context, Part

__all__ = ["FileBody", "digest_of"]

BLOCK = 1024 * 1024


class FileBody:
    """A :class:`haulier.backends.api.Body`.

    Args:
        file: The artifact's bytes, seekable.
        part: Which of them.
        context: What to obey.
        on_sent: Told the position within the part after each read, and 0 after a rewind.
    """

    def __init__(self, file: IO[bytes], part: Part, context: Context, on_sent: Callable[[int], None]) -> None:
        self.size = part.size
        self._file = file
        self._offset = part.offset
        self._context = context
        self._on_sent = on_sent
        self._position = 0

    def __len__(self) -> int:
        return self.size

    def read(self, size: int = -1, /) -> bytes:
        """See :class:`haulier.backends.api.Body`."""
        self._context.check_cancelled()
        left = self.size - self._position
        wanted = left if size < 0 else min(size, left)
        data = self._read_at(self._offset + self._position, wanted) if wanted else b""
        self._position += len(data)
        self._on_sent(self._position)
        return data

    def readinto(self, buffer: bytearray | memoryview, /) -> int:
        """See :class:`haulier.backends.api.Body`."""
        data = self.read(len(buffer))
        buffer[: len(data)] = data
        return len(data)

    def rewind(self) -> None:
        """See :class:`haulier.backends.api.Body`."""
        self._position = 0
        self._on_sent(0)

    def digest(self, name: str) -> str:
        """See :class:`haulier.backends.api.Body`; reads the part once more."""
        running = hashlib.new(name)
        for start in range(0, self.size, BLOCK):
            self._context.check_cancelled()
            running.update(self._read_at(self._offset + start, min(BLOCK, self.size - start)))
        return running.hexdigest()

    def whole(self, name: str) -> str:
        """See :class:`haulier.backends.api.Body`."""
        return digest_of(self._file, name)

    def _read_at(self, offset: int, size: int) -> bytes:
        try:
            self._file.seek(offset)
            data = self._file.read(size)
        except OSError as error:
            raise SourceUnavailableError(f"reading failed ({error.strerror})") from error
        if not data:
            raise SourceChangedError(f"the file ended at byte {offset}, earlier than before")
        return data


def digest_of(file: IO[bytes], name: str) -> str:
    """Digest of a whole file, hexadecimal."""
    running = hashlib.new(name)
    file.seek(0, io.SEEK_SET)
    while block := file.read(BLOCK):
        running.update(block)
    return running.hexdigest()
