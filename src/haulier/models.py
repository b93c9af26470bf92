"""The data that everything else speaks in: frozen, without behaviour that needs the outside world."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

    from haulier.errors import HaulierError

__all__ = [
    "ArtifactRecord",
    "BackendStatus",
    "Comparison",
    "Disposal",
    "ErrorRecord",
    "Group",
    "GroupMember",
    "Identity",
    "ManagerStatus",
    "Proof",
    "Receipt",
    "ReceiptEntry",
    "Role",
    "SuspensionReason",
    "Task",
    "TaskState",
    "Verdict",
]


class TaskState(StrEnum):
    """Where a task stands. The legal moves are the table in :mod:`haulier.transfer.states`."""

    QUEUED = "queued"  #: accepted, waits for a worker
    UPLOADING = "uploading"  #: a worker holds its lease
    RETRYING = "retrying"  #: waits for its time after a failure that may pass
    PAUSED = "paused"  #: waits for an operator
    COMPLETED = "completed"  #: stored, proven, receipt written
    FAILED = "failed"  #: needs somebody, or waits in the slow lane; the source is kept
    CANCELLED = "cancelled"  #: given up by an operator; the source is kept

    @property
    def settled(self) -> bool:
        """Whether the task has ended: completed, failed or cancelled."""
        return self in {TaskState.COMPLETED, TaskState.FAILED, TaskState.CANCELLED}


class Disposal(StrEnum):
    """What became of the source after completion: an obligation of its own."""

    KEPT = "kept"
    PENDING = "pending"
    REMOVED = "removed"
    KEPT_CHANGED = "kept: changed"


class Role(StrEnum):
    """What an artifact is within its task."""

    MEDIA = "media"
    SIDECAR = "sidecar"


class Proof(StrEnum):
    """How strongly a receipt shows that the bytes arrived, weakest first."""

    ACKNOWLEDGED = "acknowledged"  #: a success answer and no more
    SIZE = "size"  #: the destination reports the size that we read
    CONTENT = "content"  #: a digest made by the destination, or read back by us, equals what we read

    @property
    def strength(self) -> int:
        """0 for acknowledged, 1 for size, 2 for content."""
        return list(Proof).index(self)


class SuspensionReason(StrEnum):
    """Why a whole backend waits."""

    UNREACHABLE = "unreachable"  #: cannot connect, DNS, TLS
    FAILING = "failing"  #: two different items failed in a row
    CREDENTIALS = "credentials"  #: 401


@dataclass(frozen=True, slots=True)
class Identity:
    """What a task is about. New content at the same path is a new identity.

    Attributes:
        source_id: This installation.
        path: Canonical absolute path.
        size: Bytes.
        mtime_ns: Modification time in nanoseconds since the epoch.
        file_id: Device and inode (or volume and file index), where the volume keeps them; else empty.
    """

    source_id: str
    path: str
    size: int
    mtime_ns: int
    file_id: str = ""

    @property
    def item_id(self) -> str:
        """SHA-256 over all five members, 64 hexadecimal digits."""
        text = "\0".join((self.source_id, self.path, str(self.size), str(self.mtime_ns), self.file_id))
        return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


@dataclass(frozen=True, slots=True)
class ArtifactRecord:
    """One file of a task as the journal keeps it.

    Attributes:
        index: Position within the task; the media file is 0.
        role: Media or sidecar.
        name: File name without folders.
        path: Canonical path of the source, or empty when the content lives in the journal alone.
        size: Bytes.
        mtime_ns: Modification time at submit, nanoseconds since the epoch.
        file_id: See :class:`Identity`.
        key: The object's key, fixed at submit.
        content_type: Media type.
        content: Copy of a sidecar's bytes (at most 1 MiB), None for media.
    """

    index: int
    role: Role
    name: str
    path: str
    size: int
    mtime_ns: int
    file_id: str
    key: str
    content_type: str
    content: bytes | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True)
class ErrorRecord:
    """A journalled error: the members of :class:`haulier.errors.HaulierError` and when it happened."""

    code: str
    what: str
    where: str = ""
    advice: str = ""
    at: float = 0.0

    def to_dict(self) -> dict[str, Any]:
        """As JSON members."""
        return {"code": self.code, "what": self.what, "where": self.where, "advice": self.advice, "at": self.at}


@dataclass(frozen=True, slots=True)
class ReceiptEntry:
    """The proof for one artifact.

    Attributes:
        role: Media or sidecar.
        name: File name without folders.
        key: The object's key at the destination.
        location: Where it lies, without query or credentials.
        size: Bytes, as read and sent.
        sha256: Digest of the bytes that were read and sent, hexadecimal.
        proof: What was shown about this artifact.
        version: Version or generation at the destination, else empty.
        digests: Digests the destination computed, by algorithm name.
    """

    role: Role
    name: str
    key: str
    location: str
    size: int
    sha256: str
    proof: Proof
    version: str = ""
    digests: Mapping[str, str] = field(default_factory=dict)

    def to_dict(self) -> dict[str, Any]:
        """As JSON members."""
        return {
            "role": str(self.role),
            "name": self.name,
            "key": self.key,
            "location": self.location,
            "size": self.size,
            "sha256": self.sha256,
            "proof": str(self.proof),
            "version": self.version,
            "digests": dict(self.digests),
        }

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> ReceiptEntry:
        """The inverse of :meth:`to_dict`."""
        return cls(**{**data, "role": Role(data["role"]), "proof": Proof(data["proof"])})


@dataclass(frozen=True, slots=True)
class Receipt:
    """The proof that one task arrived. Written before the task is called completed.

    Attributes:
        task: Task id.
        item_id: Identity of the item, see :class:`Identity`.
        backend: Name of the configured backend.
        backend_type: Its type.
        source: Canonical path the media file was read from.
        artifacts: One entry per artifact, media first.
        completed_at: Seconds since the epoch.
        number: Position in the chain of this journal, from 1; 0 before it is written.
        chain: Keyed hash over this receipt and its predecessor's, hexadecimal; empty before it is written.
    """

    task: str
    item_id: str
    backend: str
    backend_type: str
    source: str
    artifacts: tuple[ReceiptEntry, ...]
    completed_at: float
    number: int = 0
    chain: str = ""

    @property
    def media(self) -> ReceiptEntry:
        """The media file's entry."""
        return self.artifacts[0]

    @property
    def key(self) -> str:
        """The media file's key."""
        return self.media.key

    @property
    def location(self) -> str:
        """The media file's location."""
        return self.media.location

    @property
    def size(self) -> int:
        """The media file's size in bytes."""
        return self.media.size

    @property
    def sha256(self) -> str:
        """The media file's digest."""
        return self.media.sha256

    @property
    def proof(self) -> Proof:
        """The weakest proof among the artifacts: a receipt claims no more than it can show for all of them."""
        return min((entry.proof for entry in self.artifacts), key=lambda proof: proof.strength)

    def to_dict(self) -> dict[str, Any]:
        """As JSON members."""
        return {
            "task": self.task,
            "item_id": self.item_id,
            "backend": self.backend,
            "backend_type": self.backend_type,
            "source": self.source,
            "key": self.key,
            "location": self.location,
            "size": self.size,
            "sha256": self.sha256,
            "proof": str(self.proof),
            "artifacts": [entry.to_dict() for entry in self.artifacts],
            "completed_at": self.completed_at,
            "number": self.number,
            "chain": self.chain,
        }

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Receipt:
        """The inverse of :meth:`to_dict`."""
        return cls(
            task=data["task"],
            item_id=data["item_id"],
            backend=data["backend"],
            backend_type=data["backend_type"],
            source=data["source"],
            artifacts=tuple(ReceiptEntry.from_dict(entry) for entry in data["artifacts"]),
            completed_at=data["completed_at"],
            number=data["number"],
            chain=data["chain"],
        )


@dataclass(frozen=True, slots=True)
class Task:
    """A frozen snapshot of a task: what hosts get to see.

    Attributes:
        id: Begins with ``upload_``.
        state: See :class:`TaskState`.
        backend: Name of the configured backend.
        item_id: See :class:`Identity`.
        group: Links the tasks of one submit to several backends.
        path: Canonical path of the media file.
        sidecar: Canonical path of the sidecar, or None.
        key: The media file's key.
        size: Bytes of all artifacts together.
        acknowledged: Bytes the destination has acknowledged of them.
        attempts: Attempts charged so far.
        created_at: Seconds since the epoch; so are the other times.
        updated_at: When the state last changed.
        not_before: When it may be tried next; None when it need not wait.
        error: The last error, or None.
        disposal: What became of the source.
    """

    id: str
    state: TaskState
    backend: str
    item_id: str
    group: str
    path: str
    sidecar: str | None
    key: str
    size: int
    acknowledged: int
    attempts: int
    created_at: float
    updated_at: float
    not_before: float | None = None
    error: ErrorRecord | None = None
    disposal: Disposal = Disposal.KEPT

    @property
    def progress(self) -> int:
        """Acknowledged bytes in whole percent: 100 only when completed, never early."""
        if self.state is TaskState.COMPLETED:
            return 100
        return min(99, self.acknowledged * 100 // self.size) if self.size else 0


@dataclass(frozen=True, slots=True)
class GroupMember:
    """How one destination of a file stands.

    Attributes:
        backend: Name of the configured backend.
        task: Id of the task that brings the file there.
        state: See :class:`TaskState`.
        proof: What its receipt shows; None without one.
        location: Where the media file lies there, without query or credentials; None without a receipt.
        hold: Why the source may not go on account of this destination, in words; empty when it may.
    """

    backend: str
    task: str
    state: TaskState
    proof: Proof | None = None
    location: str | None = None
    hold: str = ""


@dataclass(frozen=True, slots=True)
class Group:
    """One file on its way to one or several destinations, and whether its source may go.

    Attributes:
        id: What its tasks have in common, see :class:`Task`.
        path: Canonical path of the media file.
        members: One per destination, in order of submission.
        disposal: What became of the source.
    """

    id: str
    path: str
    members: tuple[GroupMember, ...]
    disposal: Disposal = Disposal.KEPT

    @property
    def may_go(self) -> bool:
        """Whether every destination has enough proof of it. It goes only where ``delete_after_upload`` is set."""
        return not any(member.hold for member in self.members)


class Verdict(StrEnum):
    """What a destination's answer shows about an artifact of a receipt."""

    SAME = "same"
    DIFFERS = "differs"
    MISSING = "missing"
    CANNOT_TELL = "cannot tell"


@dataclass(frozen=True, slots=True)
class Comparison:
    """One artifact of a receipt compared with what lies at its destination.

    Attributes:
        receipt: Its receipt.
        entry: Its entry in it.
        verdict: What was shown.
        by: What was compared: ``content``, ``size`` or nothing.
        remark: Why, where that is not plain.
        error: Why the destination could not be asked, or None.
    """

    receipt: Receipt
    entry: ReceiptEntry
    verdict: Verdict
    by: str = ""
    remark: str = ""
    error: HaulierError | None = None

    def to_dict(self) -> dict[str, Any]:
        """As JSON members."""
        return {
            "task": self.receipt.task,
            "backend": self.receipt.backend,
            "role": str(self.entry.role),
            "key": self.entry.key,
            "location": self.entry.location,
            "verdict": str(self.verdict),
            "by": self.by or None,
            "remark": self.remark,
            "error": {"code": self.error.code, "message": self.error.what} if self.error else None,
        }


@dataclass(frozen=True, slots=True)
class BackendStatus:
    """How a backend stands.

    Attributes:
        name: Its configured name.
        type: Its type.
        suspended: Why it waits, or None.
        since: When the suspension began, seconds since the epoch.
        probe_at: When it is asked next.
        error: What led to the suspension.
        aborts_owed: Upload sessions that nobody goes on with and that it is still to drop.
    """

    name: str
    type: str = ""
    suspended: SuspensionReason | None = None
    since: float | None = None
    probe_at: float | None = None
    error: ErrorRecord | None = None
    aborts_owed: int = 0


@dataclass(frozen=True, slots=True)
class ManagerStatus:
    """A summary whose cost does not depend on the number of tasks.

    Attributes:
        counts: Tasks by state; every state is present.
        backends: One entry per backend that is configured or known to the journal.
        running: Whether workers run in this process.
        journal_error: Why the journal cannot be written just now, or None.
        problems: What discovery could not take, by path, with the reason.
    """

    counts: Mapping[TaskState, int]
    backends: tuple[BackendStatus, ...]
    running: bool = False
    journal_error: str | None = None
    problems: Mapping[str, str] = field(default_factory=dict)
