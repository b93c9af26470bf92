"""The bytes of one part, read from a file or from memory while they are sent; nothing is held."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Protocol

from haulier.errors import SourceChangedError, SourceUnavailableError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from haulier.backends.api import Context, Part

__all__ = ["Content", "FileBody", "Source", "digest_of"]

BLOCK = 1024 * 1024


class Source(Protocol):
    """Bytes by offset; an open file of :class:`haulier.files.Files` is one."""

    def readinto_at(self, offset: int, buffer: bytearray | memoryview, /) -> int:
        """Fill the buffer from an offset; fewer bytes only at the end."""


class Content:
    """Bytes in memory."""

    def __init__(self, content: bytes) -> None:
        self._content = memoryview(content)

    def readinto_at(self, offset: int, buffer: bytearray | memoryview, /) -> int:
        """See :class:`Source`."""
        data = self._content[offset : offset + len(buffer)]
        buffer[: len(data)] = data
        return len(data)


class FileBody:
    """A :class:`haulier.backends.api.Body`.

    Args:
        source: The artifact's bytes.
        part: Which of them.
        context: What to obey.
        on_sent: Told the position within the part after each read, and 0 after a rewind.
    """

    def __init__(self, source: Source, part: Part, context: Context, on_sent: Callable[[int], None]) -> None:
        self.size = part.size
        self._source = source
        self._offset = part.offset
        self._context = context
        self._on_sent = on_sent
        self._position = 0

    def __len__(self) -> int:
        return self.size

    def read(self, size: int = -1, /) -> bytes:
        """See :class:`haulier.backends.api.Body`."""
        left = self.size - self._position
        buffer = bytearray(left if size < 0 else min(size, left))
        return bytes(memoryview(buffer)[: self.readinto(buffer)])

    def readinto(self, buffer: bytearray | memoryview, /) -> int:
        """See :class:`haulier.backends.api.Body`."""
        self._context.check_cancelled()
        view = memoryview(buffer)[: self.size - self._position]
        if view:
            self._position += self._fill(self._offset + self._position, view)
        self._on_sent(self._position)
        return len(view)

    def rewind(self) -> None:
        """See :class:`haulier.backends.api.Body`."""
        self._position = 0
        self._on_sent(0)

    def digest(self, name: str) -> str:
        """See :class:`haulier.backends.api.Body`; reads the part once more."""
        running = hashlib.new(name)
        buffer = memoryview(bytearray(min(BLOCK, self.size)))
        for start in range(0, self.size, BLOCK):
            self._context.check_cancelled()
            block = buffer[: self.size - start]
            self._fill(self._offset + start, block)
            running.update(block)
        return running.hexdigest()

    def whole(self, name: str) -> str:
        """See :class:`haulier.backends.api.Body`."""
        return digest_of(self._source, name)

    def _fill(self, offset: int, view: memoryview) -> int:
        try:
            count = self._source.readinto_at(offset, view)
        except OSError as error:
            raise SourceUnavailableError(f"reading failed ({error.strerror})") from error
        if count < len(view):
            raise SourceChangedError(f"the file ended at byte {offset + count}, earlier than before")
        return count


def digest_of(source: Source, name: str) -> str:
    """Digest of all bytes, hexadecimal."""
    running = hashlib.new(name)
    for block in _blocks(source):
        running.update(block)
    return running.hexdigest()


def _blocks(source: Source) -> Iterator[memoryview]:
    buffer, offset = memoryview(bytearray(BLOCK)), 0
    while count := source.readinto_at(offset, buffer):
        yield buffer[:count]
        offset += count
