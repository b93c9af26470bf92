"""Reads and writes of rows within one SQLite transaction."""

from __future__ import annotations

import json
from collections import defaultdict
from dataclasses import replace
from functools import lru_cache, partial
from typing import TYPE_CHECKING, Any

from haulier.errors import JournalDamagedError, JournalError
from haulier.events import event_from_dict
from haulier.journal import rows
from haulier.journal.api import (
    AbortRow,
    BackendRow,
    ClaimRow,
    Flying,
    ItemState,
    OwnerRow,
    PartRow,
    TaskFilter,
    TaskRow,
)
from haulier.journal.checks import check_artifacts, check_members, reading_only, taken, unknown_task
from haulier.models import Disposal, Receipt, TaskState

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

    import apsw

    from haulier.events import Event
    from haulier.journal.api import ItemKey
    from haulier.models import ArtifactRecord, ErrorRecord

    _Refusal = Callable[[], JournalError]

__all__ = ["SqliteTransaction"]

_TASK = f"SELECT sequence, {', '.join(rows.TASK_COLUMNS)} FROM task"
_INSERT = f"INSERT INTO task ({', '.join(rows.TASK_COLUMNS)}) VALUES ({', '.join('?' * len(rows.TASK_COLUMNS))})"
_ARTIFACTS = (
    "SELECT task, number, role, name, path, size, mtime_ns, file_id, key, content_type, content "
    "FROM artifact WHERE task = ? ORDER BY number"
)
_TIME = "iif(json_valid(CAST(identity AS TEXT)), json_extract(CAST(identity AS TEXT), '$.mtime_ns'), 0)"
_ONE_ITEM = f"{_TIME} = ? AND item_id = ?"  # the time in the words of the index
_ITEM = f"{_ONE_ITEM} AND backend = ?"
_ITEM_ID = 1 + rows.TASK_COLUMNS.index("item_id")
_ITEM_STATE = f"SELECT item_id, state, error FROM task WHERE {_ITEM}"
_STATES = {state.value: state for state in TaskState}
_ABORT = f"SELECT sequence, {', '.join(rows.ABORT_COLUMNS)} FROM owed_abort"
_INSERT_ABORT = (
    f"INSERT INTO owed_abort ({', '.join(rows.ABORT_COLUMNS)}) "
    f"VALUES ({', '.join('?' * len(rows.ABORT_COLUMNS))}) RETURNING sequence"
)
_UPDATE_ABORT = f"UPDATE owed_abort SET {', '.join(f'{name} = ?' for name in rows.ABORT_COLUMNS)} WHERE sequence = ?"
_DUE = "AND backend = ? AND {} AND coalesce(not_before, 0) <= ? ORDER BY suspicion,"
# In the words of the schema's partial indexes, which give each lane in its order without a sort.
_LANES = (
    f"WHERE state = 'retrying' {_DUE} coalesce(not_before, 0), sequence LIMIT ?",
    f"WHERE state = 'queued' {_DUE} min(json_extract(identity, '$.mtime_ns') / 1e9, created_at), sequence LIMIT ?",
    f"WHERE state = 'failed' AND slow_lane {_DUE} coalesce(not_before, 0), sequence LIMIT ?",
)


class SqliteTransaction:
    """See :class:`haulier.journal.api.Transaction`.

    Args:
        connection: In a transaction.
        writable: Whether it may write.
    """

    def __init__(self, connection: apsw.Connection, *, writable: bool) -> None:
        self._db = connection
        self._writable = writable

    def _rows(self, sql: str, values: Sequence[Any] | Mapping[str, Any] = ()) -> list[tuple[Any, ...]]:
        return self._db.execute(sql, _bound(values)).fetchall()

    def _change(
        self, sql: str, values: Sequence[Any] | Mapping[str, Any], refusal: _Refusal | None = None
    ) -> list[tuple[Any, ...]]:
        """Run a statement that writes; what ``refusal`` makes is raised when it breaks a rule of the schema."""
        with _Writing(refusal, writable=self._writable):
            return self._rows(sql, values)

    def _change_each(self, sql: str, values: Iterable[Sequence[Any]], refusal: _Refusal | None = None) -> None:
        with _Writing(refusal, writable=self._writable):
            self._db.executemany(sql, [_bound(row) for row in values])

    # -- tasks

    def insert_task(self, row: TaskRow) -> TaskRow:
        """Add a task with its artifacts."""
        return replace(row, sequence=self.insert_tasks([row])[0])

    def insert_tasks(self, new: Sequence[TaskRow]) -> Sequence[int]:
        """Add tasks with their artifacts: one statement for all."""
        for row in new:
            check_artifacts(row.id, row.artifacts)
        values = [rows.new_task_values(row) for row in new]
        first = self._last_sequence() + 1
        position = -1

        def each() -> Iterator[tuple[Any, ...]]:
            nonlocal position
            for position, value in enumerate(values):  # noqa: B007  whose turn it was is told when it is refused
                yield value

        try:
            with _Writing(None, writable=self._writable):
                self._db.executemany(_INSERT, each())
        except JournalError as error:
            if not self._writable:
                raise
            self._take_back(first)
            raise taken("this task, or one of its item and backend,", new[position].id) from error
        self._insert_artifacts((row.id, artifact) for row in new for artifact in row.artifacts)
        return list(range(first, first + len(new)))

    def _last_sequence(self) -> int:
        found = self._rows("SELECT seq FROM sqlite_sequence WHERE name = 'task'")
        return found[0][0] if found else 0

    def _take_back(self, first: int) -> None:
        """Those of a refused batch that were there already, with their numbers."""
        self._db.execute("DELETE FROM task WHERE sequence >= ?", (first,))
        self._db.execute("UPDATE sqlite_sequence SET seq = ? WHERE name = 'task'", (first - 1,))

    def _insert_artifacts(self, artifacts: Iterable[tuple[str, ArtifactRecord]]) -> None:
        with _Writing(None, writable=self._writable):
            self._db.executemany(
                "INSERT INTO artifact VALUES (?,?,?,?,?,?,?,?,?,?,?)",
                [rows.artifact_values(task_id, artifact) for task_id, artifact in artifacts],
            )

    def _select(self, clause: str, values: Sequence[Any] = ()) -> list[TaskRow]:
        return self._decoded(self._rows(f"{_TASK} {clause}", values))

    def _decoded(self, found: Sequence[tuple[Any, ...]]) -> list[TaskRow]:
        with _SoundRows():
            artifacts = self._artifacts([row[1] for row in found])
            return [rows.decode_task(row, tuple(artifacts[row[1]])) for row in found]

    def _artifacts(self, task_ids: Sequence[str | bytes]) -> Mapping[str | bytes, list[ArtifactRecord]]:
        by_task: dict[str | bytes, list[ArtifactRecord]] = defaultdict(list)
        for task_id, *row in self._db.executemany(_ARTIFACTS, [(task_id,) for task_id in task_ids]):
            by_task[task_id].append(rows.decode_artifact(row))
        return by_task

    def _one(self, clause: str, values: Sequence[Any]) -> TaskRow | None:
        return next(iter(self._select(clause, values)), None)

    def task(self, task_id: str) -> TaskRow | None:
        """The task with this id."""
        return self._one("WHERE id = ?", (task_id,))

    def find_item(self, item: ItemKey, backend: str) -> TaskRow | None:
        """The task of this item."""
        return self._one(f"WHERE {_ITEM}", (*item, backend))

    def find_items(self, items: Iterable[ItemKey], backend: str) -> Mapping[str, TaskRow]:
        """The tasks of these items."""
        wanted = [(*item, rows.bound(backend)) for item in dict.fromkeys(items)]
        found: list[tuple[Any, ...]] = self._db.executemany(f"{_TASK} WHERE {_ITEM}", wanted).fetchall()
        return {row[_ITEM_ID]: task for row, task in zip(found, self._decoded(found), strict=True)}

    def item_states(self, items: Iterable[ItemKey], backend: str) -> Mapping[str, ItemState]:
        """How the tasks of these items stand."""
        wanted = [(*item, rows.bound(backend)) for item in dict.fromkeys(items)]
        found: list[tuple[Any, ...]] = self._db.executemany(_ITEM_STATE, wanted).fetchall()
        with _SoundRows():
            return {item: ItemState(_STATES[state], rows.error_code(error)) for item, state, error in found}

    def claim_of(self, task_id: str) -> ClaimRow | None:
        """Who works on a task."""
        found = self._rows("SELECT state, owner, epoch, nonce, high_water FROM task WHERE id = ?", (task_id,))
        if not found:
            return None
        state, owner, epoch, nonce, high_water = found[0]
        with _SoundRows():
            return ClaimRow(_STATES[state], rows.text(owner), epoch, rows.text(nonce), high_water)

    def update_task(self, task_id: str, **changes: Any) -> None:
        """Change members of a row."""
        check_members(changes)
        check_artifacts(task_id, changes.get("artifacts", ()))
        values = rows.task_values(changes)
        refusal = partial(taken, "a task of this item and backend", task_id)
        self._change(_update_of(tuple(values)), (*values.values(), task_id), refusal)
        if not self._db.changes():
            raise unknown_task(task_id)
        if "artifacts" in changes:
            self._change("DELETE FROM artifact WHERE task = ?", (task_id,))
            self._insert_artifacts((task_id, artifact) for artifact in changes["artifacts"])

    def delete_task(self, task_id: str) -> None:
        """Forget the row, its artifacts, parts and attempts."""
        self._change("DELETE FROM task WHERE id = ?", (task_id,))

    def tasks(self, query: TaskFilter) -> Sequence[TaskRow]:
        """Tasks that fit the filter."""
        conditions: list[str] = []
        values: list[Any] = []

        def where(condition: str, *given: Any) -> None:
            conditions.append(condition)
            values.extend(given)

        if query.after:
            where("sequence < ?" if query.newest_first else "sequence > ?", query.after)
        if query.states:
            where(f"state IN ({', '.join('?' * len(query.states))})", *sorted(map(str, query.states)))
        if query.backend:
            where("backend = ?", query.backend)
        if query.disposal is Disposal.PENDING:
            where("disposal = 'pending'")  # in the words of the partial index, for values are not looked at to plan
        elif query.disposal:
            where("disposal = ?", str(query.disposal))
        if query.group:
            where("group_id = ?", query.group)
        if query.item:
            where(_ONE_ITEM, *query.item)
        if query.waiting:
            where("sequence IN (SELECT sequence FROM task WHERE not_before IS NOT NULL)")  # by the index, not in order
        clause = f"WHERE {' AND '.join(conditions)}" if conditions else ""
        order = f"ORDER BY sequence {'DESC' if query.newest_first else 'ASC'} LIMIT ?"
        return self._select(f"{clause} {order}", (*values, -1 if query.limit is None else query.limit))

    def ready(self, backend: str, now: float, limit: int) -> Sequence[TaskRow]:
        """Claimable tasks of a backend, best first."""
        best: list[TaskRow] = []
        for lane in _LANES:
            if len(best) < limit:
                best += self._select(lane.format("suspicion = 0"), (backend, now, limit - len(best)))
        if len(best) < limit:
            suspected = [
                row for lane in _LANES for row in self._select(lane.format("suspicion > 0"), (backend, now, limit))
            ]
            best += sorted(suspected, key=lambda row: row.suspicion)[: limit - len(best)]
        return best

    def next_time(self, backends: Iterable[str]) -> float | None:
        """The earliest time at which something becomes claimable."""
        earliest = "SELECT not_before FROM task WHERE not_before IS NOT NULL AND backend = ? AND state = ?"
        times: list[float] = []
        for name in backends:
            for lane in ("queued", "retrying", "failed"):
                slow = "AND slow_lane" if lane == "failed" else ""
                times += [
                    time for (time,) in self._rows(f"{earliest} {slow} ORDER BY not_before LIMIT 1", (name, lane))
                ]
        return min(times, default=None)

    def flying(self, backend: str) -> Flying:
        """The tasks of a backend that are leased now."""
        sql = "SELECT count(*), coalesce(max(suspicion), 0) FROM task WHERE state = 'uploading' AND backend = ?"
        ((count, suspicion),) = self._rows(sql, (backend,))
        return Flying(count, suspicion)

    def sidecar_users(self, path: str) -> Sequence[TaskRow]:
        """Tasks that name this sidecar path."""
        return self._select(
            "WHERE id IN (SELECT task FROM artifact WHERE role = 'sidecar' AND path = ?) ORDER BY sequence", (path,)
        )

    def wake_slow_lane(self, backend: str, now: float) -> None:
        """Make the slow lane due."""
        self._change(
            "UPDATE task SET not_before = ? WHERE backend = ? AND state = 'failed' AND slow_lane AND not_before > ?",
            (now, backend, now),
        )

    def counts(self) -> Mapping[TaskState, int]:
        """Tasks by state."""
        found = dict(self._rows("SELECT state, tasks FROM counter"))
        return {state: int(found.get(str(state), 0)) for state in TaskState}

    # -- parts and attempts

    def parts(self, task_id: str) -> Sequence[PartRow]:
        """Acknowledged ranges in order."""
        sql = (
            "SELECT artifact, number, start, size, sha256, etag, prefix FROM part WHERE task = ? "
            "ORDER BY artifact, start"
        )
        return [
            PartRow(artifact, number, offset, size, rows.text(sha256), rows.text(etag), bool(prefix))
            for artifact, number, offset, size, sha256, etag, prefix in self._rows(sql, (task_id,))
        ]

    def put_parts(self, task_id: str, rows: Iterable[PartRow]) -> None:
        """Add or replace acknowledged ranges."""
        self._change_each(
            "INSERT OR REPLACE INTO part VALUES (?,?,?,?,?,?,?,?)",
            [
                (task_id, row.artifact, row.number, row.offset, row.size, row.sha256, row.etag, row.prefix)
                for row in rows
            ],
            partial(unknown_task, task_id),
        )

    def clear_parts(self, task_id: str) -> None:
        """Forget them."""
        self._change("DELETE FROM part WHERE task = ?", (task_id,))

    def add_attempt(self, task_id: str, epoch: int, owner: str, started_at: float) -> None:
        """Note that a try began."""
        self._change(
            "INSERT OR REPLACE INTO attempt (task, epoch, owner, started_at) VALUES (?,?,?,?)",
            (task_id, epoch, owner, started_at),
            partial(unknown_task, task_id),
        )

    def end_attempt(self, task_id: str, epoch: int, ended_at: float, outcome: str, error: ErrorRecord | None) -> None:
        """Note how it ended."""
        self._change(
            "UPDATE attempt SET ended_at = ?, outcome = ?, error = ? WHERE task = ? AND epoch = ?",
            (ended_at, outcome, rows.encode_error(error), task_id, epoch),
        )

    # -- events and receipts

    def add_event(self, event: Event) -> Event:
        """Append an event."""
        return self.add_events([event])[0]

    def add_events(self, events: Iterable[Event]) -> list[Event]:
        """Append events: one statement for all."""
        new = list(events)
        self._change_each("INSERT INTO event (body) VALUES (?)", [(rows.dump(event.to_dict()),) for event in new])
        first = self._db.last_insert_rowid() - len(new) + 1
        return [event.stamped(sequence=sequence) for sequence, event in enumerate(new, start=first)]

    def events(self, since: int, limit: int) -> Sequence[Event]:
        """Events with a greater sequence."""
        sql = "SELECT sequence, body FROM event WHERE sequence > ? ORDER BY sequence LIMIT ?"
        found = self._rows(sql, (since, limit))
        with _SoundRows():
            return [event_from_dict({**json.loads(body), "sequence": sequence}) for sequence, body in found]

    def last_receipt(self) -> Receipt | None:
        """The head of the chain."""
        return self._receipt("ORDER BY number DESC LIMIT 1", ())

    def chain_head(self) -> tuple[int, str]:
        """Number and chain hash of the last receipt."""
        found = self._rows("SELECT number, body FROM receipt ORDER BY number DESC LIMIT 1")
        with _SoundRows():
            return (found[0][0], str(json.loads(found[0][1])["chain"])) if found else (0, "")

    def _receipt(self, clause: str, values: Sequence[Any]) -> Receipt | None:
        found = self._rows(f"SELECT body FROM receipt {clause}", values)
        with _SoundRows():
            return Receipt.from_dict(json.loads(found[0][0])) if found else None

    def add_receipt(self, receipt: Receipt) -> None:
        """Append a receipt."""
        self._change(
            "INSERT INTO receipt (number, task, item_id, backend, body) VALUES (?,?,?,?,?)",
            (receipt.number, receipt.task, receipt.item_id, receipt.backend, rows.dump(receipt.to_dict())),
            partial(taken, "a receipt of this task or number", receipt.task),
        )
        self._change("INSERT OR IGNORE INTO receipt_name VALUES (?,?)", (receipt.media.name, receipt.number))

    def receipt(self, task_id: str) -> Receipt | None:
        """The receipt of a task."""
        return self._receipt("WHERE task = ?", (task_id,))

    def receipts(self, after: int, limit: int | None) -> Sequence[Receipt]:
        """Receipts with a greater number."""
        sql = "SELECT body FROM receipt WHERE number > ? ORDER BY number LIMIT ?"
        found = self._rows(sql, (after, -1 if limit is None else limit))
        with _SoundRows():
            return [Receipt.from_dict(json.loads(body)) for (body,) in found]

    def receipts_named(self, name: str) -> Sequence[Receipt]:
        """Receipts whose media file has this name."""
        return self._receipts("number IN (SELECT number FROM receipt_name WHERE name = ?)", name)

    def receipts_with(self, text: str) -> Sequence[Receipt]:
        """Receipts that may hold this text."""
        return self._receipts("instr(CAST(body AS BLOB), CAST(? AS BLOB))", rows.json_part(text))

    def _receipts(self, condition: str, value: str) -> Sequence[Receipt]:
        found = self._rows(f"SELECT body FROM receipt WHERE {condition} ORDER BY number", (value,))
        with _SoundRows():
            return [Receipt.from_dict(json.loads(body)) for (body,) in found]

    # -- owed aborts

    def put_abort(self, row: AbortRow) -> AbortRow:
        """Add or change one."""
        values = rows.abort_values(row)
        if row.sequence:
            self._change(_UPDATE_ABORT, (*values, row.sequence))
            return row
        ((sequence,),) = self._change(_INSERT_ABORT, values)
        return replace(row, sequence=sequence)

    def aborts(self, backend: str = "", *, due: float | None = None, limit: int | None = None) -> Sequence[AbortRow]:
        """Owed aborts in order."""
        conditions, values = ["1"], list[Any]()
        if backend:
            conditions.append("backend = ?")
            values.append(backend)
        if due is not None:
            conditions.append("not_before <= ? AND owner = ''")
            values.append(due)
        where = f"WHERE {' AND '.join(conditions)} ORDER BY not_before, sequence LIMIT ?"
        found = self._rows(f"{_ABORT} {where}", (*values, -1 if limit is None else limit))
        with _SoundRows():
            return [rows.decode_abort(row) for row in found]

    def abort_counts(self) -> Mapping[str, int]:
        """How many are owed, by backend."""
        found = self._rows("SELECT backend, count(*) FROM owed_abort GROUP BY backend")
        return {rows.text(name): count for name, count in found}

    def delete_abort(self, sequence: int) -> None:
        """Forget one."""
        self._change("DELETE FROM owed_abort WHERE sequence = ?", (sequence,))

    # -- backends, owners, meta

    def backend(self, name: str) -> BackendRow:
        """The row, or a fresh one."""
        found = self._backends("WHERE name = ?", (name,))
        return found[0] if found else BackendRow(name)

    def _backends(self, clause: str, values: Sequence[Any] = ()) -> list[BackendRow]:
        found = self._rows(f"SELECT body FROM backend {clause}", values)
        with _SoundRows():
            return [rows.decode_backend(body) for (body,) in found]

    def backends(self) -> Sequence[BackendRow]:
        """All rows by name."""
        return sorted(self._backends(""), key=lambda row: row.name)

    def put_backend(self, row: BackendRow) -> None:
        """Write a row."""
        self._change("INSERT OR REPLACE INTO backend VALUES (?,?)", (row.name, rows.encode_backend(row)))

    def owners(self) -> Sequence[OwnerRow]:
        """All owners."""
        found = self._rows("SELECT id, lock_path, started_at FROM owner")
        owners = [OwnerRow(rows.text(name), rows.text(path), started) for name, path, started in found]
        return sorted(owners, key=lambda row: row.id)

    def put_owner(self, row: OwnerRow) -> None:
        """Write an owner."""
        self._change("INSERT OR REPLACE INTO owner VALUES (?,?,?)", (row.id, row.lock_path, row.started_at))

    def delete_owner(self, owner_id: str) -> None:
        """Forget an owner."""
        self._change("DELETE FROM owner WHERE id = ?", (owner_id,))

    def meta(self, name: str) -> str | None:
        """A named value."""
        found = self._rows("SELECT value FROM meta WHERE name = ?", (name,))
        return rows.text(found[0][0]) if found else None

    def put_meta(self, name: str, value: str) -> None:
        """Write a named value."""
        self._change("INSERT OR REPLACE INTO meta VALUES (?,?)", (name, value))


def _bound(values: Sequence[Any] | Mapping[str, Any]) -> Sequence[Any] | Mapping[str, Any]:
    if isinstance(values, dict):
        return {name: rows.bound(value) for name, value in values.items()}
    return [
        value if not isinstance(value, str) or value.isascii() else rows.bound(value)  # most need no call
        for value in values
    ]


@lru_cache(maxsize=256)
def _update_of(names: tuple[str, ...]) -> str:
    assignments = ", ".join(f"{name} = ?" for name in names) or "epoch = epoch"
    return f"UPDATE task SET {assignments} WHERE id = ?"


# Classes, for they stand around every statement: a generator's context manager costs as much as a small statement.


class _Writing:
    """Around a statement that writes: only where that is allowed, and what a rule of the schema refuses is told."""

    __slots__ = ("_refusal",)

    def __init__(self, refusal: _Refusal | None, *, writable: bool) -> None:
        if not writable:
            raise reading_only()
        self._refusal = refusal

    def __enter__(self) -> None: ...

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        if error is not None and _is_constraint(error):
            raise (
                self._refusal() if self._refusal else JournalError(f"the journal refuses this row ({error})")
            ) from error


class _SoundRows:
    """What SQLite's own checks cannot see: pages in order, but a row that nobody wrote so."""

    __slots__ = ()

    def __enter__(self) -> None: ...

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        if isinstance(error, ValueError | TypeError | KeyError):
            raise JournalDamagedError(f"a row of the journal cannot be understood ({error!r})") from error


def _is_constraint(error: BaseException) -> bool:
    """Whether a statement broke a rule of the schema."""
    import apsw

    return isinstance(error, apsw.ConstraintError)
