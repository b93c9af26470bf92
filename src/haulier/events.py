"""What listeners are told. Frozen; new members may be added, none is removed without a deprecation.

State events are rows of the journal, written in the transaction of the change they tell of, so ``sequence`` grows and
never repeats. Progress is not journalled and carries sequence 0.
"""

from __future__ import annotations

from dataclasses import dataclass, field, fields
from typing import TYPE_CHECKING, Any, ClassVar

from haulier.models import ErrorRecord, Proof, SuspensionReason

if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Self

__all__ = [
    "EVENT_TYPES",
    "BackendResumed",
    "BackendSuspended",
    "Event",
    "UploadCancelled",
    "UploadCompleted",
    "UploadFailed",
    "UploadProgress",
    "UploadQueued",
    "UploadRetrying",
    "UploadStarted",
    "event_from_dict",
]


@dataclass(frozen=True, kw_only=True)
class Event:
    """Base of all events.

    Attributes:
        sequence: Position in the journal; 0 for progress.
        at: Seconds since the epoch.
        backend: Name of the configured backend.
    """

    kind: ClassVar[str] = "event"
    sequence: int = 0
    at: float = 0.0
    backend: str = ""

    def stamped(self, **members: Any) -> Self:
        """With members that the journal gives it: as by ``dataclasses.replace``, at a fifth of its cost."""
        twin = object.__new__(type(self))
        vars(twin).update(vars(self), **members)
        return twin

    def to_dict(self) -> dict[str, Any]:
        """As JSON members, with ``kind``."""
        members = {"kind": self.kind, **vars(self)}
        error = members.get("error")
        return {**members, "error": error.to_dict()} if isinstance(error, ErrorRecord) else members


@dataclass(frozen=True, kw_only=True)
class _UploadEvent(Event):
    task: str = ""
    filename: str = ""


@dataclass(frozen=True, kw_only=True)
class UploadQueued(_UploadEvent):
    """A task is on disk and waits for a worker."""

    kind: ClassVar[str] = "upload_queued"
    size: int = 0


@dataclass(frozen=True, kw_only=True)
class UploadStarted(_UploadEvent):
    """A worker took the task. ``attempt`` counts charged attempts so far plus one."""

    kind: ClassVar[str] = "upload_started"
    attempt: int = 1


@dataclass(frozen=True, kw_only=True)
class UploadProgress(_UploadEvent):
    """Bytes moved. ``sent`` left this process, ``acknowledged`` the destination says it has; both of ``total``.

    ``restarted`` is true on the first event after a start-over, the only time the counts go down.
    """

    kind: ClassVar[str] = "upload_progress"
    sent: int = 0
    acknowledged: int = 0
    total: int = 0
    restarted: bool = False


@dataclass(frozen=True, kw_only=True)
class UploadRetrying(_UploadEvent):
    """A try failed in a way that may pass; the next is not before ``next_at`` (seconds since the epoch)."""

    kind: ClassVar[str] = "upload_retrying"
    error: ErrorRecord = field(default_factory=lambda: ErrorRecord("error", ""))
    next_at: float = 0.0
    attempt: int = 0


@dataclass(frozen=True, kw_only=True)
class UploadCompleted(_UploadEvent):
    """Stored, proven as far as ``proof`` says, receipt on disk."""

    kind: ClassVar[str] = "upload_completed"
    key: str = ""
    location: str = ""
    size: int = 0
    sha256: str = ""
    proof: Proof = Proof.ACKNOWLEDGED


@dataclass(frozen=True, kw_only=True)
class UploadFailed(_UploadEvent):
    """Given up for now; the source is kept. ``next_at`` is set when the slow lane will try again."""

    kind: ClassVar[str] = "upload_failed"
    error: ErrorRecord = field(default_factory=lambda: ErrorRecord("error", ""))
    next_at: float | None = None


@dataclass(frozen=True, kw_only=True)
class UploadCancelled(_UploadEvent):
    """Cancelled; the source is kept."""

    kind: ClassVar[str] = "upload_cancelled"


@dataclass(frozen=True, kw_only=True)
class BackendSuspended(Event):
    """A whole backend waits; no task of it is charged."""

    kind: ClassVar[str] = "backend_suspended"
    reason: SuspensionReason = SuspensionReason.UNREACHABLE
    error: ErrorRecord = field(default_factory=lambda: ErrorRecord("error", ""))
    probe_at: float = 0.0


@dataclass(frozen=True, kw_only=True)
class BackendResumed(Event):
    """A suspension ended."""

    kind: ClassVar[str] = "backend_resumed"


EVENT_TYPES: Mapping[str, type[Event]] = {
    cls.kind: cls
    for cls in (
        UploadQueued,
        UploadStarted,
        UploadProgress,
        UploadRetrying,
        UploadCompleted,
        UploadFailed,
        UploadCancelled,
        BackendSuspended,
        BackendResumed,
    )
}
"""Every kind of event by the name of its hook."""


def event_from_dict(data: Mapping[str, Any]) -> Event:
    """The inverse of :meth:`Event.to_dict`; members this version does not know are dropped."""
    cls = EVENT_TYPES[data["kind"]]
    members = {member.name for member in fields(cls)}
    known = {name: value for name, value in data.items() if name in members}
    if "error" in known:
        known["error"] = ErrorRecord(**known["error"])
    if "proof" in known:
        known["proof"] = Proof(known["proof"])
    if "reason" in known:
        known["reason"] = SuspensionReason(known["reason"])
    return cls(**known)
