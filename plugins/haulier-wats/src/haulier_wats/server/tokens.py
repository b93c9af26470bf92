"""Bearer tokens, kept as SHA-256 digests and compared in constant time (RFC 6750)."""

from __future__ import annotations

import hashlib
import hmac
import re
from typing import TYPE_CHECKING

from haulier_wats.server.settings import ServerSetupError

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

__all__ = ["Tokens"]

_HASHED = "sha256:"
_DIGEST = re.compile(r"[0-9a-fA-F]{64}")


class Tokens:
    """The tokens that a server takes. Immutable, so any thread may ask.

    Args:
        tokens: Plain ones, or ``sha256:`` and the digest in hexadecimal.

    Raises:
        ServerSetupError: There is none, or a digest is malformed.
    """

    def __init__(self, tokens: Iterable[str]) -> None:
        self._digests = tuple(_digest(token, number) for number, token in enumerate(tokens, 1))
        if not self._digests:
            raise ServerSetupError("there is no token: nobody could call the server; give at least one")

    @classmethod
    def from_file(cls, path: Path) -> Tokens:
        """Read one token per line; blank lines and lines that begin with ``#`` do not count.

        Raises:
            ServerSetupError: The file cannot be read, holds no token, or holds a malformed digest.
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
        scheme, _, token = (authorization or "").partition(" ")
        if scheme.lower() != "bearer":
            return False
        presented = hashlib.sha256(token.strip().encode("latin-1", "replace")).digest()
        # Every digest is compared, so that the time taken tells nothing about which one fits.
        return sum([hmac.compare_digest(presented, digest) for digest in self._digests]) > 0


def _digest(token: str, number: int) -> bytes:
    if not token.startswith(_HASHED):
        return hashlib.sha256(token.encode("utf-8")).digest()
    digest = token.removeprefix(_HASHED)
    if not _DIGEST.fullmatch(digest):
        raise ServerSetupError(f"token {number} begins with {_HASHED} but 64 hexadecimal digits do not follow")
    return bytes.fromhex(digest)
