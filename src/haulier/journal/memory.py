"""The journal in memory: the same to every caller as the one in a file, gone with the process.

For simulations, tests, and hosts that want no state on disk and know what they give up.
"""

from __future__ import annotations

import json
from bisect import bisect_left, bisect_right
from collections import Counter
from contextlib import contextmanager
from dataclasses import replace
from itertools import islice
from typing import TYPE_CHECKING, Any, TypeVar

from haulier.errors import JournalError, JournalUnavailableError, UnsupportedError
from haulier.events import event_from_dict
from haulier.journal.api import (
    AbortRow,
    BackendRow,
    ClaimRow,
    Flying,
    ItemState,
    OwnerRow,
    PartRow,
    SealedToken,
    TaskFilter,
    TaskRow,
)
from haulier.journal.checks import (
    USE_THE_TRANSACTION,
    check_artifacts,
    check_members,
    reading_only,
    taken,
    unknown_task,
)
from haulier.journal.memory_tables import Table, TaskTable, UndoLog
from haulier.journal.rows import dump, json_part
from haulier.journal.turn import Turn
from haulier.models import Disposal, Receipt, TaskState

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
    from pathlib import Path

    from haulier.events import Event
    from haulier.journal.api import ItemKey, Transaction
    from haulier.models import ErrorRecord

__all__ = ["MemoryJournal", "MemoryTransaction"]

T = TypeVar("T")


class MemoryJournal:
    """A journal that nothing survives. Thread-safe."""

    def __init__(self) -> None:
        self._tables = _Tables()
        self._writing = Turn(USE_THE_TRANSACTION)
        self._looking = Turn(USE_THE_TRANSACTION)
        self._closed = False

    def write(
        self,
        change: Callable[[Transaction], T],
        *,
        durable: bool = True,
        then: Callable[[T], None] | None = None,
    ) -> T:
        """See :meth:`haulier.journal.api.Journal.write`. ``durable`` changes nothing."""
        del durable
        with self._writing:
            with self._tables_to_myself() as tables:
                try:
                    result = change(MemoryTransaction(tables, writable=True))
                except BaseException:
                    tables.log.undo()
                    raise
                tables.log.forget()
            if then is not None:
                then(result)
        return result

    def read(self, query: Callable[[Transaction], T]) -> T:
        """See :meth:`haulier.journal.api.Journal.read`."""
        with self._tables_to_myself() as tables:
            return query(MemoryTransaction(tables, writable=False))

    @contextmanager
    def _tables_to_myself(self) -> Iterator[_Tables]:
        with self._looking:
            if self._closed:
                raise JournalUnavailableError("the journal is closed", where="memory", advice="")
            yield self._tables

    def check(self) -> Sequence[str]:
        """There are no pages to look at."""
        return []

    def backup(self, target: Path) -> None:
        """A journal in memory is not copied.

        Raises:
            UnsupportedError: Always.
        """
        raise UnsupportedError("a journal in memory cannot be backed up", where=str(target))

    def close(self) -> None:
        """Forget everything."""
        with self._writing, self._looking:
            self._closed = True
            self._tables = _Tables()


class _Tables:
    """Everything one journal holds."""

    def __init__(self) -> None:
        self.log = UndoLog()
        self.tasks = TaskTable(self.log)
        self.parts: Table[str, Table[tuple[int, int], PartRow]] = Table(self.log)
        self.events: list[Event] = []
        self.receipts: list[Receipt] = []  # by number
        self.receipt_of: Table[str, Receipt] = Table(self.log)
        self.aborts: Table[int, AbortRow] = Table(self.log)
        self.last_abort = 0
        self.backends: Table[str, BackendRow] = Table(self.log)
        self.owners: Table[str, OwnerRow] = Table(self.log)
        self.meta: Table[str, str] = Table(self.log)


class MemoryTransaction:
    """See :class:`haulier.journal.api.Transaction`."""

    def __init__(self, tables: _Tables, *, writable: bool) -> None:
        self._all = tables
        self._writable = writable

    def _to_change(self) -> _Tables:
        if not self._writable:
            raise reading_only()
        return self._all

    # -- tasks

    def insert_task(self, row: TaskRow) -> TaskRow:
        """Add a task with its artifacts."""
        tasks = self._to_change().tasks
        check_artifacts(row.id, row.artifacts)
        members = {name: getattr(row, name) for name in TaskRow.__dataclass_fields__}
        return replace(row, sequence=tasks.insert(replace(row, **_kept(members))))

    def insert_tasks(self, new: Sequence[TaskRow]) -> Sequence[int]:
        """Add tasks with their artifacts."""
        log = self._to_change().log
        before = log.mark()
        try:
            return [self.insert_task(row).sequence for row in new]
        except JournalError:
            log.undo(before)
            raise

    def task(self, task_id: str) -> TaskRow | None:
        """The task with this id."""
        row = self._all.tasks.get(task_id)
        return None if row is None else _given(row)

    def find_item(self, item: ItemKey, backend: str) -> TaskRow | None:
        """The task of this item."""
        row = self._all.tasks.find(item.item_id, backend)
        return None if row is None else _given(row)

    def find_items(self, items: Iterable[ItemKey], backend: str) -> Mapping[str, TaskRow]:
        """The tasks of these items."""
        found = ((item.item_id, self.find_item(item, backend)) for item in items)
        return {item_id: row for item_id, row in found if row is not None}

    def item_states(self, items: Iterable[ItemKey], backend: str) -> Mapping[str, ItemState]:
        """How the tasks of these items stand."""
        found = ((item.item_id, self._all.tasks.find(item.item_id, backend)) for item in items)
        return {item: ItemState(row.state, row.error.code if row.error else "") for item, row in found if row}

    def claim_of(self, task_id: str) -> ClaimRow | None:
        """Who works on a task."""
        row = self._all.tasks.get(task_id)
        return None if row is None else ClaimRow(row.state, row.owner, row.epoch, row.nonce, row.high_water)

    def update_task(self, task_id: str, **changes: Any) -> None:
        """Change members of a row."""
        tasks = self._to_change().tasks
        check_members(changes)
        check_artifacts(task_id, changes.get("artifacts", ()))
        before = tasks.get(task_id)
        if before is None:
            raise unknown_task(task_id)
        tasks.replace(before, replace(before, **_kept(changes)))

    def delete_task(self, task_id: str) -> None:
        """Forget the row and its parts."""
        tables = self._to_change()
        row = tables.tasks.get(task_id)
        if row is not None:
            tables.tasks.replace(row, None)
            tables.parts.drop(task_id)

    def tasks(self, query: TaskFilter) -> Sequence[TaskRow]:
        """Tasks that fit the filter."""
        entries = self._entries(query)
        if query.after:
            after = (query.after,)
            cut = bisect_left(entries, after) if query.newest_first else bisect_right(entries, after)
            entries = entries[:cut] if query.newest_first else entries[cut:]
        rows = (self._all.tasks.row(entry[-1]) for entry in (reversed(entries) if query.newest_first else entries))
        return [_given(row) for row in islice((row for row in rows if _fits(row, query)), query.limit)]

    def _entries(self, query: TaskFilter) -> list[tuple[Any, ...]]:
        """Index entries, by sequence, among which are all that fit."""
        tasks = self._all.tasks
        if query.group:
            return tasks.index("group", query.group)
        if query.item:
            return tasks.index("item", query.item.item_id)
        if query.disposal is Disposal.PENDING:
            return tasks.index("pending")
        if query.states:
            return sorted(entry for state in query.states for entry in tasks.index("state", state))
        return tasks.index("all")

    def ready(self, backend: str, now: float, limit: int) -> Sequence[TaskRow]:
        """Claimable tasks of a backend, best first."""
        tasks = self._all.tasks
        queued = (row for row in tasks.rows("queued", backend) if row.not_before is None or row.not_before <= now)
        lanes = (tasks.due(("retrying", backend), now), queued, tasks.due(("slow", backend), now))
        best = [row for lane in lanes for row in islice(lane, limit)]
        return [_given(row) for row in sorted(best, key=lambda row: row.suspicion)[:limit]]

    def next_time(self, backends: Iterable[str]) -> float | None:
        """The earliest time at which something becomes claimable."""
        first = (self._all.tasks.index("times", name)[:1] for name in backends)
        return min((entry[0] for entries in first for entry in entries), default=None)

    def flying(self, backend: str) -> Flying:
        """The tasks of a backend that are leased now."""
        suspicions = [row.suspicion for row in self._all.tasks.rows("uploading", backend)]
        return Flying(len(suspicions), max(suspicions, default=0))

    def sidecar_users(self, path: str) -> Sequence[TaskRow]:
        """Tasks that name this sidecar path."""
        return [_given(row) for row in self._all.tasks.rows("sidecar", path)]

    def wake_slow_lane(self, backend: str, now: float) -> None:
        """Make the slow lane due."""
        tasks = self._to_change().tasks
        for row in list(tasks.rows("slow", backend)):
            if row.not_before is not None and row.not_before > now:
                tasks.replace(row, replace(row, not_before=now))

    def counts(self) -> Mapping[TaskState, int]:
        """Tasks by state."""
        return {state: len(self._all.tasks.index("state", state)) for state in TaskState}

    # -- parts and attempts

    def parts(self, task_id: str) -> Sequence[PartRow]:
        """Acknowledged ranges in order."""
        found = self._all.parts.get(task_id)
        return [] if found is None else found.ordered()

    def put_parts(self, task_id: str, rows: Iterable[PartRow]) -> None:
        """Add or replace acknowledged ranges."""
        tables = self._to_change()
        for row in rows:
            self._require(task_id)
            of_task = tables.parts.get(task_id)
            if of_task is None:
                of_task = Table(tables.log)
                tables.parts.put(task_id, of_task)
            of_task.put((row.artifact, row.offset), row)

    def _require(self, task_id: str) -> None:
        if self._all.tasks.get(task_id) is None:
            raise unknown_task(task_id)

    def clear_parts(self, task_id: str) -> None:
        """Forget them."""
        self._to_change().parts.drop(task_id)

    def add_attempt(self, task_id: str, epoch: int, owner: str, started_at: float) -> None:
        """Attempts are written for people who look into the file; here nobody could read them."""
        del epoch, owner, started_at
        self._to_change()
        self._require(task_id)

    def end_attempt(self, task_id: str, epoch: int, ended_at: float, outcome: str, error: ErrorRecord | None) -> None:
        """See :meth:`add_attempt`."""
        del task_id, epoch, ended_at, outcome, error
        self._to_change()

    # -- events and receipts

    def add_event(self, event: Event) -> Event:
        """Append an event."""
        tables = self._to_change()
        kept = event_from_dict({**event.to_dict(), "sequence": len(tables.events) + 1})
        tables.events.append(kept)
        tables.log.add(lambda: tables.events.__delitem__(-1))
        return replace(event, sequence=kept.sequence)

    def add_events(self, events: Iterable[Event]) -> Sequence[Event]:
        """Append events."""
        return [self.add_event(event) for event in events]

    def events(self, since: int, limit: int) -> Sequence[Event]:
        """Events with a greater sequence."""
        start = max(0, since)
        return self._all.events[start : start + limit]

    def last_receipt(self) -> Receipt | None:
        """The head of the chain."""
        return _copied(self._all.receipts[-1]) if self._all.receipts else None

    def chain_head(self) -> tuple[int, str]:
        """Number and chain hash of the last receipt."""
        head = self._all.receipts[-1] if self._all.receipts else None
        return (head.number, head.chain) if head else (0, "")

    def add_receipt(self, receipt: Receipt) -> None:
        """Append a receipt."""
        tables = self._to_change()
        position = bisect_left(tables.receipts, receipt.number, key=_number)
        following = tables.receipts[position : position + 1]
        if tables.receipt_of.get(receipt.task) or (following and following[0].number == receipt.number):
            raise taken("a receipt of this task or number", receipt.task)
        kept = _copied(receipt)
        tables.receipts.insert(position, kept)
        tables.log.add(lambda: tables.receipts.__delitem__(position))
        tables.receipt_of.put(receipt.task, kept)

    def receipt(self, task_id: str) -> Receipt | None:
        """The receipt of a task."""
        found = self._all.receipt_of.get(task_id)
        return None if found is None else _copied(found)

    def receipts(self, after: int, limit: int | None) -> Sequence[Receipt]:
        """Receipts with a greater number."""
        start = bisect_right(self._all.receipts, after, key=_number)
        stop = None if limit is None else start + limit
        return [_copied(receipt) for receipt in self._all.receipts[start:stop]]

    def receipts_named(self, name: str) -> Sequence[Receipt]:
        """Receipts whose media file has this name."""
        return [_copied(receipt) for receipt in self._all.receipts if receipt.media.name == name]

    def receipts_with(self, text: str) -> Sequence[Receipt]:
        """Receipts that may hold this text."""
        part = json_part(text)
        return [_copied(receipt) for receipt in self._all.receipts if part in dump(receipt.to_dict())]

    # -- owed aborts

    def put_abort(self, row: AbortRow) -> AbortRow:
        """Add or change one."""
        tables = self._to_change()
        if row.sequence and tables.aborts.get(row.sequence) is None:
            return row
        before = tables.last_abort
        given = row if row.sequence else replace(row, sequence=before + 1)
        tables.last_abort = max(before, given.sequence)
        tables.log.add(lambda: setattr(tables, "last_abort", before))
        tables.aborts.put(given.sequence, _own_abort(given))
        return given

    def aborts(self, backend: str = "", *, due: float | None = None, limit: int | None = None) -> Sequence[AbortRow]:
        """Owed aborts in order."""
        found = [
            row
            for row in self._all.aborts.ordered()
            if (not backend or row.backend == backend) and (due is None or (row.not_before <= due and not row.owner))
        ]
        return [_own_abort(row) for row in sorted(found, key=lambda row: (row.not_before, row.sequence))[:limit]]

    def abort_counts(self) -> Mapping[str, int]:
        """How many are owed, by backend."""
        return Counter(row.backend for row in self._all.aborts.ordered())

    def delete_abort(self, sequence: int) -> None:
        """Forget one."""
        self._to_change().aborts.drop(sequence)

    # -- backends, owners, meta

    def backend(self, name: str) -> BackendRow:
        """The row, or a fresh one."""
        return self._all.backends.get(name) or BackendRow(name)

    def backends(self) -> Sequence[BackendRow]:
        """All rows by name."""
        return self._all.backends.ordered()

    def put_backend(self, row: BackendRow) -> None:
        """Write a row."""
        self._to_change().backends.put(row.name, row)

    def owners(self) -> Sequence[OwnerRow]:
        """All owners."""
        return self._all.owners.ordered()

    def put_owner(self, row: OwnerRow) -> None:
        """Write an owner."""
        self._to_change().owners.put(row.id, row)

    def delete_owner(self, owner_id: str) -> None:
        """Forget an owner."""
        self._to_change().owners.drop(owner_id)

    def meta(self, name: str) -> str | None:
        """A named value."""
        return self._all.meta.get(name)

    def put_meta(self, name: str, value: str) -> None:
        """Write a named value."""
        self._to_change().meta.put(name, value)


def _fits(row: TaskRow, query: TaskFilter) -> bool:
    return (
        (not query.states or row.state in query.states)
        and (not query.backend or row.backend == query.backend)
        and (not query.disposal or row.disposal is query.disposal)
        and (not query.group or row.group == query.group)
        and (not query.item or row.item_id == query.item.item_id)
        and (not query.waiting or row.not_before is not None)
    )


def _number(receipt: Receipt) -> int:
    return receipt.number


def _copied(receipt: Receipt) -> Receipt:
    return Receipt.from_dict(receipt.to_dict())


def _kept(members: Mapping[str, Any]) -> dict[str, Any]:
    """Members of a row as a file would keep them: JSON members are the journal's own, artifacts in order."""
    kept = dict(members)
    if "metadata" in kept:
        kept["metadata"] = _own_json(kept["metadata"])
    if kept.get("token") is not None:
        kept["token"] = _own_token(kept["token"])
    if "artifacts" in kept:
        kept["artifacts"] = tuple(sorted(kept["artifacts"], key=lambda artifact: artifact.index))
    return kept


def _given(row: TaskRow) -> TaskRow:
    """A row for a caller: what could be changed in place is the caller's own."""
    if not row.metadata and row.token is None:
        return row
    token = row.token and _own_token(row.token)
    return replace(row, metadata=_own_json(row.metadata), token=token)


def _own_abort(row: AbortRow) -> AbortRow:
    return replace(row, metadata=_own_json(row.metadata), token=_own_token(row.token))


def _own_token(token: SealedToken) -> SealedToken:
    return replace(token, public=_own_json(token.public))


def _own_json(data: Mapping[str, Any]) -> dict[str, Any]:
    own: dict[str, Any] = json.loads(json.dumps(dict(data), ensure_ascii=False)) if data else {}
    return own
