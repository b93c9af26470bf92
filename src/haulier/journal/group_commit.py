"""Several threads' changes in one transaction: whoever comes first writes for all who wait.

One sync of the disk then serves many submits or receipts. No thread of its own is needed: the first caller that finds
the door free leads, the others wait for it, so nothing has to be started, stopped or joined.
"""

from __future__ import annotations

import threading
from collections import deque
from typing import TYPE_CHECKING, Any

from haulier.errors import JournalUnavailableError
from haulier.journal.checks import USE_THE_TRANSACTION

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

__all__ = ["Change", "GroupCommit"]


class Change:
    """One caller's change and what became of it."""

    __slots__ = ("done", "durable", "error", "result", "run", "then")

    def __init__(self, run: Callable[[Any], Any], *, durable: bool, then: Callable[[Any], None] | None = None) -> None:
        self.run = run
        self.durable = durable
        self.then = then
        self.done = False
        self.result: Any = None
        self.error: Exception | None = None


class GroupCommit:
    """Gathers changes and hands them to ``commit`` in groups.

    Args:
        commit: Carries out a group in one transaction, fills ``result`` or ``error`` of each change. What it raises is
            the outcome of the whole group.
        most: Most changes of one group.

    Thread-safe.
    """

    def __init__(self, commit: Callable[[Sequence[Change]], None], *, most: int = 256) -> None:
        self._commit = commit
        self._most = most
        self._waiting: deque[Change] = deque()
        self._leader: int | None = None
        self._turn = threading.Condition()

    def submit(self, change: Change) -> Any:
        """Carry out ``change``, alone or in company; returns its result or raises its error.

        Raises:
            RuntimeError: A change, or what follows it, submits another: it would wait for itself.
        """
        own = threading.get_ident()
        with self._turn:
            if self._leader == own:
                raise RuntimeError(USE_THE_TRANSACTION)
            self._waiting.append(change)
            while self._leader is not None and not change.done:
                self._turn.wait()
            leads = not change.done
            if leads:
                self._leader = own
        if leads:
            self._lead_until(change)
        if change.error is not None:
            raise change.error
        return change.result

    def _lead_until(self, own: Change) -> None:
        group: list[Change] = []
        try:
            while not own.done:
                with self._turn:
                    group = [self._waiting.popleft() for _ in range(min(self._most, len(self._waiting)))]
                self._carry_out(group)
        finally:
            self._abandon([change for change in group if not change.done])

    def _carry_out(self, group: Sequence[Change]) -> None:
        try:
            self._commit(group)
        except Exception as error:  # noqa: BLE001  every follower must be told, then each raises it for itself
            for change in group:
                change.error = change.error or error
        for change in group:
            if change.then is not None and change.error is None:
                change.then(change.result)
        with self._turn:
            for change in group:
                change.done = True

    def _abandon(self, group: Sequence[Change]) -> None:
        """Let another lead. Whoever still waits for an interrupted group is told so, never left waiting."""
        with self._turn:
            for change in group:
                interrupted = JournalUnavailableError("the write was interrupted", advice="Look again, then repeat it")
                change.error = change.error or interrupted
                change.done = True
            self._leader = None
            self._turn.notify_all()
