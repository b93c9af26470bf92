"""Letting go of sources: renamed to a private name, compared there, deleted; whatever happens in between is finished.

A source goes only after its receipt and those of every other destination it was meant for, and only if it still is what
the receipt is about. What differs is given its name back, never over another file.
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
from haulier.service.holding import holds, shows_content
from haulier.service.rebuilt import awaits_confirmation

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from contextlib import AbstractContextManager

    from haulier.clock import Clock
    from haulier.events import Event
    from haulier.files import Files
    from haulier.journal.api import TaskRow, Transaction
    from haulier.models import Receipt
    from haulier.service.holding import Enough, Hold
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
        is_enough: Whether a receipt shows enough for its source to go.
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
        is_enough: Enough = shows_content,
    ) -> None:
        self.ledger = ledger
        self.files = files
        self.clock = clock
        self.sidecar_grace = sidecar_grace
        self.has_unqueued_media = has_unqueued_media
        self.turn = turn
        self.is_enough = is_enough

    def step(self, task_ids: Iterable[str] | None = None) -> int:
        """Dispose of what is due, of nothing while a rebuilt journal is unconfirmed; how many were settled.

        Args:
            task_ids: Look at the media of these tasks alone; None for all, and for sidecars.
        """
        if self.ledger.journal.read(awaits_confirmation):
            return 0
        turn = self.turn()
        if turn is None:
            return 0
        with turn:
            owed = self._all_owed() if task_ids is None else self._owed_by(task_ids)
            settled = sum(self._dispose(row, receipt) for row, receipt in owed if self._may_go(row))
            if task_ids is None:
                self._dispose_sidecars()
        return settled

    def _all_owed(self) -> Iterator[tuple[TaskRow, Receipt]]:
        """Page by page: those that wait for another hold up none behind them."""
        last = 0
        while page := self.ledger.journal.read(lambda tx: _pending(tx, last)):  # noqa: B023  called at once
            yield from _with_receipts(page)
            last = page[-1][0].sequence

    def _owed_by(self, task_ids: Iterable[str]) -> Iterator[tuple[TaskRow, Receipt]]:
        for task_id in task_ids:
            row, receipt = self.ledger.journal.read(lambda tx: (tx.task(task_id), tx.receipt(task_id)))  # noqa: B023
            if row is not None and row.disposal is Disposal.PENDING:
                yield from _with_receipts([(row, receipt)])

    def _may_go(self, row: TaskRow) -> bool:
        held = self._held_by(row)
        if held:
            self._stay(row, held)
        return not held

    def _held_by(self, row: TaskRow) -> list[Hold]:
        """A source that goes to several backends stays until each has proof of it."""
        return self.ledger.journal.read(lambda tx: holds(tx, row, self.is_enough))

    def _stay(self, row: TaskRow, held: list[Hold]) -> None:
        """Whoever has no proof yet finds the source under its name; what will never be proven is no obligation."""
        try:
            if row.disposal_path and self._exists(row.disposal_path):  # since a crash, and now it is wanted again
                self.files.rename_no_replace(row.disposal_path, row.media.path)
                self.files.fsync_folder(_folder(row.disposal_path))
            if any(hold.passes for hold in held):
                return
            self._settle(row, Disposal.KEPT_CHANGED if self._changed(row) else Disposal.KEPT)
        except OSError as error:
            log.warning("%s cannot get its name back yet: %s", row.media.path, error)
            return
        log.warning("%s is kept: %s", row.media.path, "; ".join(f"{hold.backend}: {hold.why}" for hold in held))

    def _changed(self, row: TaskRow) -> bool:
        media = row.media
        if not self._exists(media.path):
            return False
        now = self.files.identity(media.path, row.identity.source_id)
        return (now.size, now.mtime_ns, now.file_id) != (media.size, media.mtime_ns, media.file_id)

    # -- media -------------------------------------------------------------------------------------------------

    def _aside(self, row: TaskRow) -> str:
        """Where the source lies since a crash, whichever of its tasks took it there; empty when it does not."""
        about = self.ledger.journal.read(lambda tx: tx.tasks(TaskFilter(item=row.item)))
        names = dict.fromkeys(one.disposal_path for one in (row, *about) if one.disposal_path)
        return next((name for name in names if self._exists(name)), "")

    def _dispose(self, row: TaskRow, receipt: Receipt) -> bool:
        path = row.media.path
        try:
            private = self._aside(row) or row.disposal_path or self.files.private_name(path, row.id[-12:])
            if private != row.disposal_path:
                self._note(row, disposal_path=private)
            self._take_aside(path, private)
            if not self._exists(private):
                if not (self.files.is_gone(private) and self.files.is_gone(path)):
                    return False  # its volume is away, or was so a moment ago: nothing is known
                self.files.fsync_folder(_folder(path))
                self._settle(row, Disposal.REMOVED)  # somebody else removed it, or we did before a crash
                return True
            if self._is_what_was_sent(row, receipt, private):
                if self._held_by(row):  # submitted once more before it lost its name
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
            if disposal is not Disposal.REMOVED:
                return
            lost_it = [row, *filter(_thinks_it_is_there, tx.tasks(TaskFilter(item=row.item)))]
            for other in lost_it:  # it was the source of these as well
                tx.update_task(other.id, disposal=disposal)
            sidecars = {other.sidecar_path for other in lost_it if other.sidecar_path}
            if sidecars:
                _put_sidecars(tx, _sidecars(tx) | sidecars)

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


def _with_receipts(found: list[tuple[TaskRow, Receipt | None]]) -> Iterator[tuple[TaskRow, Receipt]]:
    for row, receipt in found:
        if receipt is not None and row.state is TaskState.COMPLETED:
            yield row, receipt


def _pending(tx: Transaction, after: int) -> list[tuple[TaskRow, Receipt | None]]:
    rows = tx.tasks(TaskFilter(disposal=Disposal.PENDING, after=after, limit=BATCH))
    return [(row, tx.receipt(row.id)) for row in rows]


def _thinks_it_is_there(row: TaskRow) -> bool:
    return row.state is TaskState.COMPLETED and row.disposal in {Disposal.PENDING, Disposal.KEPT}


def _folder(path: str) -> str:
    return os.path.dirname(path)  # noqa: PTH120  plain text in, plain text out


def _sidecars(tx: Transaction) -> frozenset[str]:
    return frozenset(json.loads(tx.meta(SIDECARS) or "[]"))


def _put_sidecars(tx: Transaction, paths: frozenset[str]) -> None:
    tx.put_meta(SIDECARS, json.dumps(sorted(paths)))
