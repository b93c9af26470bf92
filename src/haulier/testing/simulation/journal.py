"""The journal of one simulated process: the shared one, each call a step, on a disk that may be full."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar

from haulier.errors import JournalUnavailableError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from haulier.journal.api import Journal, Transaction
    from haulier.testing.simulation.scheduler import Scheduler

__all__ = ["SimJournal"]

T = TypeVar("T")


class SimJournal:
    """A :class:`haulier.journal.api.Journal`.

    Args:
        inner: The one that all processes share.
        scheduler: Steps.
        is_full: Whether nothing can be written now.
        on_write: Called after each change, before anybody else runs.
    """

    def __init__(
        self, inner: Journal, scheduler: Scheduler, is_full: Callable[[], bool], on_write: Callable[[], None]
    ) -> None:
        self._inner = inner
        self._scheduler = scheduler
        self._is_full = is_full
        self._on_write = on_write

    def write(
        self, change: Callable[[Transaction], T], *, durable: bool = True, then: Callable[[T], None] | None = None
    ) -> T:
        """Change, unless the disk is full."""
        name = getattr(change, "__qualname__", "").split(".<locals>")[0].rpartition(".")[2]
        self._scheduler.step(f"journal.write {name}")
        if self._is_full():
            raise JournalUnavailableError("the journal cannot be used now (disk full)", where="simulation")
        result = self._inner.write(change, durable=durable, then=then)
        self._on_write()
        self._scheduler.step("journal.write:done")
        return result

    def read(self, query: Callable[[Transaction], T]) -> T:
        """Look."""
        self._scheduler.step("journal.read")
        return self._inner.read(query)

    def check(self) -> Sequence[str]:
        """See the contract."""
        return self._inner.check()

    def backup(self, target: Path) -> None:
        """See the contract."""
        self._inner.backup(target)

    def close(self) -> None:
        """Nothing: others use it."""

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)
