"""An upload session of ours and its resume token."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from haulier.backends.api import Token
from haulier.errors import SessionLostError
from haulier.models import Role

if TYPE_CHECKING:
    from haulier.backends.api import Artifact
    from haulier_wats.answers import SessionAnswer
    from haulier_wats.http import Http

__all__ = ["Session"]

_URLS = ("video_url", "metadata_url")
SHA_256 = "sha-256"


@dataclass(frozen=True, slots=True)
class Session:
    """What is needed to go on with a session.

    Attributes:
        session_id: The server's name for it.
        video_url: Absolute address for the media file: an upload resource, or where a form goes.
        metadata_url: The same for the sidecar.
        resumable: Whether they are upload resources.
        digests: Whether the server checks SHA-256 of each append.
        max_append: Most bytes of one append; None is no limit.
        min_append: Least bytes of one that does not end a file.
        file_id: The recording, when the item was stored before the session began; else empty.
    """

    session_id: str
    video_url: str
    metadata_url: str
    resumable: bool = False
    digests: bool = False
    max_append: int | None = None
    min_append: int = 0
    file_id: str = ""

    @classmethod
    def from_answer(cls, answer: SessionAnswer, http: Http, *, resume: bool, file_id: str) -> Session:
        """Take what the server offers; ``resume`` tells whether resuming is wanted."""
        offer = answer.resumable if resume else None
        if offer is None:
            video, metadata = http.resolve(answer.video_url), http.resolve(answer.metadata_url)
            return cls(answer.session_id, video, metadata, file_id=file_id)
        return cls(
            answer.session_id,
            http.resolve(offer.video_url),
            http.resolve(offer.metadata_url),
            resumable=True,
            digests=SHA_256 in offer.digests,
            max_append=offer.max_append,
            min_append=offer.min_append,
            file_id=file_id,
        )

    @classmethod
    def from_token(cls, token: Token) -> Session:
        """Read a token.

        Raises:
            SessionLostError: It was not made here.
        """
        try:
            return cls(**{**token.public, **token.secret})
        except TypeError as error:
            raise SessionLostError("the resume token cannot be read") from error

    def to_token(self, http: Http, expires_at: float | None) -> Token:
        """Make the token. Addresses that grant rights by themselves are its secret part.

        Those are the ones that work without our token, being of another origin, and the ones with a query.
        """
        members: dict[str, Any] = asdict(self)
        secret = {name: members.pop(name) for name in _URLS if _grants(members[name], http)}
        return Token(members, secret, expires_at)

    def url(self, artifact: Artifact) -> str:
        """Where an artifact goes."""
        return self.video_url if artifact.role is Role.MEDIA else self.metadata_url


def _grants(url: str, http: Http) -> bool:
    return not http.is_own(url) or bool(urlsplit(url).query)
