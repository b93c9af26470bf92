"""Upload sessions on a disk of this machine, or one that is mounted here.

An artifact is written to a partial file below ``.haulier-partial`` and synced at each acknowledgement. Commit syncs it,
reads it back, renames it to its key without ever replacing a file, and syncs the folders up to the root. Sidecars go
first, so that a media file that is visible has its sidecar.

The digest that is read back shows what the *file system* gives back, after its pages were dropped from the cache where
that can be asked for; a device that answers from a cache of its own is not seen through.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from haulier.backends.api import Answer, CheckReport, Held, Outcome, Settled, Stored, Token
from haulier.backends.blocks import blocks_of
from haulier.backends.disk_errors import disk_errors
from haulier.backends.keys import partial_name
from haulier.backends.lasting_folders import LastingFolders
from haulier.backends.local_folder import BLOCK
from haulier.errors import ConflictError, HaulierError, IntegrityError, OffsetError, SessionLostError
from haulier.models import Role

if TYPE_CHECKING:
    import io
    from collections.abc import Iterator, Mapping

    from haulier.backends.api import Artifact, Body, Context, Part, Upload
    from haulier.backends.local_folder import LocalFolder

__all__ = ["LocalStore"]


class LocalStore:
    """Uploads below one folder. Thread-safe.

    Args:
        folder: The root.
        read_back: Whether commit reads every file again; without it nothing but sizes is shown.
    """

    def __init__(self, folder: LocalFolder, *, read_back: bool) -> None:
        self._folder = folder
        self._read_back = read_back
        self._lasting = LastingFolders(folder.disk)

    def probe(self, context: Context) -> None:
        """Look whether the root can be listed, or can be made."""
        del context
        self._folder.probe()

    def check(self, context: Context) -> CheckReport:
        """Write, read and remove a small file of its own."""
        self.probe(context)
        rights = dict.fromkeys(("reach", "list"), Answer.YES) | dict.fromkeys(_TRIED, Answer.UNTESTED)
        remarks: list[str] = []
        attempts = zip(_TRIED, (self._write_probe, self._read_probe, self._remove_probe), strict=True)
        for right, attempt in attempts:
            try:
                attempt()
                rights[right] = Answer.YES
            except HaulierError as error:
                rights[right] = Answer.NO
                remarks.append(str(error))
                if right == "write":
                    break
        return CheckReport(rights, tuple(remarks))

    def _write_probe(self) -> None:
        self._folder.make_partials()
        path = self._folder.partial("check")
        with self._folder.opened(path, create=True) as file:
            self._folder.write(file, memoryview(_PROBE), path)
            self._folder.sync(file, path)

    def _read_probe(self) -> None:
        path = self._folder.partial("check")
        if b"".join(bytes(block) for block in self._folder.blocks(path)) != _PROBE:
            raise IntegrityError("a file that was just written holds something else", where=path)

    def _remove_probe(self) -> None:
        self._folder.remove(self._folder.partial("check"))

    # -- a session ---------------------------------------------------------------------------------------------

    def open(self, upload: Upload, context: Context) -> Token:
        """Make empty partial files; those of the same item id and nonce stay as they are."""
        del context
        for artifact in upload.artifacts:
            self._folder.path(artifact.key)
        self._folder.make_partials()
        for artifact in upload.artifacts:
            with self._folder.opened(self._partial(upload, artifact), create=True):
                pass
        self._folder.sync_folder(self._folder.partials)
        return Token({"partials": [partial_name(upload, artifact) for artifact in upload.artifacts]})

    def held(self, upload: Upload, token: Token, context: Context) -> Held:
        """Sizes of the partial files; one that was renamed already counts as held."""
        if self._folder.is_yet_to_be_made():
            raise SessionLostError("the folder is gone with all that lay in it", where=self._folder.root)
        partials = [self._folder.size(self._partial(upload, artifact)) for artifact in upload.artifacts]
        if not any(size is not None for size in partials):
            settled = self.settle(upload, token, context)
            if settled.outcome is Outcome.PRESENT:
                return Held(stored=settled.stored)
        prefixes = {}
        for artifact, size in zip(upload.artifacts, partials, strict=True):
            if size is None and self._folder.size(self._folder.path(artifact.key)) != artifact.size:
                raise SessionLostError("the partial file is gone", where=self._partial(upload, artifact))
            prefixes[artifact.index] = artifact.size if size is None else size
        return Held(prefixes)

    def send(self, upload: Upload, token: Token, part: Part, body: Body, context: Context) -> Held:
        """Write one part and sync it. What the file holds behind the part's offset is cut off first."""
        del token
        path = self._partial(upload, upload.artifacts[part.artifact])
        with self._folder.opened(path) as file:
            self._stand_at(file, part, path)
            rest, begun = part.size, 0
            for block in blocks_of(body, BLOCK):
                context.check_cancelled()
                self._folder.write(file, block[:rest], path)
                rest -= min(len(block), rest)
                written = part.size - rest
                if written - begun >= _BEGIN_SYNC:
                    self._folder.begin_sync(file, part.offset + begun, written - begun, path)
                    begun = written
                if not rest:
                    break
            if rest:
                raise IntegrityError(f"the part ended {rest} bytes early", where=path)
            self._folder.sync(file, path)
        return Held({part.artifact: part.offset + part.size})

    def _stand_at(self, file: io.FileIO, part: Part, path: str) -> None:
        with disk_errors(path):
            size = file.seek(0, 2)
            if part.offset > size:
                held = Held({part.artifact: size})
                raise OffsetError(f"offset {part.offset} is behind the end at {size}", where=path, held=held)
            if part.offset < size:
                file.truncate(part.offset)
            file.seek(part.offset)

    def commit(
        self, upload: Upload, token: Token, digests: Mapping[int, Mapping[str, str]], context: Context
    ) -> tuple[Stored, ...]:
        """Verify all, then rename one after the other. After an interruption it goes on where it stopped."""
        ours = {artifact.index: digests[artifact.index]["sha256"] for artifact in upload.artifacts}
        shown = {}
        for artifact in upload.artifacts:
            shown[artifact.index] = self._verify(upload, token, artifact, ours[artifact.index], context)
        for artifact in sorted(upload.artifacts, key=lambda entry: entry.role is Role.MEDIA):
            self._publish(upload, artifact, ours[artifact.index], context)
        self._folder.sync_folder(self._folder.partials)
        return tuple(
            self._folder.stored(artifact.key, artifact.size, shown[artifact.index]) for artifact in upload.artifacts
        )

    def settle(self, upload: Upload, token: Token | None, context: Context) -> Settled:
        """Present when each key has a file of the right size and no partial file is left; digests are read back.

        What is called present survives a power cut.
        """
        del token
        if self._folder.is_yet_to_be_made():
            return Settled(Outcome.ABSENT)
        for artifact in upload.artifacts:
            if self._folder.size(self._partial(upload, artifact)) is not None:
                return Settled(Outcome.ABSENT)
            if self._folder.size(self._folder.path(artifact.key)) != artifact.size:
                return Settled(Outcome.ABSENT)
        stored = tuple(self._read_stored(upload, context))
        self._keep_names(upload)  # who gave them may have died before it synced them
        return Settled(Outcome.PRESENT, stored)

    def _read_stored(self, upload: Upload, context: Context) -> Iterator[Stored]:
        for artifact in upload.artifacts:
            sha256 = self._folder.sha256(self._folder.path(artifact.key), context)
            yield self._folder.stored(artifact.key, artifact.size, sha256)

    def abort(self, upload: Upload) -> None:
        """Remove the partial files."""
        for artifact in upload.artifacts:
            self._folder.remove(self._partial(upload, artifact))
        if self._folder.is_folder(self._folder.partials):
            self._folder.sync_folder(self._folder.partials)

    # -- one artifact ------------------------------------------------------------------------------------------

    def _partial(self, upload: Upload, artifact: Artifact) -> str:
        return self._folder.partial(partial_name(upload, artifact))

    def _verify(self, upload: Upload, token: Token, artifact: Artifact, sha256: str, context: Context) -> str | None:
        """Compare what lies here with our digest, before it becomes visible; the digest that was read back."""
        partial = self._partial(upload, artifact)
        already_there = self._is_ours(artifact, sha256, context)
        size = self._folder.size(partial)
        if size is None:
            if not already_there:
                raise SessionLostError("the partial file is gone", where=partial)
            return sha256
        if size < artifact.size:
            held = self.held(upload, token, context)
            raise OffsetError(f"{size} of {artifact.size} bytes are here", where=partial, held=held)
        with self._folder.opened(partial) as file:
            self._folder.sync(file, partial)
            digest = self._folder.sha256(partial, context) if self._read_back else None
            if size > artifact.size or digest not in {None, sha256}:
                # What proved wrong is dropped, so that a retry sends it again and does not compare it again.
                with disk_errors(partial):
                    file.truncate(0)
                raise IntegrityError("what was read back from the disk is not what was sent", where=partial)
        return digest

    def _is_ours(self, artifact: Artifact, sha256: str, context: Context) -> bool:
        """Whether the key has our content already; False when it is free.

        Raises:
            ConflictError: It has another content.
        """
        path = self._folder.path(artifact.key)
        size = self._folder.size(path)
        if size is None:
            return False
        if size != artifact.size or self._folder.sha256(path, context) != sha256:
            raise ConflictError("another file lies under this key", where=path)
        return True

    def _publish(self, upload: Upload, artifact: Artifact, sha256: str, context: Context) -> None:
        partial = self._partial(upload, artifact)
        if self._folder.size(partial) is not None:
            self._folder.make_folders(artifact.key)
            target = self._folder.path(artifact.key)  # again: folders that were missing before may be links now
            self._rename(partial, target, artifact, sha256, context)
        self._keep_name(artifact)

    def _keep_names(self, upload: Upload) -> None:
        """Bring the names of all artifacts to the device, and that their partial files are gone."""
        for artifact in upload.artifacts:
            self._keep_name(artifact)
        if self._folder.is_folder(self._folder.partials):
            self._folder.sync_folder(self._folder.partials)

    def _keep_name(self, artifact: Artifact) -> None:
        holder, *above = reversed(self._folder.folders(artifact.key))
        self._folder.sync_folder(holder)
        for folder in above:
            self._lasting.keep(folder)

    def _rename(self, partial: str, target: str, artifact: Artifact, sha256: str, context: Context) -> None:
        with disk_errors(target):
            try:
                self._folder.disk.rename_no_replace(partial, target)
            except FileExistsError:
                if not self._is_ours(artifact, sha256, context):
                    raise
                self._folder.remove(partial)


_TRIED = ("write", "read", "delete")
_PROBE = b"haulier"

_BEGIN_SYNC = 4 << 20
"""Bytes of a part after which the device is given what was written, while the rest is still on its way."""
