"""CRC32C, which the service computes of every object and compares with what it is told.

Digests are hexadecimal here, as everywhere in Haulier; the service writes them in base64, most significant byte first
(Cloud Storage, "Data validation and change detection with checksums").
"""

from __future__ import annotations

import base64
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["CRC32C", "decode", "digests_of", "encode"]

CRC32C = "crc32c"
"""The digest that the engine computes for this backend."""

_BYTES = {CRC32C: 4, "md5": 16}
_MEMBERS = {CRC32C: "crc32c", "md5": "md5Hash"}


def encode(digest: str) -> str:
    """Hexadecimal to base64."""
    return base64.b64encode(bytes.fromhex(digest)).decode()


def decode(text: Any, *, size: int) -> str:
    """Base64 of so many bytes to hexadecimal; empty when it is not that."""
    if not isinstance(text, str):
        return ""
    try:
        value = base64.b64decode(text, validate=True)
    except ValueError:
        return ""
    return value.hex() if len(value) == size else ""


def digests_of(resource: Mapping[str, Any]) -> dict[str, str]:
    """Digests that the service tells of an object, by name."""
    told = {name: decode(resource.get(member), size=_BYTES[name]) for name, member in _MEMBERS.items()}
    return {name: digest for name, digest in told.items() if digest}
