"""Windows: sharing modes, long paths, byte locks.

The libraries come in as parameters, so that every line below runs on other systems too, against stand-ins.
"""

# Paths are text here: system calls take the spelling that the system port gives them.
# ruff: noqa: PTH104

from __future__ import annotations

import errno
import ntpath
import os
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from haulier.files.names import extended_path, plain_path

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["WindowsCalls", "WindowsSystem", "native_calls"]

# Constants of CreateFileW: winnt.h, fileapi.h
GENERIC_READ = 0x8000_0000
FILE_SHARE_READ, FILE_SHARE_WRITE, FILE_SHARE_DELETE = 1, 2, 4
OPEN_EXISTING = 3
FILE_ATTRIBUTE_NORMAL = 0x80
DRIVE_REMOTE = 4  # GetDriveTypeW

# fcntl.h and sys/locking.h of the C runtime; absent from the modules of other systems
O_BINARY, O_NOINHERIT = 0x8000, 0x0080
LK_NBLCK = 2
LOCK_POSITION = 0x4000_0000  # beyond the content: a locked byte cannot be read by others

ERROR_ACCESS_DENIED, ERROR_SHARING_VIOLATION, ERROR_LOCK_VIOLATION = 5, 32, 33


@dataclass(frozen=True, slots=True)
class WindowsCalls:
    """The libraries that :class:`WindowsSystem` calls.

    Attributes:
        create_file: ``CreateFileW``; gives a handle as an int, -1 or None for a failure.
        drive_type: ``GetDriveTypeW``.
        close_handle: ``CloseHandle``.
        open_osfhandle: ``msvcrt.open_osfhandle``.
        locking: ``msvcrt.locking``.
        error: Makes the exception for the calling thread's last error.
    """

    create_file: Callable[..., int | None]
    drive_type: Callable[[str], int]
    close_handle: Callable[[int], Any]
    open_osfhandle: Callable[[int, int], int]
    locking: Callable[[int, int, int], None]
    error: Callable[[str], OSError]


def native_calls() -> WindowsCalls:
    """The real libraries.

    Raises:
        NotImplementedError: This is not Windows.
    """
    if sys.platform == "win32":
        import ctypes
        import msvcrt
        from ctypes import wintypes

        kernel = ctypes.WinDLL("kernel32", use_last_error=True)
        create = kernel.CreateFileW
        create.restype = wintypes.HANDLE
        word, text, pointer = wintypes.DWORD, wintypes.LPCWSTR, wintypes.LPVOID
        create.argtypes = [text, word, word, pointer, word, word, wintypes.HANDLE]
        kernel.GetDriveTypeW.argtypes = [text]
        kernel.GetDriveTypeW.restype = wintypes.UINT
        kernel.CloseHandle.argtypes = [wintypes.HANDLE]

        def last_error(path: str) -> OSError:
            failure = ctypes.WinError(ctypes.get_last_error())
            failure.filename = path
            return failure

        return WindowsCalls(
            create, kernel.GetDriveTypeW, kernel.CloseHandle, msvcrt.open_osfhandle, msvcrt.locking, last_error
        )
    else:  # noqa: RET505 - type checkers follow platform branches, not early returns
        raise NotImplementedError("these libraries exist on Windows only")


class WindowsSystem:
    """System calls of Windows.

    Args:
        calls: The libraries.
        handle_bits: Width of a handle, to tell the value for a failure.
    """

    folds_case = True
    stable_device = True

    def __init__(self, calls: WindowsCalls, *, handle_bits: int = 64 if sys.maxsize > 2**32 else 32) -> None:
        self._calls = calls
        self._invalid = {None, -1, 2**handle_bits - 1}

    def system_path(self, path: str) -> str:
        """See :func:`haulier.files.names.extended_path`."""
        return extended_path(path)

    def plain_path(self, path: str) -> str:
        """See :func:`haulier.files.names.plain_path`."""
        return plain_path(path)

    def open_source(self, path: str) -> int:
        """Open with full sharing: a reader without delete sharing makes others' renames and deletions fail."""
        share = FILE_SHARE_READ | FILE_SHARE_WRITE | FILE_SHARE_DELETE
        handle = self._calls.create_file(path, GENERIC_READ, share, None, OPEN_EXISTING, FILE_ATTRIBUTE_NORMAL, None)
        if handle is None or handle in self._invalid:
            raise self._calls.error(path)
        try:
            return self._calls.open_osfhandle(handle, os.O_RDONLY | O_BINARY | O_NOINHERIT)
        except OSError:
            self._calls.close_handle(handle)
            raise

    def rename_no_replace(self, src: str, dst: str) -> None:
        """os.rename never replaces on Windows."""
        os.rename(src, dst)

    def may_pass(self, error: OSError) -> bool:
        """Virus scanners and indexers hold fresh files open for moments."""
        code = getattr(error, "winerror", None)
        if code is None:
            return isinstance(error, PermissionError)
        return code in {ERROR_ACCESS_DENIED, ERROR_SHARING_VIOLATION, ERROR_LOCK_VIOLATION}

    def try_lock(self, fd: int, *, shared: bool) -> bool:  # noqa: ARG002 - byte locks of the C runtime are exclusive
        """Lock one byte; the system gives it back when the process ends."""
        os.lseek(fd, LOCK_POSITION, os.SEEK_SET)
        try:
            self._calls.locking(fd, LK_NBLCK, 1)
        except OSError as error:
            if isinstance(error, PermissionError) or error.errno == errno.EDEADLK:
                return False
            raise
        return True

    def fsync_file(self, fd: int) -> None:
        """FlushFileBuffers, by way of the C runtime."""
        os.fsync(fd)

    def fsync_folder(self, path: str) -> None:
        """Nothing: folders cannot be flushed, and NTFS keeps names in its own journal."""

    def folder_has(self, folder: str, name: str) -> bool:
        """One listing of the folder: Python offers no look at a name through a folder's handle here."""
        with os.scandir(folder) as entries:
            return any(entry.name.casefold() == name.casefold() for entry in entries)

    def volume_type(self, path: str) -> str:
        """``"remote"`` for UNC paths and mapped drives, else unknown."""
        drive = ntpath.splitdrive(plain_path(path))[0]
        if drive.startswith("\\\\") or (drive and self._calls.drive_type(drive + "\\") == DRIVE_REMOTE):
            return "remote"
        return ""
