"""The legal moves of a task: one table, from which the diagram in the documentation is drawn."""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING

from haulier.models import TaskState

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["TRANSITIONS", "Cause", "IllegalTransitionError", "mermaid", "move"]

Q, U, R, P = TaskState.QUEUED, TaskState.UPLOADING, TaskState.RETRYING, TaskState.PAUSED
D, F, X = TaskState.COMPLETED, TaskState.FAILED, TaskState.CANCELLED


class Cause(StrEnum):
    """Why a task moves."""

    CLAIM = "claimed by a worker"
    PROVEN = "receipt written"
    FAILED_TRY = "try failed, may pass"
    SPENT = "attempts spent, or permanent error"
    BACKEND_AWAY = "backend suspended"
    CHANGED = "source changed"
    RELEASED = "worker stopped or died"
    PAUSE = "paused by an operator"
    RESUME = "resumed by an operator"
    CANCEL = "cancelled by an operator"
    RETRY = "retried by an operator"
    SUPERSEDED = "new content has its own task"


TRANSITIONS: Mapping[tuple[TaskState, Cause], TaskState] = {
    (Q, Cause.CLAIM): U,
    (R, Cause.CLAIM): U,
    (F, Cause.CLAIM): U,  # the slow lane
    (U, Cause.PROVEN): D,
    (U, Cause.FAILED_TRY): R,
    (U, Cause.SPENT): F,
    (U, Cause.BACKEND_AWAY): Q,
    (R, Cause.BACKEND_AWAY): Q,  # attempts given back
    (U, Cause.CHANGED): R,
    (U, Cause.RELEASED): Q,
    (U, Cause.SUPERSEDED): X,
    (Q, Cause.PAUSE): P,
    (R, Cause.PAUSE): P,
    (U, Cause.PAUSE): P,
    (P, Cause.RESUME): Q,
    (Q, Cause.CANCEL): X,
    (R, Cause.CANCEL): X,
    (P, Cause.CANCEL): X,
    (F, Cause.CANCEL): X,
    (U, Cause.CANCEL): X,
    (F, Cause.RETRY): Q,
    (R, Cause.RETRY): Q,
    (X, Cause.RETRY): Q,
}


class IllegalTransitionError(RuntimeError):
    """A move that the table does not know: a defect of ours, never of the caller."""


def move(state: TaskState, cause: Cause) -> TaskState:
    """Where ``cause`` takes a task that is in ``state``."""
    try:
        return TRANSITIONS[state, cause]
    except KeyError:
        raise IllegalTransitionError(f"a task that is {state} cannot be {cause}") from None


def mermaid() -> str:
    """The table as a Mermaid state diagram."""
    lines = ["stateDiagram-v2", "    [*] --> queued: submitted"]
    lines += [f"    {start} --> {end}: {cause}" for (start, cause), end in TRANSITIONS.items()]
    lines.append("    completed --> [*]")
    return "\n".join(lines) + "\n"
