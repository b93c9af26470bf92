"""An upload session as its resume token holds it.

The address of a resumable session is a bearer secret: whoever has it may write the object, without credentials. It goes
into the secret part of the token, which is sealed before it is journalled, and is used only on the configured origin.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from haulier.backends.api import Token
from haulier.errors import SessionLostError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from haulier.backends.api import Artifact, Upload

__all__ = ["LIFETIME", "Session", "in_order", "is_on"]

LIFETIME = 7 * 86400.0
"""Seconds for which the service keeps a session (Cloud Storage, "Resumable uploads")."""

_DEFAULT_PORTS = {"http": 80, "https": 443}


@dataclass(frozen=True, slots=True)
class Session:
    """One upload session.

    Attributes:
        owner: Item id and nonce: a session serves one start of one item.
        addresses: Of resumable sessions, by artifact index. An artifact without one goes up in one request, at commit.
        stored: Artifacts under whose keys something of their size lay already when the session began.
    """

    owner: tuple[str, str]
    addresses: Mapping[int, str] = field(default_factory=dict, repr=False)
    stored: frozenset[int] = frozenset()

    def to_token(self, began: float) -> Token:
        """What is journalled of a session that began then (seconds since the epoch)."""
        public = {"owner": list(self.owner), "stored": sorted(self.stored), "resumable": sorted(self.addresses)}
        secret = {str(index): address for index, address in self.addresses.items()}
        return Token(public, secret, began + LIFETIME if secret else None, known=bool(self.stored))

    @classmethod
    def from_token(cls, token: Token, upload: Upload, base_url: str) -> Session:
        """Read it again.

        Raises:
            SessionLostError: It is not one of this upload, or leads to another origin than ``base_url``.
        """
        owner = (upload.item_id, upload.nonce)
        try:
            if tuple(token.public["owner"]) != owner:
                raise SessionLostError("the journalled resume token is one of another upload")
            addresses = {int(index): str(address) for index, address in token.secret.items()}
            stored, resumable = frozenset(token.public["stored"]), set(token.public["resumable"])
        except (KeyError, ValueError, TypeError, AttributeError) as error:
            raise SessionLostError("the journalled resume token is not one of this backend type") from error
        if not all(is_on(base_url, address) for address in addresses.values()):
            raise SessionLostError("the journalled upload session is one of another service")
        indices = {artifact.index for artifact in upload.artifacts}
        if set(addresses) != resumable or not stored | resumable <= indices:
            raise SessionLostError("the journalled resume token is one of another upload")
        return cls(owner, addresses, stored)


def is_on(base_url: str, address: str) -> bool:
    """Whether an address is on the same origin (RFC 6454) as ``base_url``, and carries no user information."""
    try:
        return _origin(address) == _origin(base_url) and "@" not in urlsplit(address).netloc
    except ValueError:
        return False


def _origin(address: str) -> tuple[str, str, int | None]:
    parts = urlsplit(address)
    scheme = parts.scheme.lower()
    return scheme, (parts.hostname or "").lower(), parts.port or _DEFAULT_PORTS.get(scheme)


def in_order(upload: Upload) -> list[Artifact]:
    """The artifacts as they become visible: the media file first, the sidecar last, as the mark that all is there."""
    return sorted(upload.artifacts, key=lambda artifact: artifact.index != upload.media.index)
