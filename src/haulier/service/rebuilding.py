"""A damaged journal is set aside, its bytes kept, and a fresh one is made of what can still be read.

The order, so that a kill at any moment costs nothing: write a marker that names the file to be; rename the damaged
files to that; salvage them into a draft; give the draft the journal's name; remove the marker. Whoever finds the marker
goes on. All of it happens under the lock of :func:`haulier.service.state.open_journal`, before anybody can see the
journal.

A rebuilt journal does not know everything that happened. So every task asks its destination before it sends, and no
source is let go of until somebody confirmed the journal: see :mod:`haulier.service.rebuilt`.
"""

from __future__ import annotations

import json
import logging
import os
from contextlib import contextmanager
from dataclasses import asdict
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from haulier.errors import JournalUnavailableError
from haulier.service.rebuilt import Rebuilt

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from haulier.clock import Clock
    from haulier.files import Files
    from haulier.service.state import Keys

__all__ = ["Rebuilder"]

log = logging.getLogger("haulier.manager")

JOURNAL = "journal.db"
MARKER, DRAFT, SCRATCH = "journal.db.rebuilding", "journal.db.draft", "journal.db.scratch"
SHARED_MEMORY = f"{JOURNAL}-shm"
FILES = ("-wal", "")  # in the order of setting aside: a log must not be left beside another file


class Rebuilder:
    """Sets a damaged journal aside and makes a fresh one of it. For the one process that holds the folder's lock.

    Args:
        folder: The state folder.
        files: Operating system.
        clock: Wall time.
        keys: Gives the keys of the installation.
    """

    def __init__(self, folder: Path, files: Files, clock: Clock, keys: Callable[[], Keys]) -> None:
        self._folder = folder
        self._files = files
        self._clock = clock
        self._keys = keys

    @property
    def interrupted(self) -> bool:
        """Whether a rebuild was begun and not finished."""
        return (self._folder / MARKER).exists()

    def rebuild(self, why: str) -> Rebuilt:
        """Begin, and go through to the end.

        Args:
            why: What is wrong with the journal.

        Raises:
            JournalUnavailableError: It cannot be done now; what was begun goes on at the next call of :meth:`finish`.
            StateFolderError: The key cannot be read; nothing was changed.
        """
        self._keys()
        now = self._clock.now()
        stamp = datetime.fromtimestamp(now, UTC).strftime("%Y%m%dT%H%M%SZ")
        with _as_unavailable(self._folder):
            if not (self._folder / JOURNAL).exists():  # its log is there: the name must stand for the pair
                (self._folder / JOURNAL).touch()
            self._write_marker(Rebuilt(now, why, self._free_name(f"{JOURNAL}.damaged-{stamp}")))
        return self.finish()

    def finish(self) -> Rebuilt:
        """Go on with a rebuild where it stopped.

        Raises:
            JournalUnavailableError: It cannot be done now.
            StateFolderError: The key cannot be read.
        """
        begun = Rebuilt(**json.loads((self._folder / MARKER).read_text("utf-8")))
        keys = self._keys()
        with _as_unavailable(self._folder):
            self._set_aside(begun.aside)
            done = begun
            if not self._exists(JOURNAL):
                done = self._make_draft(begun, keys)
                self._files.rename_no_replace(self._folder / DRAFT, self._folder / JOURNAL)
                self._files.fsync_folder(self._folder)
                _tell(self._folder, done)
            self._remove(SCRATCH)
            self._files.remove(self._folder / MARKER)
            self._files.fsync_folder(self._folder)
        return done

    def _exists(self, name: str) -> bool:
        return self._files.exists(self._folder / name)

    def _is_empty(self, name: str) -> bool:
        return (self._folder / name).stat().st_size == 0

    def _free_name(self, name: str) -> str:
        taken = 1
        free = name
        while any(self._exists(free + each) for each in FILES):
            taken += 1
            free = f"{name}-{taken}"
        return free

    def _write_marker(self, begun: Rebuilt) -> None:
        draft = self._folder / f"{MARKER}.new"
        descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        try:
            os.write(descriptor, json.dumps(asdict(begun)).encode())
            self._files.fsync_file(descriptor)
        finally:
            os.close(descriptor)
        self._files.replace(draft, self._folder / MARKER)
        self._files.fsync_folder(self._folder)

    def _set_aside(self, aside: str) -> None:
        """Rename what is damaged. When its own name stands already, all of it was renamed before."""
        if self._exists(aside):
            return
        if self._exists(SHARED_MEMORY):  # it holds nothing of its own
            self._files.remove(self._folder / SHARED_MEMORY)
        for each in FILES:
            if self._exists(JOURNAL + each) and not (each and self._is_empty(JOURNAL + each)):
                self._files.rename_no_replace(self._folder / (JOURNAL + each), self._folder / (aside + each))
        self._files.fsync_folder(self._folder)

    def _remove(self, name: str) -> None:
        for each in (*FILES, "-shm"):
            if self._exists(name + each):
                self._files.remove(self._folder / (name + each))

    def _make_draft(self, begun: Rebuilt, keys: Keys) -> Rebuilt:
        """Write everything that is known into a journal that nobody sees yet, and close it."""
        from haulier.journal.salvage import Salvage, continue_events
        from haulier.journal.sqlite import SqliteJournal
        from haulier.service.salvaging import Draft

        for name in (DRAFT, SCRATCH):
            self._remove(name)
        aside = self._folder / begun.aside
        salvage = Salvage(aside, aside.with_name(f"{aside.name}-wal"), self._folder / SCRATCH)
        try:
            journal = SqliteJournal(self._folder / DRAFT, sync_folder=self._files.fsync_folder)
            try:
                done = Draft(journal, salvage, keys, self._files, self._clock.now()).fill(begun)
            finally:
                journal.close()
            continue_events(self._folder / DRAFT, salvage.last_event)
        finally:
            salvage.close()
        return done


def _tell(folder: Path, done: Rebuilt) -> None:
    log.warning(
        "the journal was damaged (%s); it is kept as %s, and a fresh one has %d tasks and %d receipts of it. "
        "Nothing is deleted after upload until `haulier journal confirm`",
        done.why,
        folder / done.aside,
        done.tasks,
        done.receipts,
    )


@contextmanager
def _as_unavailable(folder: Path) -> Iterator[None]:
    import apsw

    try:
        yield
    except (OSError, apsw.Error) as error:
        raise JournalUnavailableError(f"the journal cannot be rebuilt now ({error})", where=str(folder)) from error
