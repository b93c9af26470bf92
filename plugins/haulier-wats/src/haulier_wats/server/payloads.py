"""The JSON bodies of clients, checked."""

from __future__ import annotations

import hashlib
import json
import re
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any

from haulier_wats.server.problems import Problem
from haulier_wats.server.rows import Kind

__all__ = ["Claim", "DeclaredFile", "SessionRequest", "claims_from", "session_request"]

MAX_TEXT = 1024
"""Most characters of a text that names something."""

_SHA256 = re.compile(r"[0-9a-fA-F]{64}")


@dataclass(frozen=True, slots=True)
class DeclaredFile:
    """A file that a client will send: its name, and its size in bytes if it was told."""

    name: str = ""
    size: int | None = None
    content_type: str = ""


@dataclass(frozen=True, slots=True)
class SessionRequest:
    """A request for an upload session.

    Attributes:
        session_id: The recording session.
        item_id: The client's id of the item; None when it gives none.
        files: What will come. Without ``resumable`` a metadata file may come as well.
        resumable: Whether the client declared its files, and so can use upload resources.
        connection_info: JSON text.
        details: JSON text of the member ``metadata``.
        fingerprint: Digest of the whole payload.
    """

    session_id: str
    item_id: str | None
    files: dict[Kind, DeclaredFile]
    resumable: bool
    connection_info: str
    details: str
    fingerprint: str

    @property
    def size(self) -> int:
        """Bytes of all files that were declared."""
        return sum(file.size or 0 for file in self.files.values())


@dataclass(frozen=True, slots=True)
class Claim:
    """What a client says a file must be: size in bytes, SHA-256 in hexadecimal, None where it says nothing."""

    size: int | None = None
    sha256: str | None = None


def session_request(body: Any, max_file_size: int, max_metadata_size: int | None = None) -> SessionRequest:
    """Read the body of create-session.

    Args:
        body: What came.
        max_file_size: Most bytes of the video.
        max_metadata_size: Most bytes of the metadata file; None for the same.

    Raises:
        Problem: 422, it is not what the protocol asks for; 413, a file is too large.
    """
    members = _object(body, "the body")
    video_size = _size(members, "file_size", "file_size")
    declared = members.get("files")
    files = {Kind.VIDEO: DeclaredFile(size=video_size)} if declared is None else _declared(declared)
    if video_size is not None and files[Kind.VIDEO].size != video_size:
        raise _invalid("file_size and files.video.size differ; both are the video's size in bytes")
    most = {Kind.VIDEO: max_file_size, Kind.METADATA: max_file_size if max_metadata_size is None else max_metadata_size}
    for kind, file in files.items():
        if (file.size or 0) > most[kind]:
            raise Problem(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, f"the {kind} file is larger than {most[kind]} bytes")
    return SessionRequest(
        session_id=_text(members, "session_id", "session_id", required=True),
        item_id=_text(members, "item_id", "item_id") or None,
        files=files,
        resumable=declared is not None,
        connection_info=_json_object(members, "connection_info"),
        details=_json_object(members, "metadata"),
        fingerprint=hashlib.sha256(json.dumps(members, sort_keys=True).encode("ascii")).hexdigest(),
    )


def claims_from(body: Any) -> dict[Kind, Claim]:
    """Read the body of finalize; an empty one claims nothing.

    Raises:
        Problem: 422, it is not what the protocol asks for.
    """
    members = _object({} if body is None else body, "the body")
    files = members.get("files")
    return {
        _kind(name): Claim(_size(entry, "size", f"files.{name}.size"), _sha256(entry, name))
        for name, value in _object({} if files is None else files, "files").items()
        for entry in [_object(value, f"files.{name}")]
    }


def _declared(value: Any) -> dict[Kind, DeclaredFile]:
    files = {}
    for name, entry in _object(value, "files").items():
        where = f"files.{name}"
        members = _object(entry, where)
        size = _size(members, "size", f"{where}.size")
        if size is None:
            raise _invalid(f"{where}.size is missing; give the file's size in bytes")
        files[_kind(name)] = DeclaredFile(
            _text(members, "name", f"{where}.name", required=True),
            size,
            _text(members, "content_type", f"{where}.content_type"),
        )
    if Kind.VIDEO not in files:
        raise _invalid("files.video is missing; every recording has a video")
    return files


def _kind(name: str) -> Kind:
    try:
        return Kind(name)
    except ValueError:
        raise _invalid("files knows the members video and metadata only") from None


def _object(value: Any, where: str) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise _invalid(f"{where} must be a JSON object")
    return value


def _json_object(members: dict[str, Any], name: str) -> str:
    value = members.get(name)
    return json.dumps({} if value is None else _object(value, name), separators=(",", ":"))


def _text(members: dict[str, Any], name: str, where: str, *, required: bool = False) -> str:
    value = members.get(name)
    if value is None and not required:
        return ""
    if not isinstance(value, str) or len(value) > MAX_TEXT or (required and not value):
        raise _invalid(f"{where} must be a text of at most {MAX_TEXT} characters" + " and not empty" * required)
    try:
        value.encode()
    except UnicodeEncodeError:
        raise _invalid(f"{where} holds half of a surrogate pair, which is no text") from None
    return value


def _size(members: dict[str, Any], name: str, where: str) -> int | None:
    value = members.get(name)
    if value is None:
        return None
    if isinstance(value, float) and value.is_integer():  # JSON tells 10.0 and 10 not apart
        value = int(value)
    if not isinstance(value, int) or isinstance(value, bool) or value < 0:
        raise _invalid(f"{where} must be a whole number of bytes")
    return value


def _sha256(members: dict[str, Any], name: str) -> str | None:
    value = members.get("sha256")
    if value is None:
        return None
    if not isinstance(value, str) or not _SHA256.fullmatch(value):
        raise _invalid(f"files.{name}.sha256 must be 64 hexadecimal digits")
    return value.lower()


def _invalid(detail: str) -> Problem:
    return Problem(HTTPStatus.UNPROCESSABLE_ENTITY, detail)
