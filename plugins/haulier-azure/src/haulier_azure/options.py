"""The options of a ``[backends.NAME]`` table with ``type = "azure"``."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from haulier.config.secrets import Secret
from haulier_azure.access import Account, account_of, is_key, is_sas

if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

__all__ = ["LEAST_PART", "AzureOptions"]

LEAST_PART = 4 * 1024 * 1024
"""Bytes: up to this, and at most to `min_part_size`, an object is put in one request."""

_LARGEST_PART = 4000 * 2**20  # bytes; Blob service REST API, "Put Block"
_CONTAINER = re.compile(r"\$root|(?=.{3,63}\Z)[a-z0-9]+(-[a-z0-9]+)*")
_CHOICES: Mapping[str, tuple[str, ...]] = {
    "identity": ("default", "managed"),
    "tier": ("", "hot", "cool", "cold", "archive"),
    "checksum": ("md5", "crc64"),
    "immutability_mode": ("", "unlocked", "locked"),
}


def _option(help_text: str, **more: Any) -> dict[str, Any]:
    return {"help": help_text, **more}


@dataclass(frozen=True, slots=True)
class AzureOptions:
    """Where a container is and how to write to it.

    Raises:
        ValueError: An option has a value that is not among those allowed, or does not go with another.
    """

    container: str = field(metadata=_option("Name of the container, which must exist"))
    prefix: str = field(default="", metadata=_option("What all keys begin with; a slash is added to it"))
    account_url: str = field(
        default="", metadata=_option("Address of the account, for example https://NAME.blob.core.windows.net")
    )
    credential: Secret = field(
        default=Secret(""), metadata=_option("An account key, or a SAS; without it an identity is used")
    )
    connection_string: Secret = field(
        default=Secret(""), metadata=_option("Instead of account_url and credential: the account's connection string")
    )
    account_name: str = field(
        default="", metadata=_option("Name of the account that a key belongs to; default: what account_url begins with")
    )
    identity: str = field(
        default="default",
        metadata=_option('Without credential: "default" tries what azure-identity finds, "managed" a managed identity'),
    )
    identity_client_id: str = field(default="", metadata=_option("Client id of a user-assigned managed identity"))
    tier: str = field(
        default="", metadata=_option('Access tier: "hot", "cool", "cold" or "archive"; default: the account\'s')
    )
    checksum: str = field(
        default="md5", metadata=_option('What the service checks each request by: "md5", or "crc64" (extra `crc`)')
    )
    immutability_mode: str = field(
        default="",
        metadata=_option('Retention: "unlocked" or "locked"; the container must have version-level immutability'),
    )
    immutability_days: int = field(
        default=0, metadata=_option("Days of retention, counted from the commit", minimum=0, maximum=146000)
    )
    immutability_until: str = field(
        default="", metadata=_option("Day until which objects are retained, for example 2031-12-31")
    )
    legal_hold: bool = field(default=False, metadata=_option("Put a legal hold on each object"))
    ca_bundle: str = field(default="", metadata=_option("PEM file of the certificate authorities to trust"))
    proxy: str = field(
        default="", metadata=_option("Address of an HTTP proxy, without credentials; default: the environment's")
    )
    proxy_credentials: Secret = field(default=Secret(""), metadata=_option("The proxy's USER:PASSWORD"))
    min_part_size: int = field(
        default=LEAST_PART,
        metadata=_option(
            "Least bytes of a part, and most (up to 4 MiB) of an object that is put in one request",
            minimum=1,
            maximum=_LARGEST_PART,
            size=True,
            default_text="4MiB",
        ),
    )

    def __post_init__(self) -> None:
        for name, allowed in _CHOICES.items():
            if getattr(self, name) not in allowed:
                words = ", ".join(repr(each) for each in allowed if each)
                raise ValueError(f"{name} must be one of {words}")
        _check_place(self)
        _check_access(self)
        _check_retention(self)

    @property
    def account(self) -> Account:
        """Which account, and with what right."""
        return account_of(self.account_url, self.account_name, self.credential, self.connection_string)

    @property
    def largest_put(self) -> int:
        """Most bytes of an object that goes in one request, which the SDK holds in memory."""
        return min(self.min_part_size, LEAST_PART)

    @property
    def retain_until(self) -> datetime | None:
        """The fixed end of retention, UTC; None when days are counted or nothing is retained."""
        return _parse_day(self.immutability_until) if self.immutability_until else None


def _check_place(options: AzureOptions) -> None:
    if not options.container:
        raise ValueError("container is empty")
    if not _CONTAINER.fullmatch(options.container):
        raise ValueError("container must have 3 to 63 lower-case letters, digits and single dashes between them")
    if options.prefix.startswith("/") or ".." in options.prefix.split("/"):
        raise ValueError("prefix must be relative and hold no '..'")
    _check_address("account_url", options.account_url, "credential")
    _check_address("proxy", options.proxy, "proxy_credentials")


def _check_address(name: str, address: str, where_secrets_go: str) -> None:
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
        raise ValueError(f"{name} holds credentials, a query or a fragment; they belong into {where_secrets_go}")


def _check_access(options: AzureOptions) -> None:
    if bool(options.connection_string) == bool(options.account_url):
        raise ValueError("give account_url or connection_string, one of the two")
    if options.connection_string and (options.credential or options.account_name):
        raise ValueError("connection_string brings its own credential and account_name; leave them out")
    secret = options.credential.reveal()
    if secret and not (is_sas(secret) or is_key(secret)):
        raise ValueError("credential is neither an account key (base64) nor a SAS (with sig=)")
    if secret and (options.identity != "default" or options.identity_client_id):
        raise ValueError("credential and identity exclude each other")
    if options.identity_client_id and options.identity != "managed":
        raise ValueError('identity_client_id needs identity = "managed"')
    account = options.account  # says what is wrong with a connection string
    if account.key and not account.name:
        raise ValueError("account_name is needed: it cannot be told from account_url")
    if account.by_identity and urlsplit(account.url).scheme != "https":
        raise ValueError("an identity's tokens go over https only; give an https account_url, or a credential")


def _check_retention(options: AzureOptions) -> None:
    if options.immutability_days and options.immutability_until:
        raise ValueError("immutability_days and immutability_until exclude each other")
    if bool(options.immutability_mode) != bool(options.immutability_days or options.immutability_until):
        raise ValueError("immutability_mode goes together with immutability_days or immutability_until")
    if options.immutability_until:
        _parse_day(options.immutability_until)


def _parse_day(text: str) -> datetime:
    try:
        day = datetime.fromisoformat(text)
    except ValueError:
        raise ValueError("immutability_until must be a day such as 2031-12-31") from None
    return day if day.tzinfo else day.replace(tzinfo=UTC)
