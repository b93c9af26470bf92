"""Making an upload visible, and finding out whether it is."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from haulier.backends.api import Outcome, Settled
from haulier.errors import (
    AuthenticationError,
    ConflictError,
    IntegrityError,
    OffsetError,
    PermissionDeniedError,
    ServerError,
    TransferError,
    ValidationError,
)
from haulier_gcs.checksums import CRC32C
from haulier_gcs.metadata import is_of_session
from haulier_gcs.sessions import in_order

if TYPE_CHECKING:
    from collections.abc import Mapping

    from haulier.backends.api import Artifact, Context, LastPart, Stored, Upload
    from haulier_gcs.place import Place
    from haulier_gcs.sessions import Session
    from haulier_gcs.uploads import Progress, Uploads

__all__ = ["Commit", "Settling"]


@dataclass(frozen=True)
class Commit:
    """One commit.

    Attributes:
        place: Where objects lie.
        uploads: Writes them.
        upload: What is committed.
        session: Its session.
        digests: Digests of whole artifacts, as far as they are known.
        last: The part that comes with the commit.
        context: What to obey.
    """

    place: Place
    uploads: Uploads
    upload: Upload
    session: Session
    digests: Mapping[int, Mapping[str, str]]
    last: LastPart | None
    context: Context

    def run(self) -> tuple[Stored, ...]:
        """Write what is not there, the media file first and the sidecar last, and compare all of it.

        Raises:
            ConflictError: Something else lies under a key.
            IntegrityError: The service holds other bytes.
        """
        there = self._already_there()
        for artifact in in_order(self.upload):
            if artifact.index not in there:
                there[artifact.index] = self._written(artifact)
        return tuple(there[artifact.index] for artifact in self.upload.artifacts)

    # -- what is there already ---------------------------------------------------------------------------------

    def _already_there(self) -> dict[int, Stored]:
        """Objects under our keys that are as good as ours.

        Where the write itself makes sure that the key is free and nothing else could be visible by then, nothing is
        asked.
        """
        if self._is_atomic and len(self.upload.artifacts) == 1 and not self.session.stored and not self._closes:
            return {}
        there: dict[int, Stored] = {}
        for artifact in self.upload.artifacts:
            resource = self._looked(artifact)
            if resource is not None:
                there[artifact.index] = self._as_good_as_ours(artifact, resource)
        return there

    @property
    def _is_atomic(self) -> bool:
        options = self.place.client.options
        return self.uploads.conditional and (options.if_absent == "atomic" or not options.endpoint_url)

    @property
    def _closes(self) -> bool:
        """Whether all bytes were there before: then the object may be as well."""
        return self.last is None or (not self.last.part.size and bool(self.upload.media.size))

    def _looked(self, artifact: Artifact) -> dict[str, Any] | None:
        """What lies under a key; nothing, as far as credentials that may not read can tell."""
        found, may_look = self.place.look(artifact.key, self.context)
        if not may_look and (artifact.index in self.session.stored or not self.uploads.conditional):
            raise PermissionDeniedError(
                "the credentials may not look whether the key is free",
                where=self.place.location(artifact.key),
                advice='Allow storage.objects.get and storage.objects.list, or use if_absent = "atomic"',
            )
        return found

    def _as_good_as_ours(self, artifact: Artifact, resource: Mapping[str, Any]) -> Stored:
        """Our item, or equal content of another, which is answered without that item's id.

        A CRC proves that our own bytes arrived; whether somebody else's are equal is for SHA-256 to say.
        """
        stored = self.place.stored(artifact.key, resource)
        told = stored.digests.get(CRC32C)
        ours = stored.item_id == self.upload.item_id
        if stored.size == artifact.size and told in {None, self._whole(artifact, CRC32C)}:
            if ours and told is not None:
                return self._noted(artifact, stored, resource)
            sha256 = self.place.sha256(artifact.key, self.context)
            if sha256 == self._whole(artifact, "sha256"):
                return replace(
                    stored, digests={**stored.digests, "sha256": sha256}, item_id=stored.item_id if ours else ""
                )
        raise ConflictError("something else lies under this key", where=stored.location)

    # -- writing -----------------------------------------------------------------------------------------------

    def _written(self, artifact: Artifact) -> Stored:
        address = self.session.addresses.get(artifact.index)
        try:
            resource = self._put(artifact) if address is None else self._closed(artifact, address)
        except ConflictError:
            # Perhaps it is our own, of a try whose answer was lost.
            found = self._looked(artifact)
            if found is None:
                raise
            return self._as_good_as_ours(artifact, found)
        return self._verified(artifact, resource)

    def _put(self, artifact: Artifact) -> Mapping[str, Any]:
        known = {name: self._whole(artifact, name) for name in (CRC32C, "sha256")}
        if self.last is not None and self.last.part.artifact == artifact.index:
            if self.last.part.size == artifact.size:
                return self.uploads.put(self.upload, artifact, self.last.body, known, self.context)
        elif artifact.content is not None:
            return self.uploads.put(self.upload, artifact, artifact.content, known, self.context)
        raise ValidationError("an artifact that goes up in one request comes whole", where=artifact.key)

    def _closed(self, artifact: Artifact, address: str) -> Mapping[str, Any]:
        """The object that a session becomes with its last bytes."""
        progress = self._with_last_part(artifact, address)
        if progress.resource is None and progress.prefix == artifact.size:
            progress = self._close(artifact, address)
        if progress.resource is None:
            raise OffsetError("the service holds less than it was sent", where=self.place.location(artifact.key))
        return progress.resource

    def _with_last_part(self, artifact: Artifact, address: str) -> Progress:
        last = self.last
        if last is None or last.part.artifact != artifact.index or not last.part.size:
            return self._close(artifact, address)
        whole = self._whole(artifact, CRC32C)
        patience = self._patience
        return self.uploads.send(artifact, address, last.part, last.body, self.context, crc32c=whole, patience=patience)

    def _close(self, artifact: Artifact, address: str) -> Progress:
        whole = self._whole(artifact, CRC32C)
        return self.uploads.close(artifact, address, self.context, crc32c=whole, patience=self._patience)

    @property
    def _patience(self) -> float:
        return max(self.context.silence, self.context.commit_timeout)

    def _whole(self, artifact: Artifact, name: str) -> str:
        """A digest of an artifact as it was read, else empty."""
        known = self.digests.get(artifact.index)
        if known is None and self.last is not None and self.last.part.artifact == artifact.index:
            return self.last.body.whole(name)
        return (known or {}).get(name, "")

    # -- comparing ---------------------------------------------------------------------------------------------

    def _verified(self, artifact: Artifact, resource: Mapping[str, Any]) -> Stored:
        """The object as the answer describes it, or as the service does when the answer says too little."""
        stored = self.place.stored(artifact.key, resource)
        if CRC32C not in stored.digests:
            resource = self._described(artifact, resource)
            stored = self.place.stored(artifact.key, resource)
        ours = self._whole(artifact, CRC32C)
        if stored.size not in {None, artifact.size} or stored.digests.get(CRC32C) not in {None, ours}:
            # The service ignored the digest that went with the bytes; this generation is ours to take back.
            self.place.remove_if_may(artifact.key, self.context, stored.version)
            raise IntegrityError("the service holds other bytes (crc32c differs)", where=stored.location)
        return self._noted(artifact, stored, resource)

    def _described(self, artifact: Artifact, answer: Mapping[str, Any]) -> Mapping[str, Any]:
        """The object's resource; credentials that may not look must do with the answer itself."""
        found, may_look = self.place.look(artifact.key, self.context)
        if not may_look:
            return answer
        if found is None:
            raise ServerError("what was just written is not there", where=self.place.location(artifact.key))
        return found

    def _noted(self, artifact: Artifact, stored: Stored, resource: Mapping[str, Any]) -> Stored:
        """The same, after our SHA-256 was kept with it if this start of the upload wrote it."""
        if is_of_session(resource, self.upload):
            self.uploads.note_sha256(stored, resource, self._whole(artifact, "sha256"), self.context)
        return stored


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
        """Look under all keys. Present when each has an object of the right size whose digest is told or read."""
        found: dict[int, Stored] = {}
        try:
            for artifact in self.upload.artifacts:
                there = self.place.stat(artifact.key, self.context)
                if there is None or there.size != artifact.size:
                    return Settled(Outcome.ABSENT)
                found[artifact.index] = there
        except (PermissionDeniedError, ValidationError):
            return self._told_by_session(session) or self._unknown()
        described = [self._described(artifact, found[artifact.index]) for artifact in self.upload.artifacts]
        if any(each is None for each in described):
            return Settled(Outcome.UNKNOWN)
        self._drop_sessions(session)
        return Settled(Outcome.PRESENT, tuple(each for each in described if each is not None))

    def take_back(self) -> None:
        """Remove what this very start made visible unless all of it is; whoever may not leaves it."""
        ours: list[tuple[str, str]] = []
        for artifact in self.upload.artifacts:
            resource = self.place.resource(artifact.key, self.context)
            if resource is not None and is_of_session(resource, self.upload):
                ours.append((artifact.key, self.place.stored(artifact.key, resource).version))
        if len(ours) < len(self.upload.artifacts):
            for key, generation in ours:
                self.place.remove_if_may(key, self.context, generation)

    def _told_by_session(self, session: Session | None) -> Settled | None:
        """What the session of an upload's only file says, for which its address is enough.

        Raises:
            AuthenticationError: The credentials have expired, which is no answer at all.
        """
        media = self.upload.media
        address = session.addresses.get(media.index) if session is not None else None
        if address is None or len(self.upload.artifacts) > 1:
            return None
        try:
            progress = self.uploads.offset(media, address, self.context)
        except AuthenticationError:
            raise
        except TransferError:
            return None
        if progress.resource is None:
            return Settled(Outcome.ABSENT)
        stored = self.place.stored(media.key, progress.resource)
        told = stored.size == media.size and CRC32C in stored.digests
        return Settled(Outcome.PRESENT, (stored,)) if told else None

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

    def _described(self, artifact: Artifact, stored: Stored) -> Stored | None:
        """An object with a digest that the engine can compare; None when it cannot be told from anything else."""
        ours = stored.item_id == self.upload.item_id
        named = stored if ours else replace(stored, item_id="")
        if ours and CRC32C in stored.digests:
            return named
        try:
            sha256 = self.place.sha256(artifact.key, self.context)
        except TransferError:
            return named if ours else None
        return replace(named, digests={**stored.digests, "sha256": sha256})

    def _drop_sessions(self, session: Session | None) -> None:
        """What lies there came another way than by this session, or by it: it is not needed any more."""
        if session is None:
            return
        for index, address in session.addresses.items():
            try:
                self.uploads.cancel(self.upload.artifacts[index], address, self.context)
            except TransferError:
                continue
