"""A task as WATS sees it."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Any

from haulier.models import TaskState

if TYPE_CHECKING:
    from haulier.models import ErrorRecord, Receipt, Task

__all__ = ["UploadStatus", "UploadTask", "error_text", "upload_task"]

CANCELLED = "cancelled"


class UploadStatus(Enum):
    """Where an upload stands."""

    PENDING = "pending"
    IN_PROGRESS = "in_progress"
    COMPLETED = "completed"
    FAILED = "failed"
    RETRYING = "retrying"


_STATUS = {
    TaskState.QUEUED: UploadStatus.PENDING,
    TaskState.PAUSED: UploadStatus.PENDING,
    TaskState.UPLOADING: UploadStatus.IN_PROGRESS,
    TaskState.RETRYING: UploadStatus.RETRYING,
    TaskState.COMPLETED: UploadStatus.COMPLETED,
    TaskState.FAILED: UploadStatus.FAILED,
    TaskState.CANCELLED: UploadStatus.FAILED,
}


@dataclass
class UploadTask:
    """One upload, as it stood when it was asked for.

    Attributes:
        id: Begins with ``upload_``.
        video_file: The video.
        metadata_file: Its metadata; None when it has none.
        created_at: When it was queued, local time without an offset.
        status: Where it stands.
        retry_count: Tries that failed and were charged.
        last_error: Why the last one failed; ``cancelled`` for a cancelled upload.
        progress: Whole percent; 100 only when completed.
        server_file_id: The server's id of the recording, once completed.
    """

    id: str
    video_file: Path
    metadata_file: Path | None
    created_at: datetime = field(default_factory=datetime.now)
    status: UploadStatus = UploadStatus.PENDING
    retry_count: int = 0
    last_error: str | None = None
    progress: int = 0
    server_file_id: str | None = None

    def to_dict(self) -> dict[str, Any]:
        """As JSON members."""
        return {
            "id": self.id,
            "video_file": str(self.video_file),
            "metadata_file": None if self.metadata_file is None else str(self.metadata_file),
            "created_at": self.created_at.isoformat(),
            "status": self.status.value,
            "retry_count": self.retry_count,
            "last_error": self.last_error,
            "progress": self.progress,
            "server_file_id": self.server_file_id,
        }


def upload_task(task: Task, receipt: Receipt | None) -> UploadTask:
    """What WATS is told of a task; ``receipt`` only when it is completed."""
    return UploadTask(
        id=task.id,
        video_file=Path(task.path),
        metadata_file=None if task.sidecar is None else Path(task.sidecar),
        created_at=datetime.fromtimestamp(task.created_at),  # noqa: DTZ006  WATS shows local time
        status=_STATUS[task.state],
        retry_count=task.attempts,
        last_error=CANCELLED if task.state is TaskState.CANCELLED else error_text(task.error),
        progress=task.progress,
        server_file_id=None if receipt is None else receipt.key,
    )


def error_text(error: ErrorRecord | None) -> str | None:
    """A journalled error in one line."""
    if error is None:
        return None
    text = f"{error.where}: {error.what}" if error.where else error.what
    return f"{text}. {error.advice}" if error.advice else text
