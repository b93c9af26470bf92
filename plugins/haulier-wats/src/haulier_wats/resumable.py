"""HEAD and PATCH of one upload resource (IETF draft-ietf-httpbis-resumable-upload, RFC 9530 for Content-Digest).

Careful creation is done by create-session, so the address is known and no informational answer is asked for.
"""

from __future__ import annotations

import base64
import re
from dataclasses import dataclass
from http import HTTPStatus
from typing import TYPE_CHECKING

from haulier.backends.api import Held
from haulier.errors import (
    ConflictError,
    OffsetError,
    PermissionDeniedError,
    ServerError,
    SessionLostError,
    TransferError,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

    from haulier.backends.api import Context
    from haulier_wats.http import Http, HttpAnswer
    from haulier_wats.outgoing import Outgoing

__all__ = ["Progress", "append", "progress", "session_error"]

PARTIAL_UPLOAD = "application/partial-upload"
_INTEGER = re.compile(r"[0-9]{1,15}")
_DIGEST_MISMATCH = "#digest-mismatching-values"
_GONE_WORDS = ("expired", "unknown session", "no such session")


@dataclass(frozen=True, slots=True)
class Progress:
    """Where an upload resource stands: bytes from the start, and whether it is complete."""

    offset: int
    complete: bool = False


def progress(http: Http, url: str, context: Context) -> Progress:
    """Ask where the resource stands.

    Raises:
        SessionLostError: The server does not know it.
    """
    answer = http.request("HEAD", url, context)
    if not answer.ok:
        raise session_error(http, answer, url)
    stands = _progress_of(answer)
    if stands is None:
        raise ServerError("the server did not say how much of the upload it holds", where=http.where(url))
    return stands


def append(
    http: Http,
    url: str,
    body: Outgoing | bytes,
    context: Context,
    *,
    artifact: int,
    offset: int,
    complete: bool,
    sha256: str = "",
) -> Progress:
    """Append bytes at an offset.

    Args:
        http: The way to the server.
        url: The upload resource.
        body: The bytes.
        context: What to obey.
        artifact: Index of the artifact they are of, for the error.
        offset: Where they belong, in bytes.
        complete: Whether they end the file.
        sha256: Their digest in hexadecimal, if the server checks it.

    Returns:
        Where the resource stands now.

    Raises:
        OffsetError: It stands elsewhere; nothing was appended.
        ServerError: Other bytes arrived than were sent; nothing was appended.
        SessionLostError: The server does not know it.
    """
    headers = {
        "Content-Type": PARTIAL_UPLOAD,
        "Upload-Offset": str(offset),
        "Upload-Complete": "?1" if complete else "?0",
    }
    if sha256:
        headers["Content-Digest"] = f"sha-256=:{base64.b64encode(bytes.fromhex(sha256)).decode('ascii')}:"
    answer = http.request("PATCH", url, context, headers=headers, body=body)
    if answer.status == HTTPStatus.CONFLICT:
        stands = _expected_offset(answer)
        held = None if stands is None else Held(prefixes={artifact: stands})
        raise OffsetError("the upload stands at another offset", where=http.where(url), held=held)
    if sha256 and _is_damage(answer):
        raise ServerError("the bytes arrived damaged and were dropped", where=http.where(url))
    if not answer.ok:
        raise session_error(http, answer, url)
    return _progress_of(answer) or progress(http, url, context)


def session_error(
    http: Http, answer: HttpAnswer, url: str, conflict: type[TransferError] = ConflictError
) -> TransferError:
    """The error of an answer from an address of a session; one that is gone, or no longer granted, needs a new one."""
    error = http.error(answer, url, gone=SessionLostError, conflict=conflict)
    if answer.status == HTTPStatus.FORBIDDEN and any(word in answer.reason.lower() for word in _GONE_WORDS):
        return SessionLostError(error.what, where=error.where)
    if answer.status == HTTPStatus.UNAUTHORIZED and not http.is_own(url):
        # No token was sent there, so the token cannot be what is wrong.
        return PermissionDeniedError(error.what, where=error.where)
    return error


def _is_damage(answer: HttpAnswer) -> bool:
    """Whether the server compared the digest and found other bytes: what is sent again may arrive whole."""
    kind = str(answer.members().get("type", ""))
    named = kind.endswith(_DIGEST_MISMATCH) or "content-digest" in answer.reason.lower()
    return answer.status == HTTPStatus.BAD_REQUEST and named


def _expected_offset(answer: HttpAnswer) -> int | None:
    stands = _progress_of(answer)
    if stands is not None:
        return stands.offset
    member = answer.members().get("expected-offset")
    return member if isinstance(member, int) and member >= 0 else None


def _progress_of(answer: HttpAnswer) -> Progress | None:
    """Read the fields; a malformed one counts as not sent (section 4 of the draft)."""
    offset = _item(answer.headers, "Upload-Offset")
    if not _INTEGER.fullmatch(offset):
        return None
    return Progress(int(offset), _item(answer.headers, "Upload-Complete") == "?1")


def _item(headers: Mapping[str, str], name: str) -> str:
    """The bare item of a structured field, without parameters (RFC 8941)."""
    return headers.get(name, "").split(";", 1)[0].strip()
