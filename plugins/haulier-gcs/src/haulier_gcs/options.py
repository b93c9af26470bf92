"""The options of a ``[backends.NAME]`` table with ``type = "gcs"``."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from haulier.config.secrets import Secret

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path
    from typing import Any

__all__ = ["CHUNK_UNIT", "GOOGLE", "GcsOptions"]

CHUNK_UNIT = 256 * 1024
"""Bytes: every chunk that is not the last is a multiple of it (Cloud Storage, "Resumable uploads")."""

GOOGLE = "https://storage.googleapis.com"
"""Address of Google's own service."""

_CHOICES: Mapping[str, tuple[str, ...]] = {
    "if_absent": ("auto", "atomic", "check_then_write"),
    "retention_mode": ("", "unlocked", "locked"),
}
_BUCKET = re.compile(r"[a-z0-9][a-z0-9._-]{1,220}[a-z0-9]")
_KMS_KEY = re.compile(r"projects/[^/]+/locations/[^/]+/keyRings/[^/]+/cryptoKeys/[^/]+")
_OWN = "haulier-"


def _option(help_text: str, **more: Any) -> dict[str, Any]:
    return {"help": help_text, **more}


@dataclass(frozen=True, slots=True)
class GcsOptions:
    """Where a bucket is and how to write to it.

    Raises:
        ValueError: An option has a value that is not among those allowed, or does not go with another.
    """

    bucket: str = field(metadata=_option("Name of the bucket, which must exist"))
    prefix: str = field(default="", metadata=_option("What all keys begin with; a slash is added to it"))
    project: str = field(
        default="", metadata=_option("Project that is billed for requests, for buckets whose requester pays")
    )
    endpoint_url: str = field(
        default="",
        metadata=_option("Address of a service other than storage.googleapis.com, for example http://localhost:4443"),
    )
    credentials_file: Path | None = field(
        default=None,
        metadata=_option("JSON file with a service account's key or other credentials; default: the environment's"),
    )
    anonymous: bool = field(default=False, metadata=_option("Send no credentials, as emulators want it"))
    storage_class: str = field(default="", metadata=_option("Storage class, for example NEARLINE"))
    kms_key_name: str = field(
        default="", metadata=_option("Cloud KMS key, projects/P/locations/L/keyRings/R/cryptoKeys/K")
    )
    metadata: Mapping[str, str] = field(
        default_factory=dict, metadata=_option("Texts by name that are kept with every object")
    )
    temporary_hold: bool = field(default=False, metadata=_option("Put a temporary hold on each object"))
    event_based_hold: bool = field(default=False, metadata=_option("Put an event-based hold on each object"))
    retention_mode: str = field(
        default="", metadata=_option('Retention: "unlocked" or "locked"; the bucket must have object retention')
    )
    retention_days: int = field(
        default=0, metadata=_option("Days of retention, counted from the upload", minimum=0, maximum=36500)
    )
    retention_until: str = field(
        default="", metadata=_option("Day until which objects are retained, for example 2031-12-31")
    )
    if_absent: str = field(
        default="auto",
        metadata=_option('"atomic" trusts ifGenerationMatch, "check_then_write" does not; "auto": atomic at Google'),
    )
    ca_bundle: str = field(default="", metadata=_option("PEM file of the certificate authorities to trust"))
    proxy: str = field(
        default="", metadata=_option("Address of an HTTP proxy, without credentials; default: the environment's")
    )
    proxy_credentials: Secret = field(default=Secret(""), metadata=_option("The proxy's USER:PASSWORD"))
    min_part_size: int = field(
        default=CHUNK_UNIT,
        metadata=_option(
            "Parts but the last are multiples of it, and what is at most as long goes in one request",
            minimum=1,
            maximum=2**30,
            size=True,
            default_text="256KiB",
        ),
    )

    def __post_init__(self) -> None:
        for name, allowed in _CHOICES.items():
            if getattr(self, name) not in allowed:
                words = ", ".join(repr(each) for each in allowed if each)
                raise ValueError(f"{name} must be one of {words}")
        _check_place(self)
        _check_access(self)
        _check_metadata(self)
        _check_retention(self)

    @property
    def base_url(self) -> str:
        """Address of the service, without a slash at its end."""
        return (self.endpoint_url or GOOGLE).rstrip("/")

    @property
    def retain_until(self) -> datetime | None:
        """The fixed end of retention, UTC; None when days are counted or nothing is retained."""
        return _parse_day(self.retention_until) if self.retention_until else None


def _check_place(options: GcsOptions) -> None:
    if not options.bucket:
        raise ValueError("bucket is empty; name the bucket that the objects go to")
    if not _BUCKET.fullmatch(options.bucket):
        raise ValueError("bucket is no bucket's name; give it alone, without gs:// and without a folder")
    if options.prefix.startswith("/") or ".." in options.prefix.split("/"):
        raise ValueError("prefix must be relative and hold no '..'")
    for name in ("endpoint_url", "proxy"):
        _check_address(name, getattr(options, name))
    if not options.endpoint_url and options.min_part_size % CHUNK_UNIT:
        raise ValueError("min_part_size must be a multiple of 256KiB: the service takes no other parts")


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


def _check_access(options: GcsOptions) -> None:
    if options.anonymous and options.credentials_file:
        raise ValueError("anonymous and credentials_file exclude each other")
    if options.kms_key_name and not _KMS_KEY.fullmatch(options.kms_key_name):
        raise ValueError("kms_key_name must read projects/P/locations/L/keyRings/R/cryptoKeys/K")
    if options.proxy_credentials and not options.proxy:
        raise ValueError("proxy_credentials goes with proxy")


def _check_metadata(options: GcsOptions) -> None:
    for name, value in options.metadata.items():
        if not name or name.lower().startswith(_OWN):
            raise ValueError(f"metadata holds an empty name, or one that begins with {_OWN}, which are Haulier's own")
        if not (name + value).isprintable():
            raise ValueError("metadata holds control characters")


def _check_retention(options: GcsOptions) -> None:
    if options.retention_days and options.retention_until:
        raise ValueError("retention_days and retention_until exclude each other")
    if bool(options.retention_mode) != bool(options.retention_days or options.retention_until):
        raise ValueError("retention_mode goes together with retention_days or retention_until")
    if options.retention_until:
        _parse_day(options.retention_until)


def _parse_day(text: str) -> datetime:
    try:
        day = datetime.fromisoformat(text)
    except ValueError:
        raise ValueError("retention_until must be a day such as 2031-12-31") from None
    return day if day.tzinfo else day.replace(tzinfo=UTC)
