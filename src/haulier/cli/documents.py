"""The JSON that commands write with ``--json``: one document each. Members may be added, none is taken away.

===================  ==================================================================================================
``send``             ``tasks``: :func:`sent_document` per file; a file that was refused has ``id`` null, ``status``
                     ``refused``
``scan``             the same, and ``folder``; ``waiting``, ``problems``, ``ignored``: reasons by file name
``run --once``       ``tasks`` that were touched; ``left``: how many stay queued; ``problems`` by path
``run``              at its end ``completed``, ``failed``, ``cancelled``, ``left``: how many
``status``           ``counts`` by state, ``backends``: :func:`backend_document`, ``tasks``: :func:`task_document`,
                     ``groups``: :func:`group_document` of each shown task's file that has several destinations
``receipts``         ``receipts``: :meth:`haulier.models.Receipt.to_dict`; with ``--find`` also ``missing``:
                     ``backend``, ``task``, ``status`` of destinations that have no receipt of it yet
``verify``           ``artifacts``: ``task``, ``backend``, ``role``, ``key``, ``location``, ``verdict`` (``same``,
                     ``differs``, ``missing``, ``cannot tell``), ``by`` (``content``, ``size``, null), ``remark``,
                     ``error``
``ls``               ``backend``, ``prefix``, ``objects``: ``key``, ``location``, ``size``, ``version``, ``digests``
``get --output``     ``backend``, ``key``, ``file``, ``size``, ``sha256``
``rm``               ``backend``, ``key``, ``removed``
``retry`` and so on  ``action``, ``tasks`` it was applied to, ``skipped`` ones
``doctor``           ``sound``, ``findings``: ``check``, ``grade`` (``ok``, ``warning``, ``failed``), ``what``, ``hint``
``init``             ``path``, then as ``doctor``
``plugins``          ``plugins``: the members of :class:`haulier.hooks.loading.PluginRecord`
``config show``      ``path``, ``config``, with ``--origin`` also ``origins`` by dotted key
``config schema``    the JSON Schema
``config path``      ``path`` or null, ``searched``
``journal check``    ``path``, ``sound``, ``findings``
``journal backup``   ``path``, ``backup``, ``size``
``journal migrate``  ``path``, ``from``, ``to``
error of a task or   ``code``, ``message``, ``where``, ``advice``, ``at``
backend
an error, on stderr  ``error``: ``code``, ``message``, ``where``, ``advice``; one line each
===================  ==================================================================================================
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from haulier.models import BackendStatus, ErrorRecord, Group, Receipt, Task

__all__ = ["backend_document", "error_document", "group_document", "sent_document", "task_document"]


def error_document(error: ErrorRecord | None) -> dict[str, Any] | None:
    """A journalled error with the member names of every other error document."""
    if error is None:
        return None
    members = error.to_dict()
    return {"code": members["code"], "message": members.pop("what"), **members}


def sent_document(task: Task, receipt: Receipt | None) -> dict[str, Any]:
    """A task as ``send`` reports it."""
    return {
        "id": task.id,
        "status": str(task.state),
        "file": task.path,
        "backend": task.backend,
        "error": error_document(task.error),
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
        "group": task.group,
        "key": task.key,
        "size": task.size,
        "acknowledged": task.acknowledged,
        "progress": task.progress,
        "attempts": task.attempts,
        "created_at": task.created_at,
        "updated_at": task.updated_at,
        "not_before": task.not_before,
        "disposal": str(task.disposal),
        "error": error_document(task.error),
    }


def group_document(group: Group) -> dict[str, Any]:
    """One file and its destinations as ``status`` reports them."""
    return {
        "id": group.id,
        "file": group.path,
        "may_go": group.may_go,
        "disposal": str(group.disposal),
        "destinations": [
            {
                "backend": member.backend,
                "task": member.task,
                "status": str(member.state),
                "proof": str(member.proof) if member.proof else None,
                "location": member.location,
                "hold": member.hold or None,
            }
            for member in group.members
        ],
    }


def backend_document(backend: BackendStatus) -> dict[str, Any]:
    """A backend as ``status`` reports it."""
    return {
        "name": backend.name,
        "type": backend.type,
        "suspended": str(backend.suspended) if backend.suspended else None,
        "since": backend.since,
        "probe_at": backend.probe_at,
        "error": error_document(backend.error),
        "aborts_owed": backend.aborts_owed,
    }
