"""The resume token of this backend type. It grants nothing without credentials, so that all of it is public."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from haulier.backends.api import Token
from haulier.errors import SessionLostError
from haulier_azure.checksums import Checksum, by_option

if TYPE_CHECKING:
    from haulier.backends.api import Artifact, Upload

__all__ = ["Session", "in_order"]

_OPTIONS = {"md5": "md5", "crc64nvme": "crc64"}


@dataclass(frozen=True, slots=True)
class Session:
    """One upload session.

    Attributes:
        owner: Item id and nonce: a session serves one start of one item.
        checksum: How its parts are checked.
        stored: Artifacts that lay at their keys already when the session began.
    """

    owner: tuple[str, str]
    checksum: Checksum
    stored: frozenset[int] = frozenset()

    def to_token(self) -> Token:
        """What is journalled."""
        public = {"owner": list(self.owner), "checksum": self.checksum.name, "stored": sorted(self.stored)}
        return Token(public, known=bool(self.stored))

    @classmethod
    def from_token(cls, token: Token, upload: Upload) -> Session:
        """Read it again.

        Raises:
            SessionLostError: It is not one of this upload.
        """
        owner = (upload.item_id, upload.nonce)
        try:
            if tuple(token.public["owner"]) != owner:
                raise SessionLostError("the journalled resume token is one of another upload")
            checksum = by_option(_OPTIONS[token.public["checksum"]])
            return cls(owner, checksum, frozenset(token.public["stored"]))
        except (KeyError, ValueError, TypeError, AttributeError) as error:
            raise SessionLostError("the journalled resume token is not one of this backend type") from error


def in_order(upload: Upload) -> list[Artifact]:
    """The artifacts as they become visible: the media file first, the sidecar last, as the mark that all is there."""
    return sorted(upload.artifacts, key=lambda artifact: artifact.index != upload.media.index)
