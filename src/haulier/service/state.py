"""The state folder: the journal, this installation's keys, and the lock that shows that an owner lives."""

from __future__ import annotations

import secrets
from pathlib import Path
from typing import TYPE_CHECKING

from haulier.errors import StateFolderError
from haulier.files.keys import Keys, system_keyring
from haulier.journal.api import OwnerRow, TaskFilter
from haulier.models import TaskState

if TYPE_CHECKING:
    from collections.abc import Callable

    from haulier.clock import Clock
    from haulier.files import FileLock, Files
    from haulier.journal.api import Journal, Transaction
    from haulier.service.opening import StateFolder

__all__ = ["Keys", "Owner", "open_journal", "source_id", "state_folder", "system_keyring"]


def open_journal(folder: Path, files: Files) -> Journal:
    """Make the state folder if need be and open its journal, as often as several processes like.

    A damaged one is set aside and rebuilt, see :mod:`haulier.service.rebuilding`, unless somebody else works in the
    folder.

    Raises:
        StateFolderError: The folder cannot hold a journal.
        JournalError: The journal cannot be used.
    """
    if files.is_network_path(folder):
        raise _refused(folder, "is on a network share, where databases break")
    if files.is_synchronised_folder(folder):
        raise _refused(folder, "is in a folder that a cloud service synchronises")
    try:
        files.make_private_dir(folder)
        files.make_private_dir(folder / "owners")
        probe = folder / f".write-{secrets.token_hex(4)}"
        probe.write_bytes(b"")
        probe.unlink()
    except OSError as error:
        raise StateFolderError(f"the state folder cannot be written ({error.strerror})", where=str(folder)) from error
    return state_folder(folder, files).open()


def state_folder(folder: Path, files: Files) -> StateFolder:
    """A state folder that exists, to open or rebuild its journal."""
    from haulier.service.opening import StateFolder

    return StateFolder(folder, files, keys=lambda: Keys.load(folder, files, system_keyring()))


def _refused(folder: Path, why: str) -> StateFolderError:
    from haulier.config.models import default_state_dir

    return StateFolderError(
        f"the state folder {why}",
        where=str(folder),
        advice=f"Name a local folder with --state-dir or upload.state_dir; the default is {default_state_dir()}",
    )


def source_id(journal: Journal, keys: Keys | None = None) -> str:
    """The id of this installation, kept in the journal.

    Without it every item would be another one and be stored again. So a new one is derived of the installation's
    secret: a journal that was lost has it again.

    Args:
        journal: The authority when it knows one.
        keys: Keys of the installation; None for an id that cannot be found again.
    """

    def change(tx: Transaction) -> str:
        known = tx.meta("source_id")
        if known is None:
            known = keys.source_id if keys is not None else secrets.token_hex(16)
            tx.put_meta("source_id", known)
        return known

    return journal.read(lambda tx: tx.meta("source_id")) or journal.write(change)


class Owner:
    """This manager as a holder of leases: alive as long as its lock file is locked.

    Args:
        journal: Where it is entered.
        folder: The state folder.
        files: Operating system.
        clock: For the row's time.
        owner_id: Unique per manager.
    """

    def __init__(self, journal: Journal, folder: Path, files: Files, clock: Clock, owner_id: str) -> None:
        self.id = owner_id
        self._journal = journal
        self._files = files
        self._clock = clock
        self._path = folder / "owners" / f"{owner_id}.lock"
        self._lock: FileLock = self._locked()
        self._enter()

    def _locked(self) -> FileLock:
        lock = self._files.lock_file(self._path)
        if lock is None:
            raise StateFolderError("the owner's lock file cannot be locked", where=str(self._path))
        return lock

    def _enter(self) -> None:
        row = OwnerRow(self.id, str(self._path), self._clock.now())
        self._journal.write(lambda tx: tx.put_owner(row))

    def show_life(self) -> None:
        """Enter again if somebody removed the lock file, or took this owner for dead because of that."""
        if not self._files.is_locked(self._path):
            self._lock.release()
            self._lock = self._locked()
        if all(row.id != self.id for row in self._journal.read(lambda tx: tx.owners())):
            self._enter()

    def bury_the_dead(self, release: Callable[[str], int]) -> int:
        """Give back the tasks of owners that nobody holds the lock of, entered or not; how many."""
        released = 0
        for owner, path in self._others().items():
            if not self._files.is_locked(path):
                released += release(owner)
                path.unlink(missing_ok=True)
        return released

    def _others(self) -> dict[str, Path]:
        """Lock files of all other owners: those that are entered, and those that merely hold tasks."""

        def query(tx: Transaction) -> dict[str, Path]:
            flying = tx.tasks(TaskFilter(frozenset({TaskState.UPLOADING})))
            owners = {row.owner for row in flying} | {owed.owner for owed in tx.aborts() if owed.owner}
            holders = {owner: self._path.with_name(f"{owner}.lock") for owner in owners}
            return {**holders, **{row.id: Path(row.lock_path) for row in tx.owners()}}

        return {owner: path for owner, path in self._journal.read(query).items() if owner != self.id}

    def close(self) -> None:
        """Let go of the lock; the row is removed by the caller, or by the next manager."""
        self._lock.release()
        self._path.unlink(missing_ok=True)
