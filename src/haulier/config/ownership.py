"""Whose file is it, and who may read it? The calls differ by system and live here alone."""

from __future__ import annotations

import os
import stat
import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["belongs_to_user", "readable_by_others"]

if sys.platform == "win32":

    def belongs_to_user(path: Path) -> bool:
        """Whether the owner of a file (a user or a group) is enabled in the token of this process.

        Calls ``GetNamedSecurityInfoW`` and ``CheckTokenMembership``.

        Raises:
            OSError: The file cannot be looked at.
        """
        import ctypes

        file_object, owner_information = 1, 1
        advapi = ctypes.WinDLL("advapi32", use_last_error=True)
        kernel = ctypes.WinDLL("kernel32", use_last_error=True)
        kernel.LocalFree.argtypes = [ctypes.c_void_p]
        owner, descriptor = ctypes.c_void_p(), ctypes.c_void_p()
        failed = advapi.GetNamedSecurityInfoW(
            ctypes.c_wchar_p(str(path)),
            file_object,
            owner_information,
            ctypes.byref(owner),
            None,
            None,
            None,
            ctypes.byref(descriptor),
        )
        if failed:
            raise ctypes.WinError(failed)
        try:
            member = ctypes.c_int()
            if not advapi.CheckTokenMembership(None, owner, ctypes.byref(member)):
                raise ctypes.WinError(ctypes.get_last_error())
            return bool(member.value)
        finally:
            kernel.LocalFree(descriptor)

    def readable_by_others(path: Path) -> bool:
        """Always False: Windows has no modes, and a profile's files are private by inheritance."""
        del path
        return False

else:

    def belongs_to_user(path: Path) -> bool:
        """Whether the user who runs this program owns a file.

        Raises:
            OSError: The file cannot be looked at.
        """
        return path.stat().st_uid == os.geteuid()

    def readable_by_others(path: Path) -> bool:
        """Whether the mode of a file lets its group or everybody read it.

        Raises:
            OSError: The file cannot be looked at.
        """
        return bool(path.stat().st_mode & (stat.S_IRGRP | stat.S_IROTH))
