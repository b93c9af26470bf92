"""Upload sessions and their files in the database. Every method is one transaction and may be called by any thread."""

from __future__ import annotations

from dataclasses import replace
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

from haulier_wats.server.problems import Problem
from haulier_wats.server.rows import FileState, Kind, Session, SessionFile, SessionStatus, columns

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    import apsw

    from haulier_wats.server.database import Database

__all__ = ["SessionTable"]

_SESSION_COLUMNS = columns(Session)
_FILE_COLUMNS = columns(SessionFile)
_SESSION = ", ".join(_SESSION_COLUMNS)
_FILE = ", ".join(_FILE_COLUMNS)


class SessionTable:
    """What is being uploaded.

    Args:
        database: Where it is kept.
    """

    def __init__(self, database: Database) -> None:
        self._database = database

    def create(self, session: Session, files: Iterable[SessionFile], key: str | None) -> Session:
        """Add a session, unless the key has one already.

        Returns:
            The session of the key.

        Raises:
            Problem: 422, the key was used with another payload.
        """
        with self._database.transaction() as connection:
            for row in self._database.rows(f"SELECT {_SESSION} FROM sessions WHERE idempotency_key = ?", key):
                known = Session(*row)
                if known.fingerprint != session.fingerprint:
                    raise Problem(
                        HTTPStatus.UNPROCESSABLE_ENTITY,
                        "this Idempotency-Key was used with another payload; use a new one",
                    )
                return known
            _insert(connection, "sessions", (*_SESSION_COLUMNS, "idempotency_key"), (*_values(session), key))
            for file in files:
                _insert(connection, "files", _FILE_COLUMNS, _values(file))
            return session

    def get(self, sid: str) -> Session | None:
        """A session, if it is remembered."""
        rows = self._database.rows(f"SELECT {_SESSION} FROM sessions WHERE sid = ?", sid)
        return Session(*rows[0]) if rows else None

    def files(self, sid: str) -> dict[Kind, SessionFile]:
        """The files of a session, the video first."""
        rows = self._database.rows(f"SELECT {_FILE} FROM files WHERE sid = ? ORDER BY kind DESC", sid)
        return {file.kind: file for file in (SessionFile(*row) for row in rows)}

    def acknowledge(self, file: SessionFile, held: int, state: FileState, expires_at: float) -> SessionFile:
        """Record what a copy holds by now; the session lives on until ``expires_at`` at least."""
        with self._database.transaction() as connection:
            connection.execute(
                "UPDATE files SET held = ?, state = ? WHERE sid = ? AND copy = ?", (held, state, file.sid, file.copy)
            )
            _extend(connection, file.sid, expires_at)
        return replace(file, held=held, state=state)

    def replace(self, file: SessionFile, expires_at: float) -> str | None:
        """Let a whole copy take the place of what there was of a file; a declared name and size stay.

        Returns:
            The name of the copy that is no longer needed.

        Raises:
            Problem: 409, the session is no longer open.
        """
        with self._database.transaction() as connection:
            if not self._database.rows("SELECT 1 FROM sessions WHERE sid = ? AND status = 'open'", file.sid):
                raise Problem(HTTPStatus.CONFLICT, "the session ended while the file arrived; create a new one")
            key = (file.sid, file.kind)
            old = self._database.rows("SELECT copy FROM files WHERE sid = ? AND kind = ?", *key)
            if not old:
                _insert(connection, "files", _FILE_COLUMNS, _values(file))
            else:
                connection.execute(
                    "UPDATE files SET file_id = ?, copy = ?, held = ?, state = ?, "
                    "name = CASE name WHEN '' THEN ? ELSE name END WHERE sid = ? AND kind = ?",
                    (file.file_id, file.copy, file.held, file.state, file.name, *key),
                )
            _extend(connection, file.sid, expires_at)
        return old[0][0] if old else None

    def complete(self, sid: str, file_id: str) -> None:
        """The session's recording is stored."""
        with self._database.transaction() as connection:
            connection.execute(
                "UPDATE sessions SET status = ?, file_id = ? WHERE sid = ?", (SessionStatus.COMPLETED, file_id, sid)
            )

    def end(self, sid: str, status: SessionStatus, now: float, unless: Callable[[str], bool] = lambda _: False) -> bool:
        """An open session is over; its key is free again.

        Args:
            sid: The session.
            status: What it is from now on.
            now: When.
            unless: Asked within the transaction; True leaves the session as it is.

        Returns:
            Whether it was ended here.
        """
        with self._database.transaction() as connection:
            if unless(sid):
                return False
            connection.execute(
                "UPDATE sessions SET status = ?, ended_at = ?, idempotency_key = NULL "
                "WHERE sid = ? AND status = 'open'",
                (status, now, sid),
            )
            return connection.changes() > 0

    def overdue(self, now: float) -> list[str]:
        """Open sessions whose time is up."""
        return [
            sid
            for (sid,) in self._database.rows("SELECT sid FROM sessions WHERE status = 'open' AND expires_at <= ?", now)
        ]

    def open_ids(self) -> list[str]:
        """All open sessions."""
        return [sid for (sid,) in self._database.rows("SELECT sid FROM sessions WHERE status = 'open'")]

    def count_open(self) -> int:
        """How many sessions are open."""
        [(total,)] = self._database.rows("SELECT count(*) FROM sessions WHERE status = 'open'")
        return int(total)

    def forget(self, before: float) -> None:
        """Remove sessions that ended before a moment."""
        with self._database.transaction() as connection:
            connection.execute("DELETE FROM sessions WHERE ended_at < ?", (before,))


def _extend(connection: apsw.Connection, sid: str, expires_at: float) -> None:
    connection.execute("UPDATE sessions SET expires_at = max(expires_at, ?) WHERE sid = ?", (expires_at, sid))


def _values(row: Session | SessionFile) -> tuple[Any, ...]:
    names = _SESSION_COLUMNS if isinstance(row, Session) else _FILE_COLUMNS
    return tuple(getattr(row, name) for name in names)


def _insert(connection: apsw.Connection, table: str, names: Sequence[str], values: Sequence[Any]) -> None:
    marks = ", ".join("?" * len(names))
    connection.execute(f"INSERT INTO {table} ({', '.join(names)}) VALUES ({marks})", values)
