"""Letting go of sources: renamed to a private name, compared there, deleted; whatever happens in between is finished.

A source goes only after its receipt, and only if it still is what the receipt is about. What differs is given its name
back, never over another file.
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
from contextlib import nullcontext
from typing import TYPE_CHECKING

from haulier.files.names import private_name
from haulier.journal.api import TaskFilter
from haulier.models import Disposal, TaskState
from haulier.service.rebuilt import awaits_confirmation

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from contextlib import AbstractContextManager

    from haulier.clock import Clock
    from haulier.events import Event
    from haulier.files import Files
    from haulier.journal.api import TaskRow, Transaction
    from haulier.models import Receipt
    from haulier.transfer.ledger import Ledger

__all__ = ["Disposer", "sidecars_aside"]

log = logging.getLogger("haulier.manager")

BATCH = 100
BLOCK = 1024 * 1024
SIDECARS = "sidecars_pending"
SIDECAR_NONCE = "000000000000"
_DONE = frozenset({TaskState.COMPLETED, TaskState.CANCELLED})


class Disposer:
    """Carries out the obligation ``disposal = pending``. Used by one thread at a time.

    Args:
        ledger: Journal and rules.
        files: Operating system.
        clock: Wall time.
        sidecar_grace: Seconds after its newest segment for which a sidecar is kept.
        has_unqueued_media: Whether a media file pairs with this sidecar that no task names; True when unsure.
        turn: Takes the lock that lets one manager at a time dispose; None while another holds it.
    """

    def __init__(
        self,
        *,
        ledger: Ledger,
        files: Files,
        clock: Clock,
        sidecar_grace: float,
        has_unqueued_media: Callable[[str], bool],
        turn: Callable[[], AbstractContextManager[object] | None] = nullcontext,
    ) -> None:
        self.ledger = ledger
        self.files = files
        self.clock = clock
        self.sidecar_grace = sidecar_grace
        self.has_unqueued_media = has_unqueued_media
        self.turn = turn

    def step(self) -> int:
        """Dispose of what is due, of nothing while a rebuilt journal is unconfirmed; how many were settled."""
        if self.ledger.journal.read(awaits_confirmation):
            return 0
        turn = self.turn()
        if turn is None:
            return 0
        with turn:
            settled = sum(self._dispose(row, receipt) for row, receipt in self._due())
            self._dispose_sidecars()
        return settled

    def _due(self) -> Iterator[tuple[TaskRow, Receipt]]:
        """Completed tasks whose source may go, page by page: those that wait for another hold up none behind them."""
        last = 0
        while page := self.ledger.journal.read(lambda tx: _pending(tx, last)):  # noqa: B023  called at once
            for row, receipt in page:
                if receipt is not None and row.state is TaskState.COMPLETED and self._is_wanted_nowhere_else(row):
                    yield row, receipt
            last = page[-1][0].sequence

    def _is_wanted_nowhere_else(self, row: TaskRow) -> bool:
        """A source that goes to several backends stays until each has its receipt, or was given up."""

        def query(tx: Transaction) -> list[TaskRow]:
            return [*tx.tasks(TaskFilter(group=row.group)), *tx.tasks(TaskFilter(item_id=row.item_id))]

        return all(other.state in _DONE for other in self.ledger.journal.read(query))

    # -- media -------------------------------------------------------------------------------------------------

    def _dispose(self, row: TaskRow, receipt: Receipt) -> bool:
        path = row.media.path
        private = row.disposal_path or self.files.private_name(path, row.id[-12:])
        if not row.disposal_path:
            self._note(row, disposal_path=private)
        try:
            self._take_aside(path, private)
            if not self._exists(private):
                if not (self.files.is_gone(private) and self.files.is_gone(path)):
                    return False  # its volume is away, or was so a moment ago: nothing is known
                self.files.fsync_folder(_folder(path))
                self._settle(row, Disposal.REMOVED)  # somebody else removed it, or we did before a crash
                return True
            if self._is_what_was_sent(row, receipt, private):
                if not self._is_wanted_nowhere_else(row):  # submitted once more before it lost its name
                    self.files.rename_no_replace(private, path)
                    return False
                self.files.remove(private)
                self.files.fsync_folder(_folder(private))
                self._settle(row, Disposal.REMOVED)
            else:
                self._give_back(row, private)
        except OSError as error:
            log.warning("%s cannot be removed yet: %s", path, error)
            return False
        return True

    def _take_aside(self, path: str, private: str) -> None:
        if self._exists(private) or not self._exists(path):
            return
        self.files.rename_no_replace(path, private)
        self.files.fsync_folder(_folder(private))

    def _is_what_was_sent(self, row: TaskRow, receipt: Receipt, private: str) -> bool:
        media = row.media
        with self.files.open_source(private) as handle:
            now = self.files.identity_of_handle(handle, row.identity.source_id)
            if (now.size, now.mtime_ns, now.file_id) != (media.size, media.mtime_ns, media.file_id):
                return False
            digest = hashlib.sha256()
            block = memoryview(bytearray(BLOCK))
            offset = 0
            while count := handle.readinto_at(offset, block):
                digest.update(block[:count])
                offset += count
        return digest.hexdigest() == receipt.sha256

    def _give_back(self, row: TaskRow, private: str) -> None:
        try:
            self.files.rename_no_replace(private, row.media.path)
        except FileExistsError:
            log.exception("%s has other content by now; the earlier one is kept as %s", row.media.path, private)
        else:
            self.files.fsync_folder(_folder(private))
        log.warning("%s changed after it was uploaded and is kept", row.media.path)
        self._settle(row, Disposal.KEPT_CHANGED)

    def _settle(self, row: TaskRow, disposal: Disposal) -> None:
        def change(tx: Transaction, _: list[Event]) -> None:
            tx.update_task(row.id, disposal=disposal)
            if disposal is Disposal.REMOVED and row.sidecar_path:
                _put_sidecars(tx, _sidecars(tx) | {row.sidecar_path})

        self.ledger.change(change)

    def _note(self, row: TaskRow, *, disposal_path: str) -> None:
        self.ledger.journal.write(lambda tx: tx.update_task(row.id, disposal_path=disposal_path))

    def _exists(self, path: str) -> bool:
        return self.files.exists(path)

    # -- sidecars ----------------------------------------------------------------------------------------------

    def _dispose_sidecars(self) -> None:
        for path in sorted(self.ledger.journal.read(_sidecars)):
            try:
                if self._sidecar_is_due(path):
                    self._remove_sidecar(path)
                elif self._exists(self._private_sidecar(path)):  # a crash left it aside, and it is needed again
                    self._give_sidecar_back(path)
            except OSError as error:
                log.warning("%s cannot be removed yet: %s", path, error)

    def _sidecar_is_due(self, path: str) -> bool:
        users = self.ledger.journal.read(lambda tx: tx.sidecar_users(path))
        if any(row.state not in _DONE or row.disposal is Disposal.PENDING for row in users):
            return False
        newest = max((row.identity.mtime_ns / 1e9 for row in users), default=0.0)
        if self.clock.now() < newest + self.sidecar_grace:
            return False
        return not self.has_unqueued_media(path)

    def _remove_sidecar(self, path: str) -> None:
        """As a media file goes: taken aside, compared there with what was stored, deleted or given its name back."""
        users = self.ledger.journal.read(lambda tx: tx.sidecar_users(path))
        copies = {row.artifacts[1].content for row in users if row.state is TaskState.COMPLETED}
        limit = max((len(copy) for copy in copies if copy is not None), default=0)
        private = self._private_sidecar(path)
        may_go = all(row.disposal is Disposal.REMOVED for row in users)
        if may_go:
            self._take_aside(path, private)
        if not self._exists(private):
            if not self.files.is_gone(private) or (may_go and not self.files.is_gone(path)):
                return  # its volume is away, or was so a moment ago: nothing is known
            self.files.fsync_folder(_folder(path))  # who removed it may have died before
        elif self.files.read_bytes(private, limit + 1) in copies:
            self.files.remove(private)
            self.files.fsync_folder(_folder(path))
        else:
            self._give_sidecar_back(path)
            log.warning("%s changed after it was uploaded and is kept", path)
        self.ledger.journal.write(lambda tx: _put_sidecars(tx, _sidecars(tx) - {path}))

    def _private_sidecar(self, path: str) -> str:
        """The same each time: what a crash left aside is found again."""
        return private_name(path, SIDECAR_NONCE)

    def _give_sidecar_back(self, path: str) -> None:
        private = self._private_sidecar(path)
        try:
            self.files.rename_no_replace(private, path)
        except FileExistsError:
            log.exception("%s is another file by now; the earlier one is kept as %s", path, private)
        else:
            self.files.fsync_folder(_folder(path))


def sidecars_aside(tx: Transaction) -> frozenset[str]:
    """Private names under which sidecars may lie that are on their way out."""
    return frozenset(private_name(path, SIDECAR_NONCE) for path in _sidecars(tx))


def _pending(tx: Transaction, after: int) -> list[tuple[TaskRow, Receipt | None]]:
    rows = tx.tasks(TaskFilter(disposal=Disposal.PENDING, after=after, limit=BATCH))
    return [(row, tx.receipt(row.id)) for row in rows]


def _folder(path: str) -> str:
    return os.path.dirname(path)  # noqa: PTH120  plain text in, plain text out


def _sidecars(tx: Transaction) -> frozenset[str]:
    return frozenset(json.loads(tx.meta(SIDECARS) or "[]"))


def _put_sidecars(tx: Transaction, paths: frozenset[str]) -> None:
    tx.put_meta(SIDECARS, json.dumps(sorted(paths)))
