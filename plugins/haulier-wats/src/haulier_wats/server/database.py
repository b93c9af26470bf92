"""The database: SQLite in WAL mode, one connection, held by one process."""

from __future__ import annotations

import threading
from contextlib import contextmanager
from importlib.resources import files
from typing import TYPE_CHECKING, Any

import apsw

from haulier_wats.server.folders import sync_folder
from haulier_wats.server.migrations import SCHEMA_VERSION, migrate
from haulier_wats.server.settings import ServerSetupError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

__all__ = ["Database"]


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
        """All or nothing; others wait."""
        with self._lock, self._connection:
            yield self._connection

    def rows(self, query: str, *values: str | float | None) -> list[tuple[Any, ...]]:
        """What a query finds, in a transaction of its own or in that of the caller."""
        with self.transaction() as connection:
            return connection.execute(query, values).fetchall()

    def _prepare(self) -> None:
        connection = self._connection
        # The lock on the file is kept, so that no second server can work on the same folder.
        connection.pragma("locking_mode", "EXCLUSIVE")
        connection.pragma("journal_mode", "WAL")
        connection.pragma("synchronous", "FULL")
        connection.pragma("foreign_keys", value=True)
        connection.transaction_mode = "IMMEDIATE"
        with self.transaction():
            version = connection.pragma("user_version")
            if version == 0:
                connection.execute(files("haulier_wats.server").joinpath("schema.sql").read_text("utf-8"))
                connection.pragma("user_version", SCHEMA_VERSION)
            elif version > SCHEMA_VERSION:
                raise ServerSetupError(f"its version is {version}, this server knows {SCHEMA_VERSION}")
            else:
                migrate(connection, version)
