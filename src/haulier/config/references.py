"""Resolve references to secrets: ``env:NAME``, ``file:PATH``, ``keyring:SERVICE/NAME``, or encrypted in place.

Anything else is the secret itself.
"""

from __future__ import annotations

from enum import StrEnum
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from haulier.config.ownership import readable_by_others
from haulier.config.sealing import find_keys, unseal
from haulier.config.secrets import Secret
from haulier.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from haulier.config.sealing import FindKeys

    KeyringGet = Callable[[str, str], str | None]

__all__ = ["ReferenceKind", "ResolvedSecret", "is_reference", "reference_kind", "resolve_secret"]


class ReferenceKind(StrEnum):
    """Where a secret lies."""

    ENV = "env"
    FILE = "file"
    KEYRING = "keyring"
    SEALED = "haulier"  # encrypted in the configuration, see haulier.config.sealing
    LITERAL = "literal"  # in the configuration itself


class ResolvedSecret(NamedTuple):
    """A secret, where it lay, and what should be better about that (empty when nothing)."""

    secret: Secret
    kind: ReferenceKind
    warning: str = ""


def is_reference(text: str) -> bool:
    """Whether a text names a secret, or is an encrypted one, instead of being it in clear."""
    return reference_kind(text) is not ReferenceKind.LITERAL


def resolve_secret(
    text: str,
    *,
    environ: Mapping[str, str],
    base_dir: Path,
    keyring_get: KeyringGet | None = None,
    where: str = "",
    purpose: str = "",
    keys: FindKeys = find_keys,
    renew: str = "",
) -> ResolvedSecret:
    """Find the secret that a reference names.

    Args:
        text: A reference, an encrypted secret, or the secret itself.
        environ: The environment, for ``env:NAME``.
        base_dir: The folder that a relative ``file:PATH`` refers to. One line end is stripped from the file's content.
        keyring_get: Looks up service and name in the OS key store; default the package ``keyring``.
        where: The key, for messages.
        purpose: What the secret is for, see :func:`haulier.config.sealing.purpose_of`.
        keys: Finds the key of encrypted secrets.
        renew: The command that gives the secret anew, for messages.

    Raises:
        ConfigError: There is nothing under that name. Neither it nor a warning shows a secret.
    """
    kind = reference_kind(text)
    name = text.partition(":")[2]
    if kind is ReferenceKind.ENV:
        return ResolvedSecret(_from_environment(name, environ, where), kind)
    if kind is ReferenceKind.FILE:
        return _from_file(name, base_dir, where)
    if kind is ReferenceKind.KEYRING:
        return ResolvedSecret(_from_keyring(name, keyring_get or _system_keyring(where), where), kind)
    if kind is ReferenceKind.SEALED:
        return ResolvedSecret(unseal(text, purpose, keys, where=where, renew=renew), kind)
    warning = "is written in clear; name it with env:NAME, file:PATH or keyring:SERVICE/NAME instead" if text else ""
    return ResolvedSecret(Secret(text), kind, warning)


def reference_kind(text: str) -> ReferenceKind:
    """Where the secret lies that a text names or is."""
    scheme, separator, _ = text.partition(":")
    named = set(ReferenceKind) - {ReferenceKind.LITERAL}
    return ReferenceKind(scheme) if separator and scheme in named else ReferenceKind.LITERAL


def _from_environment(name: str, environ: Mapping[str, str], where: str) -> Secret:
    if environ.get(name):
        return Secret(environ[name])
    state = "is empty" if name in environ else "is not set"
    raise ConfigError(f"the environment variable {name} {state}", where=where, advice=f"Set {name}")


def _from_file(name: str, base_dir: Path, where: str) -> ResolvedSecret:
    try:
        path = base_dir / Path(name).expanduser()
        text = path.read_text(encoding="utf-8-sig")
        exposed = readable_by_others(path)
    except (OSError, RuntimeError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "no text file"
        raise ConfigError(
            f"the secret's file {name} cannot be read: {reason}",
            where=where,
            advice="Make it readable, or name another after file:",
        ) from None  # a decoding error quotes the content
    text = text.removesuffix("\n").removesuffix("\r")
    if not text:
        raise ConfigError(f"the secret's file {name} is empty", where=where, advice="Write the secret into it")
    warning = f"the secret's file {path} can be read by others; `chmod 600` it" if exposed else ""
    return ResolvedSecret(Secret(text), ReferenceKind.FILE, warning)


def _from_keyring(name: str, get: KeyringGet, where: str) -> Secret:
    service, separator, user = name.rpartition("/")
    if not (separator and service and user):
        raise ConfigError("a key store reference needs two names", where=where, advice="Write keyring:SERVICE/NAME")
    try:
        text = get(service, user)
    except Exception as error:
        # Key stores raise what they like: locked, no daemon, refused by the user.
        raise ConfigError(
            f"the key store does not answer: {type(error).__name__}",
            where=where,
            advice="Unlock it, or use env:NAME or file:PATH",
        ) from error
    if text:
        return Secret(text)
    raise ConfigError(
        f"the key store has nothing under {service}/{user}", where=where, advice=f"`keyring set {service} {user}`"
    )


def _system_keyring(where: str) -> KeyringGet:
    try:
        keyring = import_module("keyring")
    except ImportError as error:
        raise ConfigError(
            "the key store needs the package keyring",
            where=where,
            advice='Install it with `pip install "haulier[keyring]"`, or use env:NAME or file:PATH',
        ) from error
    get: KeyringGet = keyring.get_password
    return get
