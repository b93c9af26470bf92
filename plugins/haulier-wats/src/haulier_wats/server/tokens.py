"""Bearer tokens and what each may do, kept as SHA-256 digests and compared in constant time (RFC 6750)."""

from __future__ import annotations

import hashlib
import hmac
import re
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING

from haulier_wats.server.settings import ServerSetupError

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

__all__ = ["Caller", "Scope", "Tokens"]

_HASHED = "sha256:"
_DIGEST = re.compile(r"[0-9a-fA-F]{64}")
_NAME = re.compile(r"name=([A-Za-z0-9._@-]{1,64})")
_FINGERPRINT_LENGTH = 12


class Scope(StrEnum):
    """What a token may do."""

    UPLOAD = "upload"
    READ = "read"
    DELETE = "delete"


@dataclass(frozen=True, slots=True)
class Caller:
    """Whoever holds a token.

    Attributes:
        name: The token's name, else its fingerprint: the first digits of its SHA-256. Fit for logs.
        scopes: What the token may do.
    """

    name: str
    scopes: frozenset[Scope]


@dataclass(frozen=True, slots=True)
class _Token:
    digest: bytes = field(repr=False)
    caller: Caller


class Tokens:
    """The tokens that a server takes. Immutable, so any thread may ask.

    Args:
        tokens: Plain ones, or ``sha256:`` and the digest in hexadecimal. Behind it may follow, separated by spaces or
            commas, scopes (none: all of them) and ``name=NAME``.

    Raises:
        ServerSetupError: There is none, one is malformed, or two lines disagree about one token.
    """

    def __init__(self, tokens: Iterable[str]) -> None:
        known: dict[bytes, _Token] = {}
        for number, line in enumerate(tokens, 1):
            token = _token(line, number)
            if known.setdefault(token.digest, token) != token:
                raise ServerSetupError(f"token {number} was given before with other scopes or another name; keep one")
        self._tokens = tuple(known.values())
        if not self._tokens:
            raise ServerSetupError("there is no token: nobody could call the server; give at least one")

    @classmethod
    def from_file(cls, path: Path) -> Tokens:
        """Read one token per line; blank lines and lines that begin with ``#`` do not count.

        Raises:
            ServerSetupError: The file cannot be read, holds no token, or holds a malformed line.
        """
        try:
            text = path.read_text(encoding="utf-8-sig")
        except OSError as error:
            raise ServerSetupError(
                f"the token file {path} cannot be read ({error.strerror or error}); "
                "write one token per line, plain or sha256:HEX, into a file that only the server's user may read"
            ) from error
        except UnicodeDecodeError as error:
            raise ServerSetupError(f"the token file {path} is not UTF-8 text; save it as UTF-8") from error
        lines = (line.strip() for line in text.splitlines())
        try:
            return cls(line for line in lines if line and not line.startswith("#"))
        except ServerSetupError as error:
            raise ServerSetupError(f"the token file {path} is of no use: {error}") from error

    def accepts(self, authorization: str | None) -> bool:
        """Whether the value of an Authorization field carries one of the tokens."""
        return self.caller(authorization) is not None

    def caller(self, authorization: str | None) -> Caller | None:
        """Who the value of an Authorization field speaks for; None when it carries no known token."""
        scheme, _, token = (authorization or "").partition(" ")
        if scheme.lower() != "bearer":
            return None
        presented = hashlib.sha256(token.strip().encode("latin-1", "replace")).digest()
        # Every digest is compared, so that the time taken tells nothing about which one fits.
        found = [known.caller for known in self._tokens if hmac.compare_digest(presented, known.digest)]
        return found[0] if found else None


def _token(line: str, number: int) -> _Token:
    secret, *words = re.split(r"[\s,]+", line.strip())
    if not secret:
        raise ServerSetupError(f"token {number} is empty")
    digest = _digest(secret, number)
    name, scopes = "", set()
    for word in filter(None, words):
        if named := _NAME.fullmatch(word):
            name = named[1]
        elif word in set(Scope):
            scopes.add(Scope(word))
        else:  # the word is not shown: it may be half of a token with a space in it
            raise ServerSetupError(
                f"token {number} is followed by something that is neither a scope ({', '.join(Scope)}) nor name=NAME "
                "of up to 64 letters, digits and ._@-"
            )
    fingerprint = _HASHED + digest.hex()[:_FINGERPRINT_LENGTH]
    return _Token(digest, Caller(name or fingerprint, frozenset(scopes or Scope)))


def _digest(token: str, number: int) -> bytes:
    if not token.startswith(_HASHED):
        return hashlib.sha256(token.encode("utf-8")).digest()
    digest = token.removeprefix(_HASHED)
    if not _DIGEST.fullmatch(digest):
        raise ServerSetupError(f"token {number} begins with {_HASHED} but 64 hexadecimal digits do not follow")
    return bytes.fromhex(digest)
