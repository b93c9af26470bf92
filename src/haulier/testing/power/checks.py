"""What must hold on a disk after a power cut, seen by its content."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from haulier.backends.keys import PARTIAL_FOLDER
from haulier.errors import HaulierError
from haulier.files.names import is_private_name, original_name
from haulier.journal.api import TaskFilter
from haulier.journal.sqlite import SqliteJournal
from haulier.models import Disposal, TaskState
from haulier.service.disposal import sidecars_aside
from haulier.testing.power.findings import Finding, Kind
from haulier.testing.power.story import JOURNAL, SIDECAR, Acknowledged, Told, Volume
from haulier.transfer.ledger import chain_hash

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from haulier.journal.api import Journal, PartRow, TaskRow
    from haulier.models import Receipt
    from haulier.testing.power.operations import Mark

__all__ = ["Facts", "Truth", "check_cut"]


@dataclass
class Facts:
    """What a program had been told when the power went."""

    key: bytes | None = None
    submitted: dict[str, Told] = field(default_factory=dict)
    receipts: dict[str, Receipt] = field(default_factory=dict)
    parts: set[Acknowledged] = field(default_factory=set)

    @classmethod
    def of(cls, marks: Sequence[Mark]) -> Facts:
        """Gather them."""
        facts = cls()
        for mark in marks:
            if mark.kind == "key":
                facts.key = mark.fact
            elif mark.kind == "submitted":
                facts.submitted[mark.fact.task] = mark.fact
            elif mark.kind == "receipt":
                facts.receipts[mark.fact.task] = mark.fact
            elif mark.kind == "part":
                facts.parts.add(mark.fact)
        return facts


@dataclass(frozen=True)
class Truth:
    """What the whole story was about.

    Attributes:
        objects: Bytes of every object that was to be stored, by key.
        sources: Bytes of every source, by file name.
    """

    objects: Mapping[str, bytes]
    sources: Mapping[str, bytes]

    @classmethod
    def of(cls, marks: Sequence[Mark]) -> Truth:
        """Gather it from all marks of a recording."""
        told = Facts.of(marks).submitted.values()
        objects = {key: content for each in told for key, content in each.keys.items()}
        return cls(objects, {key.rpartition("/")[2]: content for key, content in objects.items()})


def check_cut(volume: Volume, facts: Facts, truth: Truth) -> list[Finding]:
    """What is wrong with what lies below a volume's root, before anything goes on there."""
    findings = list(_check_key(volume, facts)) + list(_check_objects(volume, truth))
    if not volume.state.is_dir():
        wrong = [Finding(Kind.LOST, "the state folder is gone, with accepted tasks")] if facts.submitted else []
        return findings + wrong + list(_check_sources(volume, truth, {}))
    try:
        journal = SqliteJournal(volume.state / JOURNAL)
    except HaulierError as error:
        return [*findings, Finding(Kind.UNUSABLE, f"the journal does not open: {error}")]
    try:
        return findings + list(_Look(volume, facts, truth, journal).findings())
    finally:
        journal.close()


def _check_key(volume: Volume, facts: Facts) -> Iterator[Finding]:
    path = volume.state / "secret.key"
    if path.exists() and len(path.read_bytes()) != 64:  # hexadecimal digits of 32 bytes
        yield Finding(Kind.UNUSABLE, "the key file does not hold a key")
    elif facts.key is not None and (not path.exists() or bytes.fromhex(path.read_text("ascii")) != facts.key):
        yield Finding(Kind.LOST, "the key that was used is gone: its tokens and receipts mean nothing")


def _check_objects(volume: Volume, truth: Truth) -> Iterator[Finding]:
    for key, content in stored(volume).items():
        if truth.objects.get(key) != content:
            yield Finding(Kind.WRONGLY_REPORTED, f"{key} is visible with {len(content)} bytes that are not its own")


def stored(volume: Volume) -> dict[str, bytes]:
    """Objects that anybody who lists the destination sees."""
    found = {path.relative_to(volume.store): path for path in volume.store.rglob("*") if path.is_file()}
    return {key.as_posix(): path.read_bytes() for key, path in found.items() if key.parts[0] != PARTIAL_FOLDER}


def _check_sources(volume: Volume, truth: Truth, receipts: Mapping[str, Receipt]) -> Iterator[Finding]:
    """Invariant 2: what is gone has a receipt in the journal and an object in the store, on this very disk."""
    left = {original_name(path.name): path for path in volume.sources.iterdir()} if volume.sources.is_dir() else {}
    objects = stored(volume)
    proven = {entry.name: entry for receipt in receipts.values() for entry in receipt.artifacts}
    for name, content in truth.sources.items():
        if name in left:
            if left[name].read_bytes() != content:
                yield Finding(Kind.LOST, f"the source {name} has other bytes")
            continue
        entry = proven.get(name)
        if entry is None:
            yield Finding(Kind.DELETED_WITHOUT_PROOF, f"{name} is gone, and no receipt speaks of it")
        elif objects.get(entry.key) != content:
            yield Finding(Kind.DELETED_WITHOUT_PROOF, f"{name} is gone, and its object is not stored whole")


class _Look:
    """The journal of an image beside everything else of it."""

    def __init__(self, volume: Volume, facts: Facts, truth: Truth, journal: Journal) -> None:
        self.volume = volume
        self.facts = facts
        self.truth = truth
        self.unsound = list(journal.check())
        self.sidecars_aside = journal.read(sidecars_aside)
        self.tasks, self.receipts, self.parts = journal.read(
            lambda tx: (
                (tasks := {row.id: row for row in tx.tasks(TaskFilter())}),
                {receipt.task: receipt for receipt in tx.receipts(0, None)},
                {task: list(tx.parts(task)) for task in tasks},
            )
        )
        self.objects = stored(volume)

    def findings(self) -> Iterator[Finding]:
        """All of them."""
        for text in self.unsound:
            yield Finding(Kind.UNUSABLE, f"the journal's check says: {text}")
        yield from self._kept()
        yield from self._chain()
        for receipt in self.receipts.values():
            yield from self._receipt(receipt)
        for row in self.tasks.values():
            yield from self._task(row)
        yield from self._taken_aside()
        yield from _check_sources(self.volume, self.truth, self.receipts)

    def _kept(self) -> Iterator[Finding]:
        """Invariant 1, and the same of receipts."""
        for task, told in self.facts.submitted.items():
            row = self.tasks.get(task)
            if row is None:
                yield Finding(Kind.LOST, f"the accepted task of {told.source} is gone")
            elif {artifact.key for artifact in row.artifacts} != set(told.keys):
                yield Finding(Kind.DOUBLED, f"the keys of {told.source} are others now")
        for task, receipt in self.facts.receipts.items():
            if self.receipts.get(task) != receipt:
                yield Finding(Kind.LOST, f"the receipt of {receipt.source} is gone or another")

    def _chain(self) -> Iterator[Finding]:
        previous = ""
        for receipt in sorted(self.receipts.values(), key=lambda each: each.number):
            if receipt.chain != chain_hash(b"key", previous, _unchained(receipt)):
                yield Finding(Kind.WRONGLY_REPORTED, f"receipt {receipt.number} does not continue the chain")
            previous = receipt.chain

    def _receipt(self, receipt: Receipt) -> Iterator[Finding]:
        """Invariant 3: what a receipt says is so, here and now."""
        for entry in receipt.artifacts:
            content = self.objects.get(entry.key)
            if content is None:
                yield Finding(Kind.LOST, f"{entry.key} has a receipt and is not stored")
            elif hashlib.sha256(content).hexdigest() != entry.sha256:
                yield Finding(Kind.WRONGLY_REPORTED, f"{entry.key} is not what its receipt says")

    def _task(self, row: TaskRow) -> Iterator[Finding]:
        if (row.state is TaskState.COMPLETED) is not (row.id in self.receipts):
            yield Finding(Kind.WRONGLY_REPORTED, f"{row.media.name} is {row.state}, its receipt says otherwise")
        if row.disposal is Disposal.REMOVED and row.media.name in self._sources():
            yield Finding(Kind.WRONGLY_REPORTED, f"{row.media.name} is called removed and is there")
        if row.acknowledged > sum(part.size for part in self._told_of(row)):
            yield Finding(
                Kind.WRONGLY_REPORTED, f"{row.acknowledged} bytes of {row.media.name} are called acknowledged"
            )
        for part in self.parts[row.id]:
            yield from self._part(row, part)

    def _told_of(self, row: TaskRow) -> list[Acknowledged]:
        return [part for part in self.facts.parts if part.task == row.id]

    def _part(self, row: TaskRow, part: PartRow) -> Iterator[Finding]:
        """An acknowledgement may be missing, but is never invented, and what it is about is there."""
        if Acknowledged(row.id, part.artifact, part.offset, part.size) not in self.facts.parts:
            yield Finding(Kind.WRONGLY_REPORTED, f"part {part.number} of {row.media.name} was never acknowledged")
        wanted = self.truth.objects[row.artifacts[part.artifact].key][part.offset : part.offset + part.size]
        held = [content[part.offset : part.offset + part.size] for content in self._copies(row, part.artifact)]
        if wanted not in held:
            yield Finding(Kind.LOST, f"the acknowledged part {part.number} of {row.media.name} is not held")

    def _copies(self, row: TaskRow, artifact: int) -> list[bytes]:
        partials = self.volume.store / PARTIAL_FOLDER
        unfinished = [path.read_bytes() for path in partials.glob(f"*-{artifact}")]
        return [*unfinished, self.objects.get(row.artifacts[artifact].key, b"")]

    def _sources(self) -> set[str]:
        return {original_name(path.name) for path in self.volume.sources.iterdir()}

    def _taken_aside(self) -> Iterator[Finding]:
        """A private name that the journal does not know would be nobody's for ever."""
        known = {row.disposal_path for row in self.tasks.values()} | self.sidecars_aside
        for path in self.volume.sources.iterdir():
            if is_private_name(path.name) and str(path) not in known and path.name != SIDECAR:
                yield Finding(Kind.LOST, f"{path.name} is taken aside, and the journal does not know")


def _unchained(receipt: Receipt) -> Receipt:
    from dataclasses import replace

    return replace(receipt, chain="")
