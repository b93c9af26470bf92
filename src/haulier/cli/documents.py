"""The JSON that commands write about tasks, receipts and backends. Members may be added, none is taken away."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from haulier.models import BackendStatus, Receipt, Task

__all__ = ["backend_document", "sent_document", "task_document"]


def sent_document(task: Task, receipt: Receipt | None) -> dict[str, Any]:
    """A task as ``send`` reports it."""
    return {
        "id": task.id,
        "status": str(task.state),
        "file": task.path,
        "backend": task.backend,
        "error": task.error.to_dict() if task.error else None,
        "receipt": receipt.to_dict() if receipt else None,
    }


def task_document(task: Task) -> dict[str, Any]:
    """A task as ``status`` reports it. Sizes in bytes, times in seconds since the epoch."""
    return {
        "id": task.id,
        "status": str(task.state),
        "file": task.path,
        "sidecar": task.sidecar,
        "backend": task.backend,
        "key": task.key,
        "size": task.size,
        "acknowledged": task.acknowledged,
        "progress": task.progress,
        "attempts": task.attempts,
        "created_at": task.created_at,
        "updated_at": task.updated_at,
        "not_before": task.not_before,
        "disposal": str(task.disposal),
        "error": task.error.to_dict() if task.error else None,
    }


def backend_document(backend: BackendStatus) -> dict[str, Any]:
    """A backend as ``status`` reports it."""
    return {
        "name": backend.name,
        "type": backend.type,
        "suspended": str(backend.suspended) if backend.suspended else None,
        "since": backend.since,
        "probe_at": backend.probe_at,
        "error": backend.error.to_dict() if backend.error else None,
    }
