"""The database: SQLite in WAL mode, one connection, held by one process."""

from __future__ import annotations

import threading
from contextlib import contextmanager
from importlib.resources import files
from typing import TYPE_CHECKING, Any, TypeVar

import apsw

from haulier_wats.server.folders import sync_folder
from haulier_wats.server.migrations import SCHEMA_VERSION, migrate
from haulier_wats.server.settings import ServerSetupError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

__all__ = ["Database"]

Result = TypeVar("Result")


class Database:
    """One connection behind a lock, for any thread.

    What a transaction wrote is on the disk when it returns (``synchronous=FULL``).

    Args:
        path: The file; made if missing.

    Raises:
        ServerSetupError: Another process has it open, it is no database of this server, or it cannot be opened.
    """

    def __init__(self, path: Path) -> None:
        self._lock = threading.RLock()
        try:
            self._connection = apsw.Connection(str(path))
        except apsw.Error as error:
            raise ServerSetupError(f"the database {path} cannot be opened ({error}); check the folder") from error
        try:
            self._prepare()
        except apsw.BusyError as error:
            self._connection.close()
            raise ServerSetupError(f"another server uses {path}; stop it, or give another data folder") from error
        except (apsw.Error, ServerSetupError) as error:
            self._connection.close()
            raise ServerSetupError(
                f"the database {path} cannot be used ({error}); restore it, or give another data folder"
            ) from error
        sync_folder(path.parent)

    def close(self) -> None:
        """Close the file; nothing may be asked afterwards."""
        with self._lock:
            self._connection.close()

    @contextmanager
    def transaction(self) -> Iterator[apsw.Connection]:
        """All or nothing; others wait. Within another one it is a part of that."""
        with self._lock:
            if self._is_within():
                yield self._connection
                return
            # Not the connection's own context manager: that keeps all other threads waiting while the disk syncs.
            self._connection.execute("BEGIN IMMEDIATE")
            try:
                yield self._connection
                self._connection.execute("COMMIT")
            except BaseException:
                if self._is_within():
                    self._connection.execute("ROLLBACK")
                raise

    def commit(self, jobs: Sequence[Callable[[], Result]]) -> list[Result | Exception]:
        """Do jobs that need the database alone, with one sync for all.

        Each is all or nothing by itself, and sees what those before it wrote.

        Returns:
            What each returned or raised, in their order; all of it is on the disk.

        Raises:
            apsw.Error: None was done.
        """
        results: list[Result | Exception] = []
        with self.transaction():
            results.extend(self._attempt(job) for job in jobs)
        return results

    def rows(self, query: str, *values: str | float | None) -> list[tuple[Any, ...]]:
        """What a query finds, in the transaction of the caller if there is one."""
        with self._lock:
            return self._connection.execute(query, values).fetchall()

    def _is_within(self) -> bool:
        return self._connection.in_transaction

    def _attempt(self, job: Callable[[], Result]) -> Result | Exception:
        result: Result | Exception
        try:
            with self._connection:  # a savepoint
                result = job()
        except Exception as error:  # noqa: BLE001 - it is the job's, and raised where the job came from
            result = error
        return result

    def _prepare(self) -> None:
        connection = self._connection
        # The lock on the file is kept, so that no second server can work on the same folder.
        connection.pragma("locking_mode", "EXCLUSIVE")
        connection.pragma("journal_mode", "WAL")
        connection.pragma("synchronous", "FULL")
        connection.pragma("foreign_keys", value=True)
        with self.transaction():
            version = connection.pragma("user_version")
            if version == 0:
                connection.execute(files("haulier_wats.server").joinpath("schema.sql").read_text("utf-8"))
                connection.pragma("user_version", SCHEMA_VERSION)
            elif version > SCHEMA_VERSION:
                raise ServerSetupError(f"its version is {version}, this server knows {SCHEMA_VERSION}")
            else:
                migrate(connection, version)
