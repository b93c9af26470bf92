"""What a local store asks of the operating system: one object, so that a test can make any of it fail."""

# Paths are text here: system calls take the spelling that the system port gives them.
# ruff: noqa: PTH102, PTH112, PTH116

from __future__ import annotations

import errno
import io
import os
import stat
import sys
from typing import TYPE_CHECKING

from haulier.files import Files, System, native_system

if TYPE_CHECKING:
    from collections.abc import Generator

__all__ = ["LocalDisk"]

_FLAGS = getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_BINARY", 0) | getattr(os, "O_CLOEXEC", 0)


class LocalDisk:
    """Folders and files by absolute path. Every method raises ``OSError``. Thread-safe, the files it opens are not.

    Args:
        files: The files port.
        system: How paths are spelled for system calls; None for this machine's.
    """

    def __init__(self, files: Files | None = None, system: System | None = None) -> None:
        self._system = system or native_system()
        self._files = files or Files(self._system)

    def make_folder(self, path: str) -> bool:
        """Create one folder; False when it is there already.

        Raises:
            NotADirectoryError: Something else has the name.
        """
        try:
            os.mkdir(self._spelled(path))
        except FileExistsError:
            if not os.path.isdir(self._spelled(path)):
                raise NotADirectoryError(errno.ENOTDIR, "a file has the name of a folder", path) from None
            return False
        return True

    def is_folder(self, path: str) -> bool:
        """Whether a folder lies there; a path that cannot be looked at raises."""
        try:
            return stat.S_ISDIR(os.stat(self._spelled(path)).st_mode)
        except (FileNotFoundError, NotADirectoryError):
            return False

    def may_lead_elsewhere(self, path: str) -> bool:
        """Whether a folder of this name is a link, or could be: not when it is a plain folder, or missing."""
        try:
            found = os.lstat(self._spelled(path))
        except (FileNotFoundError, NotADirectoryError):
            return False
        except OSError:
            return True
        return not stat.S_ISDIR(found.st_mode) or bool(getattr(found, "st_reparse_tag", 0))

    def folder_stamp(self, path: str) -> tuple[int, int, int]:
        """Device, number and modification time (ns) of a folder: another one after each change of its entries."""
        found = os.stat(self._spelled(path))
        return found.st_dev, found.st_ino, found.st_mtime_ns

    def file_size(self, path: str) -> int | None:
        """Bytes of a regular file, None when nothing lies there. Links are not followed.

        Raises:
            IsADirectoryError: Something that is no regular file lies there.
        """
        try:
            found = os.lstat(self._spelled(path))
        except (FileNotFoundError, NotADirectoryError):
            return None
        if not stat.S_ISREG(found.st_mode):
            raise IsADirectoryError(errno.EISDIR, "what lies there is no regular file", path)
        return found.st_size

    def open_for_writing(self, path: str, *, create: bool) -> io.FileIO:
        """Open a file for writing at its first byte; its bytes stay. Links are not followed where that can be asked."""
        flags = os.O_RDWR | _FLAGS | (os.O_CREAT if create else 0)
        return io.FileIO(os.open(self._spelled(path), flags, 0o666), "r+")

    def open_for_reading(self, path: str) -> io.FileIO:
        """Open a file to read it once, past what the page cache holds of it where that can be asked."""
        file = io.FileIO(os.open(self._spelled(path), os.O_RDONLY | _FLAGS), "r")
        if sys.platform == "linux":
            os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
        return file

    def write(self, file: io.FileIO, block: memoryview) -> int:
        """Write at the file's position, perhaps not all of it; bytes written."""
        return file.write(block) or 0

    def begin_sync(self, file: io.FileIO, offset: int, size: int) -> None:
        """Let the device begin with bytes that were written, where that can be asked; waits for nothing."""
        if sys.platform == "linux":
            os.posix_fadvise(file.fileno(), offset, size, os.POSIX_FADV_DONTNEED)

    def readinto(self, file: io.FileIO, block: memoryview) -> int:
        """Fill a buffer; 0 at the end."""
        return file.readinto(block) or 0

    def sync_file(self, file: io.FileIO) -> None:
        """Bring an open file's bytes to the device."""
        self._files.fsync_file(file.fileno())

    def sync_folder(self, path: str) -> None:
        """Bring a folder's entries to the device, where folders can be synced."""
        self._files.fsync_folder(path)

    def rename_no_replace(self, source: str, target: str) -> None:
        """Rename within one volume.

        Raises:
            FileExistsError: The target exists; nothing was changed.
        """
        self._files.rename_no_replace(source, target)

    def remove(self, path: str) -> bool:
        """Remove a file; False when it is not there."""
        try:
            self._files.remove(path)
        except FileNotFoundError:
            return False
        return True

    def real_path(self, path: str) -> str:
        """The path without links."""
        return self._system.plain_path(os.path.realpath(self._spelled(path)))

    def entries(self, path: str) -> Generator[tuple[str, bool], None, None]:
        """Name of each entry, and whether it is a folder; what is neither folder nor regular file is left out."""
        with os.scandir(self._spelled(path)) as found:
            for entry in found:
                is_folder = entry.is_dir(follow_symlinks=False)
                if is_folder or entry.is_file(follow_symlinks=False):
                    yield entry.name, is_folder

    def _spelled(self, path: str) -> str:
        return self._system.system_path(path)
