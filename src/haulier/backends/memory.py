"""Storage in this process's memory, whose abilities are options: for tests, and to learn the contract from.

It can behave like any row of the contract's table: parallel parts that can be listed (as S3 does), a prefix that only
grows (tus), a last part that commits (GCS), or whole objects and no memory of them at all. What it answers can be
disturbed through :class:`~haulier.backends.memory_faults.FaultScript`::

    store = MemoryStore()
    backend = MemoryBackend("archive", MemoryOptions(parts="sequential", resume="offset", store=store))
    store.faults.add("send", part=3, after=NetworkError("connection reset"))
"""

from __future__ import annotations

import hashlib
from dataclasses import replace
from typing import TYPE_CHECKING, Any, ClassVar

from haulier.backends.api import (
    Abilities,
    Backend,
    CommitMode,
    Held,
    HeldPart,
    IfAbsent,
    Outcome,
    PartsMode,
    ResumeMode,
    Settled,
    Stored,
    Token,
    UnaskedSession,
)
from haulier.backends.memory_faults import Call, Fault, FaultScript, Gate
from haulier.backends.memory_incoming import IncomingPart
from haulier.backends.memory_options import MemoryOptions, abilities_of, check_limits, limits_of
from haulier.backends.memory_store import MemoryArtifact, MemoryObject, MemoryPart, MemorySession, MemoryStore
from haulier.errors import (
    ConflictError,
    IntegrityError,
    OffsetError,
    QuotaError,
    SessionLostError,
    ValidationError,
)
from haulier.models import Proof

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from haulier.backends.api import Body, Context, LastPart, Part, Upload

__all__ = ["Call", "Fault", "FaultScript", "Gate", "MemoryBackend", "MemoryObject", "MemoryOptions", "MemoryStore"]

_BLOCK = 1 << 20


class MemoryBackend(Backend):
    """A destination in memory. Thread-safe.

    Attributes:
        store: What it keeps; its ``keep_content`` and ``case_folding`` hold when it is given with the options.
    """

    type: ClassVar[str] = "memory"
    options_type: ClassVar[Any] = MemoryOptions

    def __init__(self, name: str, options: MemoryOptions) -> None:
        super().__init__(name, options)
        self.store = options.store or MemoryStore(keep_content=options.keep_content, case_folding=options.case_folding)
        self.abilities = abilities_of(options, self.store)
        self.limits = limits_of(options)

    def probe(self, context: Context) -> None:
        """Answer, unless a fault says otherwise."""
        fault = self._begin("probe", context)
        fault.strike_after()

    def open(self, upload: Upload, context: Context) -> tuple[Token, Abilities]:
        """Begin a session, or find it again by item id and nonce."""
        fault = self._begin("open", context, upload)
        for artifact in upload.artifacts:
            if self.limits.max_object is not None and artifact.size > self.limits.max_object:
                raise QuotaError(f"{artifact.size} bytes are more than {self.limits.max_object}", where=artifact.key)
        session_id = _session_id(upload)
        with self.store.lock:
            artifacts = {artifact.index: MemoryArtifact(self.store.keep_content) for artifact in upload.artifacts}
            session = self.store.sessions.setdefault(session_id, MemorySession(session_id, upload.item_id, artifacts))
            known = session.holds_anything
        fault.strike_after()
        return Token({"session": session_id}, {"grant": _grant(session_id)}, known=known), self.abilities

    @property
    def unasked(self) -> UnaskedSession | None:  # type: ignore[override]
        """With ``unasked``: the first call of a session finds it, though nobody began it."""
        return UnaskedSession(self.options.unasked, self.abilities) if self.options.unasked else None

    def held(self, upload: Upload, token: Token, context: Context) -> Held:
        """Say what the session has; with ``resume="none"`` only whether it is committed."""
        fault = self._begin("held", context, upload)
        with self.store.lock:
            session = self._session(upload, token)
            silent = self.abilities.resume is ResumeMode.NONE and not session.committed
            answer = Held() if silent else self._held(session, fault)
        fault.strike_after()
        return answer

    def send(self, upload: Upload, token: Token, part: Part, body: Body, context: Context) -> Held:
        """Take one part."""
        fault = self._begin("send", context, upload, part)
        if self.abilities.commit is CommitMode.LAST_PART and part.last:
            raise ValidationError("the last part commits: it goes through commit", where=self.name)
        answer = self._receive(upload, token, part, body, fault)
        fault.strike_after()
        return answer

    def commit(
        self,
        upload: Upload,
        token: Token,
        held: Held,
        digests: Mapping[int, Mapping[str, str]],
        context: Context,
        last: LastPart | None = None,
    ) -> tuple[Stored, ...]:
        """Put all artifacts in place at once. A session that is committed answers the same again."""
        fault = self._begin("commit", context, upload, last.part if last else None)
        with self.store.lock:
            committed = self._session(upload, token).committed
        if not committed and last is not None:
            if self.abilities.commit is not CommitMode.LAST_PART:
                raise ValidationError("no part comes with this commit", where=self.name)
            self._receive(upload, token, last.part, last.body, fault)
        with self.store.lock:
            session = self._session(upload, token)
            new = session.committed or self._assembled(upload, session, held, digests)
        if not session.committed:
            session.committed = self._write(upload, new, context)
        fault.strike_after()
        return tuple(self._stored(found, fault) for found in session.committed)

    def settle(self, upload: Upload, token: Token | None, context: Context) -> Settled:
        """Look for the item's objects; unknown with ``settles=False``."""
        del token
        fault = self._begin("settle", context, upload)
        fault.strike_after()
        if not self.options.settles:
            return Settled(Outcome.UNKNOWN)
        found = [self.store.get(artifact.key) for artifact in upload.artifacts]
        ours = [entry for entry in found if entry is not None and entry.item_id == upload.item_id]
        if len(ours) < len(found):
            return Settled(Outcome.ABSENT)
        return Settled(Outcome.PRESENT, tuple(self._stored(entry, fault) for entry in ours))

    def abort(self, upload: Upload, token: Token, context: Context) -> None:
        """Drop the session; objects stay."""
        fault = self._begin("abort", context, upload)
        with self.store.lock:
            self.store.sessions.pop(token.public.get("session", ""), None)
        fault.strike_after()

    def stat(self, key: str, context: Context) -> Stored | None:
        """Look at an object."""
        fault = self._begin("stat", context, item=key)
        fault.strike_after()
        found = self.store.get(key)
        return self._stored(found, fault) if found is not None else None

    def delete(self, key: str, context: Context) -> bool:
        """Remove an object."""
        fault = self._begin("delete", context, item=key)
        was_there = self.store.remove(key)
        fault.strike_after()
        return was_there

    def list(self, prefix: str, context: Context) -> Iterator[Stored]:
        """Objects below a prefix as they were when it was called."""
        fault = self._begin("list", context, item=prefix)
        with self.store.lock:
            found = sorted(self.store.objects.values(), key=lambda entry: entry.key)
        fault.strike_after()
        return iter([self._stored(entry, fault) for entry in found if entry.key.startswith(prefix)])

    def read(self, key: str, context: Context) -> Iterator[bytes]:
        """An object's content in blocks of 1 MiB.

        Raises:
            ValidationError: There is no such object, or only its digest was kept.
        """
        fault = self._begin("read", context, item=key)
        fault.strike_after()
        try:
            content = self.store.content(key)
        except KeyError:
            raise ValidationError("there is no content to read", where=self._location(key)) from None
        return (content[start : start + _BLOCK] for start in range(0, len(content), _BLOCK))

    # -- receiving ---------------------------------------------------------------------------------------------

    def _receive(self, upload: Upload, token: Token, part: Part, body: Body, fault: Fault) -> Held:
        with self.store.lock:
            session = self._session(upload, token)
            self._check_part(upload, session, part)
            incoming = IncomingPart(part, self.abilities, self._hash_so_far(session, part))
        incoming.fill(body, part.size if fault.keep is None else min(fault.keep, part.size))
        self.store.received(fault.method, incoming.size)
        with self.store.lock:
            session = self._session(upload, token)
            self._check_part(upload, session, part)
            if incoming.complete or self.abilities.resume is ResumeMode.OFFSET:
                self._take(session, incoming)
            answer = self._held(session, fault, only=part.artifact)
        if not incoming.complete:
            fault.strike_after()
            raise OffsetError(f"{incoming.size} of {part.size} bytes arrived", where=self.name, held=answer)
        return answer

    def _hash_so_far(self, session: MemorySession, part: Part) -> hashlib._Hash | None:
        """What to continue when the bytes need not be kept; None when they must be."""
        if self.store.keep_content or self.abilities.parts is PartsMode.PARALLEL:
            return None
        return session.artifacts[part.artifact].hash_so_far() if part.offset else hashlib.sha256()

    def _check_part(self, upload: Upload, session: MemorySession, part: Part) -> None:
        artifact = upload.artifacts[part.artifact]
        if session.committed:
            raise OffsetError("the session is committed", where=self.name, held=self._held(session, Fault("send")))
        check_limits(self.limits, part, artifact.size)
        received = session.artifacts[part.artifact]
        if self.abilities.parts is PartsMode.WHOLE:
            if (part.offset, part.size) != (0, artifact.size):
                raise ValidationError("artifacts are taken whole", where=artifact.key)
        elif self.abilities.parts is PartsMode.SEQUENTIAL and not self._continues(received, part):
            where_it_stands = self._held(session, Fault("send"), only=part.artifact)
            raise OffsetError(
                f"offset {part.offset} is not {received.prefix}", where=artifact.key, held=where_it_stands
            )

    def _continues(self, received: MemoryArtifact, part: Part) -> bool:
        if part.offset == received.prefix:
            return True
        if self.abilities.resume is ResumeMode.LIST:
            return part.number in received.pieces
        return self.abilities.resume is ResumeMode.NONE and part.offset == 0

    def _take(self, session: MemorySession, incoming: IncomingPart) -> None:
        received, part = session.artifacts[incoming.part.artifact], incoming.part
        by_prefix = self.abilities.resume is ResumeMode.OFFSET
        forgetful = self.abilities.parts is PartsMode.SEQUENTIAL and self.abilities.resume is ResumeMode.NONE
        if part.offset == 0 and (forgetful or self.abilities.parts is PartsMode.WHOLE):
            received.restart()
        slot = part.offset if by_prefix else part.number
        if part.size or slot not in received.pieces:  # an empty part may close what is complete
            received.add(slot, incoming.piece(), incoming.artifact_hash)

    # -- committing --------------------------------------------------------------------------------------------

    def _assembled(
        self, upload: Upload, session: MemorySession, held: Held, digests: Mapping[int, Mapping[str, str]]
    ) -> tuple[MemoryObject, ...]:
        new: tuple[MemoryObject, ...] = ()
        for artifact in upload.artifacts:
            received = session.artifacts[artifact.index]
            if received.prefix != artifact.size:
                text = f"{received.prefix} of {artifact.size} bytes are here"
                raise OffsetError(text, where=artifact.key, held=self._held(session, Fault("commit")))
            for number, part in held.parts.get(artifact.index, {}).items():
                if part.etag and part.etag != _etag(received.pieces.get(number)):
                    raise IntegrityError(f"part {number} is not the one that was acknowledged", where=artifact.key)
            # Of a last part that is streamed the digest is not known before it is read: the engine compares it.
            ours = digests.get(artifact.index, {}).get("sha256", received.sha256)
            if self.abilities.proof is Proof.CONTENT and ours != received.sha256:
                raise IntegrityError("the bytes received have another SHA-256", where=artifact.key)
            made = MemoryObject(artifact.key, artifact.size, received.sha256, upload.item_id, "", received.content)
            new = (*new, made)
        return new

    def _write(self, upload: Upload, new: tuple[MemoryObject, ...], context: Context) -> tuple[MemoryObject, ...]:
        if self.abilities.if_absent is IfAbsent.ATOMIC:
            with self.store.lock:
                return self._write_absent(new, [self._check_absent(entry) for entry in new])
        checked = self.abilities.if_absent is IfAbsent.CHECK_THEN_WRITE
        found = [self._check_absent(entry) if checked else None for entry in new]
        between = self._begin("write", context, upload)
        written = self._write_absent(new, found)
        between.strike_after()
        return written

    def _write_absent(
        self, new: tuple[MemoryObject, ...], found: Sequence[MemoryObject | None]
    ) -> tuple[MemoryObject, ...]:
        return tuple(old or self.store.write(entry) for old, entry in zip(found, new, strict=True))

    def _check_absent(self, new: MemoryObject) -> MemoryObject | None:
        """What lies there already, if that is as good as ``new``; another item's equal content loses that item's id."""
        old = self.store.get(new.key)
        if old is None:
            return None
        if old.sha256 != new.sha256:
            raise ConflictError("something else lies under this key", where=self._location(new.key))
        return old if old.item_id == new.item_id else replace(old, item_id="")

    # -- answers -----------------------------------------------------------------------------------------------

    def _begin(
        self, method: str, context: Context, upload: Upload | None = None, part: Part | None = None, item: str = ""
    ) -> Fault:
        item = upload.item_id if upload else item
        fault = self.store.begin(method, item, part.artifact if part else None, part.number if part else None)
        context.check_cancelled()
        fault.strike_before(context)
        if fault.forget:
            self.store.forget_sessions(item)
        return fault

    def _session(self, upload: Upload, token: Token) -> MemorySession:
        if self.options.unasked and token.public.get("owner") == [upload.item_id, upload.nonce]:
            return self._unasked_session(upload)
        session_id = token.public.get("session", "")
        found = self.store.sessions.get(session_id)
        if found is None or found.item_id != upload.item_id:
            raise SessionLostError("the upload session is not known here", where=self.name)
        if token.secret.get("grant") != _grant(session_id):
            raise SessionLostError("the upload session's secret is missing or wrong", where=self.name)
        return found

    def _unasked_session(self, upload: Upload) -> MemorySession:
        artifacts = {artifact.index: MemoryArtifact(self.store.keep_content) for artifact in upload.artifacts}
        session_id = _session_id(upload)
        return self.store.sessions.setdefault(session_id, MemorySession(session_id, upload.item_id, artifacts))

    def _held(self, session: MemorySession, fault: Fault, only: int | None = None) -> Held:
        if session.committed:
            return Held(stored=tuple(self._stored(entry, fault) for entry in session.committed))
        asked = {index: entry for index, entry in session.artifacts.items() if only in {None, index}}
        if self.abilities.resume is ResumeMode.OFFSET:
            return Held(prefixes={index: entry.prefix for index, entry in asked.items()})
        return Held(parts={index: _held_parts(entry, fault) for index, entry in asked.items()})

    def _stored(self, found: MemoryObject, fault: Fault) -> Stored:
        proof = self.abilities.proof
        return Stored(
            key=found.key,
            location=self._location(found.key),
            size=None if proof is Proof.ACKNOWLEDGED else found.size,
            version=found.version,
            digests={"sha256": _told(found.sha256, fault)} if proof is Proof.CONTENT else {},
            item_id=found.item_id,
        )

    def _location(self, key: str) -> str:
        return f"memory://{self.name}/{key}"


def _held_parts(received: MemoryArtifact, fault: Fault) -> dict[int, HeldPart]:
    return {
        number: HeldPart(piece.size, _etag(piece), {"sha256": _told(piece.sha256, fault)})
        for number, piece in sorted(received.pieces.items())
    }


def _told(digest: str, fault: Fault) -> str:
    return digest[::-1] if fault.wrong_digests else digest


def _etag(piece: MemoryPart | None) -> str:
    return f'"{piece.sha256[:32]}"' if piece is not None else ""


def _session_id(upload: Upload) -> str:
    return f"{upload.item_id[:16]}-{upload.nonce}"


def _grant(session_id: str) -> str:
    """A secret that a test can recognise; it protects nothing."""
    return hashlib.sha256(f"grant {session_id}".encode()).hexdigest()
