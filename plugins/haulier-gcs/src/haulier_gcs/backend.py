"""The backend type ``gcs``."""

from __future__ import annotations

import time
from contextlib import suppress
from typing import TYPE_CHECKING, Any, ClassVar

from haulier.backends.api import (
    Abilities,
    Backend,
    CommitMode,
    Held,
    IfAbsent,
    Limits,
    PartsMode,
    ResumeMode,
    Token,
    UnaskedSession,
)
from haulier.errors import (
    ConflictError,
    PermissionDeniedError,
    SessionLostError,
    TransferError,
    ValidationError,
)
from haulier.models import Proof
from haulier_gcs.checksums import CRC32C
from haulier_gcs.client import GcsClient
from haulier_gcs.committing import Commit, Settling
from haulier_gcs.contexts import Finishing
from haulier_gcs.options import GcsOptions
from haulier_gcs.place import Place
from haulier_gcs.sessions import Session, in_order
from haulier_gcs.uploads import Uploads

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from haulier.backends.api import Artifact, Body, CheckReport, Context, LastPart, Part, Settled, Stored, Upload

__all__ = ["GcsBackend"]

_LARGEST_OBJECT = 5 * 2**40  # bytes; Cloud Storage, "Quotas & limits"
_LARGEST_PART = 2**30


class GcsBackend(Backend):
    """A bucket of Google Cloud Storage, or of a service that speaks its JSON API. Thread-safe.

    Parts are appended in order; the service says how much it holds. Nothing is visible before the commit, whose last
    bytes make the media file visible; the sidecar follows. What is at most ``min_part_size`` long goes in one request,
    which is the commit itself.

    A session makes an object as soon as its last byte is there, so only one file of an upload can wait for the commit.
    That is the media file. A sidecar is in the journal (up to 1 MiB), and is written from there after it; a longer one
    is written before it.

    Args:
        name: Configured name.
        options: Where, and how to write.
        clock: Wall time, seconds since the epoch.
    """

    type: ClassVar[str] = "gcs"
    options_type: ClassVar[Any] = GcsOptions
    options: GcsOptions

    def __init__(self, name: str, options: GcsOptions, *, clock: Callable[[], float] = time.time) -> None:
        super().__init__(name, options)
        self._clock = clock
        self._client = GcsClient(options, clock)
        self._place = Place(self._client)
        self._uploads = Uploads(self._place, clock)
        unit = options.min_part_size
        self.limits = Limits(
            min_part=unit,
            max_part=max(unit, _LARGEST_PART // unit * unit),
            multiple_of=unit,
            max_object=_LARGEST_OBJECT,
        )
        trusted = options.if_absent == "atomic" or (options.if_absent == "auto" and not options.endpoint_url)
        self._trusts_conditions = trusted
        self.abilities = Abilities(
            parts=PartsMode.SEQUENTIAL,
            resume=ResumeMode.OFFSET,
            commit=CommitMode.LAST_PART,
            if_absent=IfAbsent.ATOMIC if trusted else IfAbsent.CHECK_THEN_WRITE,
            whole_digests=frozenset({CRC32C}),
            proof=Proof.CONTENT,
            sidecar_first=True,
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
        from haulier_gcs.checking import check

        return check(self._place, self._uploads, context)

    # -- a session ---------------------------------------------------------------------------------------------

    def open(self, upload: Upload, context: Context) -> tuple[Token, Abilities]:
        """Begin a resumable session for each artifact that needs one. What lies there already is told so."""
        for artifact in upload.artifacts:
            self._place.whole_key(artifact.key)
        addresses: dict[int, str] = {}
        stored: set[int] = set()
        began = self._clock()
        try:
            for artifact in in_order(upload):
                if self._needs_session(upload, artifact):
                    address = self._begun(upload, artifact, context)
                    addresses |= {artifact.index: address} if address else {}
                    stored |= set() if address else {artifact.index}
        except BaseException:
            self._drop(upload, addresses, context)
            raise
        session = Session((upload.item_id, upload.nonce), addresses, frozenset(stored))
        return session.to_token(began), self.abilities

    @property
    def unasked(self) -> UnaskedSession:  # type: ignore[override]
        """What goes with one request needs no resumable session."""
        token = Session(("", ""), {}, frozenset()).to_token(0.0)
        return UnaskedSession.like(token, self.options.min_part_size, self.abilities)

    def held(self, upload: Upload, token: Token, context: Context) -> Held:
        """Ask each session where it stands; all artifacts in place is a commit that took place."""
        session = self._session(token, upload)
        prefixes = {entry.index: entry.size for entry in upload.artifacts if self._goes_last(upload, entry)}
        for index in session.stored:
            there = self._place.stat(upload.artifacts[index].key, context)
            if there is None or there.size != upload.artifacts[index].size:
                raise SessionLostError("what was stored before is gone", where=self._place.location())
            prefixes[index] = upload.artifacts[index].size
        finished = False
        for index, address in session.addresses.items():
            prefixes[index], is_object = self._held_by(upload, upload.artifacts[index], address, context)
            finished = finished or is_object
        asks = finished or not session.addresses
        return Held(prefixes=prefixes, stored=self._committed(upload, context) if asks else ())

    def send(self, upload: Upload, token: Token, part: Part, body: Body, context: Context) -> Held:
        """Append one part. A sidecar that the journal holds goes up with the commit."""
        session = self._session(token, upload)
        artifact = upload.artifacts[part.artifact]
        address = session.addresses.get(part.artifact)
        if address is None:
            context.check_cancelled()
            if self._goes_last(upload, artifact) or part.artifact in session.stored:
                return Held(prefixes={part.artifact: artifact.size})
            raise ValidationError("this artifact goes up with the commit", where=self.name)
        progress = self._uploads.send(artifact, address, part, body, context)
        return Held(prefixes={part.artifact: progress.prefix})

    def commit(
        self,
        upload: Upload,
        token: Token,
        held: Held,
        digests: Mapping[int, Mapping[str, str]],
        context: Context,
        last: LastPart | None = None,
    ) -> tuple[Stored, ...]:
        """Send the last part, which makes the media file visible, then the sidecar."""
        del held
        session = self._session(token, upload)
        return Commit(self._place, self._uploads, upload, session, digests, last, context).run()

    def settle(self, upload: Upload, token: Token | None, context: Context) -> Settled:
        """Look under the keys; what has no digest that can be compared is read back."""
        return Settling(self._place, self._uploads, upload, context).run(self._session_if_any(token, upload))

    def abort(self, upload: Upload, token: Token, context: Context) -> None:
        """Cancel the sessions, and take back a file of this upload that is visible without the other."""
        session = self._session_if_any(token, upload)
        if session is None:
            return
        finishing = Finishing(context)
        for index, address in session.addresses.items():
            self._uploads.cancel(upload.artifacts[index], address, finishing)
        if len(upload.artifacts) > 1:
            with suppress(TransferError):  # who may not look or delete leaves it
                Settling(self._place, self._uploads, upload, finishing).take_back()

    # -- objects -----------------------------------------------------------------------------------------------

    def stat(self, key: str, context: Context) -> Stored | None:
        """Look at an object."""
        return self._place.stat(key, context)

    def delete(self, key: str, context: Context) -> bool:
        """Remove an object; in a versioned bucket its generations stay, as noncurrent ones."""
        return self._place.delete(key, context)

    def list(self, prefix: str, context: Context) -> Iterator[Stored]:
        """Objects below a prefix in key order."""
        return self._place.list(prefix, context)

    def read(self, key: str, context: Context) -> Iterator[bytes]:
        """An object's content in blocks of 1 MiB."""
        return self._place.read(key, context)

    def presign(self, key: str, seconds: int, context: Context) -> str:
        """An address under which an object can be read without credentials for so many seconds: a secret.

        Raises:
            UnsupportedError: The credentials hold no key to sign with.
        """
        from haulier_gcs.signing import signed_address

        email, sign = self._client.access.signer(context)
        path = f"/{self.options.bucket}/{self._place.whole_key(key)}"
        return signed_address(self.options.base_url, path, email, sign, now=self._clock(), seconds=seconds)

    # -- which way ---------------------------------------------------------------------------------------------

    def _goes_last(self, upload: Upload, artifact: Artifact) -> bool:
        """Whether an artifact is written after the media file, of bytes that the journal holds."""
        return artifact.index != upload.media.index and artifact.content is not None

    def _needs_session(self, upload: Upload, artifact: Artifact) -> bool:
        if artifact.index != upload.media.index:
            return artifact.content is None
        return artifact.size > self.options.min_part_size

    def _begun(self, upload: Upload, artifact: Artifact, context: Context) -> str:
        """Address of a new session; empty when something of the same size lies there, to be compared at commit.

        Raises:
            ConflictError: Something of another size lies there.
        """
        try:
            address = self._uploads.create(upload, artifact, context)
        except ConflictError:
            if not self._lies_there(artifact, context):
                raise
            return ""
        if self._trusts_conditions:
            return address
        try:
            taken = self._lies_there(artifact, context)
        except ConflictError:
            self._drop(upload, {artifact.index: address}, context)
            raise
        except TransferError:
            return address  # only a short cut is lost
        if taken:
            self._drop(upload, {artifact.index: address}, context)
        return "" if taken else address

    def _lies_there(self, artifact: Artifact, context: Context) -> bool:
        there = self._place.resource(artifact.key, context)
        if there is None:
            return False
        stored = self._place.stored(artifact.key, there)
        if stored.size != artifact.size:
            raise ConflictError("something else lies under this key", where=stored.location)
        return True

    def _held_by(self, upload: Upload, artifact: Artifact, address: str, context: Context) -> tuple[int, bool]:
        """Bytes that a session holds, and whether they are an object already."""
        try:
            progress = self._uploads.offset(artifact, address, context)
        except SessionLostError:
            if not self._is_ours(upload, artifact, context):
                raise
            return artifact.size, True
        return progress.prefix, progress.resource is not None

    def _is_ours(self, upload: Upload, artifact: Artifact, context: Context) -> bool:
        with suppress(PermissionDeniedError):
            there = self._place.stat(artifact.key, context)
            return there is not None and (there.item_id, there.size) == (upload.item_id, artifact.size)
        return False

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

    def _session(self, token: Token, upload: Upload) -> Session:
        return Session.from_token(token, upload, self.options.base_url)

    def _session_if_any(self, token: Token | None, upload: Upload) -> Session | None:
        """The session, None when the token says nothing of this upload."""
        with suppress(SessionLostError):
            return self._session(token, upload) if token is not None else None
        return None

    def _drop(self, upload: Upload, addresses: Mapping[int, str], context: Context) -> None:
        for index, address in addresses.items():
            with suppress(TransferError):
                self._uploads.cancel(upload.artifacts[index], address, Finishing(context))
