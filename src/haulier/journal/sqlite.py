"""The journal in a file: SQLite in WAL mode, brought along by apsw.

The SQLite that many Pythons carry (before 3.51.3) can corrupt a WAL that two connections write or checkpoint at once;
two processes may share this journal, so a current one is brought along.
"""

from __future__ import annotations

import os
import threading
from contextlib import contextmanager
from importlib.resources import files as package_files
from typing import TYPE_CHECKING, TypeVar

from haulier.errors import (
    JournalDamagedError,
    JournalError,
    JournalUnavailableError,
    JournalVersionError,
    StateFolderError,
)
from haulier.journal.checks import USE_THE_TRANSACTION
from haulier.journal.group_commit import Change, GroupCommit
from haulier.journal.sqlite_rows import SqliteTransaction
from haulier.journal.turn import Turn

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    import apsw

    from haulier.journal.api import Transaction

__all__ = ["SqliteJournal", "migrations"]

T = TypeVar("T")

BUSY_TIMEOUT_MS = 15_000
SWITCHES = 20
WRITER_CACHE_KIB = 8 * 1024
LOG_PAGES = 4096  # 16 MiB


def migrations() -> list[tuple[int, str]]:
    """The numbered steps of the schema, in order: (version, SQL)."""
    folder = package_files("haulier.journal").joinpath("sql")
    names = sorted(entry.name for entry in folder.iterdir() if entry.name.endswith(".sql"))
    return [(int(name.split("_", 1)[0]), folder.joinpath(name).read_text("utf-8")) for name in names]


class SqliteJournal:
    """A journal in one file.

    Args:
        path: The file; its folder must exist.
        sync_folder: Makes the folder's entry durable.
        vfs: Name of a registered SQLite VFS to go through; empty for the platform's own.
        steps: The schema's steps, see :func:`migrations`; None for those of this version.

    Thread-safe; several processes may open the same file. At construction:

    Raises:
        JournalVersionError: A newer Haulier wrote it; not a byte was changed.
        JournalDamagedError: It is not a sound database; not a byte was changed.
        JournalUnavailableError: It cannot be used now: the disk is full, or it may not be written.
        StateFolderError: The file cannot be opened or created.
    """

    def __init__(
        self,
        path: Path,
        *,
        sync_folder: Callable[[Path], None] | None = None,
        vfs: str = "",
        steps: Sequence[tuple[int, str]] | None = None,
    ) -> None:
        self.path = path
        self._vfs = vfs
        self._steps = migrations() if steps is None else steps
        self._group = GroupCommit(self._commit)
        self._writing = threading.Lock()
        self._durable = True  # what the writer is set to, as every connection is at first
        self._reading = Turn(USE_THE_TRANSACTION)
        self._translated = _Translated(path)
        recovered = _log_size(path) > 0
        with self._translated:
            self._writer = self._opened()
            try:
                self._refuse_newer()
                _prepare(self._writer, path)
                self._migrate()
                _prepare_writer(self._writer)
                self._reader = self._opened()
                _prepare(self._reader, path)
                self._make_durable(recovered)
            except BaseException:
                self._writer.close()
                raise
        if sync_folder is not None:  # also after another process created it: its own sync may still be to come
            try:
                sync_folder(path.parent)
            except BaseException:
                self._reader.close()
                self._writer.close()
                raise

    def _make_durable(self, recovered: bool) -> None:
        """Sync what is seen now: a process that was killed may have written it to the log and never synced it.

        Whoever finds it here takes it for accepted. A durable commit syncs the whole log.
        """
        if recovered:
            with self._exclusive():
                self._writer.pragma("user_version", self._version())

    def _opened(self) -> apsw.Connection:
        import apsw

        try:
            connection = apsw.Connection(str(self.path), vfs=self._vfs or None)
        except (apsw.CantOpenError, UnicodeEncodeError) as error:
            raise StateFolderError("the journal cannot be opened or created", where=str(self.path)) from error
        connection.set_busy_timeout(BUSY_TIMEOUT_MS)
        # Plans do not depend on values: else every statement that a partial index might serve is compiled at each use.
        connection.config(apsw.SQLITE_DBCONFIG_ENABLE_QPSG, 1)
        return connection

    def _refuse_newer(self) -> None:
        """Look at the version without a trace: not even the WAL is folded into a file that is not ours."""
        import apsw

        self._writer.config(apsw.SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1)
        present, known = self._version(), self._steps[-1][0]
        if present > known:
            raise JournalVersionError(
                f"the journal has schema {present}, this Haulier knows {known}", where=str(self.path)
            )
        self._writer.config(apsw.SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 0)

    def _migrate(self) -> None:
        if self._version() == self._steps[-1][0]:
            return
        with self._exclusive():
            self._refuse_newer()  # another process may have been here meanwhile
            present = self._version()
            for version, sql in self._steps:
                if version > present:
                    self._writer.execute(sql)
                    self._writer.execute(f"PRAGMA user_version={version}")

    def _version(self) -> int:
        return int(str(self._writer.pragma("user_version")))

    def _exclusive(self) -> _Exclusive:
        return _Exclusive(self._writer)

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
        with self._writing, self._translated:
            self._sync(durable=durable)
            with self._exclusive():
                if len(group) == 1:
                    group[0].result = group[0].run(SqliteTransaction(self._writer, writable=True))
                else:
                    for change in group:
                        self._run_shared(change)

    def _sync(self, *, durable: bool) -> None:
        if durable is not self._durable:
            self._writer.execute(f"PRAGMA synchronous={'FULL' if durable else 'NORMAL'}")
            self._durable = durable

    def _run_shared(self, change: Change) -> None:
        self._writer.execute("SAVEPOINT change")
        try:
            with self._translated:
                change.result = change.run(SqliteTransaction(self._writer, writable=True))
        except Exception as error:
            if not self._writer.in_transaction:  # the database itself gave up: nothing of the group stands
                raise
            change.error = error
            self._writer.execute("ROLLBACK TO change")
        self._writer.execute("RELEASE change")

    def read(self, query: Callable[[Transaction], T]) -> T:
        """See :meth:`haulier.journal.api.Journal.read`."""
        with self._reading, self._translated:
            self._reader.execute("BEGIN")
            try:
                return query(SqliteTransaction(self._reader, writable=False))
            finally:
                if self._reader.in_transaction:
                    self._reader.execute("ROLLBACK")

    def check(self) -> Sequence[str]:
        """See :meth:`haulier.journal.api.Journal.check`."""
        try:
            with self._visitor() as connection:
                return _findings(connection)
        except JournalDamagedError as error:
            return [error.what]

    def backup(self, target: Path) -> None:
        """See :meth:`haulier.journal.api.Journal.backup`.

        Raises:
            JournalError: There is a file of this name, which was left as it is; or the copy cannot be written.
        """
        try:
            target.open("xb").close()  # SQLite takes an empty file; this one is ours, whoever else comes
        except OSError as error:
            raise JournalError(
                f"the copy cannot be made ({error.strerror})", where=str(target), advice="Name another file"
            ) from error
        try:
            with self._visitor(target) as connection:
                connection.execute("VACUUM INTO ?", (str(target),))
            with target.open("rb+") as copy:
                os.fsync(copy.fileno())
        except BaseException:
            target.unlink(missing_ok=True)
            raise

    @contextmanager
    def _visitor(self, concerned: Path | None = None) -> Iterator[apsw.Connection]:
        """A connection for long looks, so that reads and writes need not wait."""
        with _Translated(concerned or self.path):
            connection = self._opened()
            try:
                yield connection
            finally:
                connection.close()

    def close(self) -> None:
        """Close both connections; the last one to close tidies the WAL away."""
        with self._writing, self._reading:
            self._reader.close()
            self._writer.close()


def _log_size(path: Path) -> int:
    log = path.with_name(f"{path.name}-wal")
    return log.stat().st_size if log.exists() else 0


def _prepare(connection: apsw.Connection, path: Path) -> None:
    """What every connection needs; on macOS only F_FULLFSYNC reaches the platters."""
    if _to_wal(connection) != "wal":
        raise StateFolderError("this file system cannot hold the journal", where=str(path))
    connection.execute("PRAGMA synchronous=FULL; PRAGMA foreign_keys=ON")
    connection.execute("PRAGMA fullfsync=ON; PRAGMA checkpoint_fullfsync=ON")


def _prepare_writer(connection: apsw.Connection) -> None:
    """For rows by the thousand.

    What a statement with a trigger might have to take back is kept in memory: it is a few pages, and a file for them
    costs more than the statement. Item ids lie anywhere in their index, so that more of it is kept, and a batch changes
    as many pages as it has rows: the log takes some batches, and some hundreds of claims, before it is folded in.
    """
    connection.execute(f"PRAGMA temp_store=MEMORY; PRAGMA cache_size=-{WRITER_CACHE_KIB}")
    connection.wal_autocheckpoint(LOG_PAGES)


def _to_wal(connection: apsw.Connection) -> object:
    """Switch the file to WAL; the mode it has then."""
    import apsw

    for _ in range(SWITCHES):
        try:
            return connection.pragma("journal_mode", "wal")
        except apsw.BusyError:  # two that create the file at once; the switch does not wait, a transaction does
            connection.execute("BEGIN IMMEDIATE; COMMIT")
    return connection.pragma("journal_mode", "wal")


def _findings(connection: apsw.Connection) -> list[str]:
    """What is wrong: with pages and indexes, with rows that refer to none, with the counters."""
    found = [str(row[0]) for row in connection.execute("PRAGMA integrity_check")]
    findings = [] if found == ["ok"] else found
    orphans = connection.execute("PRAGMA foreign_key_check").fetchall()
    findings += [f"a row of {table} belongs to no {parent}" for table, _, parent, _ in orphans]
    counted = set(connection.execute("SELECT state, count(*) FROM task GROUP BY state"))
    kept = set(connection.execute("SELECT state, tasks FROM counter WHERE tasks <> 0"))
    wrong = sorted({str(state) for state, _ in counted ^ kept})
    findings += [f"the counter of {state} tasks is wrong" for state in wrong]
    return findings


class _Exclusive:
    """Around a transaction that writes: it stands when nothing was raised."""

    def __init__(self, connection: apsw.Connection) -> None:
        self._db = connection

    def __enter__(self) -> None:
        self._db.execute("BEGIN IMMEDIATE")

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        try:
            if error is None:
                self._db.execute("COMMIT")
        finally:
            if self._db.in_transaction:
                self._db.execute("ROLLBACK")


class _Translated:
    """Around work with a file: SQLite's errors as the journal's own."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def __enter__(self) -> None: ...

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        if error is not None:
            _raise_as_ours(error, str(self._path))


def _raise_as_ours(error: BaseException, where: str) -> None:
    import apsw

    if isinstance(error, apsw.NotADBError | apsw.CorruptError):
        raise JournalDamagedError(f"the journal is damaged ({error})", where=where) from error
    if isinstance(error, apsw.ConnectionClosedError):
        raise JournalUnavailableError("the journal is closed", where=where, advice="") from error
    if isinstance(error, JournalDamagedError):
        error.where = error.where or where
    elif isinstance(error, _passing()):
        raise JournalUnavailableError(f"the journal cannot be used now ({error})", where=where) from error


def _passing() -> tuple[type[apsw.Error], ...]:
    """Trouble of the disk or with other processes, which may end."""
    import apsw

    disk = (apsw.FullError, apsw.IOError, apsw.ReadOnlyError, apsw.CantOpenError, apsw.PermissionsError)
    return (*disk, apsw.BusyError, apsw.LockedError, apsw.ProtocolError, apsw.NoMemError)
