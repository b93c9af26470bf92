"""What the service compares each request's body with: MD5, or CRC64 where that is asked for.

Blob service REST API, "Put Block": ``Content-MD5`` or ``x-ms-content-crc64``; the answer tells what the service
computed. Its CRC64 is CRC-64/NVME, written as eight bytes with the lowest first. Digests are hexadecimal here, as
everywhere in Haulier.
"""

from __future__ import annotations

import base64
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["CRC64", "MD5", "Checksum", "by_option"]


@dataclass(frozen=True, slots=True)
class Checksum:
    """One way to check.

    Attributes:
        name: Of the digest, as Haulier computes it.
        field: Of the request's header.
        member: Of the SDK's answer.
        reverses: Whether its bytes go lowest first.
        digits: Hexadecimal ones.
    """

    name: str
    field: str
    member: str
    reverses: bool
    digits: int

    def header(self, digest: str) -> dict[str, str]:
        """The header with which the service compares what arrives."""
        return {self.field: base64.b64encode(self._turned(bytes.fromhex(digest))).decode()}

    def told(self, answer: Mapping[str, Any]) -> str:
        """What the service says that it computed, else empty."""
        raw = answer.get(self.member)
        return self._turned(bytes(raw)).hex() if isinstance(raw, bytes | bytearray) else ""

    def _turned(self, raw: bytes) -> bytes:
        return raw[::-1] if self.reverses else raw


MD5 = Checksum("md5", "Content-MD5", "content_md5", reverses=False, digits=32)
CRC64 = Checksum("crc64nvme", "x-ms-content-crc64", "content_crc64", reverses=True, digits=16)
_BY_OPTION = {"md5": MD5, "crc64": CRC64}


def by_option(name: str) -> Checksum:
    """The checksum that the option ``checksum`` names."""
    return _BY_OPTION[name]
