"""Reads and writes of rows within one SQLite transaction."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from haulier.events import event_from_dict
from haulier.journal import rows
from haulier.journal.api import BackendRow, OwnerRow, PartRow, TaskFilter, TaskRow
from haulier.models import Receipt, TaskState

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    import apsw

    from haulier.events import Event
    from haulier.models import ArtifactRecord, ErrorRecord

__all__ = ["SqliteTransaction"]

_TASK = f"SELECT sequence, {', '.join(rows.TASK_COLUMNS)} FROM task"
_INSERT = (
    f"INSERT INTO task ({', '.join(rows.TASK_COLUMNS)}) "
    f"VALUES ({', '.join(':' + name for name in rows.TASK_COLUMNS)}) RETURNING sequence"
)
_ARTIFACT = "SELECT number, role, name, path, size, mtime_ns, file_id, key, content_type, content FROM artifact"


class SqliteTransaction:
    """See :class:`haulier.journal.api.Transaction`."""

    def __init__(self, connection: apsw.Connection) -> None:
        self._db = connection

    def _rows(self, sql: str, values: Sequence[Any] | Mapping[str, Any] = ()) -> list[tuple[Any, ...]]:
        return self._db.execute(sql, values).fetchall()

    # -- tasks

    def insert_task(self, row: TaskRow) -> TaskRow:
        """Add a task with its artifacts."""
        members = {name: getattr(row, name) for name in TaskRow.__dataclass_fields__}
        ((sequence,),) = self._rows(_INSERT, rows.task_values(members))
        self._insert_artifacts(row.id, row.artifacts)
        return replace(row, sequence=sequence)

    def _insert_artifacts(self, task_id: str, artifacts: Iterable[ArtifactRecord]) -> None:
        self._db.executemany(
            "INSERT INTO artifact VALUES (?,?,?,?,?,?,?,?,?,?,?)",
            [rows.artifact_values(task_id, artifact) for artifact in artifacts],
        )

    def _artifacts(self, task_id: str) -> tuple[ArtifactRecord, ...]:
        found = self._rows(f"{_ARTIFACT} WHERE task = ? ORDER BY number", (task_id,))
        return tuple(rows.decode_artifact(row) for row in found)

    def _select(self, clause: str, values: Sequence[Any] = ()) -> list[TaskRow]:
        found = self._rows(f"{_TASK} {clause}", values)
        return [rows.decode_task(row, self._artifacts(row[1])) for row in found]

    def _one(self, clause: str, values: Sequence[Any]) -> TaskRow | None:
        return next(iter(self._select(clause, values)), None)

    def task(self, task_id: str) -> TaskRow | None:
        """The task with this id."""
        return self._one("WHERE id = ?", (task_id,))

    def find_item(self, item_id: str, backend: str) -> TaskRow | None:
        """The task of this item."""
        return self._one("WHERE item_id = ? AND backend = ?", (item_id, backend))

    def update_task(self, task_id: str, **changes: Any) -> TaskRow:
        """Change members of a row."""
        values = rows.task_values(changes)
        if values:
            assignments = ", ".join(f"{name} = :{name}" for name in values)
            self._db.execute(f"UPDATE task SET {assignments} WHERE id = :this", {**values, "this": task_id})
        if "artifacts" in changes:
            self._db.execute("DELETE FROM artifact WHERE task = ?", (task_id,))
            self._insert_artifacts(task_id, changes["artifacts"])
        changed = self.task(task_id)
        if changed is None:
            raise KeyError(task_id)
        return changed

    def delete_task(self, task_id: str) -> None:
        """Forget the row, its artifacts, parts and attempts."""
        self._db.execute("DELETE FROM task WHERE id = ?", (task_id,))

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
            where(f"state IN ({', '.join('?' * len(query.states))})", *sorted(query.states))
        if query.backend:
            where("backend = ?", query.backend)
        if query.disposal:
            where("disposal = ?", str(query.disposal))
        if query.group:
            where("group_id = ?", query.group)
        clause = f"WHERE {' AND '.join(conditions)}" if conditions else ""
        order = f"ORDER BY sequence {'DESC' if query.newest_first else 'ASC'} LIMIT ?"
        return self._select(f"{clause} {order}", (*values, -1 if query.limit is None else query.limit))

    def ready(self, backend: str, now: float, limit: int) -> Sequence[TaskRow]:
        """Claimable tasks of a backend, best first."""
        waiting = "WHERE backend = ? AND state = ? AND not_before <= ?"
        due = self._select(f"{waiting} ORDER BY suspicion, not_before LIMIT ?", (backend, "retrying", now, limit))
        queued = self._select(
            "WHERE backend = ? AND state = 'queued' AND (not_before IS NULL OR not_before <= ?) "
            "ORDER BY suspicion, sequence LIMIT ?",
            (backend, now, limit),
        )
        slow = self._select(
            f"{waiting} AND slow_lane ORDER BY suspicion, not_before LIMIT ?", (backend, "failed", now, limit)
        )
        return sorted([*due, *queued, *slow], key=lambda row: row.suspicion)[:limit]

    def next_time(self, backends: Iterable[str]) -> float | None:
        """The earliest time at which something becomes claimable."""
        sql = (
            "SELECT min(not_before) FROM task WHERE backend = ? AND not_before IS NOT NULL "
            "AND (state IN ('retrying', 'queued') OR (state = 'failed' AND slow_lane))"
        )
        times = [self._rows(sql, (name,))[0][0] for name in backends]
        return min((time for time in times if time is not None), default=None)

    def uploading(self, backend: str) -> Sequence[TaskRow]:
        """Tasks of a backend that are leased now."""
        return self._select("WHERE backend = ? AND state = 'uploading' ORDER BY sequence", (backend,))

    def sidecar_users(self, path: str) -> Sequence[TaskRow]:
        """Tasks that name this sidecar path."""
        return self._select(
            "WHERE id IN (SELECT task FROM artifact WHERE role = 'sidecar' AND path = ?) ORDER BY sequence", (path,)
        )

    def wake_slow_lane(self, backend: str, now: float) -> None:
        """Make the slow lane due."""
        self._db.execute(
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
        sql = "SELECT artifact, number, start, size, sha256, etag FROM part WHERE task = ? ORDER BY artifact, start"
        return [PartRow(*row) for row in self._rows(sql, (task_id,))]

    def put_parts(self, task_id: str, rows: Iterable[PartRow]) -> None:
        """Add or replace acknowledged ranges."""
        self._db.executemany(
            "INSERT OR REPLACE INTO part VALUES (?,?,?,?,?,?,?)",
            [(task_id, row.artifact, row.number, row.offset, row.size, row.sha256, row.etag) for row in rows],
        )

    def clear_parts(self, task_id: str) -> None:
        """Forget them."""
        self._db.execute("DELETE FROM part WHERE task = ?", (task_id,))

    def add_attempt(self, task_id: str, epoch: int, owner: str, started_at: float) -> None:
        """Note that a try began."""
        self._db.execute(
            "INSERT OR REPLACE INTO attempt (task, epoch, owner, started_at) VALUES (?,?,?,?)",
            (task_id, epoch, owner, started_at),
        )

    def end_attempt(self, task_id: str, epoch: int, ended_at: float, outcome: str, error: ErrorRecord | None) -> None:
        """Note how it ended."""
        self._db.execute(
            "UPDATE attempt SET ended_at = ?, outcome = ?, error = ? WHERE task = ? AND epoch = ?",
            (ended_at, outcome, rows.encode_error(error), task_id, epoch),
        )

    # -- events and receipts

    def add_event(self, event: Event) -> Event:
        """Append an event."""
        body = json.dumps(event.to_dict())
        ((sequence,),) = self._rows("INSERT INTO event (body) VALUES (?) RETURNING sequence", (body,))
        return replace(event, sequence=sequence)

    def events(self, since: int, limit: int) -> Sequence[Event]:
        """Events with a greater sequence."""
        sql = "SELECT sequence, body FROM event WHERE sequence > ? ORDER BY sequence LIMIT ?"
        found = self._rows(sql, (since, limit))
        return [event_from_dict({**json.loads(body), "sequence": sequence}) for sequence, body in found]

    def last_receipt(self) -> Receipt | None:
        """The head of the chain."""
        return self._receipt("ORDER BY number DESC LIMIT 1", ())

    def _receipt(self, clause: str, values: Sequence[Any]) -> Receipt | None:
        found = self._rows(f"SELECT body FROM receipt {clause}", values)
        return Receipt.from_dict(json.loads(found[0][0])) if found else None

    def add_receipt(self, receipt: Receipt) -> None:
        """Append a receipt."""
        self._db.execute(
            "INSERT INTO receipt (number, task, item_id, backend, body) VALUES (?,?,?,?,?)",
            (receipt.number, receipt.task, receipt.item_id, receipt.backend, json.dumps(receipt.to_dict())),
        )

    def receipt(self, task_id: str) -> Receipt | None:
        """The receipt of a task."""
        return self._receipt("WHERE task = ?", (task_id,))

    def receipts(self, after: int, limit: int | None) -> Sequence[Receipt]:
        """Receipts with a greater number."""
        sql = "SELECT body FROM receipt WHERE number > ? ORDER BY number LIMIT ?"
        found = self._rows(sql, (after, -1 if limit is None else limit))
        return [Receipt.from_dict(json.loads(body)) for (body,) in found]

    # -- backends, owners, meta

    def backend(self, name: str) -> BackendRow:
        """The row, or a fresh one."""
        found = self._rows("SELECT body FROM backend WHERE name = ?", (name,))
        return rows.decode_backend(found[0][0]) if found else BackendRow(name)

    def backends(self) -> Sequence[BackendRow]:
        """All rows by name."""
        return [rows.decode_backend(body) for (body,) in self._rows("SELECT body FROM backend ORDER BY name")]

    def put_backend(self, row: BackendRow) -> None:
        """Write a row."""
        self._db.execute("INSERT OR REPLACE INTO backend VALUES (?,?)", (row.name, rows.encode_backend(row)))

    def owners(self) -> Sequence[OwnerRow]:
        """All owners."""
        return [OwnerRow(*row) for row in self._rows("SELECT id, lock_path, started_at FROM owner ORDER BY id")]

    def put_owner(self, row: OwnerRow) -> None:
        """Write an owner."""
        self._db.execute("INSERT OR REPLACE INTO owner VALUES (?,?,?)", (row.id, row.lock_path, row.started_at))

    def delete_owner(self, owner_id: str) -> None:
        """Forget an owner."""
        self._db.execute("DELETE FROM owner WHERE id = ?", (owner_id,))

    def meta(self, name: str) -> str | None:
        """A named value."""
        found = self._rows("SELECT value FROM meta WHERE name = ?", (name,))
        return str(found[0][0]) if found else None

    def put_meta(self, name: str, value: str) -> None:
        """Write a named value."""
        self._db.execute("INSERT OR REPLACE INTO meta VALUES (?,?)", (name, value))
