"""The journal in a file: SQLite in WAL mode, brought along by apsw.

The SQLite that many Pythons carry (before 3.51.3) can corrupt a WAL that two connections write or checkpoint at once;
two processes may share this journal, so a current one is brought along.
"""

from __future__ import annotations

import threading
from contextlib import contextmanager
from importlib.resources import files as package_files
from typing import TYPE_CHECKING, TypeVar

from haulier.errors import JournalDamagedError, JournalUnavailableError, JournalVersionError, StateFolderError
from haulier.journal.group_commit import Change, GroupCommit
from haulier.journal.sqlite_rows import SqliteTransaction

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    import apsw

    from haulier.journal.api import Transaction

__all__ = ["SqliteJournal", "migrations"]

T = TypeVar("T")

BUSY_TIMEOUT_MS = 15_000


def migrations() -> list[tuple[int, str]]:
    """The numbered steps of the schema, in order: (version, SQL)."""
    folder = package_files("haulier.journal").joinpath("sql")
    names = sorted(entry.name for entry in folder.iterdir() if entry.name.endswith(".sql"))
    return [(int(name.split("_", 1)[0]), folder.joinpath(name).read_text("utf-8")) for name in names]


class SqliteJournal:
    """A journal in one file.

    Args:
        path: The file; its folder must exist.
        sync_folder: Makes the folder's entry durable after the file was created.

    Thread-safe; several processes may open the same file. At construction:

    Raises:
        JournalVersionError: A newer Haulier wrote it.
        JournalDamagedError: It is not a sound database.
        StateFolderError: The file cannot be opened or created.
    """

    def __init__(self, path: Path, *, sync_folder: Callable[[Path], None] | None = None) -> None:
        self.path = path
        self._group = GroupCommit(self._commit)
        self._writing = threading.Lock()
        self._reading = threading.Lock()
        fresh = not path.exists()
        with _translated(path):
            self._writer = self._connect()
            try:
                self._migrate()
                self._reader = self._connect()
            except BaseException:
                self._writer.close()
                raise
        if fresh and sync_folder is not None:
            sync_folder(path.parent)

    def _connect(self) -> apsw.Connection:
        import apsw

        try:
            connection = apsw.Connection(str(self.path))
        except apsw.CantOpenError as error:
            raise StateFolderError("the journal cannot be opened or created", where=str(self.path)) from error
        connection.set_busy_timeout(BUSY_TIMEOUT_MS)
        connection.execute("PRAGMA journal_mode=WAL").fetchall()
        connection.execute("PRAGMA synchronous=FULL; PRAGMA foreign_keys=ON")
        return connection

    def _migrate(self) -> None:
        steps = migrations()
        if self._version() == steps[-1][0]:
            return
        with self._exclusive():
            present = self._version()
            if present > steps[-1][0]:
                raise JournalVersionError(
                    f"the journal has schema {present}, this Haulier knows {steps[-1][0]}", where=str(self.path)
                )
            for version, sql in steps:
                if version > present:
                    self._writer.execute(sql)
                    self._writer.execute(f"PRAGMA user_version={version}")

    def _version(self) -> int:
        return int(str(self._writer.pragma("user_version")))

    @contextmanager
    def _exclusive(self) -> Iterator[None]:
        self._writer.execute("BEGIN IMMEDIATE")
        try:
            yield
        except BaseException:
            self._rollback()
            raise
        self._writer.execute("COMMIT")

    def _rollback(self) -> None:
        if self._writer.in_transaction:
            self._writer.execute("ROLLBACK")

    def write(
        self,
        change: Callable[[Transaction], T],
        *,
        durable: bool = True,
        then: Callable[[T], None] | None = None,
    ) -> T:
        """See :meth:`haulier.journal.api.Journal.write`."""
        result: T = self._group.submit(Change(change, durable=durable, then=then))
        return result

    def _commit(self, group: Sequence[Change]) -> None:
        durable = any(change.durable for change in group)
        with self._writing, _translated(self.path):
            self._writer.execute(f"PRAGMA synchronous={'FULL' if durable else 'NORMAL'}")
            with self._exclusive():
                if len(group) == 1:
                    group[0].result = group[0].run(SqliteTransaction(self._writer))
                else:
                    for change in group:
                        self._run_shared(change)

    def _run_shared(self, change: Change) -> None:
        self._writer.execute("SAVEPOINT change")
        try:
            change.result = change.run(SqliteTransaction(self._writer))
        except Exception as error:
            if not self._writer.in_transaction:  # the database itself gave up: nothing of the group stands
                raise
            change.error = error
            self._writer.execute("ROLLBACK TO change")
        self._writer.execute("RELEASE change")

    def read(self, query: Callable[[Transaction], T]) -> T:
        """See :meth:`haulier.journal.api.Journal.read`."""
        with self._reading, _translated(self.path):
            self._reader.execute("BEGIN")
            try:
                return query(SqliteTransaction(self._reader))
            finally:
                if self._reader.in_transaction:
                    self._reader.execute("ROLLBACK")

    def check(self) -> Sequence[str]:
        """See :meth:`haulier.journal.api.Journal.check`."""
        with self._reading, _translated(self.path):
            found = [str(row[0]) for row in self._reader.execute("PRAGMA integrity_check")]
        return [] if found == ["ok"] else found

    def backup(self, target: Path) -> None:
        """See :meth:`haulier.journal.api.Journal.backup`."""
        with self._reading, _translated(self.path):
            self._reader.execute("VACUUM INTO ?", (str(target),))

    def close(self) -> None:
        """Close both connections; the last one to close tidies the WAL away."""
        with self._writing, self._reading:
            self._reader.close()
            self._writer.close()


@contextmanager
def _translated(path: Path) -> Iterator[None]:
    import apsw

    try:
        yield
    except (apsw.NotADBError, apsw.CorruptError) as error:
        raise JournalDamagedError(f"the journal is damaged ({error})", where=str(path)) from error
    except (apsw.FullError, apsw.IOError, apsw.ReadOnlyError, apsw.BusyError, apsw.CantOpenError) as error:
        raise JournalUnavailableError(f"the journal cannot be used now ({error})", where=str(path)) from error
    except apsw.ConnectionClosedError as error:
        raise JournalUnavailableError("the journal is closed", where=str(path)) from error
