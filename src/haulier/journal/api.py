"""The journal contract: rows, and a transaction that reads and writes them.

The journal knows no rules. What may happen to a task is decided in :mod:`haulier.transfer`; a journal makes a group of
row changes happen at once or not at all, and keeps them. Implementations must agree in everything a caller can see: the
conformance suite in the tests runs against each of them.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol, TypeVar

from haulier.models import Disposal, Task, TaskState

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence
    from pathlib import Path

    from haulier.backends.api import Abilities
    from haulier.events import Event
    from haulier.models import ArtifactRecord, ErrorRecord, Identity, Receipt, SuspensionReason

__all__ = [
    "AbortRow",
    "BackendRow",
    "ClaimRow",
    "Flying",
    "ItemKey",
    "ItemState",
    "Journal",
    "OwnerRow",
    "PartRow",
    "SealedToken",
    "TaskFilter",
    "TaskRow",
    "Transaction",
    "item_of",
]

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class SealedToken:
    """A resume token as it is journalled: ``secret`` is ciphertext or empty, never clear text."""

    public: Mapping[str, Any]
    secret: bytes = b""
    expires_at: float | None = None


@dataclass(frozen=True, slots=True)
class TaskRow:
    """One task as the journal keeps it. Times are wall seconds since the epoch, sizes bytes.

    Attributes:
        id: Begins with ``upload_``.
        state: Where it stands.
        backend: Name of the configured backend.
        identity: What it is about; ``item_id`` is unique per backend.
        group: Links the tasks of one submit.
        artifacts: Media first.
        metadata: JSON object given at submit.
        created_at: When it was submitted.
        updated_at: When the state last changed.
        sequence: Order of submission.
        nonce: New at each start-over.
        token: The upload session's resume token, None without a session.
        abilities: What the session can do.
        part_size: Size of its parts; 0 without a session.
        committing: Whether a commit may have reached the destination.
        digests: With ``committing``, the digests of what was sent, by artifact index and hashlib name: what the
            destination holds is compared with these, whatever became of the source since.
        attempts: Charged attempts since new bytes were last acknowledged.
        suspicion: Suspensions in whose moment it was in flight; such a task goes last and alone.
        restarts: Start-overs because the source changed.
        not_before: When it may be claimed; None at once.
        slow_lane: Whether a failed task is tried again, hourly and after each recovery.
        acknowledged: Bytes the destination acknowledged in the present session.
        high_water: Most bytes ever acknowledged; only going beyond them counts as progress.
        error: The last error.
        disposal: What became of the source.
        disposal_path: Private name the source was renamed to before deletion, else empty.
        delete_source: Whether the source is to be removed after completion.
        request: ``cancel`` or ``pause`` asked of a running task, else empty.
        owner: Who holds the lease, else empty.
        epoch: Counts claims; writes of an older epoch are refused.
    """

    id: str
    state: TaskState
    backend: str
    identity: Identity
    group: str
    artifacts: tuple[ArtifactRecord, ...]
    metadata: Mapping[str, Any]
    created_at: float
    updated_at: float
    sequence: int = 0
    nonce: str = ""
    token: SealedToken | None = None
    abilities: Abilities | None = None
    part_size: int = 0
    committing: bool = False
    digests: Mapping[int, Mapping[str, str]] = field(default_factory=dict)
    attempts: int = 0
    suspicion: int = 0
    restarts: int = 0
    not_before: float | None = None
    slow_lane: bool = False
    acknowledged: int = 0
    high_water: int = 0
    error: ErrorRecord | None = None
    disposal: Disposal = Disposal.KEPT
    disposal_path: str = ""
    delete_source: bool = False
    request: str = ""
    owner: str = ""
    epoch: int = 0

    @property
    def item_id(self) -> str:
        """See :class:`haulier.models.Identity`."""
        return self.identity.item_id

    @property
    def item(self) -> ItemKey:
        """What it is about, as :meth:`Transaction.find_item` is asked."""
        return item_of(self.identity)

    @property
    def media(self) -> ArtifactRecord:
        """The media file."""
        return self.artifacts[0]

    @property
    def sidecar_path(self) -> str:
        """Canonical path of the sidecar, empty when there is none."""
        return self.artifacts[1].path if len(self.artifacts) > 1 else ""

    @property
    def size(self) -> int:
        """Bytes of all artifacts."""
        return sum(artifact.size for artifact in self.artifacts)

    def snapshot(self) -> Task:
        """What hosts get to see."""
        return Task(
            id=self.id,
            state=self.state,
            backend=self.backend,
            item_id=self.item_id,
            group=self.group,
            path=self.media.path,
            sidecar=self.sidecar_path or None,
            key=self.media.key,
            size=self.size,
            acknowledged=self.acknowledged,
            attempts=self.attempts,
            created_at=self.created_at,
            updated_at=self.updated_at,
            not_before=self.not_before,
            error=self.error,
            disposal=self.disposal,
        )


def item_of(identity: Identity) -> ItemKey:
    """What the tasks of an item are found by."""
    return ItemKey(identity.mtime_ns, identity.item_id)


@dataclass(frozen=True, slots=True)
class PartRow:
    """An acknowledged range: a SHA-256 as read here, its tag at the destination.

    ``prefix``: ``sha256`` is that of all of the artifact from its first byte to the end of the range, which comes
    free of charge where the artifact is read in order; else of the range alone.
    """

    artifact: int
    number: int
    offset: int
    size: int
    sha256: str
    etag: str = ""
    prefix: bool = False


@dataclass(frozen=True, slots=True)
class AbortRow:
    """An upload session that nobody goes on with, and that its destination is still to drop.

    It holds all that takes: its task may be about another content by then, or be gone.

    Attributes:
        backend: Name of the configured backend.
        task: Id of the task whose session it was.
        item_id: What that task was about.
        nonce: That of the session; no other session has it.
        artifacts: As they were uploaded.
        metadata: As given at submit.
        recorded_at: Modification time of the media file, seconds since the epoch.
        token: The session's resume token.
        owed_at: Since when.
        not_before: When it may be tried.
        tries: How often it was.
        owner: Which manager tries it now, else empty.
        error: How the last try failed.
        sequence: Tells it from the others; 0 before it is in the journal.
    """

    backend: str
    task: str
    item_id: str
    nonce: str
    artifacts: tuple[ArtifactRecord, ...]
    metadata: Mapping[str, Any]
    recorded_at: float
    token: SealedToken
    owed_at: float
    not_before: float
    tries: int = 0
    owner: str = ""
    error: ErrorRecord | None = None
    sequence: int = 0


@dataclass(frozen=True, slots=True)
class BackendRow:
    """How a backend stands.

    Attributes:
        name: Its configured name.
        suspended: Why it waits, or None.
        since: When the suspension began.
        probe_at: When it is asked next.
        interval: Seconds between the present probes.
        error: What led to the suspension.
        fingerprint: Keyed hash of the options at suspension; other options end a suspension for credentials.
        failing: Tasks that failed in a row with no success between, oldest first.
        trial: Whether a suspension ended and nothing succeeded since: other items go first.
    """

    name: str
    suspended: SuspensionReason | None = None
    since: float | None = None
    probe_at: float | None = None
    interval: float = 0.0
    error: ErrorRecord | None = None
    fingerprint: str = ""
    failing: tuple[str, ...] = ()
    trial: bool = False


@dataclass(frozen=True, slots=True)
class ClaimRow:
    """The members of a :class:`TaskRow` that say who works on it and how far that is."""

    state: TaskState
    owner: str
    epoch: int
    nonce: str
    high_water: int


class ItemKey(NamedTuple):
    """What the task of an item is found by: its file's time, by which the journal keeps them in order, and its id."""

    mtime_ns: int
    item_id: str


class ItemState(NamedTuple):
    """How the task of an item stands, and the code of its last error, empty without one."""

    state: TaskState
    error: str


@dataclass(frozen=True, slots=True)
class Flying:
    """The tasks of a backend that are leased: how many, and the greatest suspicion among them."""

    count: int = 0
    suspicion: int = 0


@dataclass(frozen=True, slots=True)
class OwnerRow:
    """A manager that holds leases; it is dead when nobody holds its lock file."""

    id: str
    lock_path: str
    started_at: float


@dataclass(frozen=True, slots=True)
class TaskFilter:
    """Which tasks to list, in order of submission.

    Attributes:
        states: Any of these; empty for all.
        backend: Of this backend; empty for all.
        after: Only with a greater sequence; for paging.
        limit: At most so many; None for all.
        disposal: Only with this disposal.
        group: Only of this group.
        item: Only of this item.
        waiting: Only those that wait for a time.
        newest_first: Reverse order (``after`` then means a lesser sequence, 0 from the end).
    """

    states: frozenset[TaskState] = field(default_factory=frozenset)
    backend: str = ""
    after: int = 0
    limit: int | None = None
    disposal: Disposal | None = None
    group: str = ""
    item: ItemKey | None = None
    waiting: bool = False
    newest_first: bool = False


class Transaction(Protocol):
    """Reads and writes of one transaction. Used by one thread, and not after the function it was given to returns.

    Whole numbers lie within 64 bits. Text may be any ``str``, with the surrogates of undecodable file names.

    A method that writes raises :class:`~haulier.errors.JournalError`, having changed nothing, when the row cannot be:
    the task's id or (item id, backend) is taken, so is the receipt's task or number, an update, a part or an attempt
    names a task that is not there, or the transaction was given to a query.
    """

    # tasks
    def insert_task(self, row: TaskRow) -> TaskRow:
        """Add a task; the result carries its sequence. (item id, backend) must be free."""

    def insert_tasks(self, new: Sequence[TaskRow]) -> Sequence[int]:
        """Add tasks as :meth:`insert_task` does, at the cost of few; their sequences. One is refused: none is added."""

    def task(self, task_id: str) -> TaskRow | None: ...

    def find_item(self, item: ItemKey, backend: str) -> TaskRow | None:
        """The task of this item, its identity outliving its cleanup."""

    def find_items(self, items: Iterable[ItemKey], backend: str) -> Mapping[str, TaskRow]:
        """The tasks of these items by item id, those without one left out."""

    def item_states(self, items: Iterable[ItemKey], backend: str) -> Mapping[str, ItemState]:
        """As :meth:`find_items`, without all that the rows hold beside."""

    def claim_of(self, task_id: str) -> ClaimRow | None:
        """Who works on a task, without all that the row holds beside."""

    def update_task(self, task_id: str, **changes: Any) -> None:
        """Change members of a row; ``identity`` and ``artifacts`` may be among them, ``id`` and ``sequence`` not.

        Raises:
            TypeError: Something else is named.
        """

    def delete_task(self, task_id: str) -> None:
        """Forget the row and its parts; the item's receipt stays."""

    def tasks(self, query: TaskFilter) -> Sequence[TaskRow]: ...

    def ready(self, backend: str, now: float, limit: int) -> Sequence[TaskRow]:
        """Claimable tasks of a backend, best first.

        Order: least suspected first; then retries that are due, the queued, the slow lane. The queued go by the media
        file's modification time, or their submission's where that was earlier; the others by ``not_before``. What is
        equal goes by submission.
        """

    def next_time(self, backends: Iterable[str]) -> float | None:
        """The earliest ``not_before`` among queued, retrying and slow-lane tasks of these backends, even if past."""

    def flying(self, backend: str) -> Flying:
        """The tasks of a backend that are leased now."""

    def sidecar_users(self, path: str) -> Sequence[TaskRow]:
        """Tasks that name this sidecar path, in order of submission, whatever their state."""

    def wake_slow_lane(self, backend: str, now: float) -> None:
        """Make the failed tasks of a backend's slow lane due."""

    def counts(self) -> Mapping[TaskState, int]:
        """Tasks by state, every state present; costs the same for any number of tasks."""

    # parts
    def parts(self, task_id: str) -> Sequence[PartRow]:
        """Acknowledged ranges, by artifact and offset."""

    def put_parts(self, task_id: str, rows: Iterable[PartRow]) -> None:
        """Add ranges; one of the same artifact and offset is replaced."""

    def clear_parts(self, task_id: str) -> None: ...

    # attempts
    def add_attempt(self, task_id: str, epoch: int, owner: str, started_at: float) -> None: ...

    def end_attempt(
        self, task_id: str, epoch: int, ended_at: float, outcome: str, error: ErrorRecord | None
    ) -> None: ...

    # events and receipts
    def add_event(self, event: Event) -> Event:
        """Append; the result carries its sequence."""

    def add_events(self, events: Iterable[Event]) -> Sequence[Event]:
        """Append several in this order."""

    def events(self, since: int, limit: int) -> Sequence[Event]:
        """Events with a greater sequence, oldest first."""

    def last_receipt(self) -> Receipt | None:
        """The head of the chain."""

    def chain_head(self) -> tuple[int, str]:
        """Number and chain hash of the last receipt; 0 and empty without any."""

    def add_receipt(self, receipt: Receipt) -> None: ...

    def receipt(self, task_id: str) -> Receipt | None: ...

    def receipts(self, after: int, limit: int | None) -> Sequence[Receipt]:
        """Receipts with a greater number, oldest first."""

    def receipts_named(self, name: str) -> Sequence[Receipt]:
        """Receipts whose media file has this name, oldest first; costs the same for any number of others."""

    def receipts_with(self, text: str) -> Sequence[Receipt]:
        """Receipts one of whose texts may hold this one, oldest first: a look at all. The caller looks closer."""

    # owed aborts
    def put_abort(self, row: AbortRow) -> AbortRow:
        """Add one (``sequence`` 0; the result carries it), or change one; one that is gone meanwhile stays gone."""

    def aborts(self, backend: str = "", *, due: float | None = None, limit: int | None = None) -> Sequence[AbortRow]:
        """Owed aborts, those that may be tried first before the others.

        Args:
            backend: Of this backend; empty for all.
            due: Only those that nobody tries now and that may be tried at this time.
            limit: At most so many; None for all.
        """

    def abort_counts(self) -> Mapping[str, int]:
        """How many are owed, by backend; backends without any are left out."""

    def delete_abort(self, sequence: int) -> None: ...

    # backends and owners
    def backend(self, name: str) -> BackendRow:
        """The row, or a fresh one."""

    def backends(self) -> Sequence[BackendRow]: ...

    def put_backend(self, row: BackendRow) -> None: ...

    def owners(self) -> Sequence[OwnerRow]: ...

    def put_owner(self, row: OwnerRow) -> None: ...

    def delete_owner(self, owner_id: str) -> None: ...

    def meta(self, name: str) -> str | None: ...

    def put_meta(self, name: str, value: str) -> None: ...


class Journal(Protocol):
    """The durable record. Thread-safe."""

    def write(
        self,
        change: Callable[[Transaction], T],
        *,
        durable: bool = True,
        then: Callable[[T], None] | None = None,
    ) -> T:
        """Run ``change`` in a transaction of its own or share one with other threads' changes.

        ``change`` works with the transaction it is given alone: it uses this journal in no other way.

        ``then`` is called with the result once the change stands, in the order of the changes of this process, before
        any later change begins; it must neither raise nor block.

        Whatever it raises undoes its own writes alone and is raised here. When this returns and ``durable`` is true the
        change survives a power cut; else it survives a kill of the process.

        Raises:
            JournalUnavailableError: It cannot be written now.
            JournalDamagedError: Its bytes are not a sound database.
        """

    def read(self, query: Callable[[Transaction], T]) -> T:
        """Run ``query`` against one consistent state. It must not write."""

    def check(self) -> Sequence[str]:
        """Look at every page; the findings, none when all is sound."""

    def backup(self, target: Path) -> None:
        """Write a consistent copy while work goes on, never over another file.

        Raises:
            JournalError: The copy cannot be written.
            UnsupportedError: This journal is not kept in a file.
        """

    def close(self) -> None:
        """Release everything. No call follows."""
