"""The options of a ``[backends.NAME]`` table with ``type = "s3"``."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from haulier.config.secrets import Secret

if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

__all__ = ["LEAST_PART", "S3Options"]

LEAST_PART = 5 * 1024 * 1024
"""Bytes: the least that Amazon S3 takes as a part which is not the last."""

_CHOICES: Mapping[str, tuple[str, ...]] = {
    "addressing_style": ("auto", "path", "virtual"),
    "checksum": ("auto", "crc64nvme", "crc32c", "sha256", "md5"),
    "if_absent": ("auto", "atomic", "check_then_write"),
    "sse": ("", "AES256", "aws:kms", "aws:kms:dsse"),
    "object_lock_mode": ("", "governance", "compliance"),
}


def _option(help_text: str, **more: Any) -> dict[str, Any]:
    return {"help": help_text, **more}


@dataclass(frozen=True, slots=True)
class S3Options:
    """Where a bucket is and how to write to it.

    Raises:
        ValueError: An option has a value that is not among those allowed, or does not go with another.
    """

    bucket: str = field(metadata=_option("Name of the bucket, which must exist"))
    prefix: str = field(default="", metadata=_option("What all keys begin with; a slash is added to it"))
    region: str = field(default="", metadata=_option("Region; default: that of the profile or environment"))
    endpoint_url: str = field(
        default="", metadata=_option("Address of a service other than Amazon's, for example https://s3.example")
    )
    addressing_style: str = field(
        default="auto",
        metadata=_option('Where the bucket stands in addresses: "path", "virtual" (in the host name) or "auto"'),
    )
    access_key_id: Secret = field(
        default=Secret(""), metadata=_option("Access key; without it boto3 looks for credentials in its usual places")
    )
    secret_access_key: Secret = field(default=Secret(""), metadata=_option("The key's secret"))
    session_token: Secret = field(default=Secret(""), metadata=_option("Token of temporary credentials"))
    profile: str = field(default="", metadata=_option("Profile of the AWS configuration files"))
    storage_class: str = field(default="", metadata=_option("Storage class, for example STANDARD_IA"))
    sse: str = field(default="", metadata=_option('Encryption by the service: "AES256", "aws:kms" or "aws:kms:dsse"'))
    kms_key_id: str = field(default="", metadata=_option('Key for "aws:kms"; default: the service\'s own'))
    object_lock_mode: str = field(
        default="", metadata=_option('Retention: "governance" or "compliance"; the bucket must have object lock')
    )
    object_lock_days: int = field(
        default=0, metadata=_option("Days of retention, counted from the upload", minimum=0, maximum=36500)
    )
    object_lock_until: str = field(
        default="", metadata=_option("Day until which objects are retained, for example 2031-12-31")
    )
    object_lock_legal_hold: bool = field(default=False, metadata=_option("Put a legal hold on each object"))
    checksum: str = field(
        default="auto",
        metadata=_option(
            'What the service checks and proves content by: "auto", "crc64nvme", "crc32c", "sha256", "md5"'
        ),
    )
    if_absent: str = field(
        default="auto",
        metadata=_option('"atomic" trusts If-None-Match, "check_then_write" does not; "auto": atomic at Amazon'),
    )
    ca_bundle: str = field(default="", metadata=_option("PEM file of the certificate authorities to trust"))
    proxy: str = field(
        default="", metadata=_option("Address of an HTTP proxy, without credentials; default: the environment's")
    )
    proxy_credentials: Secret = field(default=Secret(""), metadata=_option("The proxy's USER:PASSWORD"))
    min_part_size: int = field(
        default=LEAST_PART,
        metadata=_option(
            "Least bytes of a part, and most of an object that is put in one request",
            minimum=1,
            maximum=5 * 2**30,
            size=True,
            default_text="5MiB",
        ),
    )

    def __post_init__(self) -> None:
        for name, allowed in _CHOICES.items():
            if getattr(self, name) not in allowed:
                words = ", ".join(repr(each) for each in allowed if each)
                raise ValueError(f"{name} must be one of {words}")
        _check_place(self)
        _check_access(self)
        _check_lock(self)

    @property
    def retain_until(self) -> datetime | None:
        """The fixed end of retention, UTC; None when days are counted or nothing is retained."""
        return _parse_day(self.object_lock_until) if self.object_lock_until else None


def _check_place(options: S3Options) -> None:
    if not options.bucket:
        raise ValueError("bucket is empty")
    if options.prefix.startswith("/") or ".." in options.prefix.split("/"):
        raise ValueError("prefix must be relative and hold no '..'")
    for name in ("endpoint_url", "proxy"):
        _check_address(name, getattr(options, name))


def _check_address(name: str, address: str) -> None:
    if not address:
        return
    try:
        parts = urlsplit(address)
        usable = parts.scheme in {"http", "https"} and bool(parts.hostname) and (parts.port or 1) > 0
    except ValueError:
        usable = False
    if not usable:
        raise ValueError(f"{name} is no http or https address")
    if parts.username or parts.password or parts.query or parts.fragment:
        more = "; a proxy's belong into proxy_credentials" if name == "proxy" else ""
        raise ValueError(f"{name} holds credentials, a query or a fragment{more}")


def _check_access(options: S3Options) -> None:
    if bool(options.access_key_id) != bool(options.secret_access_key):
        raise ValueError("access_key_id and secret_access_key go together")
    if options.session_token and not options.access_key_id:
        raise ValueError("session_token goes with access_key_id and secret_access_key")
    if options.access_key_id and options.profile:
        raise ValueError("profile and access_key_id exclude each other")
    if options.kms_key_id and not options.sse.startswith("aws:kms"):
        raise ValueError('kms_key_id needs sse = "aws:kms" or "aws:kms:dsse"')


def _check_lock(options: S3Options) -> None:
    if options.object_lock_days and options.object_lock_until:
        raise ValueError("object_lock_days and object_lock_until exclude each other")
    if bool(options.object_lock_mode) != bool(options.object_lock_days or options.object_lock_until):
        raise ValueError("object_lock_mode goes together with object_lock_days or object_lock_until")
    if options.object_lock_until:
        _parse_day(options.object_lock_until)


def _parse_day(text: str) -> datetime:
    try:
        day = datetime.fromisoformat(text)
    except ValueError:
        raise ValueError("object_lock_until must be a day such as 2031-12-31") from None
    return day if day.tzinfo else day.replace(tzinfo=UTC)
