"""Several threads' changes in one transaction: whoever comes first writes for all who wait.

One sync of the disk then serves many submits or receipts. No thread of its own is needed: the first caller that finds
the door free leads, the others wait for it, so nothing has to be started, stopped or joined.
"""

from __future__ import annotations

import threading
from collections import deque
from typing import TYPE_CHECKING, Any

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
        self.error: BaseException | None = None


class GroupCommit:
    """Gathers changes and hands them to ``commit`` in groups.

    Args:
        commit: Carries out a group in one transaction, fills ``result`` or ``error`` of each change. What it raises is
            the outcome of the whole group.
        most: Most changes of one group.

    Thread-safe. A change must not submit another one.
    """

    def __init__(self, commit: Callable[[Sequence[Change]], None], *, most: int = 256) -> None:
        self._commit = commit
        self._most = most
        self._waiting: deque[Change] = deque()
        self._leading = False
        self._turn = threading.Condition()

    def submit(self, change: Change) -> Any:
        """Carry out ``change``, alone or in company; returns its result or raises its error."""
        with self._turn:
            self._waiting.append(change)
            while self._leading and not change.done:
                self._turn.wait()
            leader = not change.done
            self._leading = self._leading or leader
        if leader:
            self._lead_until(change)
        if change.error is not None:
            raise change.error
        return change.result

    def _lead_until(self, own: Change) -> None:
        try:
            while not own.done:
                with self._turn:
                    group = [self._waiting.popleft() for _ in range(min(self._most, len(self._waiting)))]
                self._carry_out(group)
        finally:
            with self._turn:
                self._leading = False
                self._turn.notify_all()

    def _carry_out(self, group: Sequence[Change]) -> None:
        try:
            self._commit(group)
        except BaseException as error:  # noqa: BLE001  every follower must be told, then each raises it for itself
            for change in group:
                change.error = change.error or error
        for change in group:
            if change.then is not None and change.error is None:
                change.then(change.result)
        with self._turn:
            for change in group:
                change.done = True
