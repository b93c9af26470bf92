"""Which account, and with what right: an account key, a SAS, or an identity."""

from __future__ import annotations

import base64
import binascii
import ipaddress
from dataclasses import dataclass
from urllib.parse import urlsplit

from haulier.config.secrets import Secret

__all__ = ["Account", "account_of", "is_key", "is_sas"]

_SUFFIX = "core.windows.net"
_NOTHING = Secret("")


@dataclass(frozen=True, slots=True)
class Account:
    """A storage account.

    Attributes:
        url: Its address, without a slash at the end.
        name: Its name; empty where it cannot be told.
        key: Its key, or nothing.
        sas: A shared access signature without the question mark, or nothing.
    """

    url: str
    name: str
    key: Secret = _NOTHING
    sas: Secret = _NOTHING

    @property
    def by_identity(self) -> bool:
        """Whether there is neither key nor SAS."""
        return not self.key and not self.sas


def account_of(url: str, name: str, credential: Secret, connection_string: Secret) -> Account:
    """The account that the options name.

    Raises:
        ValueError: The connection string cannot be used. The text does not quote it.
    """
    if connection_string:
        return _from_connection_string(connection_string.reveal())
    secret = credential.reveal()
    key, sas = (_NOTHING, Secret(secret.lstrip("?"))) if is_sas(secret) else (credential, _NOTHING)
    return Account(url.rstrip("/"), name or _name_in(url), key, sas)


def is_sas(secret: str) -> bool:
    """Whether it is a shared access signature: a query with a signature."""
    return any(field.startswith("sig=") for field in secret.lstrip("?").split("&"))


def is_key(secret: str) -> bool:
    """Whether it can be an account key."""
    try:
        return bool(base64.b64decode(secret, validate=True))
    except (binascii.Error, ValueError):
        return False


def _from_connection_string(text: str) -> Account:
    fields = [field.partition("=") for field in text.strip().rstrip(";").split(";")]
    if not all(separator for _, separator, _ in fields):
        raise ValueError("connection_string is malformed: it is made of NAME=VALUE with semicolons between them")
    found = {name.strip().lower(): value for name, _, value in fields}
    if found.get("usedevelopmentstorage"):
        raise ValueError("connection_string must name account and BlobEndpoint; UseDevelopmentStorage says neither")
    name, key = found.get("accountname", ""), found.get("accountkey", "")
    sas = found.get("sharedaccesssignature", "").lstrip("?")
    url = found.get("blobendpoint", "")
    if not url and name:
        suffix = found.get("endpointsuffix", _SUFFIX)
        url = f"{found.get('defaultendpointsprotocol', 'https')}://{name}.blob.{suffix}"
    if not url:
        raise ValueError("connection_string names neither AccountName nor BlobEndpoint")
    parts = urlsplit(url)
    if parts.scheme not in {"http", "https"} or not parts.hostname or parts.query or parts.username:
        raise ValueError("connection_string names a BlobEndpoint that is no plain http or https address")
    if bool(sas) == bool(key) or not (is_sas(sas) or is_key(key)):
        raise ValueError("connection_string must bring an AccountKey or a SharedAccessSignature, one of the two")
    return Account(url.rstrip("/"), name or _name_in(url), Secret(key), Secret(sas))


def _name_in(url: str) -> str:
    """The account's name: the host's first label, or the first name of the path where the host is an address."""
    parts = urlsplit(url)
    host = parts.hostname or ""
    if host == "localhost" or _is_address(host):
        return parts.path.strip("/").partition("/")[0]
    label, _, rest = host.partition(".")
    return label.removesuffix("-secondary") if rest.startswith("blob.") else ""


def _is_address(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True
