"""What differs from one operating system to the next, as one port."""

from __future__ import annotations

import sys
from typing import Protocol

__all__ = ["System", "native_system"]


class System(Protocol):
    """The calls that Linux, macOS and Windows do differently. Thread-safe; raises OSError like :mod:`os`.

    Attributes:
        folds_case: Whether two names that differ in case only are usually the same file.
        stable_device: Whether device numbers survive a restart, so that they may be part of a file id.
    """

    folds_case: bool
    stable_device: bool

    def system_path(self, path: str) -> str:
        """The spelling of an absolute path that system calls take."""

    def plain_path(self, path: str) -> str:
        """The inverse: the spelling that people read and identities hold."""

    def open_source(self, path: str) -> int:
        """A descriptor for reading that lets others rename and delete the file meanwhile, and never blocks."""

    def rename_no_replace(self, src: str, dst: str) -> None:
        """Rename, or raise FileExistsError."""

    def may_pass(self, error: OSError) -> bool:
        """Whether the failure is another program's short hold on the file."""

    def try_lock(self, fd: int, *, shared: bool) -> bool:
        """Take a lock that ends with the descriptor or the process; False when somebody else holds it."""

    def fsync_file(self, fd: int) -> None:
        """Bring the file's bytes to the disk itself."""

    def fsync_folder(self, path: str) -> None:
        """Bring the folder's names to the disk, where that can be asked for."""

    def folder_has(self, folder: str, name: str) -> bool:
        """Whether the folder has this name, asked of one handle on the folder; raises when it cannot be reached."""

    def volume_type(self, path: str) -> str:
        """The file-system type of the volume below a canonical path (``"remote"`` on Windows), or ``""``."""


def native_system() -> System:
    """The port for the machine this runs on."""
    if sys.platform == "win32":
        from haulier.files.windows import WindowsSystem, native_calls

        return WindowsSystem(native_calls())
    else:  # noqa: RET505 - type checkers follow platform branches, not early returns
        from haulier.files.posix import PosixSystem

        return PosixSystem()
