"""What holds a source that could go: a destination it was meant for that does not prove to have it."""

from __future__ import annotations

import logging
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

from haulier.errors import HaulierError
from haulier.journal.api import TaskFilter
from haulier.models import Disposal, Group, GroupMember, Proof, TaskState

if TYPE_CHECKING:
    from collections.abc import Callable

    from haulier.config.models import UploadConfig
    from haulier.journal.api import TaskRow, Transaction
    from haulier.models import Receipt
    from haulier.service.destinations import Destinations

    Enough = Callable[[TaskRow, Receipt], bool]

__all__ = [
    "Hold",
    "companions",
    "describe_group",
    "enough_proof",
    "holds",
    "shows_content",
    "warn_of_weak_proof",
]

log = logging.getLogger("haulier.manager")


@dataclass(frozen=True)
class Hold:
    """Why a source may not go.

    Attributes:
        task: Id of the task that has no proof of this content.
        backend: Its backend.
        why: In words, about that backend.
        passes: Whether it can end without anybody naming the task; else the source is kept for good.
    """

    task: str
    backend: str
    why: str
    passes: bool


def shows_content(row: TaskRow, receipt: Receipt) -> bool:
    """Whether a receipt shows the content: enough, whatever its backend could offer."""
    del row
    return receipt.proof is Proof.CONTENT


def enough_proof(needed: Proof | None, destinations: Destinations) -> Enough:
    """The rule that says whether a receipt shows enough for its source to go.

    Args:
        needed: The option ``upload.delete_proof``; None for the strongest that a receipt's backend offers.
        destinations: The configured backends.
    """

    def is_enough(row: TaskRow, receipt: Receipt) -> bool:
        if shows_content(row, receipt):
            return True
        if needed is not None:
            return receipt.proof.strength >= needed.strength
        try:
            return receipt.proof.strength >= destinations.get(row.backend).abilities.proof.strength
        except HaulierError:  # it is configured no more: nobody can tell what it would offer
            return False

    return is_enough


def warn_of_weak_proof(upload: UploadConfig, destinations: Destinations) -> None:
    """Say at the start when sources may go although nobody compared their content.

    Raises:
        ConfigError: The first backend cannot be made.
    """
    if not upload.delete_after_upload or not upload.backend:
        return
    weakest = destinations.get(upload.backend).abilities.proof
    for name in upload.also:
        with suppress(HaulierError):  # its uploads wait until it can be used, and so do their sources
            weakest = min(weakest, destinations.get(name).abilities.proof, key=lambda proof: proof.strength)
    needed = Proof(upload.delete_proof) if upload.delete_proof else weakest
    if needed is not Proof.CONTENT:
        log.warning("sources are deleted after upload on a proof of %s only, not of their content", needed)


def companions(tx: Transaction, row: TaskRow) -> list[TaskRow]:
    """The tasks of the same submit or about the same item, also this one, in order of submission."""
    found = [*tx.tasks(TaskFilter(group=row.group)), *tx.tasks(TaskFilter(item=row.item))]
    return sorted({one.id: one for one in found}.values(), key=lambda one: one.sequence)


def holds(tx: Transaction, row: TaskRow, is_enough: Enough) -> list[Hold]:
    """Why the source of a completed task may not go on account of its other destinations; none when it may.

    Args:
        tx: Reads the journal.
        row: The task.
        is_enough: See :func:`enough_proof`.
    """
    together = companions(tx, row)
    served = {one.backend for one in together if one.item_id == row.item_id}
    found = [
        _hold(tx, row, one, is_enough) if one.item_id == row.item_id else _outdated(one)
        for one in together
        if one.id != row.id and (one.item_id == row.item_id or one.backend not in served)
    ]
    return [hold for hold in found if hold is not None]


def _hold(tx: Transaction, row: TaskRow, other: TaskRow, is_enough: Enough) -> Hold | None:
    if other.state is TaskState.CANCELLED:
        if other.group != row.group:  # a wish of its own, given up
            return None
        return Hold(other.id, other.backend, "its upload there was cancelled", passes=False)
    if other.state is not TaskState.COMPLETED:
        return Hold(other.id, other.backend, f"it is {other.state} there", passes=True)
    if other.disposal in {Disposal.PENDING, Disposal.REMOVED}:  # judged when it was completed
        return None
    receipt = tx.receipt(other.id)
    if receipt is not None and is_enough(other, receipt):
        return None
    return Hold(other.id, other.backend, "its receipt there shows too little proof", passes=False)


def _outdated(other: TaskRow) -> Hold:
    return Hold(other.id, other.backend, "the file changed on its way: there it is about other content", passes=False)


def describe_group(tx: Transaction, row: TaskRow, is_enough: Enough) -> Group:
    """How the destinations of a file stand.

    Args:
        tx: Reads the journal.
        row: Any task of the group.
        is_enough: See :func:`enough_proof`.
    """
    together = [one for one in companions(tx, row) if one.group == row.group]
    newest = max(together, key=lambda one: (one.identity.mtime_ns, one.item_id == row.item_id))
    served = {one.backend for one in together if one.item_id == newest.item_id}
    about = [one for one in together if one.item_id == newest.item_id or one.backend not in served]
    found = [(one, tx.receipt(one.id)) for one in about]
    members = tuple(
        GroupMember(
            one.backend,
            one.id,
            one.state,
            receipt.proof if receipt else None,
            receipt.location if receipt else None,
            hold.why if (hold := _hold_of(tx, newest, one, is_enough)) else "",
        )
        for one, receipt in found
    )
    return Group(row.group, newest.media.path, members, _disposal([one.disposal for one in about]))


def _hold_of(tx: Transaction, newest: TaskRow, one: TaskRow, is_enough: Enough) -> Hold | None:
    return _hold(tx, newest, one, is_enough) if one.item_id == newest.item_id else _outdated(one)


def _disposal(found: list[Disposal]) -> Disposal:
    """What became of one source that several tasks speak of: what was done tells most."""
    order = (Disposal.REMOVED, Disposal.KEPT_CHANGED, Disposal.PENDING)
    return next((disposal for disposal in order if disposal in found), Disposal.KEPT)
