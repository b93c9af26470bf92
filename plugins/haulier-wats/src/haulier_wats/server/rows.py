"""What the database holds, as values."""

from __future__ import annotations

import json
from dataclasses import dataclass, fields
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any

__all__ = ["KINDS", "FileState", "Kind", "Recording", "Session", "SessionFile", "SessionStatus", "columns", "rfc3339"]


class Kind(StrEnum):
    """Which file of a recording."""

    VIDEO = "video"
    METADATA = "metadata"


KINDS = tuple(Kind)


class SessionStatus(StrEnum):
    """How an upload session stands."""

    OPEN = "open"
    COMPLETED = "completed"
    EXPIRED = "expired"
    CANCELLED = "cancelled"


class FileState(StrEnum):
    """How a file of a session stands."""

    OPEN = "open"
    COMPLETE = "complete"
    CANCELLED = "cancelled"


@dataclass(frozen=True, slots=True)
class Session:
    """An upload session. Times are seconds since the epoch; ``connection_info`` and ``details`` are JSON texts.

    ``recording_session`` is the recording session's id as the client gave it; ``file_id`` names the recording once the
    session is completed.
    """

    sid: str
    recording_session: str
    item_id: str | None
    status: SessionStatus
    connection_info: str
    details: str
    resumable: bool
    created_at: float
    expires_at: float
    fingerprint: str
    file_id: str | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "status", SessionStatus(self.status))
        object.__setattr__(self, "resumable", bool(self.resumable))


@dataclass(frozen=True, slots=True)
class SessionFile:
    """A file of a session: ``size`` bytes were declared (None: nothing was), ``held`` bytes are acknowledged."""

    sid: str
    kind: Kind
    file_id: str
    name: str
    content_type: str
    size: int | None
    copy: str
    held: int = 0
    state: FileState = FileState.OPEN

    def __post_init__(self) -> None:
        object.__setattr__(self, "kind", Kind(self.kind))
        object.__setattr__(self, "state", FileState(self.state))

    @property
    def complete(self) -> bool:
        """Whether all of it is here and it is closed."""
        return self.state is FileState.COMPLETE


@dataclass(frozen=True, slots=True)
class Recording:
    """A stored recording. Sizes are bytes, digests hexadecimal, names the client's; ``stored_…`` ones the disk's."""

    file_id: str
    sid: str
    recording_session: str
    item_id: str | None
    connection_info: str
    folder: str
    name: str
    stored_name: str
    content_type: str
    size: int
    sha256: str
    metadata_name: str | None
    metadata_stored_name: str | None
    metadata_size: int | None
    metadata_sha256: str | None
    created_at: float

    def same_content(self, other: Recording) -> bool:
        """Whether both files of the other one are equal to these."""
        return (self.size, self.sha256, self.metadata_size, self.metadata_sha256) == (
            other.size,
            other.sha256,
            other.metadata_size,
            other.metadata_sha256,
        )

    def stands_in_way_of(self, other: Recording) -> bool:
        """Whether only one of the two can be stored: they are of one session or one item."""
        return self.sid == other.sid or (self.item_id is not None and self.item_id == other.item_id)

    def metadata_json(self) -> dict[str, Any] | None:
        """The metadata file as answers describe it."""
        if self.metadata_name is None:
            return None
        return {"name": self.metadata_name, "size": self.metadata_size, "sha256": self.metadata_sha256}

    def to_json(self) -> dict[str, Any]:
        """The entry of a listing."""
        return {
            "file_id": self.file_id,
            "session_id": self.recording_session,
            "file_name": self.name,
            "size": self.size,
            "sha256": self.sha256,
            "item_id": self.item_id,
            "created_at": rfc3339(self.created_at),
            "connection_info": json.loads(self.connection_info),
            "video": {"name": self.name, "size": self.size, "sha256": self.sha256},
            "metadata": self.metadata_json(),
        }

    def finalized_json(self, sid: str) -> dict[str, Any]:
        """The answer to finalize of an upload session."""
        entry = self.to_json()
        del entry["connection_info"], entry["file_name"]
        if self.item_id is None:
            del entry["item_id"]
        return entry | {"session_id": sid, "status": str(SessionStatus.COMPLETED)}


def columns(row: type[Session | SessionFile | Recording]) -> tuple[str, ...]:
    """The names of a row's columns, in order."""
    return tuple(field.name for field in fields(row))


def rfc3339(moment: float) -> str:
    """Seconds since the epoch as a time in UTC (RFC 3339)."""
    return datetime.fromtimestamp(moment, UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")
