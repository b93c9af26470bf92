"""Making an upload visible, and finding out whether it is."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from haulier.backends.api import Outcome, Settled
from haulier.errors import (
    AuthenticationError,
    ConflictError,
    IntegrityError,
    PermissionDeniedError,
    ServerError,
    TransferError,
    ValidationError,
)
from haulier_s3.checksums import composite, digests_of
from haulier_s3.metadata import is_of_session, item_of
from haulier_s3.sessions import in_order

if TYPE_CHECKING:
    from collections.abc import Mapping

    from haulier.backends.api import Artifact, Context, HeldPart, LastPart, Stored, Upload
    from haulier_s3.place import Place
    from haulier_s3.sessions import Session
    from haulier_s3.uploads import Uploads

__all__ = ["Commit", "Settling"]

_OF_CONTENT = frozenset({"crc64nvme", "crc32c", "sha256"})  # an ETag may be something else than an MD5


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
        """
        parts = self._with_last_part()
        there = self._already_there()
        for artifact in in_order(self.upload):
            index = artifact.index
            if index not in there:
                answer = self._write(artifact, parts.get(index, {}))
                there[index] = self._verified(artifact, answer, parts.get(index, {}))
        return tuple(there[artifact.index] for artifact in self.upload.artifacts)

    def _with_last_part(self) -> Mapping[int, Mapping[int, HeldPart]]:
        """The parts, after the last one was sent; an empty one closes what is held already."""
        if self.last is None or self.last.part.artifact not in self.session.uploads:
            return self.parts
        part = self.last.part
        artifact = self.upload.artifacts[part.artifact]
        if not part.size and artifact.size:
            return self.parts
        upload_id, checksum = self.session.uploads[part.artifact], self.session.checksum
        sent = self.uploads.send(artifact, upload_id, checksum, part, self.last.body, self.context)
        known = dict(self.parts.get(part.artifact, {}))
        return {**self.parts, part.artifact: {**known, part.number: sent}}

    # -- what is there already ---------------------------------------------------------------------------------

    def _already_there(self) -> dict[int, Stored]:
        """Objects under our keys that are as good as ours.

        Where the write itself makes sure that the key is free and nothing else could be visible by then, nothing is
        asked.
        """
        options = self.place.client.options
        atomic = self.uploads.conditional and (options.if_absent == "atomic" or not options.endpoint_url)
        if atomic and len(self.upload.artifacts) == 1 and not self.session.stored:
            return {}
        there: dict[int, Stored] = {}
        for artifact in self.upload.artifacts:
            answer = self._looked(artifact)
            if answer is not None:
                there[artifact.index] = self._as_good_as_ours(artifact, answer)
        return there

    def _looked(self, artifact: Artifact) -> dict[str, Any] | None:
        """What lies under a key; nothing, as far as credentials that may not read can tell."""
        try:
            return self.place.head(artifact.key, self.context)
        except PermissionDeniedError:
            if artifact.index in self.session.stored:
                raise
            self._require_a_condition(artifact)
            return None

    def _require_a_condition(self, artifact: Artifact) -> None:
        """Credentials that may not look depend on the service's own protection."""
        if not self.uploads.conditional:
            raise PermissionDeniedError(
                "the credentials may not look whether the key is free",
                where=self.place.location(artifact.key),
                advice='Allow s3:GetObject and s3:ListBucket, or use if_absent = "atomic" where the service has it',
            )

    def _as_good_as_ours(self, artifact: Artifact, answer: Mapping[str, Any]) -> Stored:
        """Our item, or equal content of another, which is answered without that item's id."""
        stored = self.place.stored(artifact.key, answer)
        if stored.size == artifact.size:
            common = [name for name in stored.digests if self._whole(artifact, name)]
            if not common:
                sha256 = self.place.sha256(artifact.key, self.context)
                stored = replace(stored, digests={**stored.digests, "sha256": sha256})
                common = ["sha256"]
            if all(stored.digests[name] == self._whole(artifact, name) for name in common):
                return stored if stored.item_id in {"", self.upload.item_id} else replace(stored, item_id="")
        raise ConflictError("something else lies under this key", where=stored.location)

    # -- writing -----------------------------------------------------------------------------------------------

    def _write(self, artifact: Artifact, parts: Mapping[int, HeldPart]) -> dict[str, Any]:
        upload_id = self.session.uploads.get(artifact.index)
        if upload_id is not None:
            checksum = self.session.checksum
            whole = self._whole(artifact, checksum.name)
            return self.uploads.complete(artifact, upload_id, checksum, parts, whole, self.context)
        if self.last is None or self.last.part.artifact != artifact.index or self.last.part.size != artifact.size:
            raise ValidationError("an artifact that goes up in one request comes whole", where=artifact.key)
        return self.uploads.put(self.upload, artifact, self.last.body, self.context)

    def _whole(self, artifact: Artifact, name: str) -> str:
        """A digest of an artifact as it was read, else empty."""
        known = self.digests.get(artifact.index)
        if known is None and self.last is not None and self.last.part.artifact == artifact.index:
            return self.last.body.whole(name) if name in {"sha256", *self.uploads.whole_digests} else ""
        return (known or {}).get(name, "")

    def _verified(self, artifact: Artifact, answer: Mapping[str, Any], parts: Mapping[int, HeldPart]) -> Stored:
        """The object as the service describes it; credentials that may not look must do with the answer itself.

        The answer to a single request that tells a checksum of the content says all that looking would.
        """
        if artifact.index not in self.session.uploads and set(digests_of(answer)) & _OF_CONTENT:
            return self.place.stored(artifact.key, answer, size=artifact.size, item_id=self.upload.item_id)
        try:
            head = self.place.head(artifact.key, self.context)
        except PermissionDeniedError:
            told = {**answer, "ContentLength": None, "Metadata": {}}
            return self._compared(artifact, self.place.stored(artifact.key, told), parts)
        if head is None:
            raise ServerError("what was just written is not there", where=self.place.location(artifact.key))
        return self._compared(artifact, self.place.stored(artifact.key, head), parts)

    def _compared(self, artifact: Artifact, stored: Stored, parts: Mapping[int, HeldPart]) -> Stored:
        """Compare a digest of digests, which the engine cannot."""
        name = self.session.checksum.name
        told = stored.digests.get(f"{name}-composite")
        ours = [part.digests.get(name, "") for _, part in sorted(parts.items())]
        if artifact.index not in self.session.uploads or not told or not all(ours):
            return stored
        if composite(name, ours) != told:
            raise IntegrityError(f"the service holds other bytes ({name} differs)", where=stored.location)
        return replace(stored, compared=True)


@dataclass(frozen=True)
class Settling:
    """What became of an upload.

    Attributes:
        place: Where objects lie.
        uploads: For what is left of it.
        upload: Which.
        context: What to obey.
    """

    place: Place
    uploads: Uploads
    upload: Upload
    context: Context

    def run(self, session: Session | None) -> Settled:
        """Look under all keys. Present when each has an object of the right size, whose digests are told or read."""
        try:
            answers = {entry.index: self.place.head(entry.key, self.context) for entry in self.upload.artifacts}
        except (PermissionDeniedError, ValidationError):
            return self._unknown()
        sizes = {artifact.index: artifact.size for artifact in self.upload.artifacts}
        if any(answer is None or answer.get("ContentLength") != sizes[index] for index, answer in answers.items()):
            return Settled(Outcome.ABSENT)
        stored = [self._described(entry, answers[entry.index] or {}) for entry in self.upload.artifacts]
        if any(each is None for each in stored):
            return Settled(Outcome.UNKNOWN)
        self._drop_uploads(session)
        return Settled(Outcome.PRESENT, tuple(each for each in stored if each is not None))

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

    def _described(self, artifact: Artifact, answer: Mapping[str, Any]) -> Stored | None:
        """An object with a digest that the engine can compare; None when it cannot be told from anything else."""
        stored = self.place.stored(artifact.key, answer)
        ours = item_of(answer) == self.upload.item_id
        if not ours:
            stored = replace(stored, item_id="")
        if set(digests_of(answer)) & {"sha256", *self.uploads.whole_digests}:
            return stored
        try:
            sha256 = self.place.sha256(artifact.key, self.context)
        except TransferError:
            return stored if ours else None
        return replace(stored, digests={**stored.digests, "sha256": sha256})

    def is_half_done(self) -> bool:
        """Whether this very session made its media file visible, and not its sidecar."""
        sidecar = self.upload.sidecar
        if sidecar is None:
            return False
        media = self.place.head(self.upload.media.key, self.context)
        if media is None or not is_of_session(media, self.upload):
            return False
        return self.place.head(sidecar.key, self.context) is None

    def _drop_uploads(self, session: Session | None) -> None:
        """What lies there came another way than by this session: its parts are not needed any more."""
        if session is None:
            return
        for index, upload_id in session.uploads.items():
            try:
                self.uploads.abort(self.upload.artifacts[index], upload_id, self.context)
            except TransferError:
                continue
