"""What must hold after every step of a simulation, and at its end: the invariants of the guarantees page."""

from __future__ import annotations

import hashlib
import os
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from haulier.backends.api import ResumeMode
from haulier.files.names import original_name
from haulier.journal.api import TaskFilter
from haulier.models import Disposal, TaskState
from haulier.testing.simulation.sessions import DroppedSessions
from haulier.threads import Ended
from haulier.transfer.ledger import chain_hash
from haulier.transfer.states import TRANSITIONS

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from haulier.backends.api import Part, Upload
    from haulier.backends.memory import MemoryStore
    from haulier.events import Event
    from haulier.journal.api import Journal, TaskRow
    from haulier.models import Receipt, ReceiptEntry

__all__ = ["BrokenError", "Checks", "digest"]

MOVES = {(before, after) for (before, _), after in TRANSITIONS.items()}
MOST_SUSPICION = 3  # after so many suspensions in flight an item pays for itself
HONEST_ENDS = frozenset({"source_unavailable", "source_unstable", "outcome_unknown"})


class BrokenError(Ended):
    """An invariant does not hold. The code under simulation must not take it for a failure of its own.

    Attributes:
        kind: ``lost``, ``doubled``, ``wrongly reported``, ``deleted without proof``, ``sent again``, ``charged``,
            ``memory``, ``left behind`` (an upload session that nobody goes on with) or ``stuck``.
    """

    def __init__(self, kind: str, text: str) -> None:
        super().__init__(f"{kind}: {text}")
        self.kind = kind


def digest(content: bytes) -> str:
    """SHA-256, hexadecimal."""
    return hashlib.sha256(content).hexdigest()


@dataclass
class Checks:
    """The observer of one run. Not thread-safe: only one simulated thread runs at a time.

    Attributes:
        journal: The shared journal, read past all processes.
        stores: What lies at each destination.
        ever: Digests of all contents that a path ever had, by file name.
        accepted: Ids of tasks whose ``submit`` returned.
        chain_key: Key of the receipts' chain.
        away: Names of destinations that nobody can reach now.
        stolen: Whether leases were taken from a living owner, which may not know it yet: parts may be sent twice.
        touched: Digests of contents that got a new modification time, which makes them another item.
        foreign: Keys under which somebody else put something.
        sessions: Watches the upload sessions that nobody goes on with.
        honest_ends: Codes with which a task may stay failed although nothing is wrong any more.
    """

    journal: Journal
    stores: Mapping[str, MemoryStore]
    chain_key: Callable[[], bytes]
    away: Callable[[str], bool]
    ever: dict[str, set[str]] = field(default_factory=dict)
    accepted: set[str] = field(default_factory=set)
    stolen: bool = False
    touched: set[str] = field(default_factory=set)
    foreign: set[str] = field(default_factory=set)
    honest_ends: frozenset[str] = HONEST_ENDS
    sessions: DroppedSessions = field(init=False)
    rows: dict[str, TaskRow] = field(default_factory=dict)
    receipts: dict[str, Receipt] = field(default_factory=dict)
    progress: dict[tuple[str, str], int] = field(default_factory=dict)
    written: dict[tuple[str, str], str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.sessions = DroppedSessions(self.stores)

    # -- after each change of the journal ----------------------------------------------------------------------

    def after_write(self) -> None:
        """Compare every task with what it was before this change."""
        rows, count, owed = self.journal.read(
            lambda tx: (tx.tasks(TaskFilter()), len(tx.receipts(0, None)), tx.aborts())
        )
        changed: list[tuple[TaskRow, TaskRow]] = []
        for row in rows:
            before = self.rows.get(row.id)
            if before is not None and before != row:
                self._changed(before, row)
                changed.append((before, row))
            self.rows[row.id] = row
        if found := self.sessions.after_write(changed, owed):
            raise BrokenError("left behind", found)
        gone = self.accepted - {row.id for row in rows}
        if gone:
            raise BrokenError("lost", f"accepted tasks are no longer there: {gone}")
        completed = sum(row.state is TaskState.COMPLETED for row in rows)
        if count != completed:
            raise BrokenError("wrongly reported", f"{completed} completed tasks have {count} receipts")

    def _changed(self, before: TaskRow, row: TaskRow) -> None:
        if before.state is not row.state:
            if (before.state, row.state) not in MOVES:
                raise BrokenError("wrongly reported", f"{row.id} went from {before.state} to {row.state}")
            if row.state is TaskState.COMPLETED:
                self._completed(row)
        if before.media.key != row.media.key:
            raise BrokenError("doubled", f"the key of {row.id} changed from {before.media.key} to {row.media.key}")
        if row.epoch < before.epoch:
            raise BrokenError("doubled", f"the epoch of {row.id} went back")
        if row.acknowledged > row.size:
            raise BrokenError("wrongly reported", f"{row.id} has {row.acknowledged} of {row.size} bytes acknowledged")
        if row.attempts > before.attempts and before.suspicion < MOST_SUSPICION and self._is_refused(row):
            raise BrokenError("charged", f"{row.id} pays for an outage of {row.backend}")

    def _is_refused(self, row: TaskRow) -> bool:
        return self.away(row.backend) and row.error is not None and "refused" in row.error.what

    def _completed(self, row: TaskRow) -> None:
        receipt = self.journal.read(lambda tx: tx.receipt(row.id))
        if receipt is None:
            raise BrokenError("wrongly reported", f"{row.id} is completed without a receipt")
        self.receipts[row.id] = receipt
        self._receipt_is_true(row, receipt)

    def _receipt_is_true(self, row: TaskRow, receipt: Receipt) -> None:
        for entry in receipt.artifacts:
            found = self.stores[row.backend].get(entry.key)
            if found is None:
                raise BrokenError("wrongly reported", f"{row.id} has a receipt for {entry.key}, which is not stored")
            if found.sha256 != entry.sha256:
                raise BrokenError(
                    "wrongly reported", f"{entry.key} holds other bytes than the receipt of {row.id} says"
                )
            if entry.sha256 not in self.ever[entry.name]:
                raise BrokenError("wrongly reported", f"{entry.key} is a mixture: {entry.name} never held these bytes")

    # -- at the destination ------------------------------------------------------------------------------------

    def on_call(self, backend: str, method: str, upload: Upload, part: Part | None) -> None:
        """Something reaches a destination."""
        row = self.journal.read(lambda tx: tx.task(upload.task))
        if row is None:
            raise BrokenError("lost", f"{upload.task} is uploaded without being in the journal")
        if method == "abort" and self.sessions.is_still_needed(row, upload):
            raise BrokenError("lost", f"the session of {row.id} is aborted, which goes on with it or may be stored")
        if method not in {"send", "commit"} or row.nonce != upload.nonce or self.stolen:
            return  # an owner that lost its lease may not know it yet
        if row.token is None:
            raise BrokenError("sent again", f"bytes of {row.id} are sent before its session is in the journal")
        if method == "commit" and not row.committing:
            raise BrokenError("doubled", f"{row.id} is committed without the intent in the journal")
        says_what_it_holds = row.abilities is not None and row.abilities.resume is not ResumeMode.NONE
        if method == "send" and part is not None and says_what_it_holds:
            self._is_new(backend, upload, part)

    def _is_new(self, backend: str, upload: Upload, part: Part) -> None:
        known = self.journal.read(lambda tx: list(tx.parts(upload.task)))
        if not any(
            (row.artifact, row.number, row.offset) == (part.artifact, part.number, part.offset) for row in known
        ):
            return
        sessions = self.stores[backend].sessions.values()
        for session in sessions:
            if session.id == f"{upload.item_id[:16]}-{upload.nonce}":
                received = session.artifacts[part.artifact]
                if part.number in received.pieces or part.offset + part.size <= received.prefix:
                    raise BrokenError("sent again", f"part {part.number} of {upload.task} was acknowledged and is held")

    def on_store(self, backend: str, key: str, old: Any, new_sha256: str) -> None:
        """An object is about to be put in place."""
        if old is not None and old.sha256 != new_sha256:
            raise BrokenError("doubled", f"{key} at {backend} is overwritten with other bytes")

    def on_progress(self, told: Sequence[Event]) -> None:
        """Progress as listeners would get it."""
        for event in told:
            sent, acknowledged, total = (getattr(event, name, 0) for name in ("sent", "acknowledged", "total"))
            if event.kind != "upload_progress":
                continue
            if acknowledged > min(sent, total):
                raise BrokenError("wrongly reported", f"progress shows {acknowledged} acknowledged of {sent} sent")

    # -- at the disk -------------------------------------------------------------------------------------------

    def on_remove(self, path: str, content: bytes) -> None:
        """A source is about to be deleted: its bytes must be stored, and the receipt written."""
        if "secret.key" in path or "/owners/" in path:
            return
        wanted = digest(content)
        proven = [
            receipt
            for receipt in self.journal.read(lambda tx: list(tx.receipts(0, None)))
            if any(self._lies_there(receipt.backend, entry, wanted) for entry in receipt.artifacts)
        ]
        if not proven:
            raise BrokenError("deleted without proof", f"{path} goes, and no receipt speaks of its content")
        self._is_proven_everywhere(path, {receipt.task for receipt in proven})

    def _lies_there(self, backend: str, entry: ReceiptEntry, wanted: str) -> bool:
        found = self.stores[backend].get(entry.key)
        return entry.sha256 == wanted and found is not None and found.sha256 == wanted

    def _is_proven_everywhere(self, path: str, tasks: set[str]) -> None:
        """Every destination that the file was meant for has it."""
        rows = self.journal.read(lambda tx: [row for row in map(tx.task, tasks) if row is not None])
        name = original_name(os.path.basename(path))  # noqa: PTH119  plain text in, plain text out
        of_it = [row for row in rows if row.media.name == name]
        for row in of_it:
            group = self.journal.read(lambda tx, row=row: tx.tasks(TaskFilter(group=row.group)))  # type: ignore[misc]
            missing = {one.backend for one in group} - {one.backend for one in of_it}
            if missing:
                raise BrokenError("deleted without proof", f"{path} goes, and {sorted(missing)} has no proof of it")

    # -- at the end --------------------------------------------------------------------------------------------

    def at_the_end(self, present: Mapping[str, tuple[str, str]], private: Sequence[str]) -> None:
        """Everything has settled, and nothing is wrong any more.

        Args:
            present: What lies in the watched folder: path to item id and SHA-256.
            private: Names in the folder under which something was taken aside.
        """
        self.after_write()
        for row in self.rows.values():
            self._ended_well(row)
        if self.sessions.owed:
            raise BrokenError("stuck", f"sessions are never dropped: {list(self.sessions.owed.values())}")
        self._all_objects_are_ours()
        self._chain_is_whole()
        self._events_are_in_order()
        for path, (item_id, sha256) in present.items():
            self._is_looked_after(path, item_id, sha256)
        if private:
            raise BrokenError("stuck", f"taken aside and left so: {private}")

    def _is_looked_after(self, path: str, item_id: str, sha256: str) -> None:
        """What lies in the folder is stored, or a task says why not."""
        rows = [row for row in self.rows.values() if row.item_id == item_id]
        if not rows:
            known = [(row.id, row.state) for row in self.rows.values() if row.media.path == path]
            raise BrokenError("lost", f"{path} ({sha256[:8]}) was never taken in; its earlier tasks: {known}")
        for row in rows:
            receipt = self.receipts.get(row.id)
            if receipt is not None and receipt.sha256 != sha256:
                raise BrokenError("lost", f"{path} holds {sha256[:8]}, but {row.id} stored {receipt.sha256[:8]}")

    def _ended_well(self, row: TaskRow) -> None:
        if row.state is TaskState.COMPLETED:
            self._receipt_is_true(row, self.receipts[row.id])
            if row.disposal is Disposal.PENDING and not self.waits_for_another(row):
                raise BrokenError("stuck", f"the source of {row.id} is never disposed of")
        elif row.state is TaskState.FAILED:
            if row.error is None or row.error.code not in self.honest_ends:
                raise BrokenError("stuck", f"{row.id} stays failed although nothing is wrong any more: {row.error}")
        elif row.state is not TaskState.CANCELLED:
            raise BrokenError("stuck", f"{row.id} is still {row.state} ({row.error}, {row.not_before})")

    def waits_for_another(self, row: TaskRow) -> bool:
        """Its source also goes to another destination, where it failed."""
        failed = [other for other in self.rows.values() if other.state is TaskState.FAILED]
        return any(other.group == row.group or other.item_id == row.item_id for other in failed)

    def _all_objects_are_ours(self) -> None:
        for name, store in self.stores.items():
            seen: dict[str, str] = {}
            keys = {artifact.key for row in self.rows.values() if row.backend == name for artifact in row.artifacts}
            for entry in store.objects.values():
                if entry.key in self.foreign and not entry.item_id:
                    continue
                if entry.key not in keys:
                    raise BrokenError("doubled", f"{entry.key} at {name} belongs to no task")
                if not entry.key.endswith(".json"):
                    if entry.size and entry.sha256 in seen and entry.sha256 not in self.touched:
                        raise BrokenError("doubled", f"{seen[entry.sha256]} and {entry.key} hold the same recording")
                    seen[entry.sha256] = entry.key

    def _chain_is_whole(self) -> None:
        previous = ""
        for number, receipt in enumerate(self.journal.read(lambda tx: list(tx.receipts(0, None))), 1):
            if receipt.number != number or receipt.chain != chain_hash(self.chain_key(), previous, receipt):
                raise BrokenError("wrongly reported", f"the chain of receipts breaks at number {receipt.number}")
            previous = receipt.chain

    def _events_are_in_order(self) -> None:
        last = 0
        kinds: dict[str, list[str]] = {row_id: [] for row_id in self.rows}
        for event in self.journal.read(lambda tx: list(tx.events(0, 100_000))):
            if event.sequence <= last:
                raise BrokenError("wrongly reported", "the sequence of events does not grow")
            last = event.sequence
            kinds.get(getattr(event, "task", ""), []).append(event.kind)
        for row_id, told in kinds.items():
            completions = told.count("upload_completed")
            if told and (told[0] != "upload_queued" or completions > 1 or "upload_completed" in told[:-1]):
                raise BrokenError("wrongly reported", f"the events of {row_id} are out of order: {told}")
            if completions != (self.rows[row_id].state is TaskState.COMPLETED):
                raise BrokenError("wrongly reported", f"the events of {row_id} do not fit its state: {told}")
