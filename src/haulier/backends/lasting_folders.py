"""Which folders need no syncing: their entries have not changed since they were brought to the device."""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING

from haulier.backends.disk_errors import disk_errors

if TYPE_CHECKING:
    from collections.abc import Callable

    from haulier.backends.local_disk import LocalDisk

__all__ = ["LastingFolders"]

SETTLED = 2.0
"""Seconds without a change after which a folder's time tells the next one: FAT counts in steps of two."""

_NS = 1_000_000_000


class LastingFolders:
    """Syncs folders, except those that are as they were when they were last synced. Thread-safe.

    A folder that changed a moment ago is synced again: two changes within one step of the file system's clock leave the
    same time.

    Args:
        disk: The operating system.
        now: Wall time, seconds since the epoch.
        most: Folders that are remembered.
    """

    def __init__(self, disk: LocalDisk, *, now: Callable[[], float] = time.time, most: int = 1024) -> None:
        self._disk = disk
        self._now = now
        self._most = most
        self._lock = threading.Lock()
        self._synced: dict[str, tuple[int, int, int]] = {}

    def keep(self, path: str) -> None:
        """Bring a folder's entries to the device, whoever made them."""
        with disk_errors(path):
            before, looked_at = self._disk.folder_stamp(path), self._now()
            with self._lock:
                if self._synced.get(path) == before:
                    return
            self._disk.sync_folder(path)
        if looked_at - before[2] / _NS > SETTLED:
            with self._lock:
                if len(self._synced) >= self._most:
                    self._synced.clear()
                self._synced[path] = before
