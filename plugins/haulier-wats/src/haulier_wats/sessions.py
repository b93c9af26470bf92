"""An upload session of ours and its resume token."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from haulier.backends.api import Token
from haulier.errors import SessionLostError
from haulier.models import Role
from haulier_wats.expiry import MARGIN, is_over
from haulier_wats.presigned import method_for

if TYPE_CHECKING:
    from haulier.backends.api import Artifact
    from haulier_wats.answers import SessionAnswer
    from haulier_wats.http import Http

__all__ = ["Session"]

_URLS = ("video_url", "metadata_url")
SHA_256 = "sha-256"
_LEAST_LIFETIME = 1.0


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
        video_method: How the media file goes as a whole: ``POST`` as a form, ``PUT`` as it is.
        metadata_method: The same for the sidecar.
        lifetime: Seconds that the session was given at its creation; None when the server did not tell.
    """

    session_id: str
    video_url: str
    metadata_url: str
    resumable: bool = False
    digests: bool = False
    max_append: int | None = None
    min_append: int = 0
    file_id: str = ""
    video_method: str = "POST"
    metadata_method: str = "POST"
    lifetime: float | None = None

    @classmethod
    def from_answer(cls, answer: SessionAnswer, http: Http, *, resume: bool, file_id: str) -> Session:
        """Take what the server offers; ``resume`` tells whether resuming is wanted.

        Raises:
            ValidationError: It names an address that it may not name.
        """
        offer = answer.resumable if resume else None
        lifetime = None if answer.expires_at is None else answer.expires_at - http.now()
        if offer is None:
            video, metadata = http.resolve(answer.video_url), http.resolve(answer.metadata_url)
            return cls(
                answer.session_id,
                video,
                metadata,
                file_id=file_id,
                video_method=answer.video_method or method_for(video, own=http.is_own(video)),
                metadata_method=answer.metadata_method or method_for(metadata, own=http.is_own(metadata)),
                lifetime=lifetime,
            )
        return cls(
            answer.session_id,
            http.resolve(offer.video_url),
            http.resolve(offer.metadata_url),
            resumable=True,
            digests=SHA_256 in offer.digests,
            max_append=offer.max_append,
            min_append=offer.min_append,
            file_id=file_id,
            lifetime=lifetime,
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

    def method(self, artifact: Artifact) -> str:
        """With which method an artifact goes as a whole."""
        return self.video_method if artifact.role is Role.MEDIA else self.metadata_method

    def is_over(self, expires_at: float | None, now: float) -> bool:
        """Whether the session has ended or is about to, by a moment that the server told; both on the same clock.

        One that had ended when it began, or lived a moment only, shows a server whose times mean nothing.
        """
        if self.lifetime is not None and self.lifetime < _LEAST_LIFETIME:
            return False
        margin = MARGIN if self.lifetime is None else min(MARGIN, self.lifetime / 10)
        return is_over(expires_at, now, margin)


def _grants(url: str, http: Http) -> bool:
    return not http.is_own(url) or bool(urlsplit(url).query)
