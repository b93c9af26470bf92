"""Making an upload visible."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from haulier.errors import (
    ConflictError,
    IntegrityError,
    OffsetError,
    PermissionDeniedError,
    ServerError,
    ValidationError,
)
from haulier_azure.failures import is_a_lack_of_rights
from haulier_azure.metadata import SHA256, told
from haulier_azure.sessions import in_order

if TYPE_CHECKING:
    from collections.abc import Mapping

    from haulier.backends.api import Artifact, Context, HeldPart, LastPart, Stored, Upload
    from haulier_azure.place import Place
    from haulier_azure.sessions import Session
    from haulier_azure.uploads import Uploads

__all__ = ["Commit"]


@dataclass(frozen=True)
class Commit:
    """One commit.

    Attributes:
        place: Where objects lie.
        uploads: Writes them.
        upload: What is committed.
        session: Its session.
        parts: All parts, by artifact.
        digests: Digests of whole artifacts, as far as they are known.
        last: The part that comes with the commit.
        context: What to obey.
    """

    place: Place
    uploads: Uploads
    upload: Upload
    session: Session
    parts: Mapping[int, Mapping[int, HeldPart]]
    digests: Mapping[int, Mapping[str, str]]
    last: LastPart | None
    context: Context

    def run(self) -> tuple[Stored, ...]:
        """Write what is not there, the sidecar last, and look at all of it.

        Raises:
            ConflictError: Something else lies under a key.
            IntegrityError: The service holds other bytes.
            OffsetError: A block is missing.
        """
        parts = self._with_last_part()
        there = self._already_there()
        for artifact in in_order(self.upload):
            if artifact.index not in there:
                there[artifact.index] = self._made(artifact, parts.get(artifact.index, {}))
        return tuple(there[artifact.index] for artifact in self.upload.artifacts)

    def _with_last_part(self) -> Mapping[int, Mapping[int, HeldPart]]:
        """The parts, after the last one was sent; an empty one closes what is held already."""
        if self.last is None or self._goes_in_one_request(self.upload.artifacts[self.last.part.artifact]):
            return self.parts
        part = self.last.part
        if not part.size:
            return self.parts
        artifact = self.upload.artifacts[part.artifact]
        sent = self.uploads.send(self.upload, artifact, self.session.checksum, part, self.last.body, self.context)
        known = dict(self.parts.get(part.artifact, {}))
        return {**self.parts, part.artifact: {**known, part.number: sent}}

    def _goes_in_one_request(self, artifact: Artifact) -> bool:
        """Whether the part that comes with the commit is all of an artifact, and small: the SDK reads it whole."""
        last = self.last
        if last is None or last.part.artifact != artifact.index or last.part.size != artifact.size:
            return False
        return artifact.size <= self.place.client.options.largest_put

    # -- what is there already ---------------------------------------------------------------------------------

    def _already_there(self) -> dict[int, Stored]:
        """Objects under our keys that are as good as ours.

        The write itself makes sure that its key is free. Where nothing else could be visible by then, nothing is asked.
        """
        if len(self.upload.artifacts) == 1 and not self.session.stored:
            return {}
        there: dict[int, Stored] = {}
        for artifact in self.upload.artifacts:
            properties = self._looked(artifact)
            if properties is not None:
                there[artifact.index] = self._as_good_as_ours(artifact, properties)
        return there

    def _looked(self, artifact: Artifact) -> Any:
        """What lies under a key; nothing, as far as credentials that may not read can tell."""
        try:
            return self.place.head(artifact.key, self.context)
        except PermissionDeniedError as error:
            if artifact.index in self.session.stored or not is_a_lack_of_rights(error):
                raise
            return None

    def _as_good_as_ours(self, artifact: Artifact, properties: Any) -> Stored:
        """Our item, or equal content of another, which is answered without that item's id."""
        stored = self.place.stored(artifact.key, properties)
        if stored.size == artifact.size:
            sha256 = self.place.sha256(artifact.key, self.context)
            if sha256 == self._sha256(artifact):
                stored = replace(stored, digests={**stored.digests, "sha256": sha256})
                return stored if stored.item_id in {"", self.upload.item_id} else replace(stored, item_id="")
        raise ConflictError("something else lies under this key", where=stored.location)

    # -- writing -----------------------------------------------------------------------------------------------

    def _made(self, artifact: Artifact, parts: Mapping[int, HeldPart]) -> Stored:
        """Write an object, unless somebody was faster: then what is there is compared.

        Another's commit drops our blocks, so that missing ones are a sign of it as well.
        """
        try:
            return self._put(artifact) if self._goes_in_one_request(artifact) else self._joined(artifact, parts)
        except (ConflictError, OffsetError):
            properties = self._looked(artifact)
            if properties is None:
                raise
        return self._as_good_as_ours(artifact, properties)

    def _put(self, artifact: Artifact) -> Stored:
        """One request: the service's answer tells the checksum of what it stored."""
        if self.last is None:
            raise ValidationError("an artifact that goes up in one request comes whole", where=artifact.key)
        checksum = self.session.checksum
        answer = self.uploads.put(self.upload, artifact, checksum, self.last.body, self.context)
        computed = checksum.told(answer)
        return self._stored(
            artifact,
            answer,
            size=artifact.size if computed else None,
            digests={checksum.name: computed} if computed else {},
            compared=bool(computed),
        )

    def _joined(self, artifact: Artifact, parts: Mapping[int, HeldPart]) -> Stored:
        """All blocks become an object; then it is looked at, as far as the credentials may."""
        if sum(part.size for part in parts.values()) != artifact.size:
            raise OffsetError("not all blocks are there", where=self.place.location(artifact.key))
        sha256 = self._sha256(artifact)
        answer = self.uploads.commit(self.upload, artifact, parts, sha256, self.context)
        # Each block came to be only with the checksum of what was read: see HeldPart.digests and the block's id.
        compared = all(part.digests.get(self.session.checksum.name) for part in parts.values())
        properties = self._looked_after(artifact)
        if properties is None:
            return self._stored(artifact, answer, compared=compared)
        if told(properties.metadata, SHA256) != sha256:
            raise IntegrityError("the object has another SHA-256 in its metadata", where=artifact.key)
        return replace(self.place.stored(artifact.key, properties), compared=compared)

    def _looked_after(self, artifact: Artifact) -> Any:
        """The object as it lies there now; None for credentials that may not look."""
        try:
            properties = self.place.head(artifact.key, self.context)
        except PermissionDeniedError as error:
            if not is_a_lack_of_rights(error):
                raise
            return None
        if properties is None:
            raise ServerError("what was just written is not there", where=self.place.location(artifact.key))
        return properties

    def _stored(self, artifact: Artifact, answer: Mapping[str, Any], **known: Any) -> Stored:
        from haulier.backends.api import Stored

        location, version = self.place.location(artifact.key), answer.get("version_id") or ""
        return Stored(artifact.key, location, version=version, item_id=self.upload.item_id, **known)

    def _sha256(self, artifact: Artifact) -> str:
        """The digest of an artifact as it was read."""
        known = self.digests.get(artifact.index)
        if known is None and self.last is not None and self.last.part.artifact == artifact.index:
            return self.last.body.whole("sha256")
        return (known or {}).get("sha256", "")
