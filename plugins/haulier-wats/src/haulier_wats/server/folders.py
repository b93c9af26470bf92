"""Where things lie below the data folder, and moves that survive a power cut."""

from __future__ import annotations

import os
import shutil
import sys
from contextlib import suppress
from datetime import UTC, datetime
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["Folders", "disk_free", "sync_folder"]


_REMEMBERED = 1000


class Folders:
    """The layout of a data folder.

    ``.incoming/SESSION/COPY`` holds what is being uploaded, ``recordings/YYYY/MM/DD/FILE_ID/`` what is stored, and
    ``.server`` the database and, unless it was put elsewhere, the audit log.

    Args:
        root: The data folder.
    """

    def __init__(self, root: Path) -> None:
        self.root = root
        self.incoming = root / ".incoming"
        self.database = root / ".server" / "wats.db"
        self.audit_log = root / ".server" / "audit.jsonl"
        self._recordings = root / "recordings"
        self._lasting: set[Path] = set()  # folders whose names this process knows to be on the disk

    def prepare(self) -> None:
        """Make the folders, so that they survive a power cut.

        Raises:
            OSError: They cannot be made or written to.
        """
        _make_from_above(self.root)
        for folder in (self.incoming, self.database.parent, self._recordings):
            folder.mkdir(exist_ok=True)
            sync_folder(folder.parent)
        self._lasting = {self._recordings}

    def copy(self, sid: str, name: str) -> Path:
        """One copy of a file of a session."""
        return self.incoming / sid / name

    def drop_session(self, sid: str) -> None:
        """Remove everything that a session brought."""
        folder = self.incoming / sid
        try:
            folder.rmdir()  # it is empty once its files are stored
        except OSError:
            shutil.rmtree(folder, ignore_errors=True)

    def drop_copy(self, sid: str, name: str) -> None:
        """Remove one copy, if it is there."""
        with suppress(OSError):
            self.copy(sid, name).unlink(missing_ok=True)

    def recording(self, folder: str) -> Path:
        """A recording's folder from its name in the database."""
        return self.root.joinpath(*folder.split("/"))

    def make(self, folder: Path) -> None:
        """Make a recording's folder. It is on the disk for good once the one above it is synced.

        Raises:
            OSError: It cannot be made.
        """
        self._make(folder.parent)
        folder.mkdir(exist_ok=True)

    def move(self, source: Path, target: Path) -> None:
        """Move a file within the data folder, if it was not moved before. It is to be synced.

        Raises:
            OSError: It cannot be moved.
        """
        if source.exists():
            source.replace(target)

    def sync(self, folder: Path) -> None:
        """Put a folder's entries on the disk for good.

        Raises:
            OSError: The disk refuses.
        """
        sync_folder(folder)

    def remove_recording(self, folder: str) -> None:
        """Remove a recording's folder, and those above it that are empty then.

        Raises:
            OSError: A file of it cannot be removed.
        """
        path = self.recording(folder)
        if path.exists():
            shutil.rmtree(path)
        for parent in path.parents[: len(folder.split("/")) - 2]:
            try:
                parent.rmdir()
            except OSError:
                break

    def _make(self, folder: Path) -> None:
        """Make a folder for good; one that is there may be of a process that died before it synced it."""
        if folder not in self._lasting or not folder.is_dir():
            self._make(folder.parent)
            folder.mkdir(exist_ok=True)
            sync_folder(folder.parent)
            if len(self._lasting) > _REMEMBERED:
                self._lasting = {self._recordings}
            self._lasting.add(folder)


def _make_from_above(folder: Path) -> None:
    """Make a folder and those above it, each only in one that is on the disk for good, whoever made it."""
    if folder.exists() or folder == folder.parent:
        with suppress(PermissionError):  # it lies in a folder of somebody else's, who made it
            sync_folder(folder.parent)
    else:
        _make_from_above(folder.parent)
        folder.mkdir(exist_ok=True)
        sync_folder(folder.parent)


def disk_free(folder: Path) -> int:
    """Bytes that this process may still write to a folder's disk.

    Raises:
        OSError: The disk does not tell.
    """
    return shutil.disk_usage(folder).free


def folder_for(created_at: float, file_id: str) -> str:
    """The name in the database of a recording's folder: by day in UTC, then by id."""
    return f"recordings/{datetime.fromtimestamp(created_at, UTC):%Y/%m/%d}/{file_id}"


def sync_folder(path: Path) -> None:
    """Put a folder's entries on the disk for good; Windows has no such call and needs none on NTFS.

    Raises:
        OSError: The disk refuses.
    """
    if sys.platform != "win32":
        descriptor = os.open(path, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
