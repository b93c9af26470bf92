"""An upload as backends see it, made of what the journal has of it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from haulier.backends.api import Artifact, Upload
from haulier.models import Role

if TYPE_CHECKING:
    from haulier.journal.api import AbortRow, TaskRow
    from haulier.models import ArtifactRecord

__all__ = ["dropped_upload", "upload_of"]


def upload_of(row: TaskRow, nonce: str) -> Upload:
    """What a task uploads, in the session of this nonce."""
    recorded_at = row.identity.mtime_ns / 1e9
    return Upload(row.id, row.item_id, nonce, tuple(map(_artifact, row.artifacts)), row.metadata, recorded_at)


def dropped_upload(owed: AbortRow) -> Upload:
    """What was uploaded in a session that nobody goes on with."""
    artifacts = tuple(map(_artifact, owed.artifacts))
    return Upload(owed.task, owed.item_id, owed.nonce, artifacts, owed.metadata, owed.recorded_at)


def _artifact(record: ArtifactRecord) -> Artifact:
    content = record.content if record.role is Role.SIDECAR else None
    return Artifact(record.index, record.role, record.name, record.key, record.size, record.content_type, content)
