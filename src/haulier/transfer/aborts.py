"""Upload sessions that nobody goes on with: their destinations are told, later, and for a bounded time.

Whoever drops a session's token for good notes in the same transaction that its abort is owed; that survives a kill. A
worker of the backend makes the call when the backend is not suspended, one session at a time. What a token grants must
not outlive its use, so it goes with the row: when the abort is done, or given up.

A session whose commit may have reached the destination is never aborted: what it stored must stay.
"""

from __future__ import annotations

import logging
import threading
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from haulier.errors import JournalError
from haulier.journal.api import AbortRow, ItemKey, TaskFilter
from haulier.models import TaskState
from haulier.transfer.policy import NO_SESSION, NO_TOKEN, error_record

if TYPE_CHECKING:
    from haulier.errors import HaulierError
    from haulier.events import Event
    from haulier.journal.api import TaskRow, Transaction
    from haulier.transfer.ledger import Ledger

__all__ = ["OwedAborts", "drop_session", "free_aborts", "owe_abort", "wake_aborts"]

log = logging.getLogger("haulier.manager")

SWEPT = "dead_sessions_swept"


def owe_abort(tx: Transaction, row: TaskRow, now: float) -> None:
    """Note, in the transaction that drops a task's session, that its destination is still to drop it.

    Args:
        tx: The transaction.
        row: The task as it was with the session.
        now: Seconds since the epoch.
    """
    if row.token is None or row.committing:
        return
    tx.put_abort(
        AbortRow(
            backend=row.backend,
            task=row.id,
            item_id=row.item_id,
            nonce=row.nonce,
            artifacts=row.artifacts,
            metadata=row.metadata,
            recorded_at=row.identity.mtime_ns / 1e9,
            token=row.token,
            owed_at=now,
            not_before=now,
        )
    )


def drop_session(tx: Transaction, row: TaskRow, now: float) -> dict[str, Any]:
    """Give up the session of a task that ends without it; the members of its row to change.

    That a commit may be there stays known, and so does the nonce of an ``open`` whose answer never came: a later try
    finds that session again. A session that is to be aborted takes its nonce with it.
    """
    tx.clear_parts(row.id)
    owe_abort(tx, row, now)
    return dict(NO_TOKEN if row.committing or row.token is None else NO_SESSION)


def free_aborts(tx: Transaction, owner: str) -> None:
    """Let others make the calls that an owner was about to make."""
    for owed in tx.aborts():
        if owed.owner == owner:
            tx.put_abort(replace(owed, owner=""))


def wake_aborts(tx: Transaction, backend: str, now: float) -> None:
    """Make what is owed to a backend due: it recovered."""
    for owed in tx.aborts(backend):
        if owed.not_before > now:
            tx.put_abort(replace(owed, not_before=now))


class OwedAborts:
    """The aborts that a journal's destinations are owed. Thread-safe.

    Args:
        ledger: Journal and rules.
    """

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger
        self._lock = threading.Lock()
        self._stranded: list[AbortRow] = []

    def take(self, backend: str) -> AbortRow | None:
        """The next one that may be tried, now this manager's to try; None when there is none.

        Raises:
            JournalError: The journal cannot be written; nothing was taken.
        """
        self._release_stranded()
        if not self._ledger.journal.read(lambda tx: self._due(tx, backend)):
            return None

        def change(tx: Transaction, _: list[Event]) -> AbortRow | None:
            while due := self._due(tx, backend):
                if not _is_in_use(tx, due[0]):
                    return tx.put_abort(replace(due[0], owner=self._ledger.owner, tries=due[0].tries + 1))
                tx.delete_abort(due[0].sequence)
            return None

        return self._ledger.change(change, durable=False)

    def _due(self, tx: Transaction, backend: str) -> list[AbortRow]:
        if tx.backend(backend).suspended is not None:
            return []
        return list(tx.aborts(backend, due=self._ledger.clock.now(), limit=1))

    def done(self, owed: AbortRow) -> None:
        """The destination dropped the session, or does not know it."""
        self._change(owed, lambda tx: tx.delete_abort(owed.sequence))

    def give_back(self, owed: AbortRow) -> None:
        """It was not tried to the end: this manager stops."""
        free = replace(owed, owner="", tries=owed.tries - 1)
        self._change(owed, lambda tx: tx.put_abort(free))

    def failed(self, owed: AbortRow, error: HaulierError) -> None:
        """A try failed: another one follows, or it is given up."""
        now = self._ledger.clock.now()
        wait = self._ledger.policy.abort_wait(owed, error, now)
        if wait is None:
            self._change(owed, lambda tx: tx.delete_abort(owed.sequence))
            _tell_given_up(owed, str(error))
            return
        later = replace(owed, owner="", not_before=now + wait, error=error_record(error, now))
        self._change(owed, lambda tx: tx.put_abort(later))
        log.info("an upload session of task %s cannot be dropped now: %s", owed.task, error)

    def give_up_old(self) -> None:
        """Forget what could not be tried for so long that nobody needs it any more, e.g. of a backend that is gone."""
        longest = self._ledger.policy.abort_longest
        oldest = self._ledger.clock.now() - longest
        old = [owed for owed in self._ledger.journal.read(lambda tx: tx.aborts()) if owed.owed_at < oldest]
        for owed in old:
            self._change(owed, lambda tx, sequence=owed.sequence: tx.delete_abort(sequence))
            _tell_given_up(owed, owed.error.what if owed.error else "the backend could not be used")

    def sweep(self) -> None:
        """Once: sessions that an earlier version left with cancelled tasks."""
        journal = self._ledger.journal
        if journal.read(lambda tx: tx.meta(SWEPT)) is not None:
            return
        now = self._ledger.clock.now()

        def change(tx: Transaction, _: list[Event]) -> None:
            for row in tx.tasks(TaskFilter(frozenset({TaskState.CANCELLED}))):
                if row.token is not None:
                    tx.update_task(row.id, **drop_session(tx, row, now))
            tx.put_meta(SWEPT, "1")

        self._ledger.change(change)

    def _change(self, owed: AbortRow, change: Any) -> None:
        try:
            self._ledger.change(lambda tx, _: change(tx), durable=False)
        except JournalError:
            with self._lock:
                self._stranded.append(owed)
            raise

    def _release_stranded(self) -> None:
        """Free those whose end could not be journalled, now that the journal can perhaps be written again."""
        with self._lock:
            stranded, self._stranded = self._stranded, []
        for owed in stranded:
            free = replace(owed, owner="")
            self._change(owed, lambda tx, free=free: tx.put_abort(free))


def _is_in_use(tx: Transaction, owed: AbortRow) -> bool:
    """Whether a task goes on with the session after all, as one of a journal made of an older one's pages may."""
    item = ItemKey(owed.artifacts[0].mtime_ns, owed.item_id)  # of the media file
    rows = (tx.task(owed.task), tx.find_item(item, owed.backend))
    return any(
        row is not None and row.backend == owed.backend and row.token is not None and row.nonce == owed.nonce
        for row in rows
    )


def _tell_given_up(owed: AbortRow, why: str) -> None:
    log.warning(
        "an upload session of task %s at %s could not be dropped (%s) and is given up: what was sent of %s may remain "
        "there until it expires or is removed",
        owed.task,
        owed.backend,
        why,
        owed.artifacts[0].name if owed.artifacts else "it",
    )
