"""One recording brought to one server by the caller's own thread, without a journal: for those who want to wait.

A try that fails leaves the session open; the next one asks what the server holds and sends the rest. A commit whose
answer was lost is settled by asking. So repeating it stores nothing twice.
"""

from __future__ import annotations

import hashlib
import json
import os
import secrets
import sys
from functools import partial
from typing import TYPE_CHECKING, Any, Self

from haulier.backends.api import Artifact, Held, Outcome, Part, PartsMode, ResumeMode, Upload
from haulier.errors import (
    OffsetError,
    OutcomeUnknownError,
    ServerError,
    SessionLostError,
    SourceChangedError,
    TransientError,
)
from haulier.models import Role
from haulier_wats.compat.file_body import Content, FileBody, digest_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from pathlib import Path

    from haulier.backends.api import Abilities, Backend, Context, Stored, Token
    from haulier.files import Files, SourceHandle
    from haulier_wats.compat.file_body import Source

__all__ = ["SingleUpload"]

PART_SIZE = 8 * 1024 * 1024
MOST_CORRECTIONS = 8
"""Times that the server may name another offset before that counts as a failure of its own."""


class SingleUpload:
    """Holds the video open for its life; use it as a context manager, on one thread.

    The program may rename, replace and delete both files meanwhile, also on Windows.

    Args:
        backend: Where to.
        video: The video.
        metadata_file: Its metadata.
        document: What it holds.
        files: Operating system.
        on_progress: Told bytes that left and bytes in all; the whole only when it is stored.
    """

    def __init__(
        self,
        backend: Backend,
        video: Path,
        metadata_file: Path,
        document: Mapping[str, Any],
        on_progress: Callable[[int, int], None],
        files: Files,
    ) -> None:
        self.backend = backend
        self._video = video
        self._on_progress = on_progress
        self._files = files
        content = files.read_bytes(metadata_file, sys.maxsize)
        self._open = files.open_source(video)
        self._seen = _mark(self._open)
        self._sources: dict[int, Source] = {0: self._open, 1: Content(content)}
        self._digests = {index: digest_of(source, "sha256") for index, source in self._sources.items()}
        self.upload = backend.complete(self._upload(metadata_file.name, content, document))
        self.total = sum(artifact.size for artifact in self.upload.artifacts)
        self._session: tuple[Token, Abilities] | None = None
        self._held = Held()
        self._sent: dict[int, int] = {}
        self._told = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._open.close()

    @property
    def token(self) -> Token | None:
        """Resume token of the session; None before it is open."""
        return self._session[0] if self._session else None

    @property
    def sha256(self) -> str:
        """Digest of the video."""
        return self._digests[0]

    def attempt(self, context: Context) -> tuple[Stored, ...]:
        """Try once, going on where the last try ended.

        Returns:
            What is stored, the video first.

        Raises:
            TransferError: What went wrong; after a :class:`~haulier.errors.TransientError` try again.
        """
        try:
            stored = self._stored(context)
        except SessionLostError as error:
            self._session = None
            raise ServerError("the server lost the upload session", where=error.where) from error
        self._told = -1
        self._on_progress(self.total, self.total)
        return stored

    def _stored(self, context: Context) -> tuple[Stored, ...]:
        is_new = self._session is None
        if self._session is None:
            self._session = self.backend.open(self.upload, context)
            self._held = Held()
        token, abilities = self._session
        if token.known or not (is_new or abilities.resume is ResumeMode.NONE):
            self._held = self.backend.held(self.upload, token, context)
        for _ in range(MOST_CORRECTIONS):
            if self._held.stored:
                return self._held.stored
            try:
                self._send_missing(token, abilities, context)
            except OffsetError:
                self._held = self.backend.held(self.upload, token, context)
            else:
                return self._held.stored or self._commit(token, context)
        raise ServerError("the server kept naming other offsets than it had acknowledged")

    def _send_missing(self, token: Token, abilities: Abilities, context: Context) -> None:
        self._sent = {artifact.index: self._acknowledged(artifact) for artifact in self.upload.artifacts}
        for part in list(self._missing(abilities)):
            body = FileBody(self._sources[part.artifact], part, context, partial(self._note, part))
            answer = self.backend.send(self.upload, token, part, body, context)
            held = self._held
            self._held = Held({**held.prefixes, **answer.prefixes}, {**held.parts, **answer.parts}, answer.stored)
            if answer.stored:
                return

    def _acknowledged(self, artifact: Artifact) -> int:
        return artifact.size if artifact.index in self._held.parts else self._held.prefixes.get(artifact.index, 0)

    def _missing(self, abilities: Abilities) -> Iterator[Part]:
        sidecar_first = abilities.sidecar_first
        for artifact in sorted(self.upload.artifacts, key=lambda one: (one.role is not Role.SIDECAR) == sidecar_first):
            done = self._acknowledged(artifact)
            if abilities.parts is PartsMode.WHOLE:
                if artifact.index not in self._held.parts:
                    yield Part(artifact.index, 1, 0, artifact.size)
                continue
            for number, offset in enumerate(range(done, artifact.size, PART_SIZE), start=1):
                yield Part(artifact.index, number, offset, min(PART_SIZE, artifact.size - offset))

    def _commit(self, token: Token, context: Context) -> tuple[Stored, ...]:
        if _mark(self._open) != self._seen or not self._is_same():
            raise SourceChangedError("the file changed while it was uploaded", where=str(self._video))
        digests = {index: {"sha256": digest} for index, digest in self._digests.items()}
        try:
            return self.backend.commit(self.upload, token, self._held, digests, context)
        except TransientError as error:
            settled = self.backend.settle(self.upload, token, context)
            if settled.outcome is Outcome.PRESENT:
                return settled.stored
            if settled.outcome is Outcome.UNKNOWN:
                raise OutcomeUnknownError("the answer to the commit was lost, and nobody can say more") from error
            raise

    def _note(self, part: Part, done: int) -> None:
        self._sent[part.artifact] = part.offset + done
        sent = min(self.total - 1, sum(self._sent.values()))  # the last byte is told when all is stored
        if sent > self._told:
            self._told = sent
            self._on_progress(sent, self.total)

    def _upload(self, sidecar_name: str, content: bytes, document: Mapping[str, Any]) -> Upload:
        status = self._open.stat()
        identity = "\0".join(
            (str(document["session_id"]), self._video.name, str(status.st_size), *self._digests.values())
        )
        item_id = hashlib.sha256(identity.encode("utf-8", "surrogatepass")).hexdigest()
        media = Artifact(
            0, Role.MEDIA, self._video.name, f"{item_id[:16]}/{self._video.name}", status.st_size, "video/mp4"
        )
        sidecar = Artifact(
            1, Role.SIDECAR, sidecar_name, f"{item_id[:16]}/{sidecar_name}", len(content), "application/json", content
        )
        return Upload(
            f"upload_{secrets.token_hex(6)}",
            item_id,
            secrets.token_hex(16),
            (media, sidecar),
            json.loads(json.dumps(document)),
            status.st_mtime,
        )

    def _is_same(self) -> bool:
        """Whether the path still names the open file: compression puts another one in its place."""
        try:
            with self._files.open_source(self._video) as now:
                return os.path.samestat(self._open.stat(), now.stat())
        except OSError:
            return False


def _mark(file: SourceHandle) -> tuple[int, int]:
    status = file.stat()
    return status.st_size, status.st_mtime_ns
