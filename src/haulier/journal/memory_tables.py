"""Rows in memory: dictionaries whose changes can be undone, tasks with ordered indexes.

A row is never copied to be changed; each change notes how to take it back. A write therefore costs what it changes,
whatever the journal holds.
"""

from __future__ import annotations

from bisect import bisect_left, insort
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from haulier.journal.checks import taken
from haulier.models import Disposal, Role, TaskState

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from haulier.journal.api import TaskRow

__all__ = ["Table", "TaskTable", "UndoLog"]

K = TypeVar("K")
V = TypeVar("V")

AT_ONCE = 0.0

_WAITING = frozenset({TaskState.QUEUED, TaskState.RETRYING})


class UndoLog:
    """How to take back what the present write has done so far."""

    def __init__(self) -> None:
        self._steps: list[Callable[[], None]] = []

    def add(self, step: Callable[[], None]) -> None:
        """Note how to take back the change that was just made."""
        self._steps.append(step)

    def mark(self) -> int:
        """The present place, for :meth:`undo`."""
        return len(self._steps)

    def undo(self, mark: int = 0) -> None:
        """Take everything back that came after ``mark``, the last change first."""
        while len(self._steps) > mark:
            self._steps.pop()()

    def forget(self) -> None:
        """Let everything stand."""
        self._steps.clear()


class Table(Generic[K, V]):
    """Rows by key.

    Args:
        log: Notes each change.
    """

    def __init__(self, log: UndoLog) -> None:
        self._log = log
        self._rows: dict[K, V] = {}

    def get(self, key: K) -> V | None:
        """The row, or None."""
        return self._rows.get(key)

    def ordered(self) -> list[V]:
        """All rows by key."""
        return [self._rows[key] for key in sorted(self._rows)]  # type: ignore[type-var]

    def put(self, key: K, row: V) -> None:
        """Add or replace a row."""
        before = self._rows.get(key)
        self._rows[key] = row
        if before is None:
            self._log.add(lambda: self._rows.__delitem__(key))
        else:
            self._log.add(lambda: self._rows.__setitem__(key, before))

    def drop(self, key: K) -> None:
        """Remove a row if it is there."""
        before = self._rows.pop(key, None)
        if before is not None:
            self._log.add(lambda: self._rows.__setitem__(key, before))


class TaskTable:
    """Tasks by id and item, with the orders they are asked for.

    An index is a sorted list of tuples whose last member is the task's sequence.

    Args:
        log: Notes each change.
    """

    def __init__(self, log: UndoLog) -> None:
        self._log = log
        self._by_sequence: dict[int, TaskRow] = {}
        self._sequences: dict[str, int] = {}
        self._items: dict[tuple[str, str], int] = {}
        self._indexes: dict[tuple[str, ...], list[tuple[Any, ...]]] = {}
        self._last = 0

    def get(self, task_id: str) -> TaskRow | None:
        """The task with this id."""
        return self._by_sequence.get(self._sequences.get(task_id, 0))

    def find(self, item_id: str, backend: str) -> TaskRow | None:
        """The task of this item at this backend."""
        return self._by_sequence.get(self._items.get((item_id, backend), 0))

    def index(self, *name: str) -> list[tuple[Any, ...]]:
        """One index's entries in order; not to be changed. :func:`_entries` names them all."""
        return self._indexes.get(name, [])

    def rows(self, *name: str) -> Iterator[TaskRow]:
        """The rows of an index in its order."""
        return (self._by_sequence[entry[-1]] for entry in self.index(*name))

    def row(self, sequence: int) -> TaskRow:
        """The task with this sequence, which an index named."""
        return self._by_sequence[sequence]

    def due(self, name: tuple[str, ...], now: float) -> Iterator[TaskRow]:
        """Rows of an index of (suspicion, time, sequence) whose time has come, in order."""
        entries = self.index(*name)
        position = 0
        while position < len(entries):
            suspicion, time, sequence = entries[position]
            if time <= now:
                yield self._by_sequence[sequence]
                position += 1
            else:
                position = bisect_left(entries, (suspicion + 1,), position)

    def insert(self, row: TaskRow) -> int:
        """Add a task; its sequence, which no task had before.

        Raises:
            JournalError: Another task has the id or the item; nothing was changed.
        """
        before = self._last
        self.replace(None, replace(row, sequence=before + 1))
        self._last = before + 1
        self._log.add(lambda: setattr(self, "_last", before))
        return self._last

    def replace(self, old: TaskRow | None, new: TaskRow | None) -> None:
        """Put ``new`` in the place of ``old``; None for a row that was not, or will not be, there.

        Raises:
            JournalError: Another task has the id or the item; nothing was changed.
        """
        if new is not None:
            self._check_free(old, new)
        self._swap(old, new)
        self._log.add(lambda: self._swap(new, old))

    def _check_free(self, old: TaskRow | None, new: TaskRow) -> None:
        if old is None and new.id in self._sequences:
            raise taken("this task", new.id)
        if old is None or (old.identity, old.backend) != (new.identity, new.backend):
            holder = self._items.get((new.item_id, new.backend), new.sequence)
            if holder != new.sequence:
                raise taken("a task of this item and backend", new.id)

    def _swap(self, old: TaskRow | None, new: TaskRow | None) -> None:
        before, after = _entries(old), _entries(new)
        if old is not None:
            del self._by_sequence[old.sequence], self._sequences[old.id], self._items[old.item_id, old.backend]
        if new is not None:
            self._by_sequence[new.sequence] = new
            self._sequences[new.id] = new.sequence
            self._items[new.item_id, new.backend] = new.sequence
        for name, entry in before.items():
            if after.get(name) != entry:
                self._remove(name, entry)
        for name, entry in after.items():
            if before.get(name) != entry:
                insort(self._indexes.setdefault(name, []), entry)

    def _remove(self, name: tuple[str, ...], entry: tuple[Any, ...]) -> None:
        entries = self._indexes[name]
        del entries[bisect_left(entries, entry)]
        if not entries:
            del self._indexes[name]


def _entries(row: TaskRow | None) -> dict[tuple[str, ...], tuple[Any, ...]]:
    """A row's entry in each index that holds it."""
    if row is None:
        return {}
    last = (row.sequence,)
    entries: dict[tuple[str, ...], tuple[Any, ...]] = {("all",): last, ("state", row.state): last}
    entries["group", row.group] = last
    entries["item", row.item_id] = last
    for artifact in row.artifacts:
        if artifact.role is Role.SIDECAR:
            entries["sidecar", artifact.path] = last
    if row.disposal is Disposal.PENDING:
        entries["pending",] = last
    if row.state is TaskState.UPLOADING:
        entries["uploading", row.backend] = last
    slow = row.state is TaskState.FAILED and row.slow_lane
    if slow or row.state in _WAITING:
        time = AT_ONCE if row.not_before is None else row.not_before
        lane = "slow" if slow else str(row.state)
        recorded = min(row.identity.mtime_ns / 1e9, row.created_at)
        order = recorded if row.state is TaskState.QUEUED else time
        entries[lane, row.backend] = (row.suspicion, order, row.sequence)
        if row.not_before is not None:
            entries["times", row.backend] = (time, row.sequence)
    return entries
