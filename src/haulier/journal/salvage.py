"""Salvage: the rows of a damaged journal that can still be read and validated.

Every record that :mod:`haulier.journal.pages` finds is told by its shape and gathered in a scratch file, so that memory
stays bounded. A task is taken only if its item id is the digest of its identity and its artifacts fit it; a receipt
only if its number is its place. What a receipt's chain says is for the caller, who has the key.
"""

from __future__ import annotations

import json
from contextlib import closing
from dataclasses import dataclass, replace
from itertools import groupby
from operator import itemgetter
from typing import TYPE_CHECKING, Any

from haulier.journal import rows
from haulier.journal.api import AbortRow, PartRow, TaskRow
from haulier.journal.pages import PageFile, Record
from haulier.models import Receipt, Role

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from haulier.models import ArtifactRecord

__all__ = ["Salvage", "SalvagedTask", "Stray", "continue_events"]

BATCH = 1000
_TASK_WIDTH, _ARTIFACT_WIDTH, _PART_WIDTH, _RECEIPT_WIDTH, _EVENT_WIDTH, _META_WIDTH = 31, 11, 8, 5, 2, 2
_OLD_PART_WIDTH = 7  # a row written before schema 5 lacks the last column, whose default is 0
_NUMBERED = {_TASK_WIDTH: "task", 1 + len(rows.ABORT_COLUMNS): "owed_abort"}  # tables taken whole, by their width
_SIDECAR_INDEX = (str, str, int)  # path, task, number
_META = frozenset({"source_id", "sidecars_pending", "rebuilt", "receipt_breaks"})
_TIMES = ("created_at", "updated_at", "not_before")
_COLUMNS = ("sequence", *rows.TASK_COLUMNS)
_DIGEST = 64  # hexadecimal digits of SHA-256
_BAD_ROW = (ValueError, TypeError, KeyError, AttributeError, IndexError)


@dataclass(frozen=True)
class SalvagedTask:
    """A task as the journal last knew it, and the parts of its upload session."""

    row: TaskRow
    parts: tuple[PartRow, ...]


@dataclass(frozen=True)
class Stray:
    """A media file of which only a part of its task's rows could be read; ``backend`` is empty when not even that."""

    path: str
    backend: str


class Salvage:
    """Reads a damaged journal once, then gives what was found.

    Args:
        journal: The damaged file; it may be missing or empty. It is only read.
        wal: Its write-ahead log; it may be missing. It is only read.
        scratch: A file that does not exist yet, in a place that has room for what is found.

    Used by one thread. The scratch file is the caller's to remove.
    """

    def __init__(self, journal: Path, wal: Path, scratch: Path) -> None:
        import apsw

        self.last_event = 0
        self._db = apsw.Connection(str(scratch))
        self._db.execute("PRAGMA journal_mode=OFF; PRAGMA synchronous=OFF")
        self._db.execute("BEGIN")  # never committed: the file is thrown away
        self._make_tables()
        with closing(PageFile(journal, wal)) as pages:
            self._gather(pages)

    def close(self) -> None:
        """Release the scratch file."""
        self._db.close()

    # -- gathering ---------------------------------------------------------------------------------------------

    def _make_tables(self) -> None:
        artifact = ", ".join(f"c{number}" for number in range(_ARTIFACT_WIDTH))
        part = ", ".join(f"c{number}" for number in range(_PART_WIDTH))
        self._db.execute(f"CREATE TABLE task ({', '.join(_COLUMNS)})")
        self._db.execute(f"CREATE TABLE artifact ({artifact}); CREATE TABLE part ({part})")
        self._db.execute(f"CREATE TABLE owed_abort (sequence, {', '.join(rows.ABORT_COLUMNS)})")
        self._db.execute("CREATE TABLE receipt (number INTEGER, body, UNIQUE (number, body)) ")
        self._db.execute("CREATE TABLE meta (name, value); CREATE TABLE sidecar (task UNIQUE)")

    def _gather(self, pages: PageFile) -> None:
        for record in pages.records():
            table, values = self._told(record)
            if table:
                marks = ", ".join("?" * len(values))
                self._db.execute(f"INSERT OR IGNORE INTO {table} VALUES ({marks})", values)
        self._db.execute("CREATE INDEX task_id ON task (id, epoch); CREATE INDEX artifact_task ON artifact (c0, c1)")
        self._db.execute("CREATE INDEX part_task ON part (c0)")

    def _told(self, record: Record) -> tuple[str, Sequence[Any]]:
        """Which table a record is of, by its shape; empty for what is not wanted."""
        number, values = record
        width = len(values)
        if number is not None and values[:1] == (None,):
            if width in _NUMBERED:
                return _NUMBERED[width], (number, *values[1:])
            if width == _RECEIPT_WIDTH:
                return "receipt", (number, values[4])
            if width == _EVENT_WIDTH:
                self.last_event = max(self.last_event, number)
        elif number is None:
            if width == _ARTIFACT_WIDTH and values[2] in set(Role):
                return "artifact", values
            if width in {_PART_WIDTH, _OLD_PART_WIDTH} and all(isinstance(value, int) for value in values[1:5]):
                return "part", (*values, 0)[:_PART_WIDTH]
            if tuple(map(type, values)) == _SIDECAR_INDEX and values[2] == 1:
                return "sidecar", values[1:2]
            if width == _META_WIDTH and isinstance(values[0], str) and values[0] in _META:
                return "meta", values
        return "", ()

    # -- what was found ----------------------------------------------------------------------------------------

    def meta(self, name: str) -> list[str]:
        """Values that were found under one of the names that are salvaged."""
        found = self._db.execute("SELECT DISTINCT value FROM meta WHERE name = ?", (name,))
        return [value for (value,) in found if isinstance(value, str)]

    def tasks(self) -> Iterator[SalvagedTask]:
        """Sound tasks in the order of their submission, each once: of several versions the one of the latest claim."""
        self._db.execute("DROP TABLE IF EXISTS sound; CREATE TABLE sound (id PRIMARY KEY)")
        for versions in self._versions():
            found = next(filter(None, map(self._task, versions)), None)
            if found is not None:
                self._db.execute("INSERT INTO sound VALUES (?)", (versions[0][1],))
                yield found

    def strays(self) -> Iterator[Stray]:
        """Media files of tasks that could be read only in part. To be asked after all of :meth:`tasks`."""
        for versions in self._versions("AND id NOT IN (SELECT id FROM sound)"):
            yield from self._half(versions)
        alone = "SELECT c0, c4 FROM artifact WHERE c2 = 'media' AND c0 NOT IN (SELECT id FROM sound)"
        for task, path in self._db.execute(alone):
            if _is_text(task, path):
                yield Stray(rows.text(path), "")

    def aborts(self) -> Iterator[AbortRow]:
        """Aborts that destinations were owed, each once; some that are done may be among them."""
        found = self._db.execute("SELECT * FROM owed_abort ORDER BY sequence, tries DESC")
        for _, group in groupby(found, key=itemgetter(0)):
            owed = next(filter(None, map(_abort, group)), None)
            if owed is not None:
                yield owed

    def receipts(self) -> Iterator[tuple[int, list[Receipt]]]:
        """Numbers in order, each with the sound receipts found under it: several when an older page was read, too."""
        found = self._db.execute("SELECT number, body FROM receipt WHERE number > 0 ORDER BY number")
        for number, group in groupby(found, key=itemgetter(0)):
            sound = [receipt for _, body in group if (receipt := _receipt(number, body)) is not None]
            if sound:
                yield number, sound

    def _versions(self, those: str = "") -> Iterator[list[tuple[Any, ...]]]:
        found = self._db.execute(
            f"SELECT * FROM task WHERE typeof(id) IN ('text', 'blob') {those} "
            "ORDER BY min(sequence) OVER (PARTITION BY id), id, epoch DESC, updated_at DESC"
        )
        for _, group in groupby(found, key=itemgetter(1)):
            yield list(group)

    def _task(self, values: tuple[Any, ...]) -> SalvagedTask | None:
        try:
            row = rows.decode_task(_with_real_times(values), self._artifacts(values[1]))
            if not _is_sound(row, values[_COLUMNS.index("item_id")]) or self._lacks_its_sidecar(row):
                return None
            return SalvagedTask(row, self._parts(values[1]) if row.token else ())
        except _BAD_ROW:
            return None

    def _lacks_its_sidecar(self, row: TaskRow) -> bool:
        """Whether the index knows of a sidecar whose own row could not be read."""
        if row.sidecar_path:
            return False
        return bool(self._db.execute("SELECT 1 FROM sidecar WHERE task = ?", (rows.bound(row.id),)).fetchall())

    def _artifacts(self, task: str | bytes) -> tuple[ArtifactRecord, ...]:
        found = self._db.execute("SELECT * FROM artifact WHERE c0 = ? GROUP BY c1 ORDER BY c1", (task,)).fetchall()
        return tuple(rows.decode_artifact(row[1:]) for row in found)

    def _parts(self, task: str | bytes) -> tuple[PartRow, ...]:
        found: list[tuple[Any, ...]] = self._db.execute(
            "SELECT DISTINCT * FROM part WHERE c0 = ? ORDER BY c1, c2", (task,)
        ).fetchall()
        parts = (
            PartRow(artifact, number, start, size, rows.text(sha256), rows.text(etag), bool(prefix))
            for _, artifact, start, number, size, sha256, etag, prefix in found
            if _is_text(sha256, etag) and len(sha256) == _DIGEST and prefix in {0, 1}
        )
        return tuple(parts)

    def _half(self, versions: list[tuple[Any, ...]]) -> Iterator[Stray]:
        for values in versions:
            column = dict(zip(_COLUMNS, values, strict=True))
            try:
                path, backend = json.loads(column["identity"])["path"], rows.text(column["backend"])
            except _BAD_ROW:
                continue
            if isinstance(path, str):
                yield Stray(path, backend)
                return


def continue_events(journal: Path, last: int) -> None:
    """Let the events of a journal that nobody has open be numbered on from an earlier one's last."""
    import apsw

    with closing(apsw.Connection(str(journal))) as connection, connection:
        connection.execute("DELETE FROM sqlite_sequence WHERE name = 'event'")
        connection.execute("INSERT INTO sqlite_sequence VALUES ('event', ?)", (last,))


def _with_real_times(values: tuple[Any, ...]) -> tuple[Any, ...]:
    """Whole numbers of a column of reals are stored as integers."""
    places = {_COLUMNS.index(name) for name in _TIMES}
    return tuple(
        float(value) if place in places and isinstance(value, int) else value for place, value in enumerate(values)
    )


def _is_sound(row: TaskRow, item_id: object) -> bool:
    """Whether a row says of itself what only an unharmed one can."""
    if not row.artifacts or not row.id.startswith("upload_") or not row.backend or row.item_id != item_id:
        return False
    media, identity = row.media, row.identity
    same = (media.path, media.size, media.mtime_ns) == (identity.path, identity.size, identity.mtime_ns)
    numbered = [artifact.index for artifact in row.artifacts] == list(range(len(row.artifacts)))
    roles = [artifact.role for artifact in row.artifacts] in ([Role.MEDIA], [Role.MEDIA, Role.SIDECAR])
    whole = all(artifact.content is None or len(artifact.content) == artifact.size for artifact in row.artifacts)
    keyed = all(artifact.key and artifact.name for artifact in row.artifacts)
    typed = ((row.created_at, float), (row.updated_at, float), (row.epoch, int), (row.part_size, int))
    well_typed = all(isinstance(value, kind) for value, kind in (*typed, (row.metadata, dict)))
    return same and numbered and roles and whole and keyed and well_typed


def _abort(values: tuple[Any, ...]) -> AbortRow | None:
    try:
        owed = rows.decode_abort(values)
    except _BAD_ROW:
        return None
    data: tuple[object, ...] = (owed.metadata, owed.token.public)
    sound = owed.artifacts and _is_text(owed.task, owed.nonce) and all(isinstance(each, dict) for each in data)
    return replace(owed, owed_at=float(owed.owed_at)) if sound else None


def _receipt(number: int, body: object) -> Receipt | None:
    if not isinstance(body, str | bytes):
        return None
    try:
        data = json.loads(body)
        receipt = Receipt.from_dict(data)
        sound = receipt.artifacts and receipt.number == number and receipt.to_dict() == data
    except _BAD_ROW:
        return None
    return receipt if sound else None


def _is_text(*values: object) -> bool:
    return all(isinstance(value, str | bytes) for value in values)
