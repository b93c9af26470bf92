"""An upload session as its resume token holds it.

Upload ids are no secrets: they grant nothing without credentials that may write. They are journalled in clear.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from haulier.backends.api import Token
from haulier.errors import SessionLostError
from haulier_s3.checksums import Checksum, candidates

if TYPE_CHECKING:
    from collections.abc import Mapping

    from haulier.backends.api import Artifact, Upload

__all__ = ["Session", "in_order"]


@dataclass(frozen=True, slots=True)
class Session:
    """One upload session.

    Attributes:
        owner: Item id and nonce: a session serves one start of one item.
        checksum: How its parts are checked.
        uploads: Multipart upload ids by artifact index. An artifact without one goes up in a single request, at commit.
        stored: Artifacts that lay at their keys already when the session began.
    """

    owner: tuple[str, str]
    checksum: Checksum
    uploads: Mapping[int, str] = field(default_factory=dict)
    stored: frozenset[int] = frozenset()

    def to_token(self) -> Token:
        """What is journalled."""
        public = {
            "owner": list(self.owner),
            "checksum": self.checksum.name,
            "uploads": {str(index): upload_id for index, upload_id in self.uploads.items()},
            "stored": sorted(self.stored),
        }
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
            (checksum,) = candidates(token.public["checksum"], at_amazon=False)
            uploads = {int(index): str(upload_id) for index, upload_id in token.public["uploads"].items()}
            return cls(owner, checksum, uploads, frozenset(token.public["stored"]))
        except (KeyError, ValueError, TypeError, AttributeError) as error:
            raise SessionLostError("the journalled resume token is not one of this backend type") from error


def in_order(upload: Upload) -> list[Artifact]:
    """The artifacts as they become visible: the media file first, the sidecar last, as the mark that all is there."""
    return sorted(upload.artifacts, key=lambda artifact: artifact.index != upload.media.index)
