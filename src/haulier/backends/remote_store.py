"""Upload sessions on a file system that only fsspec reaches: whole files, no memory of interrupted ones.

An artifact is written whole to a partial file and moved to its key at commit, after a look whether the key is free.
Between look and move somebody else may come: ``check_then_write`` says so. Where files cannot be moved they are written
under their key at once.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

from haulier.backends.api import Answer, CheckReport, Held, HeldPart, Outcome, Settled, Stored, Token
from haulier.backends.disk_errors import away
from haulier.backends.keys import partial_name
from haulier.errors import ConflictError, HaulierError, IntegrityError, SessionLostError, ValidationError
from haulier.models import Role

if TYPE_CHECKING:
    from collections.abc import Mapping

    from haulier.backends.api import Artifact, Body, Context, Part, Upload
    from haulier.backends.remote_folder import RemoteFolder

__all__ = ["RemoteStore"]


class RemoteStore:
    """Uploads below one root. Thread-safe.

    Args:
        folder: The root.
        create: Whether a root that is missing may be made.
        read_back: Whether commit reads every file again; without it nothing but sizes is shown.
    """

    def __init__(self, folder: RemoteFolder, *, create: bool, read_back: bool) -> None:
        self._folder = folder
        self._create = create
        self._read_back = read_back

    def probe(self, context: Context) -> None:
        """Look at the root. An answer that it is missing is an answer, if it may be made."""
        del context
        if self._folder.info(self._folder.root) is None and not self._create:
            raise away("the folder is missing", self._folder.location())

    def check(self, context: Context) -> CheckReport:
        """Write, read and remove a small file of its own."""
        self.probe(context)
        path = self._folder.partial("check")
        rights = {"reach": Answer.YES, **dict.fromkeys(("write", "read", "delete"), Answer.UNTESTED)}
        try:
            self._folder.write(path, _ProbeBody(), context)
            rights["write"] = Answer.YES
            same = b"".join(self._folder.blocks(path)) == _ProbeBody.content
            rights["read"] = Answer.YES if same else Answer.NO
            self._folder.remove(path)
            rights["delete"] = Answer.YES
        except HaulierError as error:
            refused = next(right for right, answer in rights.items() if answer is Answer.UNTESTED)
            return CheckReport({**rights, refused: Answer.NO}, (str(error),))
        return CheckReport(rights)

    # -- a session ---------------------------------------------------------------------------------------------

    def open(self, upload: Upload, context: Context) -> Token:
        """Note which keys are taken already; write nothing."""
        self.probe(context)
        taken = [artifact.index for artifact in upload.artifacts if self._folder.stat(artifact.key) is not None]
        return Token({"partials": [partial_name(upload, artifact) for artifact in upload.artifacts], "taken": taken})

    def held(self, upload: Upload, token: Token, context: Context) -> Held:
        """Nothing: what lies there may be cut short."""
        del upload, token, context
        return Held()

    def send(self, upload: Upload, token: Token, part: Part, body: Body, context: Context) -> Held:
        """Write one artifact whole."""
        artifact = upload.artifacts[part.artifact]
        if (part.offset, part.size) != (0, artifact.size):
            raise ValidationError("artifacts are taken whole", where=self._folder.location(artifact.key))
        if self._folder.can_move:
            self._folder.write(self._partial(upload, artifact), body, context)
        elif artifact.index not in token.public.get("taken", ()):
            self._folder.write(self._folder.path(artifact.key), body, context)
        else:
            self._require_equal(artifact, _sha256(body), context)
        return Held(parts={artifact.index: {part.number: HeldPart(part.size)}})

    def commit(
        self, upload: Upload, token: Token, digests: Mapping[int, Mapping[str, str]], context: Context
    ) -> tuple[Stored, ...]:
        """Check all, then move one after the other. After an interruption it goes on where it stopped."""
        del token
        ours = {artifact.index: digests[artifact.index]["sha256"] for artifact in upload.artifacts}
        moves = {entry.index: self._needs_move(upload, entry, ours[entry.index], context) for entry in upload.artifacts}
        stored = {}
        for artifact in sorted(upload.artifacts, key=lambda entry: entry.role is Role.MEDIA):
            if moves[artifact.index]:
                self._folder.move(self._partial(upload, artifact), self._folder.path(artifact.key))
            stored[artifact.index] = self._shown(artifact, ours[artifact.index], context, moves[artifact.index])
        return tuple(stored[artifact.index] for artifact in upload.artifacts)

    def settle(self, upload: Upload, token: Token | None, context: Context) -> Settled:
        """Present when each key has a file of the right size and no partial file is left; digests are read back."""
        del token
        for artifact in upload.artifacts:
            partial_there, _ = self._folder.size(self._partial(upload, artifact))
            there, size = self._folder.size(self._folder.path(artifact.key))
            if partial_there or not there or size not in {None, artifact.size}:
                return Settled(Outcome.ABSENT)
        found = []
        for artifact in upload.artifacts:
            digest = self._folder.sha256(self._folder.path(artifact.key), context)
            found.append(self._folder.stored(artifact.key, artifact.size, digest))
        return Settled(Outcome.PRESENT, tuple(found))

    def abort(self, upload: Upload) -> None:
        """Remove the partial files."""
        for artifact in upload.artifacts:
            self._folder.remove(self._partial(upload, artifact))

    # -- one artifact ------------------------------------------------------------------------------------------

    def _partial(self, upload: Upload, artifact: Artifact) -> str:
        return self._folder.partial(partial_name(upload, artifact))

    def _needs_move(self, upload: Upload, artifact: Artifact, sha256: str, context: Context) -> bool:
        """Whether the partial file is to become the key's; False when the key has our content already."""
        key_taken, _ = self._folder.size(self._folder.path(artifact.key))
        partial_there, size = self._folder.size(self._partial(upload, artifact))
        if key_taken:
            self._require_equal(artifact, sha256, context)
            if partial_there:
                self._folder.remove(self._partial(upload, artifact))
            return False
        if not partial_there:
            raise SessionLostError("the partial file is gone", where=self._folder.location(artifact.key))
        if size not in {None, artifact.size}:
            text = f"{size} of {artifact.size} bytes arrived"
            raise IntegrityError(text, where=self._folder.location(artifact.key))
        return True

    def _require_equal(self, artifact: Artifact, sha256: str, context: Context) -> None:
        path = self._folder.path(artifact.key)
        _, size = self._folder.size(path)
        if size not in {None, artifact.size} or self._folder.sha256(path, context) != sha256:
            raise ConflictError("another file lies under this key", where=self._folder.location(artifact.key))

    def _shown(self, artifact: Artifact, sha256: str, context: Context, moved: bool) -> Stored:
        """What the destination says of a file that is in place."""
        path = self._folder.path(artifact.key)
        if not moved:
            return self._folder.stored(artifact.key, artifact.size, sha256)
        _, size = self._folder.size(path)
        digest = self._folder.sha256(path, context) if self._read_back else None
        if digest not in {None, sha256}:
            self._folder.remove(path)  # ours, and wrong: it must not stand in the way of a retry
            raise IntegrityError("what was read back is not what was sent", where=self._folder.location(artifact.key))
        return self._folder.stored(artifact.key, size, digest)


class _ProbeBody:
    """A few bytes, for ``check``."""

    content = b"haulier"
    size = len(content)

    def __init__(self) -> None:
        self._rest = self.content

    def readinto(self, buffer: bytearray | memoryview, /) -> int:
        count = min(len(buffer), len(self._rest))
        buffer[:count] = self._rest[:count]
        self._rest = self._rest[count:]
        return count

    def read(self, size: int = -1, /) -> bytes:
        end = len(self._rest) if size < 0 else size
        data, self._rest = self._rest[:end], self._rest[end:]
        return data

    def rewind(self) -> None:
        self._rest = self.content

    def digest(self, name: str) -> str:
        return hashlib.new(name, self.content).hexdigest()

    def whole(self, name: str) -> str:
        return self.digest(name)


def _sha256(body: Body) -> str:
    hasher = hashlib.sha256()
    block = memoryview(bytearray(1 << 20))
    while count := body.readinto(block):
        hasher.update(block[:count])
    return hasher.hexdigest()
