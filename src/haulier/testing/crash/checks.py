"""What must hold after a kill, seen from outside: by the content of files, objects and journal."""

from __future__ import annotations

import shutil
from collections import Counter
from dataclasses import dataclass, field
from enum import StrEnum
from hashlib import sha256
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from haulier.files import Files
from haulier.files.names import is_private_name
from haulier.journal.api import TaskFilter
from haulier.journal.sqlite import SqliteJournal
from haulier.models import Proof, TaskState
from haulier.service.state import Keys
from haulier.testing.crash.cases import SIDECAR
from haulier.transfer.ledger import chain_hash

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from haulier.events import Event
    from haulier.journal.api import TaskRow
    from haulier.models import Receipt, ReceiptEntry
    from haulier.testing.crash.cases import Setting

__all__ = ["Finding", "Kind", "Recorded", "Seen", "check_interrupted", "check_outcome"]

JOURNAL = "journal.db"
KEY = "secret.key"


class Kind(StrEnum):
    """What is wrong."""

    LOST = "lost"
    DOUBLED = "doubled"
    WRONGLY_REPORTED = "wrongly reported"
    DELETED_WITHOUT_PROOF = "deleted without proof"
    SENT_AGAIN = "sent again"
    NOT_DELETED = "not deleted"
    SESSION_LEFT = "session left behind"
    BROKEN_CHAIN = "broken chain"
    ILLEGAL_EVENTS = "illegal events"
    UNFINISHED = "unfinished"


@dataclass(frozen=True)
class Finding:
    """One thing that is wrong with one case."""

    kind: Kind
    text: str

    def __str__(self) -> str:
        return f"{self.kind}: {self.text}"


@dataclass(frozen=True)
class Recorded:
    """What a journal holds."""

    tasks: Sequence[TaskRow]
    receipts: Sequence[Receipt]
    events: Sequence[Event]
    chain_key: bytes

    @classmethod
    def read(cls, state: Path) -> Recorded:
        """Read a copy, so that the next process finds everything as the killed one left it."""
        if not (state / JOURNAL).exists() or not (state / KEY).exists():
            return cls((), (), (), b"")
        with TemporaryDirectory(dir=state.parent) as copy:
            for path in state.glob(f"{JOURNAL}*"):
                shutil.copyfile(path, Path(copy) / path.name)
            journal = SqliteJournal(Path(copy) / JOURNAL)
            try:
                tasks, receipts, events = journal.read(
                    lambda tx: (tx.tasks(TaskFilter()), tx.receipts(0, None), tx.events(0, 100_000))
                )
            finally:
                journal.close()
        return cls(tasks, receipts, events, Keys.load(state, Files()).derive("receipts"))


@dataclass(frozen=True)
class Seen:
    """What is there after a case.

    Attributes:
        setting: What was to be uploaded.
        folder: Where the sources were.
        recorded: The journal.
        stored: Objects by key.
        pending: Upload sessions left.
        received: Bytes sent in all.
        most_sent_again: Bytes that may be sent again.
        may_leave_session: Whether a session may be left.
    """

    setting: Setting
    folder: Path
    recorded: Recorded
    stored: Mapping[str, bytes]
    pending: Sequence[str]
    received: int
    most_sent_again: int
    may_leave_session: bool = False
    by_source: Mapping[str, Receipt] = field(init=False)

    def __post_init__(self) -> None:
        receipts = {Path(receipt.source).name: receipt for receipt in self.recorded.receipts}
        object.__setattr__(self, "by_source", receipts)

    @property
    def sent_again(self) -> int:
        """Bytes beyond those of one upload of each file."""
        return self.received - sum(entry.size for receipt in self.recorded.receipts for entry in receipt.artifacts)


def check_outcome(seen: Seen) -> list[Finding]:
    """Everything that must hold when all is done."""
    checks = (_tasks, _objects, _receipts, _sources, _sessions, _chain, _events, _bytes)
    return [finding for check in checks for finding in check(seen)]


def check_interrupted(setting: Setting, folder: Path, state: Path) -> list[Finding]:
    """What must hold at any instant, right after the kill: what is gone has its receipt.

    Args:
        setting: What is uploaded.
        folder: Where the sources are.
        state: The state folder of the killed process.
    """
    present = _present(folder)
    gone = [name for name in setting.files() if name not in present]
    if not gone:
        return []
    proven = {Path(receipt.source).name: receipt for receipt in Recorded.read(state).receipts}
    findings = [
        Finding(Kind.DELETED_WITHOUT_PROOF, f"{name} was gone at the kill, without a receipt")
        for name in gone
        if name != SIDECAR and not _is_proven(proven.get(name))
    ]
    if SIDECAR in gone and not all(_is_proven(proven.get(name)) for name in _users(setting)):
        findings.append(Finding(Kind.DELETED_WITHOUT_PROOF, "the sidecar was gone before all its recordings were done"))
    return findings


def _users(setting: Setting) -> list[str]:
    return [name for name in setting.media() if setting.sidecar_of(name)]


def _present(folder: Path) -> set[str]:
    """Names that are there, a private name counting as the one that it stands for."""
    names = {path.name for path in folder.iterdir()}
    return names | {name.split("-", 3)[-1] for name in names if is_private_name(name)}


def _is_proven(receipt: Receipt | None) -> bool:
    return receipt is not None and receipt.proof is Proof.CONTENT


# -- what the checks are -------------------------------------------------------------------------------------------


def _tasks(seen: Seen) -> Iterator[Finding]:
    tasks = Counter(Path(task.media.path).name for task in seen.recorded.tasks)
    for name in seen.setting.media():
        if not tasks[name]:
            yield Finding(Kind.LOST, f"{name} has no task")
        elif tasks[name] > 1:
            yield Finding(Kind.DOUBLED, f"{name} has {tasks[name]} tasks")
    for task in seen.recorded.tasks:
        if task.state is not TaskState.COMPLETED:
            yield Finding(Kind.UNFINISHED, f"{task.media.name} is {task.state}: {task.error}")


def _objects(seen: Seen) -> Iterator[Finding]:
    contents = Counter(seen.stored.values())
    for name, content in seen.setting.media().items():
        if not contents[content]:
            yield Finding(Kind.LOST, f"{name} is not at the destination, which holds {sorted(seen.stored)}")
        elif contents[content] > 1:
            yield Finding(Kind.DOUBLED, f"{name} is there {contents[content]} times")
    claimed = Counter(entry.key for receipt in seen.recorded.receipts for entry in receipt.artifacts)
    for key in seen.stored:
        if not claimed[key]:
            yield Finding(Kind.DOUBLED, f"{key} is at the destination, and no receipt names it")
    for key, count in claimed.items():
        if count > 1:
            yield Finding(Kind.WRONGLY_REPORTED, f"{key} is named by {count} receipts")


def _receipts(seen: Seen) -> Iterator[Finding]:
    receipts = Counter(receipt.task for receipt in seen.recorded.receipts)
    for task in seen.recorded.tasks:
        if receipts[task.id] != (1 if task.state is TaskState.COMPLETED else 0):
            yield Finding(Kind.WRONGLY_REPORTED, f"{task.media.name} is {task.state} with {receipts[task.id]} receipts")
    for receipt in seen.recorded.receipts:
        name = Path(receipt.source).name
        expected = [seen.setting.files().get(each) for each in (name, seen.setting.sidecar_of(name)) if each]
        for number, entry in enumerate(receipt.artifacts):
            ours = expected[number] if number < len(expected) else None
            yield from _entry(name, entry, ours, seen.stored.get(entry.key))


def _entry(name: str, entry: ReceiptEntry, ours: bytes | None, theirs: bytes | None) -> Iterator[Finding]:
    """Compare one entry with the source (None where the backend made the artifact) and with what is stored."""
    if theirs is None:
        yield Finding(Kind.LOST, f"the receipt of {name} names {entry.key}, which is not there")
    for whose, content in (("the source's", ours), ("the object's", theirs)):
        if content is not None and (entry.size, entry.sha256) != (len(content), sha256(content).hexdigest()):
            yield Finding(Kind.WRONGLY_REPORTED, f"the receipt of {name} has other bytes for {entry.key} than {whose}")


def _sources(seen: Seen) -> Iterator[Finding]:
    there = {path.name: path for path in seen.folder.iterdir()}
    for name in there:
        if is_private_name(name):
            yield Finding(Kind.NOT_DELETED, f"{name} was left")
    for name, content in seen.setting.files().items():
        users = _users(seen.setting) if name == SIDECAR else [name]
        proven = all(_is_proven(seen.by_source.get(user)) for user in users)
        if name not in there:
            if not seen.setting.delete or not proven:
                yield Finding(Kind.DELETED_WITHOUT_PROOF, f"{name} is gone")
        elif there[name].read_bytes() != content:
            yield Finding(Kind.DELETED_WITHOUT_PROOF, f"{name} has other bytes")
        elif seen.setting.delete and proven:
            yield Finding(Kind.NOT_DELETED, f"{name} is still there")


def _sessions(seen: Seen) -> Iterator[Finding]:
    for number, session in enumerate(seen.pending):
        if number or not seen.may_leave_session:
            yield Finding(Kind.SESSION_LEFT, session)


def _chain(seen: Seen) -> Iterator[Finding]:
    previous = ""
    for number, receipt in enumerate(sorted(seen.recorded.receipts, key=lambda one: one.number), start=1):
        if receipt.number != number or chain_hash(seen.recorded.chain_key, previous, receipt) != receipt.chain:
            yield Finding(Kind.BROKEN_CHAIN, f"receipt {receipt.number} does not follow its predecessor")
        previous = receipt.chain


def _events(seen: Seen) -> Iterator[Finding]:
    sequences = [event.sequence for event in seen.recorded.events]
    if sequences != sorted(set(sequences)):
        yield Finding(Kind.ILLEGAL_EVENTS, f"the sequence numbers are {sequences}")
    for task in seen.recorded.tasks:
        kinds = [event.kind for event in seen.recorded.events if getattr(event, "task", "") == task.id]
        why = _why_illegal(kinds)
        if why:
            yield Finding(Kind.ILLEGAL_EVENTS, f"{task.media.name}: {why}: {', '.join(kinds)}")


def _why_illegal(kinds: Sequence[str]) -> str:
    if not kinds or kinds[0] != "upload_queued" or kinds.count("upload_queued") != 1:
        return "not queued once, and first"
    if kinds.count("upload_completed") != 1 or kinds[-1] != "upload_completed":
        return "not completed once, and last"
    if kinds[-2] != "upload_started":
        return "completed without being started"
    return "failed" if {"upload_failed", "upload_cancelled"} & set(kinds) else ""


def _bytes(seen: Seen) -> Iterator[Finding]:
    if seen.sent_again > seen.most_sent_again:
        yield Finding(
            Kind.SENT_AGAIN, f"{seen.sent_again} bytes were sent again, {seen.most_sent_again} may be in flight"
        )
    if seen.sent_again < 0:
        yield Finding(Kind.WRONGLY_REPORTED, f"{-seen.sent_again} bytes of the receipts were never sent")
