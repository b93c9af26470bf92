"""The audit: whether the receipts are whole, and still those that were anchored outside.

It reads the journal alone, in one look, and holds a batch of it at a time. What it shows and what it cannot show is
said in :data:`LIMITS`.
"""

from __future__ import annotations

import json
import os
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

from haulier.errors import InputError, StateFolderError
from haulier.journal.api import TaskFilter
from haulier.models import Disposal, TaskState
from haulier.service.chain import BREAKS, Break, Chain, decode_breaks

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from haulier.journal.api import Journal, Transaction
    from haulier.models import Receipt
    from haulier.service.state import Keys

__all__ = ["LIMITS", "Anchor", "Audit", "Flaw", "append_anchor", "audit_receipts", "read_anchors"]

LIMITS = (
    "A receipt that was edited, removed or inserted in the middle is found.",
    "Receipts cut off at the end are found only against an anchor that was taken after them.",
    "Who holds the key (secret.key or the key store) can write a new chain from the last anchor on.",
    "Nothing is said about the destination: `haulier verify` asks it.",
)
BATCH = 1000
MOST_FLAWS = 100  # told singly; the rest is counted


@dataclass(frozen=True)
class Anchor:
    """The head of the chain at one time, kept outside.

    Attributes:
        number: Of the newest receipt; 0 when there was none.
        chain: Its chain hash.
        at: When, seconds since the epoch.
        source_id: Of the installation.
    """

    number: int
    chain: str
    at: float
    source_id: str


@dataclass(frozen=True)
class Flaw:
    """One thing that is not as it was written.

    Attributes:
        what: What was found, a sentence.
        number: Of the receipt, or None.
        task: Id of the task, or None.
    """

    what: str
    number: int | None = None
    task: str | None = None


@dataclass
class Audit:
    """What was found.

    Attributes:
        source_id: Of the installation.
        receipts: How many there are.
        verified: How many continue the chain.
        tasks: How many tasks were compared with them.
        head: Number and chain hash of the newest, ``(0, "")`` without any.
        flaws: The first of those that were found.
        flaw_count: How many were found.
        breaks: Where a rebuilt journal lost receipts.
        anchors: How many anchors of this installation were compared; None when none were asked for.
        foreign_anchors: How many belong to other installations.
    """

    source_id: str = ""
    receipts: int = 0
    verified: int = 0
    tasks: int = 0
    head: tuple[int, str] = (0, "")
    flaws: list[Flaw] = field(default_factory=list)
    flaw_count: int = 0
    breaks: list[Break] = field(default_factory=list)
    anchors: int | None = None
    foreign_anchors: int = 0

    @property
    def is_whole(self) -> bool:
        """Whether nothing was found but gaps that somebody accepted."""
        return not self.flaw_count and all(each.accepted for each in self.breaks)

    def note(self, flaw: Flaw) -> None:
        """Count a flaw, and keep it if it is one of the first."""
        self.flaw_count += 1
        if len(self.flaws) < MOST_FLAWS:
            self.flaws.append(flaw)

    def to_dict(self) -> dict[str, Any]:
        """As JSON members."""
        return {
            "whole": self.is_whole,
            "source_id": self.source_id,
            "receipts": self.receipts,
            "verified": self.verified,
            "tasks": self.tasks,
            "head": {"number": self.head[0], "chain": self.head[1]},
            "flaws": [asdict(flaw) for flaw in self.flaws],
            "flaw_count": self.flaw_count,
            "breaks": [asdict(each) for each in self.breaks],
            "anchors": self.anchors,
            "foreign_anchors": self.foreign_anchors,
            "limits": list(LIMITS),
        }


def audit_receipts(
    journal: Journal, keys: Keys, anchors: Callable[[], Iterator[tuple[int, Anchor | None]]] | None = None
) -> Audit:
    """Walk the whole chain.

    Args:
        journal: Any journal; it is only read.
        keys: Those of the installation.
        anchors: Gives line numbers and anchors of a file, None for a line that is none.

    Raises:
        StateFolderError: The key is not the one that the receipts were written with.
        JournalError: The journal cannot be read.
    """
    audit: Audit = journal.read(lambda tx: _audit(tx, keys, anchors))
    if audit.receipts and not audit.verified and audit.source_id != keys.source_id:
        raise StateFolderError(
            f"not one of {audit.receipts} receipts was written with this key",
            where="secret.key or the key store",
            advice="Put the key back that belongs to this journal; without it the chain cannot be checked",
        )
    return audit


def _audit(tx: Transaction, keys: Keys, anchors: Callable[[], Iterator[tuple[int, Anchor | None]]] | None) -> Audit:
    audit = Audit(source_id=tx.meta("source_id") or "")
    key = keys.derive("receipts")
    _walk(tx, audit, Chain(key, known := decode_breaks(tx.meta(BREAKS), key)), {each.number: each for each in known})
    _compare_tasks(tx, audit)
    if anchors is not None:
        _compare_anchors(tx, audit, anchors())
    return audit


# -- the chain -----------------------------------------------------------------------------------------------------


def _walk(tx: Transaction, audit: Audit, chain: Chain, known: dict[int, Break]) -> None:
    last = 0
    for receipt in _receipts(tx):
        audit.receipts += 1
        continues = chain.find(receipt.number, [receipt]) is not None
        audit.verified += continues
        gap = known.get(receipt.number)
        if receipt.number <= last:
            audit.note(Flaw("the receipt stands where another number belongs", receipt.number, receipt.task))
        elif receipt.number == last + 1 and not continues:
            what = "the receipt does not continue the chain: it, or the one before it, was changed"
            audit.note(Flaw(what, receipt.number, receipt.task))
        elif receipt.number > last + 1 and continues and gap and gap.missing == receipt.number - last - 1:
            audit.breaks.append(gap)
        elif receipt.number > last + 1:
            audit.note(Flaw(_missing(last + 1, receipt.number - 1), last + 1))
        last = max(last, receipt.number)
        audit.head = (receipt.number, receipt.chain)


def _missing(first: int, last: int) -> str:
    return f"receipt {first} is missing" if first == last else f"receipts {first} to {last} are missing"


def _receipts(tx: Transaction) -> Iterator[Receipt]:
    """All of them, by the numbers under which they lie."""
    after = 0
    while batch := tx.receipts(after, BATCH):
        yield from batch
        after = max(after + len(batch), batch[-1].number)  # whatever a receipt says of its own number, it goes on


# -- tasks ---------------------------------------------------------------------------------------------------------


def _compare_tasks(tx: Transaction, audit: Audit) -> None:
    """A task is completed exactly if it has a receipt."""
    after = 0
    while batch := tx.tasks(TaskFilter(after=after, limit=BATCH)):
        after = batch[-1].sequence
        for row in batch:
            audit.tasks += 1
            receipt = tx.receipt(row.id)
            if row.state is TaskState.COMPLETED and receipt is None:
                gone = " and its source was removed" if row.disposal is Disposal.REMOVED else ""
                audit.note(Flaw(f"the task is completed{gone}, but its receipt is missing", None, row.id))
            elif row.state is not TaskState.COMPLETED and receipt is not None:
                audit.note(Flaw(f"the task has a receipt, but is {row.state}", receipt.number, row.id))
            elif receipt is not None and (receipt.task, receipt.item_id) != (row.id, row.item_id):
                audit.note(Flaw("the receipt is about something else than its task", receipt.number, row.id))


# -- anchors -------------------------------------------------------------------------------------------------------


def _compare_anchors(tx: Transaction, audit: Audit, anchors: Iterator[tuple[int, Anchor | None]]) -> None:
    audit.anchors = 0
    for line, anchor in anchors:
        if anchor is None:
            audit.note(Flaw(f"line {line} of the anchors is no anchor"))
        elif anchor.source_id != audit.source_id:
            audit.foreign_anchors += 1
        else:
            audit.anchors += 1
            if not _holds(tx, anchor):
                what = (
                    f"the head that was anchored in line {line} is not in the chain: receipts were cut off or replaced"
                )
                audit.note(Flaw(what, anchor.number))
    if not audit.anchors:
        audit.note(Flaw("the file has no anchor of this installation"))


def _holds(tx: Transaction, anchor: Anchor) -> bool:
    if anchor.number == 0:
        return True
    found = tx.receipts(anchor.number - 1, 1)
    return bool(found) and (found[0].number, found[0].chain) == (anchor.number, anchor.chain)


def read_anchors(path: Path) -> Iterator[tuple[int, Anchor | None]]:
    """Line numbers and anchors of a file; None for a line that is no anchor.

    Raises:
        InputError: The file cannot be read.
    """
    try:
        with path.open("r", encoding="utf-8", errors="replace") as lines:
            for number, line in enumerate(lines, 1):
                if line.strip():
                    yield number, _anchor(line)
    except OSError as error:
        raise InputError(f"the anchors cannot be read ({error.strerror})", where=str(path)) from error


def _anchor(line: str) -> Anchor | None:
    try:
        data = json.loads(line)
        anchor = Anchor(data["number"], data["chain"], data["at"], data["source_id"])
    except (ValueError, TypeError, KeyError):
        return None
    members = ((anchor.number, int), (anchor.chain, str), (anchor.source_id, str))
    return anchor if all(isinstance(value, kind) for value, kind in members) else None


def append_anchor(path: Path, anchor: Anchor, sync_folder: Callable[[Path], None]) -> None:
    """Add a line to a file, durably; the file is made if need be.

    Raises:
        InputError: It cannot be written.
    """
    try:
        with path.open("ab+") as file:
            file.seek(0, os.SEEK_END)
            if file.tell() and _last_byte(path) != b"\n":
                file.write(b"\n")  # after a line that was cut short
            file.write(json.dumps(asdict(anchor)).encode() + b"\n")
            file.flush()
            os.fsync(file.fileno())
        sync_folder(path.absolute().parent)
    except OSError as error:
        raise InputError(f"the anchor cannot be written ({error.strerror})", where=str(path)) from error


def _last_byte(path: Path) -> bytes:
    with path.open("rb") as file:
        file.seek(-1, os.SEEK_END)
        return file.read(1)
