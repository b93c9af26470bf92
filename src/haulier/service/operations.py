"""What an operator may ask of tasks: retry, cancel, pause, resume."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from haulier import events
from haulier.errors import OutcomeUnknownError, TaskNotFoundError
from haulier.journal.api import TaskFilter, TaskRow
from haulier.models import Disposal, TaskState
from haulier.transfer.aborts import drop_session
from haulier.transfer.policy import NO_SESSION
from haulier.transfer.states import TRANSITIONS, Cause

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from haulier.journal.api import Transaction
    from haulier.models import Receipt
    from haulier.transfer.ledger import Ledger

__all__ = ["Operations"]

_CAUSES = {"retry": Cause.RETRY, "cancel": Cause.CANCEL, "pause": Cause.PAUSE, "resume": Cause.RESUME}
_FRESH_BY_CAUSE: Mapping[Cause, Mapping[str, Any]] = {
    Cause.RETRY: {"attempts": 0, "suspicion": 0, "restarts": 0, "not_before": None, "slow_lane": False},
    Cause.RESUME: {"not_before": None},  # what it waited for is past; the clock may have been set back since
}


class Operations:
    """Applies an operator's wish to tasks. Thread-safe.

    Args:
        ledger: Journal and rules.
    """

    def __init__(self, ledger: Ledger) -> None:
        self.ledger = ledger

    def apply(self, action: str, task_ids: Iterable[str] | None) -> list[str]:
        """Apply ``action`` to these tasks, or to every one it makes sense for (None).

        A running task is asked to stop: whoever runs it, in whatever process, heeds that.

        Returns:
            Ids of the tasks it was applied to; others were not in a state that allows it.

        Raises:
            TaskNotFoundError: No task has one of the ids; nothing was changed then.
        """
        cause = _CAUSES[action]
        wanted = None if task_ids is None else list(task_ids)

        def change(tx: Transaction, told: list[events.Event]) -> list[str]:
            rows = self._all(tx, cause) if wanted is None else [self._one(tx, task_id) for task_id in wanted]
            return [row.id for row in rows if self._apply(tx, told, row, cause)]

        return self.ledger.change(change)

    def resume_backends(self, names: Iterable[str]) -> list[str]:
        """End the suspensions of these backends by command; which ones had any."""
        ended = []
        for name in names:
            if self.ledger.suspension(name)[0] is not None:
                self.ledger.probe_succeeded(name)
                ended.append(name)
        return ended

    def release_sources(self, may_go: Callable[[TaskRow, Receipt], bool]) -> list[str]:
        """Owe the disposal of sources that were kept so far; which tasks'.

        Args:
            may_go: Whether a completed task's receipt shows enough.
        """
        query = TaskFilter(frozenset({TaskState.COMPLETED}), disposal=Disposal.KEPT)

        def change(tx: Transaction, _: list[events.Event]) -> list[str]:
            receipts = [(row, tx.receipt(row.id)) for row in tx.tasks(query)]
            going = [row.id for row, receipt in receipts if receipt is not None and may_go(row, receipt)]
            for task_id in going:
                tx.update_task(task_id, delete_source=True, disposal=Disposal.PENDING)
            return going

        return self.ledger.change(change)

    def _all(self, tx: Transaction, cause: Cause) -> list[TaskRow]:
        states = frozenset(state for state, known in TRANSITIONS if known is cause)
        if cause is Cause.RETRY:
            states -= {TaskState.CANCELLED}  # given up on purpose: only by name
        if cause is Cause.CANCEL:
            states -= {TaskState.FAILED}
        if cause is Cause.RESUME:
            states |= {TaskState.UPLOADING}  # whose pause was not heeded yet
        rows = tx.tasks(TaskFilter(states))
        return [row for row in rows if cause is not Cause.RETRY or not _is_outcome_unknown(row)]

    def _one(self, tx: Transaction, task_id: str) -> TaskRow:
        row = tx.task(task_id)
        if row is None:
            raise TaskNotFoundError("no task has this id", where=task_id)
        return row

    def _apply(self, tx: Transaction, told: list[events.Event], row: TaskRow, cause: Cause) -> bool:
        if row.state is TaskState.UPLOADING and cause in {Cause.CANCEL, Cause.PAUSE}:
            tx.update_task(row.id, request="cancel" if cause is Cause.CANCEL else "pause")
            return True
        if row.state is TaskState.UPLOADING and cause is Cause.RESUME and row.request == "pause":
            tx.update_task(row.id, request="resume")  # the pause was not heeded yet
            return True
        after = TRANSITIONS.get((row.state, cause))
        if after is None:
            return False
        now = self.ledger.clock.now()
        fresh = _FRESH_BY_CAUSE.get(cause, {})
        if cause is Cause.RETRY and _is_outcome_unknown(row):
            fresh = {**fresh, **NO_SESSION}  # somebody looked and says so: this once a new session may be opened
            tx.clear_parts(row.id)
        if cause is Cause.CANCEL:
            fresh = drop_session(tx, row, now)  # what its token grants must not outlive the task
        tx.update_task(row.id, state=after, updated_at=now, request="", **fresh)
        if after is TaskState.CANCELLED:
            told.append(events.UploadCancelled(backend=row.backend, task=row.id, filename=row.media.name))
        return True


def _is_outcome_unknown(row: TaskRow) -> bool:
    return row.error is not None and row.error.code == OutcomeUnknownError.code
