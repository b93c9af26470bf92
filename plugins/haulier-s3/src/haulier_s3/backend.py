"""The backend type ``s3``."""

from __future__ import annotations

import time
from contextlib import suppress
from dataclasses import replace
from typing import TYPE_CHECKING, Any, ClassVar

from haulier.backends.api import (
    Abilities,
    Backend,
    CommitMode,
    Held,
    HeldPart,
    IfAbsent,
    Limits,
    PartsMode,
    ResumeMode,
    Token,
    UnaskedSession,
)
from haulier.errors import (
    CancelledError,
    ConflictError,
    PermissionDeniedError,
    SessionLostError,
    TransferError,
    ValidationError,
)
from haulier.models import Proof
from haulier_s3.client import S3Client
from haulier_s3.committing import Commit, Settling
from haulier_s3.options import S3Options
from haulier_s3.place import Place
from haulier_s3.sessions import Session, in_order
from haulier_s3.uploads import Uploads

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from haulier.backends.api import Body, CheckReport, Context, LastPart, Part, Settled, Stored, Upload

__all__ = ["S3Backend"]

_MOST_PARTS = 10_000
_LARGEST_PART = 5 * 2**30  # bytes


class S3Backend(Backend):
    """A bucket of Amazon S3, or of a service that speaks its protocol. Thread-safe.

    Parts go in parallel; the service says which it holds. Nothing is visible before the commit, where the media file
    becomes visible first and the sidecar last. What is at most ``min_part_size`` long and comes last goes in a single
    request, which is the commit itself.

    Args:
        name: Configured name.
        options: Where, and how to write.
        clock: Wall time, seconds since the epoch.
    """

    type: ClassVar[str] = "s3"
    options_type: ClassVar[Any] = S3Options
    options: S3Options

    def __init__(self, name: str, options: S3Options, *, clock: Callable[[], float] = time.time) -> None:
        super().__init__(name, options)
        self._client = S3Client(options)
        self._place = Place(self._client)
        self._uploads = Uploads(self._place, clock)
        self.limits = Limits(min_part=options.min_part_size, max_part=_LARGEST_PART, max_parts=_MOST_PARTS)
        trusted = options.if_absent == "atomic" or (options.if_absent == "auto" and not options.endpoint_url)
        self.abilities = Abilities(
            parts=PartsMode.PARALLEL,
            resume=ResumeMode.LIST,
            commit=CommitMode.LAST_PART,
            if_absent=IfAbsent.ATOMIC if trusted else IfAbsent.CHECK_THEN_WRITE,
            part_digests=self._uploads.part_digests,
            whole_digests=self._uploads.whole_digests,
            proof=Proof.CONTENT,
            optional=frozenset({"list", "delete", "read", "presign"}),
        )

    def close(self) -> None:
        """Close idle connections."""
        self._client.close()

    def probe(self, context: Context) -> None:
        """List one key: tells whether the service is there and knows the credentials."""
        self._place.ask(context)

    def check(self, context: Context) -> CheckReport:
        """Test each right without making an object."""
        from haulier_s3.checking import check

        return check(self._place, self._uploads, context)

    # -- a session ---------------------------------------------------------------------------------------------

    def open(self, upload: Upload, context: Context) -> tuple[Token, Abilities]:
        """Begin a multipart upload for each artifact that needs one. An item that is there already is told so."""
        multipart = [artifact for artifact in in_order(upload) if self._is_multipart(upload, artifact.index)]
        for artifact in upload.artifacts:
            self._place.whole_key(artifact.key)
        session = Session((upload.item_id, upload.nonce), self._uploads.usual)
        try:
            for artifact in multipart:
                upload_id, checksum = self._uploads.create(upload, artifact, context)
                session = replace(session, checksum=checksum, uploads={**session.uploads, artifact.index: upload_id})
            stored = self._stored_before(upload, context) if multipart else frozenset()
        except BaseException:
            self._drop(upload, session, context)
            raise
        if stored:
            self._drop(upload, session, context)
            whole = replace(self.abilities, parts=PartsMode.WHOLE)
            return replace(session, uploads={}, stored=stored).to_token(), whole
        return session.to_token(), self._narrowed(session)

    @property
    def unasked(self) -> UnaskedSession:  # type: ignore[override]
        """A small object goes with one request, which is the commit."""
        session = Session(("", ""), self._uploads.usual)
        return UnaskedSession.like(session.to_token(), self.options.min_part_size, self._narrowed(session))

    def held(self, upload: Upload, token: Token, context: Context) -> Held:
        """Ask for the parts that the service has; all artifacts in place is a commit that took place."""
        session = Session.from_token(token, upload)
        if session.stored:
            return self._held_before(upload, session, context)
        try:
            parts = {
                index: self._uploads.parts(upload.artifacts[index], upload_id, session.checksum, context)
                for index, upload_id in session.uploads.items()
            }
        except SessionLostError:
            stored = self._committed(upload, context)
            if not stored:
                raise
            return Held(stored=stored)
        return Held(parts=parts, stored=() if session.uploads else self._committed(upload, context))

    def send(self, upload: Upload, token: Token, part: Part, body: Body, context: Context) -> Held:
        """Send one part."""
        session = Session.from_token(token, upload)
        upload_id = session.uploads.get(part.artifact)
        if upload_id is None:
            raise ValidationError("this artifact goes up with the commit", where=self.name)
        artifact = upload.artifacts[part.artifact]
        sent = self._uploads.send(artifact, upload_id, session.checksum, part, body, context)
        return Held(parts={part.artifact: {part.number: sent}})

    def commit(
        self,
        upload: Upload,
        token: Token,
        held: Held,
        digests: Mapping[int, Mapping[str, str]],
        context: Context,
        last: LastPart | None = None,
    ) -> tuple[Stored, ...]:
        """Send the last part, complete the media file, then the sidecar."""
        session = Session.from_token(token, upload)
        return Commit(self._place, self._uploads, upload, session, held.parts, digests, last, context).run()

    def settle(self, upload: Upload, token: Token | None, context: Context) -> Settled:
        """Look under the keys; what has no digest that can be compared is read back."""
        session = _session_of(token, upload)
        return Settling(self._place, self._uploads, upload, context).run(session)

    def abort(self, upload: Upload, token: Token, context: Context) -> None:
        """Drop the multipart uploads, and a media file that this session left without its sidecar."""
        session = _session_of(token, upload)
        if session is None:
            return
        for index, upload_id in session.uploads.items():
            self._uploads.abort(upload.artifacts[index], upload_id, context)
        if upload.sidecar is not None and session.uploads:
            with suppress(TransferError):  # who may not look or delete leaves it
                if Settling(self._place, self._uploads, upload, context).is_half_done():
                    self._place.delete(upload.media.key, context)

    # -- objects -----------------------------------------------------------------------------------------------

    def stat(self, key: str, context: Context) -> Stored | None:
        """Look at an object."""
        return self._place.stat(key, context)

    def delete(self, key: str, context: Context) -> bool:
        """Remove an object; in a versioned bucket its versions stay, behind a delete marker."""
        return self._place.delete(key, context)

    def list(self, prefix: str, context: Context) -> Iterator[Stored]:
        """Objects below a prefix in key order."""
        return self._place.list(prefix, context)

    def read(self, key: str, context: Context) -> Iterator[bytes]:
        """An object's content in blocks of 1 MiB."""
        return self._place.read(key, context)

    def presign(self, key: str, seconds: int) -> str:
        """An address under which an object can be read without credentials for so many seconds: a secret."""
        return self._client.presigned(self._place.whole_key(key), seconds)

    @property
    def place(self) -> Place:
        """Where its objects lie, for the commands of this plugin."""
        return self._place

    # -- which way ---------------------------------------------------------------------------------------------

    def _is_multipart(self, upload: Upload, index: int) -> bool:
        """All but a small artifact that comes last: it needs no session, for its one request is the commit."""
        last = in_order(upload)[-1].index
        return index != last or upload.artifacts[index].size > self.options.min_part_size

    def _narrowed(self, session: Session) -> Abilities:
        atomic = self.abilities.if_absent is IfAbsent.ATOMIC and self._uploads.conditional
        return replace(
            self.abilities,
            if_absent=IfAbsent.ATOMIC if atomic else IfAbsent.CHECK_THEN_WRITE,
            part_digests=frozenset({session.checksum.name}),
        )

    def _stored_before(self, upload: Upload, context: Context) -> frozenset[int]:
        """Artifacts of this item that lie there already: its media file, and perhaps its sidecar.

        Raises:
            ConflictError: Something of another size lies under the media file's key.
        """
        try:
            answer = self._place.head(upload.media.key, context)
        except CancelledError:
            raise
        except TransferError:
            return frozenset()  # only a short cut is lost
        if answer is None:
            return frozenset()
        media = self._place.stored(upload.media.key, answer)
        if media.size != upload.media.size:
            raise ConflictError("something else lies under this key", where=media.location)
        return frozenset({upload.media.index}) if media.item_id == upload.item_id else frozenset()

    def _held_before(self, upload: Upload, session: Session, context: Context) -> Held:
        """What lay there when the session began, as parts that need not be sent."""
        stored = self._committed(upload, context)
        if stored:
            return Held(stored=stored)
        parts = {}
        for index in session.stored:
            there = self._place.stat(upload.artifacts[index].key, context)
            if there is None or there.item_id != upload.item_id:
                raise SessionLostError("what was stored before is gone", where=self._place.location())
            parts[index] = {1: HeldPart(upload.artifacts[index].size)}
        return Held(parts=parts)

    def _committed(self, upload: Upload, context: Context) -> tuple[Stored, ...]:
        """All artifacts, if each lies there as this item's and can be looked at."""
        found = []
        for artifact in upload.artifacts:
            try:
                stored = self._place.stat(artifact.key, context)
            except PermissionDeniedError:
                return ()
            if stored is None or (stored.item_id, stored.size) != (upload.item_id, artifact.size):
                return ()
            found.append(stored)
        return tuple(found)

    def _drop(self, upload: Upload, session: Session, context: Context) -> None:
        for index, upload_id in session.uploads.items():
            with suppress(TransferError):
                self._uploads.abort(upload.artifacts[index], upload_id, context)


def _session_of(token: Token | None, upload: Upload) -> Session | None:
    """The session, None when the token says nothing of this upload."""
    try:
        return Session.from_token(token, upload) if token is not None else None
    except SessionLostError:
        return None
