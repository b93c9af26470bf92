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
        body: The bytes; it is rewound.
        skip: How many of them at its beginning are not sent.
        before: Bytes that go before them.
        after: Bytes that go behind them.

    Attributes:
        len: Bytes of all three, which requests turns into Content-Length.
        failure: What reading the body raised; the HTTP libraries may wrap or swallow it.
    """

    def __init__(self, body: Body, *, skip: int = 0, before: bytes = b"", after: bytes = b"") -> None:
        self.len = len(before) + body.size - skip + len(after)
        self.failure: Exception | None = None
        self._body = body
        self._skip = skip
        self._before = before
        self._after = after

    def __iter__(self) -> Iterator[bytes | memoryview]:
        view = memoryview(bytearray(min(BLOCK, self._body.size)))
        self._body.rewind()
        for _ in self._blocks(view, self._skip):
            pass
        if self._before:
            yield self._before
        yield from self._blocks(view, self._body.size - self._skip)
        if self._after:
            yield self._after

    def _blocks(self, view: memoryview, count: int) -> Iterator[memoryview]:
        while count:
            filled = self._fill(view[: min(len(view), count)])
            count -= filled
            yield view[:filled]

    def _fill(self, view: memoryview) -> int:
        try:
            count = self._body.readinto(view)
            if not count:
                raise SourceChangedError("the file ended before the part did")  # noqa: TRY301  kept like any other
        except Exception as error:
            self.failure = error
            raise
        return count
