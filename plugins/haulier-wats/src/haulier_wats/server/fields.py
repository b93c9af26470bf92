"""Header fields and query parameters, read strictly (RFC 8941, RFC 9530, draft-ietf-httpbis-resumable-upload)."""

from __future__ import annotations

import base64
import binascii
import re
from http import HTTPStatus
from typing import TYPE_CHECKING

from haulier_wats.server.problems import Problem

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["content_digest", "idempotency_key", "sf_boolean", "sf_integer", "whole_number"]

_INTEGER = re.compile(r"[0-9]{1,15}")
_STRING = re.compile(r'"((?:[\x20\x21\x23-\x5b\x5d-\x7e]|\\["\\])*)"')
_SHA256_MEMBER = re.compile(r"(?:^|,)[ \t]*sha-256[ \t]*=([^,]*)")
_BYTES = re.compile(r":([A-Za-z0-9+/]*={0,2}):[ \t]*(?:;.*)?")
_SHA256_LENGTH = 32
_KEY_LENGTH = 255


def sf_integer(headers: Mapping[str, str], name: str) -> int | None:
    """A non-negative integer; None when it is missing or malformed, which the draft treats alike."""
    value = headers.get(name, "").split(";", 1)[0].strip()
    return int(value) if _INTEGER.fullmatch(value) else None


def sf_boolean(headers: Mapping[str, str], name: str) -> bool | None:
    """A boolean; None when it is missing or malformed."""
    return {"?1": True, "?0": False}.get(headers.get(name, "").split(";", 1)[0].strip())


def content_digest(headers: Mapping[str, str]) -> bytes | None:
    """The SHA-256 of Content-Digest; None when it carries none.

    Raises:
        Problem: 400, it carries one that is malformed.
    """
    members = _SHA256_MEMBER.findall(headers.get("content-digest", ""))
    if not members:
        return None
    value = _BYTES.fullmatch(members[-1].strip())
    try:
        digest = base64.b64decode(value.group(1), validate=True) if value else b""
    except binascii.Error:
        digest = b""
    if len(digest) != _SHA256_LENGTH:
        raise Problem(HTTPStatus.BAD_REQUEST, "Content-Digest is malformed; write sha-256=:BASE64:")
    return digest


def idempotency_key(headers: Mapping[str, str]) -> str | None:
    """The value of Idempotency-Key; None when it is missing.

    Raises:
        Problem: 400, it is no quoted string or too long.
    """
    value = headers.get("idempotency-key")
    if value is None:
        return None
    quoted = _STRING.fullmatch(value.strip())
    key = re.sub(r"\\(.)", r"\1", quoted.group(1)) if quoted else ""
    if not 0 < len(key) <= _KEY_LENGTH:
        raise Problem(
            HTTPStatus.BAD_REQUEST,
            f"Idempotency-Key is malformed; write up to {_KEY_LENGTH} ASCII characters in double quotes",
        )
    return key


def whole_number(query: Mapping[str, str], name: str, default: int, least: int, most: int) -> int:
    """A query parameter between two bounds, both included.

    Raises:
        Problem: 400, it is no such number.
    """
    value = query.get(name)
    if value is None:
        return default
    if not _INTEGER.fullmatch(value) or not least <= int(value) <= most:
        raise Problem(HTTPStatus.BAD_REQUEST, f"{name} must be a whole number from {least} to {most}")
    return int(value)
