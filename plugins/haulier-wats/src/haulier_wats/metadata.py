"""What a recording's name tells: metadata for recordings that come without a sidecar."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from haulier.errors import ValidationError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from haulier.backends.api import Upload

__all__ = ["RecordingName", "describe", "generated_sidecar", "parse_name", "read_sidecar", "session_request"]

_STAMP = r"(?P<stamp>\d{8}_\d{6})(?:_resized)?"
_WITH_SESSION = re.compile(rf"(?P<session>(?:rdp|session)_[^_]+(?:_\d{{9,11}})?)_(?P<name>.*)_{_STAMP}", re.DOTALL)
_SEGMENT = re.compile(rf"(?P<name>.*)_seg\d{{3,}}_{_STAMP}", re.DOTALL)
_OWN_MEMBERS = frozenset({"session_id", "connection_info"})
_ASIDE_SUFFIXES = (".bak", ".tmp")


@dataclass(frozen=True, slots=True)
class RecordingName:
    """What a recording's file name says.

    Attributes:
        session_id: The recording session: part of older names; of newer ones, which hold none, the name without suffix.
        name: Name of the connection.
        start_time: Local time, ISO 8601 without an offset, as sidecars have it; empty when the name holds none.
    """

    session_id: str
    name: str
    start_time: str = ""


def parse_name(filename: str) -> RecordingName:
    """Read a recording's file name.

    Two generations exist: ``rdp_123_1729950022_Name_20241026_150022.mp4`` and ``Name_seg001_20251105_091500.avi``. Of
    any other name the stem serves as session id and as name.
    """
    stem = filename.rsplit(".", 1)[0] or filename
    for suffix in _ASIDE_SUFFIXES:
        stem = stem.removesuffix(suffix) or stem
    if match := _WITH_SESSION.fullmatch(stem):
        return RecordingName(match["session"], match["name"], _start_time(match["stamp"]))
    if match := _SEGMENT.fullmatch(stem):
        return RecordingName(stem, match["name"], _start_time(match["stamp"]))
    return RecordingName(stem, stem)


def _start_time(stamp: str) -> str:
    try:
        # Local time of a machine that the name does not tell.
        return datetime.strptime(stamp, "%Y%m%d_%H%M%S").isoformat()  # noqa: DTZ007
    except ValueError:
        return ""


def describe(filename: str, recorded_at: float) -> dict[str, Any]:
    """Make the least metadata that the server takes, always the same for the same arguments.

    Args:
        filename: The recording's file name.
        recorded_at: Its modification time, seconds since the epoch; 0 when unknown.
    """
    known = parse_name(filename)
    document: dict[str, Any] = {"session_id": known.session_id, "connection_info": {"name": known.name}}
    if known.start_time:
        document["start_time"] = known.start_time
    if recorded_at > 0:
        document["recorded_at"] = datetime.fromtimestamp(recorded_at, UTC).isoformat(timespec="seconds")
    return document | {"generated": True}


def read_sidecar(content: bytes, name: str) -> dict[str, Any]:
    """Read a sidecar.

    Raises:
        ValidationError: It is no JSON object, or has no text ``session_id``.
    """
    advice = f"Mend {name}, then `haulier retry`"
    try:
        document = json.loads(content.decode("utf-8-sig"), parse_constant=_refuse_constant)
    except (ValueError, RecursionError) as error:
        raise ValidationError("the sidecar is no JSON", where=name, advice=advice) from error
    if not isinstance(document, dict):
        raise ValidationError("the sidecar is no JSON object", where=name, advice=advice)
    if not isinstance(document.get("session_id"), str) or not document["session_id"]:
        raise ValidationError("the sidecar has no session_id, or it is no text", where=name, advice=advice)
    return document


def _refuse_constant(text: str) -> Any:
    raise ValueError(f"{text} is no JSON")


def generated_sidecar(upload: Upload) -> bytes:
    """The content of a sidecar for an upload that has none: what its name tells, under what the submitter told.

    Raises:
        ValidationError: The submitter's metadata cannot be written as JSON.
    """
    document = describe(upload.media.name, upload.recorded_at) | dict(upload.metadata)
    return _encode(document, upload.media.name)


def session_request(upload: Upload) -> dict[str, Any]:
    """Make the body of create-session: the four members of the protocol and, for newer servers, the item and its files.

    Raises:
        ValidationError: The sidecar or the metadata cannot be sent.
    """
    document = _document(upload)
    metadata = {name: value for name, value in (document | dict(upload.metadata)).items() if name not in _OWN_MEMBERS}
    files: dict[str, Any] = {"video": _file(upload.media.name, upload.media.size, upload.media.content_type)}
    if upload.sidecar is not None:
        files["metadata"] = _file(upload.sidecar.name, upload.sidecar.size)
    request = {
        "session_id": document["session_id"],
        "connection_info": document.get("connection_info", {}),
        "file_size": upload.media.size,
        "metadata": metadata,
        "item_id": upload.item_id,
        "files": files,
    }
    _encode(request, upload.media.name)
    return request


def _document(upload: Upload) -> dict[str, Any]:
    """The sidecar's content; for one too large for the journal, which has none, what is known without it."""
    sidecar = upload.sidecar
    if sidecar is None or sidecar.content is None:
        return read_sidecar(generated_sidecar(upload), upload.media.name)
    return read_sidecar(sidecar.content, sidecar.name)


def _file(name: str, size: int, content_type: str = "") -> dict[str, Any]:
    return {"name": name, "size": size} | ({"content_type": content_type} if content_type else {})


def _encode(document: Mapping[str, Any], name: str) -> bytes:
    try:
        return json.dumps(document, allow_nan=False, sort_keys=True).encode("ascii")
    except (TypeError, ValueError, RecursionError) as error:
        raise ValidationError("the metadata cannot be written as JSON", where=name) from error
