"""Linux and macOS."""

# Paths are text here: system calls take the spelling that the system port gives them.
# ruff: noqa: PTH108

from __future__ import annotations

import errno
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from haulier.files.volumes import type_of_mount

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["PosixSystem"]

AT_FDCWD = -100  # fcntl.h
RENAME_NOREPLACE = 1  # renameat2(2), linux/fs.h
RENAME_EXCL = 4  # renamex_np(2), macOS sys/stdio.h

_NOT_OFFERED = {errno.ENOSYS, errno.EINVAL, errno.ENOTSUP, errno.EOPNOTSUPP}


def exclusive_rename(src: str, dst: str) -> None:
    """Rename in one system call that refuses to replace.

    Raises:
        FileExistsError: Something has the new name.
        OSError: With ENOSYS, EINVAL or ENOTSUP where the system or the volume has no such call.
    """
    import ctypes

    library = ctypes.CDLL(None, use_errno=True)
    old, new = os.fsencode(src), os.fsencode(dst)
    try:
        if sys.platform == "darwin":
            status = library.renamex_np(old, new, RENAME_EXCL)
        else:
            status = library.renameat2(AT_FDCWD, old, AT_FDCWD, new, RENAME_NOREPLACE)
    except AttributeError as error:
        raise OSError(errno.ENOSYS, os.strerror(errno.ENOSYS), src) from error
    if status != 0:
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code), src, None, dst)


def read_mounts() -> str:
    """The kernel's table of mounts; empty where it does not show one."""
    try:
        return Path("/proc/self/mounts").read_text("utf-8", "surrogateescape")
    except OSError:
        return ""


class PosixSystem:
    """System calls of Linux and macOS.

    Args:
        rename: Renames in one call without replacing; a volume may lack it.
        mounts: Reads the table of mounts.
    """

    folds_case = sys.platform == "darwin"
    stable_device = False

    def __init__(
        self, rename: Callable[[str, str], None] = exclusive_rename, mounts: Callable[[], str] = read_mounts
    ) -> None:
        self._rename = rename
        self._mounts = mounts

    def system_path(self, path: str) -> str:
        """The path itself."""
        return path

    def plain_path(self, path: str) -> str:
        """The path itself."""
        return path

    def open_source(self, path: str) -> int:
        """Open for reading. O_NONBLOCK: a named pipe must not hold a worker for ever; files do not mind it."""
        if sys.platform != "win32":
            return os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
        raise NotImplementedError

    def rename_no_replace(self, src: str, dst: str) -> None:
        """Rename in one call, or by a second link where the volume has no such call."""
        try:
            self._rename(src, dst)
        except OSError as error:
            if error.errno not in _NOT_OFFERED:
                raise
            self._link_and_unlink(src, dst)

    def may_pass(self, error: OSError) -> bool:  # noqa: ARG002 - the port's signature
        """Never: nobody's open file stands in the way here."""
        return False

    def try_lock(self, fd: int, *, shared: bool) -> bool:
        """flock(2): belongs to the open file, so it holds between two handles of one process as well."""
        if sys.platform != "win32":
            import fcntl

            try:
                fcntl.flock(fd, (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | fcntl.LOCK_NB)
            except BlockingIOError:
                return False
            return True
        raise NotImplementedError

    def fsync_file(self, fd: int) -> None:
        """fsync(2); on macOS F_FULLFSYNC, since fsync leaves the bytes in the drive's cache there."""
        if sys.platform == "darwin":
            import fcntl

            fcntl.fcntl(fd, fcntl.F_FULLFSYNC)
        else:
            os.fsync(fd)

    def fsync_folder(self, path: str) -> None:
        """fsync(2) on the folder; volumes that refuse it keep their names in order by themselves."""
        fd = os.open(path, os.O_RDONLY)
        try:
            os.fsync(fd)
        except OSError as error:
            if error.errno not in _NOT_OFFERED:
                raise
        finally:
            os.close(fd)

    def folder_has(self, folder: str, name: str) -> bool:
        """fstatat(2), which never leaves the folder that was opened."""
        fd = os.open(folder, os.O_RDONLY)
        try:
            os.stat(name, dir_fd=fd, follow_symlinks=False)
        except FileNotFoundError:
            return False
        finally:
            os.close(fd)
        return True

    def volume_type(self, path: str) -> str:
        """From the table of mounts; unknown where there is none (macOS)."""
        return type_of_mount(self._mounts(), path)

    @staticmethod
    def _link_and_unlink(src: str, dst: str) -> None:
        try:
            os.link(src, dst, follow_symlinks=False)
        except FileExistsError:
            raise
        except OSError as error:
            raise OSError(
                errno.ENOTSUP, "this volume offers no rename that is sure not to replace another file", src, None, dst
            ) from error
        os.unlink(src)
