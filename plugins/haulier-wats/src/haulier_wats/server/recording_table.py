"""Recordings in the database. Every method is one transaction and may be called by any thread."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from haulier_wats.server.labels import labels_of
from haulier_wats.server.rows import Recording, SessionStatus, columns

if TYPE_CHECKING:
    from collections.abc import Mapping

    from haulier_wats.server.database import Database

__all__ = ["FILTERS", "Found", "Position", "RecordingTable"]

_LABELLED = "file_id IN (SELECT file_id FROM labels WHERE kind = '{}' AND value = ?)"

FILTERS = {
    "item_id": "item_id = ?",
    "sha256": "sha256 = ?",
    "session_id": "recording_session = ?",
    "user": _LABELLED.format("user"),
    "host": _LABELLED.format("host"),
    "from": "created_at >= ?",
    "to": "created_at < ?",
}
"""Condition of each filter of a listing."""

_COLUMNS = ", ".join(columns(Recording))


class Position(NamedTuple):
    """A place in the order of recordings: seconds since the epoch, and the number among those of one moment."""

    created_at: float
    number: int


class Found(NamedTuple):
    """A page of recordings, how many there are on all pages, and where it ended if there are more behind it."""

    recordings: list[Recording]
    total: int
    end: Position | None


class RecordingTable:
    """What is stored, and what is about to be stored or deleted.

    Args:
        database: Where it is kept.
    """

    def __init__(self, database: Database) -> None:
        self._database = database

    def get(self, file_id: str) -> Recording | None:
        """A stored recording."""
        return self._one("file_id = ? AND state = 'stored'", file_id)

    def of_item(self, item_id: str) -> Recording | None:
        """The stored recording of a client's item."""
        return self._one("item_id = ? AND state = 'stored'", item_id)

    def page(self, filters: Mapping[str, str | float], limit: int, offset: int) -> tuple[list[Recording], int]:
        """Recordings that fit all filters, newest first, and how many there are on all pages."""
        found = self.search(filters, limit, offset=offset)
        return found.recordings, found.total

    def search(
        self, filters: Mapping[str, str | float], limit: int, *, offset: int = 0, after: Position | None = None
    ) -> Found:
        """Recordings that fit all filters, newest first.

        Args:
            filters: Values by the names of :data:`FILTERS`.
            limit: Most recordings of the page.
            offset: How many to leave out.
            after: Where an earlier page ended; recordings that were stored since do not move what follows.
        """
        where = " AND ".join(["state = 'stored'", *(FILTERS[name] for name in filters)])
        values = tuple(filters.values())
        rest, place = (" AND (created_at, number) < (?, ?)", after) if after else ("", ())
        with self._database.transaction():
            [(total,)] = self._database.rows(f"SELECT count(*) FROM recordings WHERE {where}", *values)
            rows = self._database.rows(
                f"SELECT number, {_COLUMNS} FROM recordings WHERE {where}{rest} "
                "ORDER BY created_at DESC, number DESC LIMIT ? OFFSET ?",
                *(*values, *place, limit + 1, offset),
            )
        recordings = [Recording(*row) for _, *row in rows[:limit]]
        end = Position(recordings[-1].created_at, rows[limit - 1][0]) if len(rows) > limit else None
        return Found(recordings, total, end)

    def count(self) -> int:
        """How many recordings are stored."""
        [(total,)] = self._database.rows("SELECT count(*) FROM recordings WHERE state = 'stored'")
        return int(total)

    def begin(self, recording: Recording) -> None:
        """Note that a recording's files are about to be moved to their place."""
        names = columns(Recording)
        marks = ", ".join("?" * len(names))
        with self._database.transaction() as connection:
            connection.execute(
                f"INSERT INTO recordings (state, {_COLUMNS}) VALUES ('storing', {marks})",
                tuple(getattr(recording, name) for name in names),
            )
            connection.executemany(
                "INSERT INTO labels (kind, value, file_id) VALUES (?, ?, ?)",
                [(kind, value, recording.file_id) for kind, value in labels_of(recording.connection_info)],
            )

    def finish(self, recording: Recording) -> None:
        """The files are in their place: the recording is stored and its session completed."""
        with self._database.transaction() as connection:
            connection.execute("UPDATE recordings SET state = 'stored' WHERE file_id = ?", (recording.file_id,))
            connection.execute(
                "UPDATE sessions SET status = ?, file_id = ? WHERE sid = ?",
                (SessionStatus.COMPLETED, recording.file_id, recording.sid),
            )

    def begin_delete(self, file_id: str) -> Recording | None:
        """Note that a recording's files are about to be removed, and forget the sessions that brought them."""
        with self._database.transaction() as connection:
            recording = self.get(file_id)
            if recording is not None:
                connection.execute("UPDATE recordings SET state = 'deleting' WHERE file_id = ?", (file_id,))
                connection.execute("DELETE FROM sessions WHERE file_id = ?", (file_id,))
        return recording

    def remove(self, file_id: str) -> None:
        """The files are gone, or never came."""
        with self._database.transaction() as connection:
            connection.execute("DELETE FROM recordings WHERE file_id = ? AND state <> 'stored'", (file_id,))

    def unsettled(self, state: str) -> list[Recording]:
        """Recordings that were being stored (``storing``) or deleted (``deleting``)."""
        rows = self._database.rows(f"SELECT {_COLUMNS} FROM recordings WHERE state = ?", state)
        return [Recording(*row) for row in rows]

    def _one(self, where: str, value: str) -> Recording | None:
        rows = self._database.rows(f"SELECT {_COLUMNS} FROM recordings WHERE {where}", value)
        return Recording(*rows[0]) if rows else None
