"""Finding out what became of an upload."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from haulier.backends.api import Outcome, Settled
from haulier.errors import AuthenticationError, PermissionDeniedError, TransferError, ValidationError
from haulier_azure.metadata import is_of_session

if TYPE_CHECKING:
    from haulier.backends.api import Artifact, Context, Stored, Upload
    from haulier_azure.place import Place

__all__ = ["Settling"]


@dataclass(frozen=True)
class Settling:
    """What became of an upload.

    Attributes:
        place: Where objects lie.
        upload: Which.
        context: What to obey.
    """

    place: Place
    upload: Upload
    context: Context

    def run(self) -> Settled:
        """Look under all keys. Present when each has an object of the right size, whose content is read back."""
        try:
            found = [self.place.head(artifact.key, self.context) for artifact in self.upload.artifacts]
        except (PermissionDeniedError, ValidationError):
            return self._unknown()
        sizes = [artifact.size for artifact in self.upload.artifacts]
        if any(each is None or each.size != size for each, size in zip(found, sizes, strict=True)):
            return Settled(Outcome.ABSENT)
        stored = [self._described(*pair) for pair in zip(self.upload.artifacts, found, strict=True)]
        if any(each is None for each in stored):
            return Settled(Outcome.UNKNOWN)
        return Settled(Outcome.PRESENT, tuple(each for each in stored if each is not None))

    def is_half_done(self) -> bool:
        """Whether this very session made its media file visible, and not its sidecar."""
        sidecar = self.upload.sidecar
        if sidecar is None:
            return False
        media = self.place.head(self.upload.media.key, self.context)
        if media is None or not is_of_session(media.metadata, self.upload):
            return False
        return self.place.head(sidecar.key, self.context) is None

    def _unknown(self) -> Settled:
        """Nobody may look; that may be for credentials that have expired, which is no answer at all.

        Raises:
            AuthenticationError: It is.
        """
        try:
            self.place.ask(self.context)
        except AuthenticationError:
            raise
        except TransferError:
            return Settled(Outcome.UNKNOWN)
        return Settled(Outcome.UNKNOWN)

    def _described(self, artifact: Artifact, properties: Any) -> Stored | None:
        """An object with a digest that the engine can compare; None when it cannot be told from anything else."""
        stored = self.place.stored(artifact.key, properties)
        ours = stored.item_id == self.upload.item_id
        if not ours:
            stored = replace(stored, item_id="")
        try:
            sha256 = self.place.sha256(artifact.key, self.context)
        except TransferError:
            return stored if ours else None
        return replace(stored, digests={**stored.digests, "sha256": sha256})
