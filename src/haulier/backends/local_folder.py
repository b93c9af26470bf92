"""A root folder and the files below it: keys become paths, and every ``OSError`` one of :mod:`haulier.errors`."""

# Paths are text here, as in haulier.files.
# ruff: noqa: PTH118, PTH120

from __future__ import annotations

import hashlib
import os
from contextlib import closing, contextmanager, suppress
from typing import TYPE_CHECKING

from haulier.backends.api import Stored
from haulier.backends.disk_errors import away, disk_errors
from haulier.backends.keys import PARTIAL_FOLDER, split_key
from haulier.errors import HaulierError, SessionLostError, ValidationError

if TYPE_CHECKING:
    import io
    from collections.abc import Generator, Iterator

    from haulier.backends.api import Context
    from haulier.backends.local_disk import LocalDisk

__all__ = ["BLOCK", "LocalFolder"]

BLOCK = 1 << 20
"""Bytes that are read or written at a time."""


class LocalFolder:
    """Files below one root. Thread-safe.

    Args:
        root: Absolute path.
        create: Whether to make the root when its parent is there.
        disk: The operating system.
        platform: As ``sys.platform`` says.
    """

    def __init__(self, root: str, *, create: bool, disk: LocalDisk, platform: str) -> None:
        self.root = root
        self.partials = os.path.join(root, PARTIAL_FOLDER)
        self.disk = disk
        self._create = create
        self._platform = platform
        self._is_lasting = False  # whether the folders' names are known to be on the disk

    # -- the root ----------------------------------------------------------------------------------------------

    def probe(self) -> None:
        """Look whether the root can be listed, or can be made.

        Raises:
            NetworkError: It is not there; nothing was reached.
        """
        with disk_errors(self.root):
            if self.disk.is_folder(self.root):
                with closing(self.disk.entries(self.root)) as entries:
                    next(entries, None)
            elif not self._can_create():
                raise away("the folder is missing", self.root)

    def require(self) -> None:
        """Raise :class:`~haulier.errors.NetworkError` when the root is not there."""
        if not self.is_folder(self.root):
            raise away("the folder is missing", self.root)

    def make_partials(self) -> bool:
        """Make the folder for unfinished uploads, and the root if that is allowed; whether it was missing."""
        with disk_errors(self.root):
            if self._is_yet_to_be_made():
                self.disk.make_folder(self.root)
                self._is_lasting = False
        self.require()
        with disk_errors(self.partials):
            made = self.disk.make_folder(self.partials)
        if made or not self._is_lasting:  # also when they are there: who made them may have died since
            self.sync_folder(self.root)
            with disk_errors(self.root), suppress(PermissionError):  # a folder of somebody else's, who made the root
                self.disk.sync_folder(os.path.dirname(self.root))
            self._is_lasting = True
        return made

    def is_yet_to_be_made(self) -> bool:
        """Whether nothing can lie in the root because it is missing and will be made."""
        with disk_errors(self.root):
            return self._is_yet_to_be_made()

    def _is_yet_to_be_made(self) -> bool:
        return not self.disk.is_folder(self.root) and self._can_create()

    def _can_create(self) -> bool:
        return self._create and self.disk.is_folder(os.path.dirname(self.root))

    # -- paths -------------------------------------------------------------------------------------------------

    def path(self, key: str) -> str:
        """Where a key lies. Its folders may be links, but none that leads out of the root.

        Raises:
            ValidationError: The key cannot be a path below the root.
        """
        path = os.path.join(self.root, *split_key(key, platform=self._platform))
        if any(map(self.disk.may_lead_elsewhere, self.folders(key)[1:])):
            self._require_inside(path)
        return path

    def _require_inside(self, path: str) -> None:
        with disk_errors(path):
            root = self.disk.real_path(self.root)
            parent = self.disk.real_path(os.path.dirname(path))
        if parent != root and not parent.startswith(root.rstrip(os.sep) + os.sep):
            raise ValidationError("a link leads this key out of the root", where=path)

    def partial(self, name: str) -> str:
        """Where an unfinished upload lies.

        Raises:
            ValidationError: The folder for unfinished uploads is a link.
        """
        if self.disk.may_lead_elsewhere(self.partials):
            self._require_own_partials()
        return os.path.join(self.partials, name)

    def _require_own_partials(self) -> None:
        with disk_errors(self.partials):
            expected = os.path.join(self.disk.real_path(self.root), PARTIAL_FOLDER)
            if self.disk.real_path(self.partials) != expected:
                raise ValidationError("the folder for unfinished uploads is a link", where=self.partials)

    def folders(self, key: str) -> tuple[str, ...]:
        """The folders that hold a key, the root first."""
        found = [self.root]
        for part in key.split("/")[:-1]:
            found.append(os.path.join(found[-1], part))
        return tuple(found)

    def make_folders(self, key: str) -> None:
        """Make the folders that hold a key; most often none but the last is missing."""
        below = self.folders(key)[1:]
        with disk_errors(below[-1] if below else self.root):
            try:
                for folder in below[-1:]:
                    self.disk.make_folder(folder)
            except FileNotFoundError:
                for folder in below:
                    self.disk.make_folder(folder)

    # -- files -------------------------------------------------------------------------------------------------

    def is_folder(self, path: str) -> bool:
        """Whether a folder lies there."""
        with disk_errors(path):
            return self.disk.is_folder(path)

    def size(self, path: str) -> int | None:
        """Bytes of a file; None when there is none, which counts only while the root is there."""
        with disk_errors(path):
            size = self.disk.file_size(path)
        if size is None:
            self.require()
        return size

    @contextmanager
    def opened(self, path: str, *, create: bool = False) -> Iterator[io.FileIO]:
        """Open a file for writing; its bytes stay.

        Raises:
            SessionLostError: It is not there.
        """
        try:
            with disk_errors(path):
                file = self.disk.open_for_writing(path, create=create)
        except HaulierError as error:
            if not isinstance(error.__cause__, FileNotFoundError):
                raise
            self.require()
            raise SessionLostError("the partial file is gone", where=path) from error
        with file:
            yield file

    def write(self, file: io.FileIO, block: memoryview, path: str) -> None:
        """Write all of a block."""
        with disk_errors(path):
            while block:
                block = block[self.disk.write(file, block) :]

    def begin_sync(self, file: io.FileIO, offset: int, size: int, path: str) -> None:
        """Let the device begin with bytes that were written, so that :meth:`sync` has little left to wait for."""
        with disk_errors(path):
            self.disk.begin_sync(file, offset, size)

    def sync(self, file: io.FileIO, path: str) -> None:
        """Bring an open file's bytes to the device."""
        with disk_errors(path):
            self.disk.sync_file(file)

    def sync_folder(self, path: str) -> None:
        """Bring a folder's entries to the device."""
        with disk_errors(path):
            self.disk.sync_folder(path)

    def remove(self, path: str) -> bool:
        """Remove a file; False when it is not there."""
        with disk_errors(path):
            return self.disk.remove(path)

    def blocks(self, path: str) -> Generator[memoryview, None, None]:
        """A file's content. Each block is good until the next one is asked for."""
        with disk_errors(path), self.disk.open_for_reading(path) as file:
            block = memoryview(bytearray(min(BLOCK, os.fstat(file.fileno()).st_size + 1)))
            while count := self.disk.readinto(file, block):
                yield block[:count]

    def sha256(self, path: str, context: Context) -> str:
        """Digest of a file as the file system gives it back."""
        hasher = hashlib.sha256()
        with closing(self.blocks(path)) as blocks:
            for block in blocks:
                context.check_cancelled()
                hasher.update(block)
        return hasher.hexdigest()

    # -- objects -----------------------------------------------------------------------------------------------

    def stored(self, key: str, size: int, sha256: str | None = None) -> Stored:
        """What is known of a file."""
        location = os.path.join(self.root, *key.split("/"))
        return Stored(key, location, size, digests={"sha256": sha256} if sha256 else {})

    def stat(self, key: str) -> Stored | None:
        """Look at a file."""
        size = self.size(self.path(key))
        return None if size is None else self.stored(key, size)

    def delete(self, key: str) -> bool:
        """Remove a file; False when it is not there."""
        path = self.path(key)
        if self.size(path) is None:
            return False
        removed = self.remove(path)
        self.sync_folder(os.path.dirname(path))
        return removed

    def read(self, key: str) -> Iterator[bytes]:
        """A file's content in blocks of 1 MiB.

        Raises:
            ValidationError: There is none.
        """
        path = self.path(key)
        if self.size(path) is None:
            raise ValidationError("there is no such file", where=path)
        return (bytes(block) for block in self.blocks(path))

    def list(self, prefix: str) -> Iterator[Stored]:
        """Files below a prefix in key order, read folder by folder while they are asked for."""
        self.require()
        return self._walk("", prefix)

    def _walk(self, folder: str, prefix: str) -> Iterator[Stored]:
        path = os.path.join(self.root, folder)
        with disk_errors(path):
            names = sorted(f"{name}/" if is_folder else name for name, is_folder in self.disk.entries(path))
        for name in names:
            key = folder + name
            if key.casefold() == f"{PARTIAL_FOLDER}/":
                continue
            if key.endswith("/") and (key.startswith(prefix) or prefix.startswith(key)):
                yield from self._walk(key, prefix)
            elif key.startswith(prefix) and (size := self.size(os.path.join(path, name))) is not None:
                yield self.stored(key, size)
