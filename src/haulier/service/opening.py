"""Opening the journal of a state folder: one process at a time, so that a damaged one is set aside by one alone.

Whoever has the journal open holds the lock of a file of its own among those of the owners. A journal that somebody has
open is never renamed: what is written to it would be lost with it.
"""

from __future__ import annotations

import os
import secrets
import time
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

from haulier.clock import SystemClock
from haulier.errors import JournalDamagedError, JournalUnavailableError, StateFolderError
from haulier.journal.examine import damage
from haulier.journal.sqlite import SqliteJournal, migrations
from haulier.service.rebuilding import JOURNAL, Rebuilder

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from haulier.clock import Clock
    from haulier.files import FileLock, Files
    from haulier.service.rebuilt import Rebuilt
    from haulier.service.state import Keys

__all__ = ["StateFolder"]

OPENING = "opening.lock"
PATIENCE = 120.0  # seconds: another process may be rebuilding the journal
PAUSE = 0.05
REBUILD = "`haulier journal rebuild` keeps its bytes and makes a fresh one of what can be read; or restore a backup"
OCCUPIED = "Stop the other programs that work in this state folder; the next start rebuilds the journal"


class OpenJournal(SqliteJournal):
    """The journal of a state folder, and the lock that shows that it is open.

    Args:
        path: The file.
        files: Operating system.
        lock: Held until the journal is closed.
    """

    def __init__(self, path: Path, files: Files, lock: FileLock) -> None:
        self._lock = lock
        super().__init__(path, sync_folder=files.fsync_folder)

    def close(self) -> None:
        """Close it, then show that it is closed."""
        super().close()
        self._lock.release()
        with suppress(OSError):
            os.unlink(self._lock.path)  # noqa: PTH108  a path of text


class StateFolder:
    """A folder that holds a journal. Thread-safe.

    Args:
        folder: It exists, and ``owners`` in it.
        files: Operating system.
        keys: Gives the keys of the installation; asked only for a rebuild.
        clock: Wall time, and the time that is waited for others.
        sleep: Waits for seconds.
    """

    def __init__(
        self,
        folder: Path,
        files: Files,
        *,
        keys: Callable[[], Keys],
        clock: Clock | None = None,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self.path = folder / JOURNAL
        self._folder = folder
        self._files = files
        self._clock = clock or SystemClock()
        self._sleep = sleep
        self._rebuilder = Rebuilder(folder, files, self._clock, keys)

    def open(self, *, mend: bool = True) -> OpenJournal:
        """Open the journal, or make it.

        Args:
            mend: Whether a damaged journal is set aside and rebuilt when nobody else has it open.

        Raises:
            JournalDamagedError: It is damaged and was left as it is.
            JournalUnavailableError: Another process opens it, or rebuilds it, for a long time.
            JournalError: It cannot be used.
        """
        with self._turn():
            if self._rebuilder.interrupted:
                self._rebuilder.finish()
            elif mend and not self._is_occupied() and (why := self._damage()):
                self._rebuilder.rebuild(why)
            try:
                return self._opened()
            except JournalDamagedError as error:
                if self._is_occupied():
                    error.advice = OCCUPIED
                    raise
                if not mend:
                    error.advice = REBUILD
                    raise
                self._rebuilder.rebuild(error.what)
                return self._opened()

    def rebuild(self) -> Rebuilt | None:
        """Set a journal aside that a thorough check finds damaged; None when it finds nothing.

        Raises:
            JournalDamagedError: It is damaged, and somebody has it open.
            JournalUnavailableError: It cannot be rebuilt now.
        """
        with self._turn():
            if self._rebuilder.interrupted:
                return self._rebuilder.finish()
            occupied = self._is_occupied()
            why = self._thorough() if occupied else self._damage() or self._thorough()
            if not why:
                return None
            if occupied:
                raise JournalDamagedError("the journal is damaged, and in use", where=str(self.path), advice=OCCUPIED)
            return self._rebuilder.rebuild(why)

    @contextmanager
    def _turn(self) -> Iterator[None]:
        """Wait until nobody else opens the journal."""
        end = self._clock.monotonic() + PATIENCE
        while (lock := self._lock()) is None:
            if self._clock.monotonic() > end:
                raise JournalUnavailableError(
                    "another program is opening or rebuilding the journal",
                    where=str(self._folder),
                    advice="Try again when it is done",
                )
            self._sleep(PAUSE)
        with lock:
            yield

    def _lock(self) -> FileLock | None:
        try:
            self._files.make_private_dir(self._folder / "owners")
            return self._files.lock_file(self._folder / OPENING)
        except OSError as error:
            what = f"the state folder cannot be written ({error.strerror})"
            raise StateFolderError(what, where=str(self._folder)) from error

    def _opened(self) -> OpenJournal:
        lock = self._files.lock_file(self._folder / "owners" / f"open-{os.getpid()}-{secrets.token_hex(6)}.lock")
        if lock is None:
            raise JournalUnavailableError("a fresh lock file cannot be locked", where=str(self._folder))
        try:
            return OpenJournal(self.path, self._files, lock)
        except BaseException:
            lock.release()
            os.unlink(lock.path)  # noqa: PTH108  a path of text
            raise

    def _is_occupied(self) -> bool:
        """Whether somebody has the journal open. Lock files that nobody holds are of the dead."""
        occupied = False
        for path in (self._folder / "owners").glob("*.lock"):
            if self._files.is_locked(path):
                occupied = True
            elif path.name.startswith("open-"):
                path.unlink(missing_ok=True)
        return occupied

    def _damage(self) -> str:
        was_used = (self._folder / "secret.key").exists()
        return damage(self.path, was_used=was_used, newest_schema=migrations()[-1][0])

    def _thorough(self) -> str:
        try:
            journal = self._opened()
        except JournalDamagedError as error:
            return error.what
        try:
            return "; ".join(list(journal.check())[:3])
        finally:
            journal.close()
