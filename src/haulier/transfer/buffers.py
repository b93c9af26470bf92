"""Memory for bodies: one budget, shared by all uploads of a manager."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

from haulier.threads import SystemThreads

if TYPE_CHECKING:
    from collections.abc import Iterator

    from haulier.threads import Threads
    from haulier.transfer.context import RunContext

__all__ = ["BufferPool"]


class BufferPool:
    """Lends buffers of at most ``budget`` bytes in all; who asks for more waits. Thread-safe.

    An upload that holds buffers can always send them without asking for another, so waiting ends.

    Args:
        budget: Bytes.
        threads: How one waits for another.
    """

    def __init__(self, budget: int, threads: Threads | None = None) -> None:
        self.budget = budget
        self.peak = 0
        self._lent = 0
        self._free: list[bytearray] = []
        self._changed = (threads or SystemThreads()).condition()

    def acquire(self, size: int, context: RunContext) -> bytearray:
        """A buffer of exactly ``size`` bytes; its content is whatever was there.

        Raises:
            CancelledError: The upload was told to stop while it waited.
        """
        undo = context.on_cancel(self._wake)
        try:
            with self._changed:
                while self._lent and self._lent + size > self.budget:
                    context.check_cancelled()
                    self._changed.wait()
                context.check_cancelled()
                self._lent += size
                self.peak = max(self.peak, self._lent)
                return self._take(size)
        finally:
            undo()

    def _take(self, size: int) -> bytearray:
        for index, buffer in enumerate(self._free):
            if len(buffer) == size:
                return self._free.pop(index)
        # kept buffers of other sizes must not add to what is lent
        while self._free and self._lent + sum(map(len, self._free)) > self.budget:
            self._free.pop(0)
        return bytearray(size)

    def release(self, buffer: bytearray) -> None:
        """Give a buffer back."""
        with self._changed:
            self._lent -= len(buffer)
            if self._lent + len(buffer) + sum(map(len, self._free)) <= self.budget:
                self._free.append(buffer)
            self._changed.notify_all()

    def _wake(self) -> None:
        with self._changed:
            self._changed.notify_all()

    @contextmanager
    def lend(self, size: int, context: RunContext) -> Iterator[bytearray]:
        """A buffer for the time of a ``with`` block."""
        buffer = self.acquire(size, context)
        try:
            yield buffer
        finally:
            self.release(buffer)
