"""Filling a fresh journal with what was salvaged of a damaged one.

Receipts are taken as they are when they continue the chain; tasks when their rows are sound. A task that has no receipt
goes on under its own id, key and nonce, in its own upload session; without one it asks its destination what became of
it before it sends anything.
"""

from __future__ import annotations

import json
import logging
from dataclasses import asdict, replace
from itertools import islice
from typing import TYPE_CHECKING, Any, TypeVar

from haulier.errors import HaulierError
from haulier.models import Disposal, TaskState
from haulier.service.chain import BREAKS, Break, Chain, decode_breaks, encode_breaks
from haulier.service.rebuilt import REBUILT, STRAYS, Rebuilt
from haulier.transfer.aborts import drop_session

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from haulier.files import Files
    from haulier.journal.api import AbortRow, Journal, TaskRow, Transaction
    from haulier.journal.salvage import Salvage, SalvagedTask
    from haulier.models import Receipt
    from haulier.service.state import Keys

__all__ = ["Draft"]

log = logging.getLogger("haulier.manager")

T = TypeVar("T")

BATCH = 200  # rows written in one transaction
MOST_STRAYS = 10_000
HEXADECIMAL = frozenset("0123456789abcdef")
ID_DIGITS = 32
_AGAIN = {TaskState.UPLOADING: TaskState.QUEUED, TaskState.RETRYING: TaskState.QUEUED}
_ASKED = {"cancel": TaskState.CANCELLED, "pause": TaskState.PAUSED}


class Draft:
    """Fills a fresh journal. Used by one thread.

    Args:
        journal: Empty, and seen by nobody else.
        salvage: What was found.
        keys: Those of the installation.
        files: Operating system.
        now: Seconds since the epoch.
    """

    def __init__(self, journal: Journal, salvage: Salvage, keys: Keys, files: Files, now: float) -> None:
        self._journal = journal
        self._salvage = salvage
        self._keys = keys
        self._files = files
        self._now = now
        self._sources: dict[str, int] = {}

    def fill(self, begun: Rebuilt) -> Rebuilt:
        """Receipts first: by them is seen which tasks are completed."""
        receipts = self._take_receipts(begun)
        tasks = self._take_tasks()
        self._take_aborts()
        strays = self._take_strays()
        done = replace(begun, tasks=tasks, receipts=receipts, strays=strays)

        def change(tx: Transaction) -> None:
            if (source := self._source_id()) is not None:
                tx.put_meta("source_id", source)
            for sidecars in self._salvage.meta("sidecars_pending"):
                if _is_list_of_text(sidecars):
                    tx.put_meta("sidecars_pending", sidecars)
            tx.put_meta(REBUILT, json.dumps(asdict(done)))

        self._journal.write(change)
        return done

    def _source_id(self) -> str | None:
        """As it was written down; else as the tasks have it, which is what their ids were made with."""
        told = [text for text in self._salvage.meta("source_id") if len(text) == ID_DIGITS and set(text) <= HEXADECIMAL]
        by_tasks = sorted(self._sources, key=lambda source: self._sources[source], reverse=True)
        likely = told if len(told) == 1 else [text for text in told if text in self._sources]
        return next(iter([*likely, *by_tasks, *told]), None)

    # -- receipts

    def _take_receipts(self, begun: Rebuilt) -> int:
        """Those that continue the chain, as they are; where some are missing before one, that is written down."""
        key = self._keys.derive("receipts")
        known = {each.number: each for text in self._salvage.meta(BREAKS) for each in decode_breaks(text, key)}
        breaks: list[Break] = []
        taken, last = 0, 0
        chain = Chain(key, known.values())
        for batch in _batches(self._found(chain)):
            for receipt, previous in batch:
                if receipt.number != last + 1:
                    lost = Break(receipt.number, receipt.number - last - 1, previous, begun.aside, begun.at)
                    breaks.append(_still(known.get(receipt.number), lost))
                last = receipt.number
            self._add_receipts([receipt for receipt, _ in batch])
            taken += len(batch)
        if breaks:
            self._journal.write(lambda tx: tx.put_meta(BREAKS, encode_breaks(breaks, key)))
        return taken

    def _add_receipts(self, receipts: list[Receipt]) -> None:
        def change(tx: Transaction) -> None:
            for receipt in receipts:
                tx.add_receipt(receipt)

        self._journal.write(change)

    def _found(self, chain: Chain) -> Iterator[tuple[Receipt, str]]:
        for number, candidates in self._salvage.receipts():
            found = chain.find(number, candidates)
            if found is not None:
                yield found

    # -- tasks

    def _take_tasks(self) -> int:
        return sum(self._take_batch(batch) for batch in _batches(self._salvage.tasks()))

    def _take_batch(self, batch: list[SalvagedTask]) -> int:
        def change(tx: Transaction) -> int:
            taken = 0
            for salvaged in batch:
                row = salvaged.row
                if tx.task(row.id) is not None or tx.find_item(row.item, row.backend) is not None:
                    continue
                again = self._again(row, has_receipt=tx.receipt(row.id) is not None)
                tx.insert_task(again)
                if again.token is not None and again.state is TaskState.CANCELLED:
                    tx.update_task(row.id, **drop_session(tx, again, self._now))
                elif again.token is not None:
                    tx.put_parts(row.id, salvaged.parts)
                taken += 1
            return taken

        for salvaged in batch:
            source = salvaged.row.identity.source_id
            self._sources[source] = self._sources.get(source, 0) + 1
        return self._journal.write(change)

    def _again(self, row: TaskRow, *, has_receipt: bool) -> TaskRow:
        """A task as it goes on: completed if its receipt says so, else it asks its destination before anything else."""
        fresh = replace(row, sequence=0, owner="", request="", suspicion=0)
        is_completed = row.state is TaskState.COMPLETED
        if has_receipt or (is_completed and row.disposal is Disposal.REMOVED):
            disposal = row.disposal if is_completed else Disposal.KEPT
            ended = replace(fresh, state=TaskState.COMPLETED, disposal=disposal, error=None, slow_lane=False)
            return replace(ended, token=None, committing=False, digests={})
        self._give_back(row)
        state = TaskState.QUEUED if is_completed else _AGAIN.get(row.state, row.state)
        if row.state is TaskState.UPLOADING and not row.committing:
            state = _ASKED.get(row.request, state)
        waits = row.not_before if state is TaskState.FAILED else None
        going_on = replace(fresh, state=state, attempts=0, not_before=waits, disposal=Disposal.KEPT, disposal_path="")
        return replace(going_on, updated_at=self._now, **self._session(row))

    def _session(self, row: TaskRow) -> dict[str, Any]:
        """The upload session as it was; without one the destination is asked, as after a commit whose answer was lost.

        A session that was not committed is not settled: a destination may take that for the wish to commit it now.
        """
        committing: dict[str, Any] = {"committing": True, "digests": row.digests if row.committing else {}}
        if row.token is None or not self._can_unseal(row.token.secret):
            return {"token": None, "abilities": None, "part_size": 0, "acknowledged": 0, **committing}
        return committing if row.committing else {"digests": {}}

    def _can_unseal(self, secret: bytes) -> bool:
        try:
            return not secret or self._keys.unseal(secret) is not None
        except (HaulierError, ValueError):
            return False

    def _give_back(self, row: TaskRow) -> None:
        """A source that was on its way out gets its name back: nothing proves any more that it may go."""
        if not row.disposal_path:
            return
        try:
            if self._files.exists(row.disposal_path) and not self._files.exists(row.media.path):
                self._files.rename_no_replace(row.disposal_path, row.media.path)
        except OSError as error:
            log.warning("%s cannot get its name %s back: %s", row.disposal_path, row.media.path, error)

    def _take_aborts(self) -> None:
        """Sessions that nobody went on with; a worker sees which of them a task goes on with after all."""

        def change(tx: Transaction, batch: list[AbortRow]) -> None:
            for owed in batch:
                tx.put_abort(replace(owed, sequence=0, owner="", tries=0, not_before=self._now, error=None))

        for batch in _batches(self._salvage.aborts()):
            self._journal.write(lambda tx, batch=batch: change(tx, batch))  # type: ignore[misc]

    def _take_strays(self) -> int:
        strays: dict[str, str] = {}
        for stray in self._salvage.strays():
            if len(strays) < MOST_STRAYS:
                strays[stray.path] = stray.backend or strays.get(stray.path, "")
        if strays:
            self._journal.write(lambda tx: tx.put_meta(STRAYS, json.dumps(strays)))
        return len(strays)


def _batches(items: Iterable[T]) -> Iterator[list[T]]:
    rest = iter(items)
    while batch := list(islice(rest, BATCH)):
        yield batch


def _still(before: Break | None, now: Break) -> Break:
    """A break that an earlier rebuild wrote down, as it was, when no more is missing there than then."""
    return before if before is not None and (before.missing, before.previous) == (now.missing, now.previous) else now


def _is_list_of_text(text: str) -> bool:
    try:
        found = json.loads(text)
    except ValueError:
        return False
    return isinstance(found, list) and all(isinstance(each, str) for each in found)
