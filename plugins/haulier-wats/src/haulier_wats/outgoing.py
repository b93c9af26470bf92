"""Request bodies that are read block by block while they are sent, never whole."""

from __future__ import annotations

from typing import TYPE_CHECKING

from haulier.errors import SourceChangedError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from haulier.backends.api import Body

__all__ = ["BLOCK", "Outgoing"]

BLOCK = 1024 * 1024
"""Bytes handed to the socket at once; smaller blocks cost more than half of the speed."""


class Outgoing:
    """A body for requests with a known length. Used once, by one thread.

    Each block is a view of one buffer that is filled again after the socket took it.

    Args:
        body: The bytes.
        prefix: Bytes before them.
        suffix: Bytes after them.

    Attributes:
        len: Bytes of all three, which requests turns into Content-Length.
        failure: What reading the body raised; the HTTP libraries may wrap or swallow it.
    """

    def __init__(self, body: Body, *, prefix: bytes = b"", suffix: bytes = b"") -> None:
        self.len = len(prefix) + body.size + len(suffix)
        self.failure: Exception | None = None
        self._body = body
        self._prefix = prefix
        self._suffix = suffix

    def __iter__(self) -> Iterator[bytes | memoryview]:
        if self._prefix:
            yield self._prefix
        yield from self._blocks()
        if self._suffix:
            yield self._suffix

    def _blocks(self) -> Iterator[memoryview]:
        remaining = self._body.size
        view = memoryview(bytearray(min(BLOCK, remaining)))
        while remaining:
            count = self._fill(view[: min(BLOCK, remaining)])
            remaining -= count
            yield view[:count]

    def _fill(self, view: memoryview) -> int:
        try:
            count = self._body.readinto(view)
            if not count:
                raise SourceChangedError("the file ended before the part did")  # noqa: TRY301  kept like any other
        except Exception as error:
            self.failure = error
            raise
        return count
