"""Takes an upload through a backend as the engine does, one step at a time, with the engine's own plan and bodies."""

from __future__ import annotations

import hashlib
import json
import random
from typing import TYPE_CHECKING, Any

from haulier.backends.api import Artifact, CommitMode, Held, LastPart, Part, PartsMode, ResumeMode, Token, Upload
from haulier.errors import OffsetError
from haulier.journal.api import PartRow
from haulier.models import Role
from haulier.transfer.bodies import BufferedBody, StreamedBody
from haulier.transfer.checked import CheckedBackend
from haulier.transfer.context import RunContext
from haulier.transfer.digests import Digests
from haulier.transfer.parts import choose_part_size, make_plan
from haulier.transfer.source import ContentSource

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from haulier.backends.api import Abilities, Backend, Body, Stored
    from haulier.transfer.source import Readable

__all__ = ["ITEM", "KEYS", "Drive", "make_upload", "pattern", "through_journal"]

ITEM = "a" * 64
_MOST_RESYNCS = 5  # as the engine's
KEYS = ("2026/11/clip.mp4", "2026/11/clip.json")
"""Keys of media and sidecar unless a test says otherwise."""


def pattern(size: int, seed: int = 1) -> bytes:
    """Bytes that differ everywhere, the same for the same seed."""
    return random.Random(seed).randbytes(size)


def make_upload(
    contents: Sequence[bytes], *, item: str = ITEM, nonce: str = "n1", keys: Sequence[str] = KEYS, **metadata: Any
) -> Upload:
    """An upload of a media file and, if there are two contents, its sidecar."""
    kinds = ((Role.MEDIA, "video/mp4"), (Role.SIDECAR, "application/json"))
    artifacts = tuple(
        Artifact(
            index,
            role,
            key.rpartition("/")[2],
            key,
            len(content),
            content_type,
            content if role is Role.SIDECAR else None,
        )
        for index, (content, key, (role, content_type)) in enumerate(zip(contents, keys, kinds, strict=False))
    )
    return Upload("upload_1", item, nonce, artifacts, metadata, recorded_at=1_790_000_000.0)


def through_journal(token: Token) -> Token:
    """A token as the next process gets it: what JSON keeps of it."""
    public, secret, expires_at = json.loads(json.dumps([dict(token.public), dict(token.secret), token.expires_at]))
    return Token(public, secret, expires_at)


class Drive:
    """One upload on its way. Used by one thread, but for :meth:`send`.

    Args:
        backend: The destination.
        upload: The upload; what the backend adds to it is added here.
        contents: Each artifact's bytes.
        part_size: Preferred bytes of a part.
        context: What the calls obey.

    Attributes:
        token: As :func:`through_journal` gives it.
        abilities: The session's.
        held: What the destination said, as the engine keeps it.
        rows: What the journal knows of acknowledged parts.
        missing: Parts to be sent, in order; with ``CommitMode.LAST_PART`` the last of them commits.
        sent: Parts that were acknowledged to this drive.
        stored: The answer of the commit.
    """

    def __init__(
        self,
        backend: Backend,
        upload: Upload,
        contents: Sequence[bytes],
        *,
        part_size: int = 32,
        context: RunContext | None = None,
    ) -> None:
        self.backend = backend
        self.context = context or RunContext(silence=30.0, commit_timeout=60.0)
        self.checked = CheckedBackend(backend, self.context)
        self.upload = self.checked.complete(upload)
        self.contents = [*contents, *(entry.content or b"" for entry in self.upload.artifacts[len(contents) :])]
        self.preferred = part_size
        self.part_size = choose_part_size(max(map(len, self.contents)), backend.limits, part_size)
        self.token: Token | None = None
        self.abilities: Abilities = backend.abilities
        self.held = Held()
        self.rows: list[PartRow] = []
        self.missing: list[Part] = []
        self.sent: list[Part] = []
        self.stored: tuple[Stored, ...] = ()

    # -- steps -------------------------------------------------------------------------------------------------

    def open(self) -> Drive:
        """Begin a session and plan; ask what is held when the destination knew the upload."""
        token, self.abilities = self.checked.open(self.upload)
        self.token = through_journal(token)
        self.rows = []
        if token.known:
            self.ask_held()
        else:
            self._plan(Held())
        return self

    def begin_unasked(self) -> Drive | None:
        """Begin the session as it is without a call; None where the backend is to be asked."""
        declared = self.checked.unasked()
        if declared is None or len(self.contents) > 1 or len(self.contents[0]) > declared.largest:
            return None
        owner = [self.upload.item_id, self.upload.nonce]
        self.token = through_journal(Token({"owner": owner, **declared.public}))
        self.abilities, self.rows = declared.abilities, []
        self._plan(Held())
        return self

    def ask_held(self) -> Drive:
        """Ask what is held and plan anew."""
        self._plan(self.checked.held(self.upload, self.the_token))
        return self

    def in_new_process(self, backend: Backend) -> Drive:
        """The same upload as another process goes on with it: token and journal, and what the destination says."""
        later = self.copy(backend)
        return later.ask_held()

    def copy(self, backend: Backend) -> Drive:
        """The same upload with the same token on another instance, which is asked nothing yet."""
        upload = Upload(
            self.upload.task,
            self.upload.item_id,
            self.upload.nonce,
            self.upload.artifacts,
            self.upload.metadata,
            self.upload.recorded_at,
        )
        copy = Drive(backend, upload, self.contents, part_size=self.preferred)
        copy.token = None if self.token is None else through_journal(self.token)
        copy.abilities, copy.rows, copy.held = self.abilities, list(self.rows), self.held
        copy.missing = list(self.missing)
        return copy

    def send(self, part: Part, body: Body | None = None) -> Held:
        """Send one part and note the acknowledgement as the engine does.

        Raises:
            OffsetError: The destination kept less than the part.
        """
        answer = self.checked.send(self.upload, self.the_token, part, body or self.body(part))
        end = part.offset + part.size
        if answer.prefixes.get(part.artifact, end) < end:
            raise OffsetError("the destination kept less than it was sent", held=answer)
        self.note(part, answer)
        return answer

    def send_some(self, count: int | None = None) -> Drive:
        """Send the next parts, but never the one that commits."""
        for part in [part for part in self.missing if not part.last][:count]:
            self.send(part)
        return self

    def commit(self) -> tuple[Stored, ...]:
        """Commit, with the last part where that is what commits."""
        last = next((part for part in self.missing if part.last), None)
        with_bytes = None if last is None else LastPart(last, self.body(last))
        digests = self.digests(last)
        self.stored = self.checked.commit(self.upload, self.the_token, self.held, digests, with_bytes)
        return self.stored

    def finish(self) -> tuple[Stored, ...]:
        """Send what is missing and commit, unless it is stored; ask where the destination stands if it is elsewhere."""
        for _ in range(_MOST_RESYNCS):
            try:
                return self.stored or self.send_some().commit()
            except OffsetError:
                self.ask_held()
        return self.stored or self.send_some().commit()

    def run(self) -> tuple[Stored, ...]:
        """All of it."""
        return self.open().finish()

    def abort(self) -> None:
        """Drop the session."""
        self.checked.abort(self.upload, self.the_token)

    # -- what the steps are made of ----------------------------------------------------------------------------

    @property
    def the_token(self) -> Token:
        """The token of the session that was opened."""
        assert self.token is not None, "open comes first"  # noqa: S101
        return self.token

    @property
    def resumable(self) -> bool:
        """Whether the session can say what it holds."""
        return self.abilities.resume is not ResumeMode.NONE

    @property
    def commits_with_last(self) -> bool:
        """Whether the last part commits."""
        return self.abilities.commit is CommitMode.LAST_PART

    def body(self, part: Part, source: Readable | None = None) -> Body:
        """The bytes of a part, as the engine would hand them over; read from ``source`` if one is given."""
        content = self.contents[part.artifact]
        names = self.abilities.part_digests | self.abilities.whole_digests
        if source is not None or (self.abilities.parts is PartsMode.WHOLE and part.size > self.part_size):
            readable = source or ContentSource(content)
            return StreamedBody(readable, part, names, "clip.mp4", self.context, lambda _: None)
        view = memoryview(content)[part.offset : part.offset + part.size]
        whole = self._whole_names(part.artifact)
        return BufferedBody(view, names, {}, lambda: _digests(content, whole), self.context, lambda _: None)

    def digests(self, last: Part | None = None) -> Mapping[int, Mapping[str, str]]:
        """Digests of the artifacts, but of one that is streamed as the last part: those are not known before."""
        streamed = last is not None and self.abilities.parts is PartsMode.WHOLE and last.size > self.part_size
        return {
            index: _digests(content, self._whole_names(index))
            for index, content in enumerate(self.contents)
            if not (streamed and last is not None and last.artifact == index)
        }

    def _whole_names(self, index: int) -> frozenset[str]:
        """Digests of an artifact that the engine knows: those of a single part are those of the whole."""
        lone = len(self.contents[index]) <= self.part_size
        return self.abilities.whole_digests | (self.abilities.part_digests if lone else frozenset())

    def all_digests(self) -> Mapping[int, Mapping[str, str]]:
        """Digests of all artifacts."""
        return self.digests()

    def _plan(self, held: Held) -> None:
        self.held, self.stored, self.missing = held, held.stored, []
        if not held.stored:
            plan = make_plan(self.upload.artifacts, self.abilities, self.part_size, held, self.rows)
            self.missing = list(plan.missing)

    def note(self, part: Part, answer: Held) -> None:
        """Keep what the engine keeps of an acknowledgement."""
        tagged = answer.parts.get(part.artifact, {}).get(part.number)
        if self.abilities.resume is ResumeMode.LIST:
            parts = {index: dict(known) for index, known in self.held.parts.items()}
            parts.setdefault(part.artifact, {}).update(answer.parts.get(part.artifact, {}))
            self.held = Held(self.held.prefixes, parts)
        else:
            self.held = Held({**self.held.prefixes, part.artifact: part.offset + part.size}, self.held.parts)
        content = self.contents[part.artifact][part.offset : part.offset + part.size]
        sha256 = hashlib.sha256(content).hexdigest()
        etag = tagged.etag if tagged else ""
        self.rows.append(PartRow(part.artifact, part.number, part.offset, part.size, sha256, etag))
        self.sent.append(part)
        if part in self.missing:
            self.missing.remove(part)


def _digests(data: bytes | memoryview, names: frozenset[str]) -> dict[str, str]:
    digests = Digests(names)
    digests.update(data)
    return digests.result()
