"""Bodies block by block, without a copy where their bytes lie in memory."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Iterator

    from haulier.backends.api import Body

__all__ = ["InMemory", "blocks_of"]


class InMemory(Protocol):
    """A body that can show its bytes where they are."""

    def views(self, size: int) -> Iterator[memoryview]:
        """What is left, in views of up to ``size`` bytes; raises what ``readinto`` raises."""


def blocks_of(body: Body, size: int) -> Iterator[memoryview]:
    """What is left of a body, in views of up to ``size`` bytes: each is valid until the next.

    Raises:
        HaulierError: What :meth:`haulier.backends.api.Body.readinto` raises.
    """
    views = getattr(body, "views", None)  # an isinstance of a protocol costs more than a small body
    if views is not None:
        yield from views(size)
        return
    buffer = memoryview(bytearray(min(size, body.size)))
    while count := body.readinto(buffer):
        yield buffer[:count]
