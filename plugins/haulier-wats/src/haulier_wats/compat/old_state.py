"""The first uploader's ``upload_state.json``, read once: what failed is queued, what was done is not sent again.

It holds two objects, ``completed_uploads`` and ``failed_uploads``, of tasks by their old ids; what was queued when the
program ended is in no file. The file is kept under another name, from which later starts know what was done.
"""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from haulier import hookimpl
from haulier.errors import HaulierError, JournalError
from haulier_wats.compat.log import logger

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from haulier import UploadManager

__all__ = ["OldState", "OldTask", "read_old_state"]

log = logger("upload_manager")

CARRIED = ".carried_over"
UNREADABLE = ".unreadable"
LARGEST = 64 << 20


@dataclass(frozen=True, slots=True)
class OldTask:
    """One task of the old file.

    Attributes:
        video: The video.
        metadata: Its metadata, or None.
        completed: Whether the old uploader called it done.
        created_at: When it was queued, seconds since the epoch; 0 when that cannot be read.
    """

    video: Path
    metadata: Path | None
    completed: bool
    created_at: float = 0.0

    @property
    def is_stored(self) -> bool:
        """Whether the video still is what was uploaded then: a later change is a new recording."""
        try:
            return self.completed and self.video.stat().st_mtime <= self.created_at
        except OSError:
            return False


class OldState:
    """What the first uploader left. Also a plugin: scans leave alone what it had uploaded.

    Args:
        path: Where its file lies, or lay before it was carried over.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self.tasks, self.is_new = self._read()
        self._stored = {os.path.normcase(task.video): task for task in self.tasks if task.completed}

    @property
    def knows_completed(self) -> bool:
        """Whether scans need to ask."""
        return bool(self._stored)

    @hookimpl
    def accept_file(self, path: Path) -> bool | None:
        """Leave alone what was uploaded then and has not changed since."""
        task = self._stored.get(os.path.normcase(path))
        return False if task is not None and task.is_stored else None

    def carry_over(self, manager: UploadManager) -> list[str]:
        """Queue what the old uploader did not finish, once, and set its file aside; the tasks' ids.

        Raises:
            JournalError: It could not be written down; the file stays for the next time.
        """
        if not self.is_new:
            return []
        queued: list[str] = []
        for task in self.tasks:
            if task.is_stored or not task.video.is_file():
                continue
            sidecar = task.metadata if task.metadata is not None and task.metadata.is_file() else None
            try:
                queued.append(manager.submit(task.video, sidecar=sidecar).id)
            except JournalError:
                raise
            except HaulierError as error:
                log.warning("not carried over from %s: %s", self._path.name, error)
        _set_aside(self._path, CARRIED)
        self.is_new = False
        done = sum(task.completed for task in self.tasks)
        log.info("Upload state carried over: %d completed, %d queued again", done, len(queued))
        return queued

    def _read(self) -> tuple[Sequence[OldTask], bool]:
        """The tasks, and whether they were not carried over yet."""
        for path in (self._path, _beside(self._path, CARRIED)):
            try:
                if path.is_file() and path.stat().st_size <= LARGEST:
                    return read_old_state(path.read_bytes()), path == self._path
            except OSError as error:
                log.warning("%s cannot be read (%s); it is tried again at the next start", path, error.strerror)
            except (ValueError, RecursionError) as error:
                log.error("%s cannot be read (%s); it is kept under another name", path, error)  # noqa: TRY400
                _set_aside(path, UNREADABLE)
        return (), False


def read_old_state(content: bytes) -> list[OldTask]:
    """Read the file.

    Raises:
        ValueError: It is no such file, or cut off.
    """
    document = json.loads(content.decode("utf-8-sig"))
    if not isinstance(document, dict):
        raise ValueError("no JSON object")  # noqa: TRY004  one kind of trouble for the caller
    return [
        task
        for section, completed in (("completed_uploads", True), ("failed_uploads", False), ("queued_uploads", False))
        for entry in _entries(document.get(section))
        if (task := _task(entry, completed=completed)) is not None
    ]


def _entries(section: Any) -> list[Mapping[str, Any]]:
    values = list(section.values()) if isinstance(section, dict) else section if isinstance(section, list) else []
    return [entry for entry in values if isinstance(entry, dict)]


def _task(entry: Mapping[str, Any], *, completed: bool) -> OldTask | None:
    video, metadata = entry.get("video_file"), entry.get("metadata_file")
    if not isinstance(video, str) or not video:
        return None
    return OldTask(
        Path(video),
        Path(metadata) if isinstance(metadata, str) and metadata else None,
        completed,
        _seconds(entry.get("created_at")),
    )


def _seconds(text: Any) -> float:
    try:
        return datetime.fromisoformat(text).timestamp()
    except (TypeError, ValueError, OverflowError, OSError):
        return 0.0


def _beside(path: Path, suffix: str) -> Path:
    return path.with_name(path.name + suffix)


def _set_aside(path: Path, suffix: str) -> None:
    target = _beside(path, suffix)
    number = 1
    while target.exists():
        number += 1
        target = _beside(path, f"{suffix}.{number}")
    try:
        path.replace(target)
    except FileNotFoundError:
        return  # another process was first
    except OSError as error:
        log.warning("%s cannot be renamed (%s); it is read again at the next start", path, error.strerror)
