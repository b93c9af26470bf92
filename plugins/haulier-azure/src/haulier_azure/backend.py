"""The backend type ``azure``."""

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
    Outcome,
    PartsMode,
    ResumeMode,
    UnaskedSession,
)
from haulier.errors import ConflictError, SessionLostError, TransferError
from haulier.models import Proof
from haulier_azure.client import AzureClient
from haulier_azure.committing import Commit
from haulier_azure.credentials import credential_for
from haulier_azure.failures import is_a_lack_of_rights
from haulier_azure.metadata import ITEM, told
from haulier_azure.options import AzureOptions
from haulier_azure.place import Place
from haulier_azure.sessions import Session
from haulier_azure.settling import Settling
from haulier_azure.uploads import Uploads

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from haulier.backends.api import Body, CheckReport, Context, LastPart, Part, Settled, Stored, Token, Upload

__all__ = ["AzureBackend"]

_MOST_BLOCKS = 50_000
_LARGEST_BLOCK = 4000 * 2**20  # bytes


class AzureBackend(Backend):
    """A container of Azure Blob Storage. Thread-safe.

    Parts go in parallel as blocks; the service says which it holds. Nothing is visible before the commit, where the
    media file becomes visible first and the sidecar last. What comes last and in one part goes in a single request,
    which is the commit itself.

    Args:
        name: Configured name.
        options: Where, and how to write.
        clock: Wall time, seconds since the epoch.
        credential: Makes what the SDK is given to prove who we are.
    """

    type: ClassVar[str] = "azure"
    options_type: ClassVar[Any] = AzureOptions
    options: AzureOptions

    def __init__(
        self,
        name: str,
        options: AzureOptions,
        *,
        clock: Callable[[], float] = time.time,
        credential: Callable[[AzureOptions], Any] = credential_for,
    ) -> None:
        super().__init__(name, options)
        self._client = AzureClient(options, credential=credential)
        self._place = Place(self._client)
        self._uploads = Uploads(self._place, clock)
        self.limits = Limits(min_part=options.min_part_size, max_part=_LARGEST_BLOCK, max_parts=_MOST_BLOCKS)
        self.abilities = Abilities(
            parts=PartsMode.PARALLEL,
            resume=ResumeMode.LIST,
            commit=CommitMode.LAST_PART,
            if_absent=IfAbsent.ATOMIC,
            part_digests=frozenset({self._uploads.checksum.name}),
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
        from haulier_azure.checking import check

        return check(self._place, context)

    # -- a session ---------------------------------------------------------------------------------------------

    def open(self, upload: Upload, context: Context) -> tuple[Token, Abilities]:
        """Begin: blocks need no announcement. An item that is there already is told so."""
        for artifact in upload.artifacts:
            self._place.whole_key(artifact.key)
        session = Session((upload.item_id, upload.nonce), self._uploads.checksum)
        if upload.sidecar is None and upload.media.size <= self.options.largest_put:
            return session.to_token(), self.abilities  # one request, which is the commit, tells all
        stored = self._stored_before(upload, context)
        if not stored:
            return session.to_token(), self.abilities
        return replace(session, stored=stored).to_token(), replace(self.abilities, parts=PartsMode.WHOLE)

    @property
    def unasked(self) -> UnaskedSession:  # type: ignore[override]
        """What goes with one request, which is the commit."""
        token = Session(("", ""), self._uploads.checksum).to_token()
        return UnaskedSession.like(token, self.options.largest_put, self.abilities)

    def held(self, upload: Upload, token: Token, context: Context) -> Held:
        """Ask for own blocks that are not committed; all artifacts in place is a commit that took place."""
        session = Session.from_token(token, upload)
        if session.stored:
            return self._held_before(upload, session, context)
        parts = {
            artifact.index: self._uploads.blocks(upload, artifact, session.checksum, context)
            for artifact in upload.artifacts
        }
        if parts[upload.media.index]:
            return Held(parts=parts)
        settled = Settling(self._place, upload, context).run()
        if settled.outcome is Outcome.PRESENT and all(each.item_id for each in settled.stored):
            return Held(stored=settled.stored)
        if upload.sidecar is not None and self._stored_before(upload, context):
            raise SessionLostError("the media file is there, and its sidecar is not", where=self._place.location())
        return Held(parts=parts)

    def send(self, upload: Upload, token: Token, part: Part, body: Body, context: Context) -> Held:
        """Send one part."""
        session = Session.from_token(token, upload)
        artifact = upload.artifacts[part.artifact]
        sent = self._uploads.send(upload, artifact, session.checksum, part, body, context)
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
        """Send the last part, join the media file's blocks, then write the sidecar."""
        session = Session.from_token(token, upload)
        return Commit(self._place, self._uploads, upload, session, held.parts, digests, last, context).run()

    def settle(self, upload: Upload, token: Token | None, context: Context) -> Settled:
        """Look under the keys, and read back what lies there."""
        del token  # nothing but what is visible counts
        return Settling(self._place, upload, context).run()

    def abort(self, upload: Upload, token: Token, context: Context) -> None:
        """Take back a media file that this session left without its sidecar.

        No call drops uncommitted blocks alone; they are in nobody's way, and expire after a week.
        """
        try:
            session = Session.from_token(token, upload)
        except SessionLostError:
            return
        if upload.sidecar is not None and not session.stored:
            with suppress(TransferError):  # who may not look or delete leaves it
                if Settling(self._place, upload, context).is_half_done():
                    self._place.delete(upload.media.key, context)

    # -- objects -----------------------------------------------------------------------------------------------

    def stat(self, key: str, context: Context) -> Stored | None:
        """Look at an object."""
        return self._place.stat(key, context)

    def delete(self, key: str, context: Context) -> bool:
        """Remove an object; where versions or deleted blobs are kept, it stays among those."""
        return self._place.delete(key, context)

    def list(self, prefix: str, context: Context) -> Iterator[Stored]:
        """Objects below a prefix in key order."""
        return self._place.list(prefix, context)

    def read(self, key: str, context: Context) -> Iterator[bytes]:
        """An object's content in blocks of 4 MiB."""
        return self._place.read(key, context)

    def presign(self, key: str, seconds: int) -> str:
        """An address under which an object can be read without credentials for so many seconds: a secret."""
        from haulier_azure.signing import presigned

        return presigned(self._client, self._place.whole_key(key), seconds)

    @property
    def place(self) -> Place:
        """Where its objects lie, for the commands of this plugin."""
        return self._place

    # -- what was there before ---------------------------------------------------------------------------------

    def _stored_before(self, upload: Upload, context: Context) -> frozenset[int]:
        """Artifacts of this item that lie there already: its media file, and perhaps its sidecar.

        Raises:
            ConflictError: Something of another size lies under the media file's key.
        """
        media = upload.media
        try:
            properties = self._place.head(media.key, context)
        except TransferError as error:
            if is_a_lack_of_rights(error):
                return frozenset()  # only a short cut is lost
            raise
        if properties is None:
            return frozenset()
        if properties.size != media.size:
            raise ConflictError("something else lies under this key", where=self._place.location(media.key))
        return frozenset({media.index}) if told(properties.metadata, ITEM) == upload.item_id else frozenset()

    def _held_before(self, upload: Upload, session: Session, context: Context) -> Held:
        """What lay there when the session began, as parts that need not be sent."""
        settled = Settling(self._place, upload, context).run()
        if settled.outcome is Outcome.PRESENT and all(each.item_id for each in settled.stored):
            return Held(stored=settled.stored)
        parts = {}
        for index in session.stored:
            there = self._place.stat(upload.artifacts[index].key, context)
            if there is None or there.item_id != upload.item_id:
                raise SessionLostError("what was stored before is gone", where=self._place.location())
            parts[index] = {1: HeldPart(upload.artifacts[index].size)}
        return Held(parts=parts)
