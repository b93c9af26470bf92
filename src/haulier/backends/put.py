"""What makes a full backend of a destination that can only put whole objects.

Each artifact is one part. All but the last go up through ``send``; the media file goes last, through ``commit``, so
that a media file that is visible has its sidecar. With a ``stat`` of its own the destination can be asked what arrived;
without one a lost answer stays unknown, and an upload that was interrupted starts from its first byte.
"""

from __future__ import annotations

import hashlib
import threading
from dataclasses import replace
from enum import Enum
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
    PutBackend,
    ResumeMode,
    Settled,
    Stored,
    Token,
)
from haulier.errors import ConflictError, OffsetError, ValidationError
from haulier.models import Proof

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from haulier.backends.api import Artifact, Body, Context, LastPart, Part, Upload

__all__ = ["PutAdapter", "adapt"]

_BLOCK = 1 << 20


class _Verdict(Enum):
    """What an object that lies under our key is to us."""

    OURS = "ours"  # it is what this upload wants there
    STALE = "stale"  # this item's, from an earlier start: may be replaced
    FOREIGN = "foreign"  # something else: must not be touched
    UNCLEAR = "unclear"  # as long as ours, and no more can be told


class PutAdapter(Backend):
    """A :class:`~haulier.backends.api.PutBackend` as a :class:`~haulier.backends.api.Backend`. Thread-safe if that is.

    Made by :func:`adapt`, never directly.

    Attributes:
        put_type: The class that is adapted.
        inner: Its instance.
    """

    put_type: ClassVar[type[PutBackend]]

    def __init__(self, name: str, options: Any) -> None:
        super().__init__(name, options)
        self.inner = self.put_type(name, options)
        self.limits = self.inner.limits
        self._can_stat = self.put_type.stat is not PutBackend.stat
        self._lock = threading.Lock()
        self._stored: dict[tuple[str, str], dict[int, Stored]] = {}

    def close(self) -> None:
        """Release connections."""
        self.inner.close()

    def probe(self, context: Context) -> None:
        """Ask whether the destination is there."""
        self.inner.probe(context)

    def open(self, upload: Upload, context: Context) -> tuple[Token, Abilities]:
        """Note which keys are taken already: what appears under the others later is this upload's."""
        taken = [artifact.index for artifact in upload.artifacts if self._can_stat and self.stat(artifact.key, context)]
        return Token({"taken": taken}), self.abilities

    def held(self, upload: Upload, token: Token, context: Context) -> Held:
        """Say which artifacts are stored; all of them is a commit that took place."""
        if not self._can_stat:
            return Held()
        ours = self._ours(upload, token, context)
        if len(ours) == len(upload.artifacts):
            return Held(stored=tuple(ours[artifact.index] for artifact in upload.artifacts))
        ours.pop(upload.media.index, None)
        return Held(parts={index: {1: _held_part(stored)} for index, stored in ours.items()})

    def send(self, upload: Upload, token: Token, part: Part, body: Body, context: Context) -> Held:
        """Put one artifact that is not the last."""
        if part.last:
            raise ValidationError("the last part commits: it goes through commit", where=self.name)
        stored = self._put(upload, token, part, body, context, sha256=None)
        with self._lock:
            self._stored.setdefault((upload.item_id, upload.nonce), {})[part.artifact] = stored
        return Held(parts={part.artifact: {1: HeldPart(part.size, stored.version, stored.digests)}})

    def commit(
        self,
        upload: Upload,
        token: Token,
        held: Held,
        digests: Mapping[int, Mapping[str, str]],
        context: Context,
        last: LastPart | None = None,
    ) -> tuple[Stored, ...]:
        """Put the last artifact. Without one everything must be stored already."""
        if last is None:
            now = self.held(upload, token, context)
            if not now.stored:
                raise OffsetError("not every artifact is stored", where=self.name, held=now)
            return now.stored
        del held
        # Of a last part that is streamed the digest is not known before it is read.
        known = digests.get(last.part.artifact, {}).get("sha256")
        answers = {last.part.artifact: self._put(upload, token, last.part, last.body, context, known)}
        with self._lock:
            answers |= self._stored.pop((upload.item_id, upload.nonce), {})
        return tuple(answers.get(entry.index) or self._found(entry, context) for entry in upload.artifacts)

    def settle(self, upload: Upload, token: Token | None, context: Context) -> Settled:
        """Look under the keys, if the destination can."""
        if not self._can_stat:
            return Settled(Outcome.UNKNOWN)
        found: tuple[Stored, ...] = ()
        verdicts = set()
        for artifact in upload.artifacts:
            stored = self.stat(artifact.key, context)
            if stored is None:
                return Settled(Outcome.ABSENT)
            # Without a session there is no earlier start to tell apart: the item id alone says whose it is.
            came_later = _came_later(token, artifact) or (token is None and bool(stored.item_id))
            verdicts.add(_judge(upload, artifact, stored, came_later=came_later, sha256=None))
            found = (*found, stored)
        if verdicts <= {_Verdict.OURS}:
            return Settled(Outcome.PRESENT, found)
        if verdicts & {_Verdict.STALE, _Verdict.FOREIGN}:
            return Settled(Outcome.ABSENT)
        # As long as ours: the engine compares digests where the destination has them.
        return Settled(Outcome.PRESENT if all(entry.digests for entry in found) else Outcome.UNKNOWN, found)

    def abort(self, upload: Upload, token: Token, context: Context) -> None:
        """Forget the session. What was put stays: the destination has no way to take it back."""
        del token, context
        with self._lock:
            self._stored.pop((upload.item_id, upload.nonce), None)

    def stat(self, key: str, context: Context) -> Stored | None:
        """Look at an object.

        Raises:
            UnsupportedError: The destination cannot.
        """
        return self.inner.stat(key, context)

    # -- one artifact ------------------------------------------------------------------------------------------

    def _put(
        self, upload: Upload, token: Token, part: Part, body: Body, context: Context, sha256: str | None
    ) -> Stored:
        artifact = upload.artifacts[part.artifact]
        if (part.offset, part.size) != (0, artifact.size):
            raise ValidationError("artifacts are taken whole", where=artifact.key)
        if self._can_stat and self.abilities.if_absent is IfAbsent.CHECK_THEN_WRITE:
            there = self._already_there(upload, token, artifact, context, lambda: sha256 or _hash(body))
            if there is not None:
                return there
        try:
            return self.inner.put(upload, artifact, body, context)
        except ConflictError:
            if not self._can_stat:
                raise
            body.rewind()
            there = self._already_there(upload, token, artifact, context, lambda: sha256 or _hash(body))
            if there is None:
                raise
            return there

    def _already_there(
        self, upload: Upload, token: Token, artifact: Artifact, context: Context, sha256: Callable[[], str]
    ) -> Stored | None:
        """The object under the key if it is as good as ours; None when ours may be written.

        Equal content of another item is answered without that item's id: it is no longer that item's alone.
        """
        stored = self.stat(artifact.key, context)
        if stored is None:
            return None
        known = sha256() if "sha256" in stored.digests else None
        verdict = _judge(upload, artifact, stored, came_later=_came_later(token, artifact), sha256=known)
        if verdict is _Verdict.OURS:
            return stored if stored.item_id in {"", upload.item_id} else replace(stored, item_id="")
        if verdict is _Verdict.STALE:
            return None
        raise ConflictError("something else lies under this key", where=stored.location)

    def _ours(self, upload: Upload, token: Token, context: Context) -> dict[int, Stored]:
        ours = {}
        for artifact in upload.artifacts:
            stored = self.stat(artifact.key, context)
            came_later = _came_later(token, artifact)
            if stored and _judge(upload, artifact, stored, came_later=came_later, sha256=None) is _Verdict.OURS:
                ours[artifact.index] = stored
        return ours

    def _found(self, artifact: Artifact, context: Context) -> Stored:
        """An artifact that another process put: as the destination tells it, else what is known of it."""
        found = self.stat(artifact.key, context) if self._can_stat else None
        return found or Stored(key=artifact.key, location=artifact.key)


def adapt(put_type: type[PutBackend]) -> type[PutAdapter]:
    """Make a backend class of a put-only one; made with ``cls(name, options)`` as any other."""
    can_stat = put_type.stat is not PutBackend.stat
    checks = can_stat and put_type.if_absent is IfAbsent.NONE
    abilities = Abilities(
        parts=PartsMode.WHOLE,
        resume=ResumeMode.LIST if can_stat else ResumeMode.NONE,
        commit=CommitMode.LAST_PART,
        if_absent=IfAbsent.CHECK_THEN_WRITE if checks else put_type.if_absent,
        proof=put_type.proof or (Proof.SIZE if can_stat else Proof.ACKNOWLEDGED),
        sidecar_first=True,
    )
    members = {
        "__doc__": put_type.__doc__,
        "__module__": put_type.__module__,
        "put_type": put_type,
        "type": put_type.type,
        "options_type": put_type.options_type,
        "api_level": put_type.api_level,
        "abilities": abilities,
        "limits": put_type.limits,
    }
    return type(put_type.__name__, (PutAdapter,), members)


def _judge(upload: Upload, artifact: Artifact, stored: Stored, *, came_later: bool, sha256: str | None) -> _Verdict:
    """Tell what lies under our key by what the destination says of it.

    Args:
        upload: The upload.
        artifact: Its artifact.
        stored: What lies there.
        came_later: Whether the key was free when this session began.
        sha256: Digest of our bytes, if known.
    """
    otherwise = _Verdict.STALE if stored.item_id == upload.item_id else _Verdict.FOREIGN
    if stored.size is not None and stored.size != artifact.size:
        return otherwise
    if sha256 is not None and "sha256" in stored.digests:
        return _Verdict.OURS if stored.digests["sha256"] == sha256 else otherwise
    if stored.item_id and stored.item_id != upload.item_id:
        return _Verdict.FOREIGN
    if came_later:
        return _Verdict.OURS
    # It lay there before: our item, perhaps with the content of an earlier start, or anybody's.
    return _Verdict.STALE if stored.item_id else _Verdict.UNCLEAR


def _came_later(token: Token | None, artifact: Artifact) -> bool:
    return token is not None and artifact.index not in token.public.get("taken", ())


def _held_part(stored: Stored) -> HeldPart:
    return HeldPart(stored.size or 0, stored.version, stored.digests)


def _hash(body: Body) -> str:
    """SHA-256 of a body, which is rewound for the sending that may follow."""
    hasher = hashlib.sha256()
    block = memoryview(bytearray(_BLOCK))
    while count := body.readinto(block):
        hasher.update(block[:count])
    body.rewind()
    return hasher.hexdigest()
