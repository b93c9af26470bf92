"""What a WATS server answers, read leniently: an old server leaves members out or gives them other types."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

__all__ = ["Recording", "Resumable", "SessionAnswer", "SessionStatus", "StoredFile", "recordings_in"]

PROTOCOL = "ietf-resumable-upload"
"""Name of the only resumable protocol that is spoken here."""

_UPLOAD_METHODS = frozenset({"POST", "PUT"})


@dataclass(frozen=True, slots=True)
class StoredFile:
    """One file of a recording as the server has it: bytes and SHA-256 in hexadecimal; None and empty when not told."""

    name: str = ""
    size: int | None = None
    sha256: str = ""

    @classmethod
    def from_json(cls, value: Any) -> StoredFile | None:
        """Read a ``{"name", "size", "sha256"}`` object; None for anything else."""
        if not isinstance(value, dict):
            return None
        return cls(_text(value, "name"), _count(value, "size"), _text(value, "sha256").lower())


@dataclass(frozen=True, slots=True)
class Recording:
    """A recording that the server has stored."""

    file_id: str
    session_id: str = ""
    item_id: str = ""
    video: StoredFile = field(default_factory=StoredFile)
    metadata: StoredFile | None = None

    @classmethod
    def from_json(cls, value: Any) -> Recording | None:
        """Read a recording, or the answer to finalize; None when it has no ``file_id``."""
        if not isinstance(value, dict) or not (file_id := _identifier(value, "file_id") or _identifier(value, "id")):
            return None
        outer = StoredFile(_text(value, "name"), _count(value, "size"), _text(value, "sha256").lower())
        return cls(
            file_id,
            _text(value, "session_id"),
            _text(value, "item_id"),
            StoredFile.from_json(value.get("video")) or outer,
            StoredFile.from_json(value.get("metadata")),
        )


@dataclass(frozen=True, slots=True)
class Resumable:
    """The server's offer to resume: addresses of the two upload resources, and sizes of one append in bytes."""

    video_url: str
    metadata_url: str
    max_append: int | None = None
    min_append: int = 0
    digests: frozenset[str] = frozenset()

    @classmethod
    def from_json(cls, value: Any) -> Resumable | None:
        """Read the member ``resumable``; None when it is missing or speaks another protocol."""
        if not isinstance(value, dict) or value.get("protocol") != PROTOCOL:
            return None
        video, metadata = _text(value, "video_url"), _text(value, "metadata_url")
        names = value.get("digests")
        digests = frozenset(name for name in names if isinstance(name, str)) if isinstance(names, list) else frozenset()
        if not video or not metadata:
            return None
        return cls(
            video, metadata, _count(value, "max_append_size") or None, _count(value, "min_append_size") or 0, digests
        )


@dataclass(frozen=True, slots=True)
class SessionAnswer:
    """The answer to create-session.

    Addresses may be relative. ``expires_at`` is seconds since the epoch. A method says how a whole file goes there:
    ``POST`` as a form, ``PUT`` as it is; empty when the server does not tell.
    """

    session_id: str
    video_url: str
    metadata_url: str
    expires_at: float | None = None
    video_method: str = ""
    metadata_method: str = ""
    resumable: Resumable | None = None
    recording: Recording | None = None

    @classmethod
    def from_json(cls, value: Any) -> SessionAnswer | None:
        """Read the answer; None when it lacks one of the members that uploading needs."""
        if not isinstance(value, dict):
            return None
        session_id = _identifier(value, "session_id")
        video, metadata = _text(value, "video_upload_url"), _text(value, "metadata_upload_url")
        if not (session_id and video and metadata):
            return None
        return cls(
            session_id,
            video,
            metadata,
            _moment(value.get("expires_at")),
            _method(value, "video_upload_method"),
            _method(value, "metadata_upload_method"),
            Resumable.from_json(value.get("resumable")),
            Recording.from_json(value.get("recording")),
        )


@dataclass(frozen=True, slots=True)
class SessionStatus:
    """How an upload session stands; ``status`` is empty when an old server says something else.

    ``expires_at`` is seconds since the epoch.
    """

    status: str
    file_id: str = ""
    expires_at: float | None = None

    @classmethod
    def from_json(cls, value: Any) -> SessionStatus:
        """Read the answer, whatever it is."""
        if not isinstance(value, dict):
            return cls("")
        return cls(
            _text(value, "status").strip().lower(), _identifier(value, "file_id"), _moment(value.get("expires_at"))
        )


def recordings_in(value: Any) -> list[Recording]:
    """Read a listing: a JSON array, or an object that holds one."""
    if isinstance(value, dict):
        value = next((value[name] for name in ("recordings", "items", "data") if name in value), None)
    entries = value if isinstance(value, list) else []
    return [recording for entry in entries if (recording := Recording.from_json(entry)) is not None]


def _text(value: dict[str, Any], name: str) -> str:
    member = value.get(name)
    return member if isinstance(member, str) else ""


def _method(value: dict[str, Any], name: str) -> str:
    method = _text(value, name).strip().upper()
    return method if method in _UPLOAD_METHODS else ""


def _identifier(value: dict[str, Any], name: str) -> str:
    member = value.get(name)
    return str(member) if isinstance(member, (str, int)) and not isinstance(member, bool) else ""


def _count(value: dict[str, Any], name: str) -> int | None:
    member = value.get(name)
    return member if isinstance(member, int) and not isinstance(member, bool) and member >= 0 else None


def _moment(value: Any) -> float | None:
    """Seconds since the epoch of an ISO 8601 time; a time without an offset says too little and counts as not told."""
    if not isinstance(value, str):
        return None
    try:
        moment = datetime.fromisoformat(value)
    except ValueError:
        return None
    return moment.timestamp() if moment.tzinfo else None
