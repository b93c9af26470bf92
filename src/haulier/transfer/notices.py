"""The events that the changes of the ledger have to tell."""

from __future__ import annotations

from typing import TYPE_CHECKING

from haulier import events
from haulier.models import TaskState

if TYPE_CHECKING:
    from haulier.journal.api import BackendRow, TaskRow
    from haulier.models import Receipt

__all__ = ["completed", "failure_events", "suspension_events"]


def completed(row: TaskRow, receipt: Receipt) -> events.UploadCompleted:
    """The event of a completed task."""
    return events.UploadCompleted(
        backend=row.backend,
        task=row.id,
        filename=row.media.name,
        key=receipt.key,
        location=receipt.location,
        size=receipt.size,
        sha256=receipt.sha256,
        proof=receipt.proof,
    )


def failure_events(row: TaskRow, now: float) -> list[events.Event]:
    """What a failed or cancelled try has to tell, by the row as it is then."""
    name = row.media.name
    if row.state is TaskState.CANCELLED:
        return [events.UploadCancelled(backend=row.backend, task=row.id, filename=name)]
    if row.error is None or row.state is TaskState.QUEUED:
        return []
    if row.state is TaskState.FAILED:
        return [
            events.UploadFailed(
                backend=row.backend, task=row.id, filename=name, error=row.error, next_at=row.not_before
            )
        ]
    return [
        events.UploadRetrying(
            backend=row.backend,
            task=row.id,
            filename=name,
            error=row.error,
            next_at=row.not_before or now,
            attempt=row.attempts,
        )
    ]


def suspension_events(before: BackendRow, after: BackendRow) -> list[events.Event]:
    """What the change of a backend's row has to tell."""
    if after.suspended is None or after.error is None or before.suspended == after.suspended:
        return []
    return [
        events.BackendSuspended(
            backend=after.name, reason=after.suspended, error=after.error, probe_at=after.probe_at or 0.0
        )
    ]
