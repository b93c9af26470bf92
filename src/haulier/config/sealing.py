"""Secrets that are encrypted within the configuration: ``haulier:v1:KEY:SEALED``.

The key is this user's on this machine (see :class:`~haulier.files.keys.Keys`): it lies in the OS key store, else in a
file of mode 0600, never beside the configuration. A sealed secret is bound to what it is for: the backend type, the
option, and the origins of the addresses in the same table: with another server's address it does not open. The cipher
is AES-256-GCM; ``KEY`` names the key, so that a configuration copied from elsewhere is told from a damaged one.
"""

from __future__ import annotations

import base64
import binascii
import secrets
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from haulier.config.secrets import Secret
from haulier.errors import ConfigError, StateFolderError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from haulier.files.keys import Keys

    FindKeys = Callable[[], Keys]

__all__ = ["PREFIX", "find_keys", "make_keys", "purpose_of", "seal", "unseal"]

PREFIX = "haulier:"
_VERSION = "v1"
_FOLDER = "sealing"
_KEY = "configuration secret"
_NONCE_BYTES, _ID_DIGITS = 12, 8
_DEFAULT_PORTS = {"http": 80, "https": 443}


def purpose_of(backend_type: str, option: str, options: Mapping[str, Any]) -> str:
    """What a secret of a backend's table is for, to seal it for that alone.

    Args:
        backend_type: Type of the backend.
        option: The secret's key in the table.
        options: The table; the origins of its ``...url`` entries count, their paths do not.
    """
    urls = sorted(key for key, value in options.items() if key.endswith("url") and isinstance(value, str))
    origins = [f"{key}={_origin(options[key])}" for key in urls]
    return " ".join([f"{backend_type}.{option}", *origins])


def seal(secret: Secret, purpose: str, keys: Keys) -> str:
    """Encrypt a secret for a configuration. Two results for one secret differ.

    Args:
        secret: The secret.
        purpose: See :func:`purpose_of`.
        keys: See :func:`make_keys`.
    """
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM

    nonce = secrets.token_bytes(_NONCE_BYTES)
    sealed = nonce + AESGCM(keys.derive(_KEY)).encrypt(nonce, secret.reveal().encode(), purpose.encode())
    return f"{PREFIX}{_VERSION}:{_key_id(keys)}:{base64.urlsafe_b64encode(sealed).decode('ascii')}"


def unseal(text: str, purpose: str, keys: FindKeys, *, where: str = "", renew: str = "") -> Secret:
    """The inverse of :func:`seal`.

    Args:
        text: What begins with :data:`PREFIX`.
        purpose: What it is to be used for.
        keys: Finds the key, see :func:`find_keys`.
        where: The key in the configuration, for messages.
        renew: The command that gives the secret anew, for messages.

    Raises:
        ConfigError: It was sealed elsewhere, for something else or by another version, or is damaged.
    """
    from cryptography.exceptions import InvalidTag
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM

    advice = f"Give it anew with {renew or 'the secret itself or a reference'}"
    key_id, sealed = _read(text, where, advice)
    known = _known_keys(keys, where, advice)
    if known is None or _key_id(known) != key_id:
        note = "" if known else "; a key in the OS key store needs the package keyring in this program too"
        raise ConfigError(
            "was encrypted by another user or on another machine, and cannot be read here",
            where=where,
            advice=f"{advice}, as the user who runs this program{note}",
        )
    try:
        opened = AESGCM(known.derive(_KEY)).decrypt(sealed[:_NONCE_BYTES], sealed[_NONCE_BYTES:], purpose.encode())
    except (InvalidTag, ValueError):  # ValueError: too short
        raise ConfigError(
            "was encrypted for another server or another use, or was damaged", where=where, advice=advice
        ) from None
    return Secret(opened.decode())


def find_keys() -> Keys:
    """This user's keys on this machine.

    Raises:
        StateFolderError: There are none, or they cannot be read.
    """
    from haulier.files import Files
    from haulier.files.keys import Keys, system_keyring

    return Keys.find(_folder(), Files(), system_keyring())


def make_keys() -> Keys:
    """The same; made when there are none.

    Raises:
        StateFolderError: They cannot be read.
        OSError: They cannot be written.
    """
    from haulier.files import Files
    from haulier.files.keys import Keys, system_keyring

    files = Files()
    files.make_private_dir(_folder())
    return Keys.load(_folder(), files, system_keyring())


def _folder() -> Path:
    from haulier.config.models import default_state_dir

    return default_state_dir() / _FOLDER


def _key_id(keys: Keys) -> str:
    return keys.derive(f"{_KEY} id").hex()[:_ID_DIGITS]


def _read(text: str, where: str, advice: str) -> tuple[str, bytes]:
    version, _, rest = text.removeprefix(PREFIX).partition(":")
    if version != _VERSION:
        raise ConfigError(
            "was encrypted by a newer Haulier, or is no encrypted secret",
            where=where,
            advice=f"Upgrade. Else: {advice}",
        )
    key_id, _, coded = rest.partition(":")
    try:
        return key_id, base64.b64decode(coded, altchars=b"-_", validate=True)
    except (binascii.Error, ValueError):
        raise ConfigError("is an encrypted secret that was damaged", where=where, advice=advice) from None


def _known_keys(keys: FindKeys, where: str, advice: str) -> Keys | None:
    try:
        return keys()
    except StateFolderError:
        return None
    except Exception as error:
        # Key stores raise what they like: locked, no daemon, refused by the user.
        raise ConfigError(
            f"is encrypted, and the key store does not answer: {type(error).__name__}",
            where=where,
            advice=f"Unlock it. Else: {advice}",
        ) from error


def _origin(url: str) -> str:
    """Scheme, host and port of an address; of what is none, the text."""
    try:
        parts = urlsplit(url.strip())
        host, port = parts.hostname, parts.port
    except ValueError:
        return url
    scheme = parts.scheme.lower()
    return f"{scheme}://{host}:{port or _DEFAULT_PORTS.get(scheme, '')}" if host else url
