"""What a service checks and proves content by: CRC64NVME, CRC32C, SHA-256, or MD5 where there is nothing else.

Amazon S3 User Guide, "Checking object integrity". A checksum of a multipart object is either of the *full object*
(CRCs) or *composite*: the digest of its parts' digests, with their count behind a dash. MD5 shows itself as ETag.
Digests are hexadecimal here, as everywhere in Haulier; the service writes them in base64.
"""

from __future__ import annotations

import base64
import hashlib
import importlib.util
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

__all__ = ["CRC32C", "CRC64NVME", "MD5", "SHA256", "Checksum", "candidates", "composite", "digests_of", "md5_of_etag"]

_MD5 = re.compile(r"[0-9a-f]{32}")
_KEY_MANAGED = ("aws:kms", "aws:kms:dsse")
_FIELDS = {
    "crc64nvme": "ChecksumCRC64NVME",
    "crc32c": "ChecksumCRC32C",
    "sha256": "ChecksumSHA256",
    "crc32": "ChecksumCRC32",
    "sha1": "ChecksumSHA1",
}


@dataclass(frozen=True, slots=True)
class Checksum:
    """One way to check.

    Attributes:
        name: Of the digest.
        algorithm: As the service calls it; empty for MD5, which needs no announcement.
        whole: Whether the checksum of a multipart object is one of the full object.
    """

    name: str
    algorithm: str = ""
    whole: bool = False

    def creation(self) -> dict[str, Any]:
        """Parameters of CreateMultipartUpload."""
        if not self.algorithm:
            return {}
        return {"ChecksumAlgorithm": self.algorithm, "ChecksumType": "FULL_OBJECT" if self.whole else "COMPOSITE"}

    def header(self, digest: str) -> dict[str, str]:
        """Parameters of UploadPart or PutObject with which the service compares what arrives."""
        if not self.algorithm:
            return {"ContentMD5": encode(digest)}
        return {"ChecksumAlgorithm": self.algorithm, _FIELDS[self.name]: encode(digest)}

    def of_part(self, digest: str) -> dict[str, str]:
        """Member of a part in CompleteMultipartUpload."""
        return {_FIELDS[self.name]: encode(digest)} if self.algorithm and digest else {}

    def completion(self, digest: str) -> dict[str, str]:
        """Parameters of CompleteMultipartUpload with which the service compares the whole."""
        return {"ChecksumType": "FULL_OBJECT", _FIELDS[self.name]: encode(digest)} if self.whole and digest else {}

    def told(self, answer: Mapping[str, Any]) -> str:
        """This checksum as an answer tells it, hexadecimal (with the count of parts behind it); else empty."""
        if not self.algorithm:
            return md5_of_etag(answer)
        return decode(str(answer.get(_FIELDS[self.name], "")))


CRC64NVME = Checksum("crc64nvme", "CRC64NVME", whole=True)
CRC32C = Checksum("crc32c", "CRC32C", whole=True)
SHA256 = Checksum("sha256", "SHA256")
MD5 = Checksum("md5")
_BY_NAME = {checksum.name: checksum for checksum in (CRC64NVME, CRC32C, SHA256, MD5)}


def candidates(option: str, *, at_amazon: bool) -> tuple[Checksum, ...]:
    """The checksums to try, best first: a service that does not know one says so, or says nothing of it.

    Args:
        option: The configured ``checksum``.
        at_amazon: Whether the service is Amazon's own, which knows them all.
    """
    if option != "auto":
        return (_BY_NAME[option],)
    best = (CRC64NVME,) if has_crc() else ()
    return (*best, SHA256) if at_amazon else (*best, SHA256, MD5)


def has_crc() -> bool:
    """Whether CRCs can be computed here."""
    return importlib.util.find_spec("awscrt") is not None


def composite(name: str, digests: Sequence[str]) -> str:
    """The digest of parts' digests, with their count."""
    joined = hashlib.new(name, b"".join(map(bytes.fromhex, digests)))
    return f"{joined.hexdigest()}-{len(digests)}"


def digests_of(answer: Mapping[str, Any]) -> dict[str, str]:
    """Digests of the whole object in an answer, by name; composite ones as ``sha256-composite``.

    The ETag counts as MD5 only where nothing better is told.
    """
    found = {name: decode(str(answer[field])) for name, field in _FIELDS.items() if answer.get(field)}
    named = {f"{name}-composite" if "-" in digest else name: digest for name, digest in found.items() if digest}
    md5 = md5_of_etag(answer)
    if md5 and not named:
        named["md5-composite" if "-" in md5 else "md5"] = md5
    return named


def md5_of_etag(answer: Mapping[str, Any]) -> str:
    """The ETag where it can be an MD5: not of what was encrypted with a managed or a customer's key."""
    if answer.get("ServerSideEncryption") in _KEY_MANAGED or answer.get("SSECustomerAlgorithm"):
        return ""
    tag = str(answer.get("ETag", "")).strip('"').lower()
    return tag if _MD5.fullmatch(tag.partition("-")[0]) else ""


def encode(digest: str) -> str:
    """Hexadecimal to base64."""
    return base64.b64encode(bytes.fromhex(digest)).decode()


def decode(text: str) -> str:
    """Base64, perhaps with a count behind a dash, to hexadecimal; empty when it is neither."""
    value, dash, count = text.partition("-")
    try:
        return base64.b64decode(value, validate=True).hex() + dash + count
    except ValueError:
        return ""
