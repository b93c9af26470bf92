"""SQLite's files, reported to a recorder."""

from __future__ import annotations

import itertools
import os
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import apsw

from haulier.testing.power.recorder import is_remade

if TYPE_CHECKING:
    from collections.abc import Iterator

    from haulier.testing.power.recorder import PowerRecorder

__all__ = ["recorded_sqlite"]

_NUMBERS = itertools.count()
_NAME_IS_SYNCED = apsw.SQLITE_OPEN_WAL | apsw.SQLITE_OPEN_MAIN_JOURNAL | apsw.SQLITE_OPEN_SUPER_JOURNAL
"""Files whose folder the platform's own VFS syncs with their first sync (os_unix.c, UNIXFILE_DIRSYNC)."""


@contextmanager
def recorded_sqlite(recorder: PowerRecorder) -> Iterator[str]:
    """Every database that is opened inside of the ``with`` block reports what it does; gives the VFS's name."""
    vfs = _Vfs(recorder)
    try:
        yield vfs.name
    finally:
        vfs.unregister()


class _Vfs(apsw.VFS):
    """The platform's files."""

    def __init__(self, recorder: PowerRecorder) -> None:
        self.name = f"power{next(_NUMBERS)}"
        self.recorder = recorder
        self.base = apsw.vfs_names()[0]
        super().__init__(self.name, self.base, makedefault=True)

    def xOpen(self, name: Any, flags: Any) -> _VfsFile:  # noqa: N802  the name SQLite gives it
        return _VfsFile(self, name, flags)

    def xDelete(self, name: str, sync_folder: bool) -> None:  # noqa: N802
        with self.recorder.turn:
            place = self.recorder.place(name)
            super().xDelete(name, sync_folder)
            self.recorder.removed(place)
            if sync_folder and place is not None:
                self.recorder.synced(place[0], is_folder=True)


class _VfsFile(apsw.VFSFile):
    """One open file."""

    def __init__(self, vfs: _Vfs, name: Any, flags: Any) -> None:
        self._recorder = recorder = vfs.recorder
        path = name.filename() if isinstance(name, apsw.URIFilename) else name or ""
        with recorder.turn:
            is_new = bool(path) and not os.path.exists(path)  # noqa: PTH110
            super().__init__(vfs.base, name, flags)
            if is_new:
                recorder.made(path)
            self._node = recorder.node_at(path) if path and not is_remade(path) else None
            place = recorder.place(path) if path else None
        may_make = flags[0] & apsw.SQLITE_OPEN_CREATE  # whether it did or not: an earlier process may have died since
        syncs_name = may_make and flags[0] & _NAME_IS_SYNCED and os.name != "nt"
        self._unsynced_folder = place[0] if place and syncs_name else None

    def xWrite(self, data: Any, offset: int) -> None:  # noqa: N802
        with self._recorder.turn:
            super().xWrite(data, offset)
            self._recorder.wrote(self._node, offset, bytes(data))

    def xTruncate(self, size: int) -> None:  # noqa: N802
        with self._recorder.turn:
            super().xTruncate(size)
            self._recorder.truncated(self._node, size)

    def xSync(self, flags: int) -> None:  # noqa: N802
        with self._recorder.turn:
            super().xSync(flags)
            self._recorder.synced(self._node, is_folder=False)
            if self._unsynced_folder is not None:
                self._recorder.synced(self._unsynced_folder, is_folder=True)
                self._unsynced_folder = None
