"""What an HTTP status means for an upload: the one mapping that every plugin shares.

Meanings follow RFC 9110 (section 15 statuses, section 10.2.3 Retry-After), RFC 6585 (429) and RFC 4918 (423, 507).
Each status becomes the error of :mod:`haulier.errors` whose consequence fits; nothing here decides about retries.
"""

from __future__ import annotations

import re
import unicodedata
from datetime import UTC
from email.utils import parsedate_to_datetime
from http import HTTPStatus
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from haulier.errors import (
    AuthenticationError,
    ConflictError,
    NetworkError,
    PermissionDeniedError,
    QuotaError,
    ServerError,
    ThrottledError,
    TransferError,
    ValidationError,
)

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = ["clean_reason", "error_for_status", "parse_retry_after", "public_url"]

REASON_LIMIT = 500
"""Characters of a server's own words that an error text quotes at most."""

_QUERY = re.compile(r"([a-z][a-z0-9+.-]{0,15}://[^\s?#\"'<>]*)[?#][^\s\"'<>]*", re.IGNORECASE)
_USERINFO = re.compile(r"([a-z][a-z0-9+.-]{0,15}://)[^\s/?#@\"'<>]*@", re.IGNORECASE)
_LONGEST_NUMBER = 10
_LONGEST_DATE = 64
_GONE = frozenset({404, 410})
_CONFLICT = frozenset({409, 412})
_REDIRECT = 3
_OWN: dict[int, type[TransferError]] = {
    401: AuthenticationError,
    403: PermissionDeniedError,
    408: ServerError,
    413: QuotaError,
    423: ServerError,  # locked by a request that still runs
    425: ServerError,
    507: QuotaError,
}
_BY_CLASS: dict[int, type[TransferError]] = {3: ValidationError, 4: ValidationError}
_WORDS = {
    3: "the server answered with a redirect (status {}), and redirects are refused",
    4: "the server refused the request (status {})",
    5: "the server failed (status {})",
}


def error_for_status(
    status: int,
    *,
    where: str,
    reason: str = "",
    retry_after: float | None = None,
    gone: type[TransferError] = ValidationError,
    conflict: type[TransferError] = ConflictError,
) -> TransferError:
    """Make the error that an unsuccessful status stands for.

    Args:
        status: The HTTP status; one that reports success gives a :class:`~haulier.errors.ServerError`, for callers who
            did not expect it.
        where: The address without query and credentials, see :func:`public_url`.
        reason: The server's own words; they are cleaned here, see :func:`clean_reason`.
        retry_after: Seconds the server asked to wait, see :func:`parse_retry_after`.
        gone: What 404 and 410 mean at this address: :class:`~haulier.errors.SessionLostError` for an upload session.
        conflict: What 409 and 412 mean at this address.

    Returns:
        The error, to be raised by the caller.
    """
    what = _describe(status, clean_reason(reason))
    if status in _GONE:
        return gone(what, where=where)
    if status in _CONFLICT:
        return conflict(what, where=where)
    if status == HTTPStatus.TOO_MANY_REQUESTS or (status == HTTPStatus.SERVICE_UNAVAILABLE and retry_after is not None):
        return ThrottledError(what, where=where, retry_after=retry_after)
    if status == HTTPStatus.PROXY_AUTHENTICATION_REQUIRED:
        return NetworkError(what, where=where, advice="Give the proxy's credentials in its address", reached=False)
    if status // 100 == _REDIRECT:
        return ValidationError(what, where=where, advice="Configure the address that the redirect leads to")
    return _OWN.get(status, _BY_CLASS.get(status // 100, ServerError))(what, where=where)


def _describe(status: int, reason: str) -> str:
    text = _WORDS.get(status // 100, "the server gave an unexpected answer (status {})").format(status)
    return f"{text}: {reason}" if reason else text


def parse_retry_after(text: str | None, now: float) -> float | None:
    """Read a Retry-After field: seconds or an HTTP date.

    Args:
        text: The field's value; None when it was not sent.
        now: Wall time, seconds since the epoch, from which a date is counted.

    Returns:
        Seconds to wait, never negative; None when the field is missing or malformed.
    """
    text = (text or "").strip()
    if text.isascii() and text.isdigit():
        return float(text) if len(text) <= _LONGEST_NUMBER else None
    if not text or len(text) > _LONGEST_DATE:
        return None
    try:
        date = parsedate_to_datetime(text)
    except (TypeError, ValueError, OverflowError, IndexError):
        return None
    aware = date if date.tzinfo else date.replace(tzinfo=UTC)
    return max(0.0, aware.timestamp() - now)


def clean_reason(text: str, *, redact: Iterable[str] = (), limit: int = REASON_LIMIT) -> str:
    """Make a server's words fit for an error text: one line, no control characters, no credentials.

    Args:
        text: What the server said.
        redact: Secrets that must not appear; each occurrence becomes ``***``.
        limit: Characters to keep at most.

    Returns:
        The cleaned text, without a full stop at its end. Queries and user information of addresses are cut out.
    """
    for secret in sorted(filter(None, redact), key=len, reverse=True):
        text = text.replace(secret, "***")
    text = "".join(" " if unicodedata.category(char).startswith(("C", "Z")) else char for char in text[: limit * 16])
    text = _USERINFO.sub(r"\1", _QUERY.sub(r"\1", text))
    text = " ".join(text.split()).rstrip(". ")
    return text if len(text) <= limit else text[: limit - 1] + "…"


def public_url(url: str) -> str:
    """An address without user information, query and fragment, fit for messages and receipts."""
    try:
        parts = urlsplit(url)
        port = f":{parts.port}" if parts.port is not None else ""
    except ValueError:
        return "an address that cannot be read"
    host = parts.hostname or ""
    return f"{parts.scheme}://{f'[{host}]' if ':' in host else host}{port}{parts.path}"
