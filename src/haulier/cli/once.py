"""``haulier run --once``: one look at the watched folders, then everything that can be uploaded now."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING

from haulier import events
from haulier.cli.documents import sent_document
from haulier.cli.exit_codes import ExitCode, exit_code_of, first_of
from haulier.cli.outcome import code_of, failure_of, suspension_errors
from haulier.cli.signals import StopRequestedError
from haulier.cli.standing import Stand, stand_of
from haulier.cli.uploading import tasks_of
from haulier.errors import JournalError
from haulier.journal.api import TaskFilter
from haulier.models import TaskState

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from haulier.cli.session import Session
    from haulier.cli.signals import StopSignals
    from haulier.cli.uploading import Uploading
    from haulier.errors import HaulierError
    from haulier.journal.api import Transaction

__all__ = ["run_once"]

MOST = 1000  # tasks looked at singly; more of them only repeat the answer


def run_once(
    session: Session, uploading: Uploading, signals: StopSignals, unusable: Mapping[str, HaulierError]
) -> ExitCode:
    """Scan, upload until nothing can move, report; the exit code tells of the tasks that were touched.

    Args:
        session: The command at work.
        uploading: Not started.
        signals: Entered.
        unusable: Why some backends cannot be used.
    """
    touched: dict[str, None] = {}

    def note(event: events.Event) -> None:
        if isinstance(event, (events.UploadQueued, events.UploadStarted)):
            touched[event.task] = None

    uploading.on_event(note)
    with suppress(StopRequestedError):
        if session.auto_upload:
            _scan(session)
        uploading.start()
        uploading.wait_still(lambda: _stands(session, unusable))
        with suppress(JournalError):
            session.manager.service.disposer.step()  # also what an earlier run left to be disposed of
        uploading.wait_for_disposal(touched)
    uploading.finish()
    return _report(session, signals, touched, unusable)


def _scan(session: Session) -> None:
    for result in session.manager.service.folders.watch_once():
        if result.unreachable is not None:
            session.output.warn(f"{result.folder} {result.unreachable}")
        for name, why in result.waiting.items():
            session.output.say(f"{name} in {result.folder} {why}; it is left for later")


def _stands(session: Session, unusable: Collection[str]) -> set[Stand]:
    """How those tasks stand that this process works on or could claim: all of one moment, none missed on its way.

    Sessions that are to be dropped now count as well.
    """
    service = session.manager.service
    names = [name for name in session.manager.config.backends if name not in unusable]
    now = service.ports.clock.now()

    def query(tx: Transaction) -> set[Stand]:
        running = tx.tasks(TaskFilter(frozenset({TaskState.UPLOADING})))
        stands = {Stand.MOVING for row in running if row.owner == service.owner.id}
        for name in names:
            queued = tx.tasks(TaskFilter(frozenset({TaskState.QUEUED}), name, limit=1))
            retrying = tx.tasks(TaskFilter(frozenset({TaskState.RETRYING}), name, limit=MOST))
            suspended = tx.backend(name).suspended
            stands |= {stand_of(row.snapshot(), suspended, now) for row in (*queued, *retrying)}
            running_here = any(owed.owner == service.owner.id for owed in tx.aborts(name))
            if running_here or (suspended is None and tx.aborts(name, due=now, limit=1)):
                stands.add(Stand.MOVING)
        return stands

    return service.journal.read(query)


def _report(
    session: Session, signals: StopSignals, touched: Collection[str], unusable: Mapping[str, HaulierError]
) -> ExitCode:
    manager, output = session.manager, session.output
    tasks = tasks_of(session, touched)
    left = manager.tasks(states=[TaskState.QUEUED, TaskState.RETRYING], limit=MOST)
    summary = manager.status()
    backends = {backend.name: backend for backend in summary.backends}
    for error in filter(None, map(failure_of, tasks)):
        output.error(error)
    for error in suspension_errors(left, backends):
        output.error(error)
    counts = {state: sum(1 for task in tasks if task.state is state) for state in TaskState}
    waiting = summary.counts[TaskState.QUEUED] + summary.counts[TaskState.RETRYING]
    document = {
        "tasks": [sent_document(task, manager.receipt(task.id)) for task in tasks],
        "left": waiting,
        "problems": dict(summary.problems),
    }
    text = ", ".join(f"{counts[state]} {state}" for state in (TaskState.COMPLETED, TaskState.FAILED))
    output.result(document, [f"{text}, {waiting} left queued"])
    if signals.received is not None:
        output.remark(f"interrupted; {waiting} tasks stay queued")
        return ExitCode.INTERRUPTED if signals.by_keyboard else ExitCode.OK
    blamed = [task for task in left if task.backend in unusable]
    codes = [code_of(task, backends) for task in (*tasks, *left)]
    return first_of([*codes, *(exit_code_of(unusable[task.backend]) for task in blamed)])
