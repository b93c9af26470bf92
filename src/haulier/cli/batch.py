"""Files that one command takes in, uploads and reports: the body of ``send`` and ``scan``."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import chain
from typing import TYPE_CHECKING, Any

from haulier.cli.documents import error_document, sent_document
from haulier.cli.exit_codes import ExitCode, exit_code_of, first_of
from haulier.cli.outcome import code_of, failure_of, suspension_errors, uploads_table
from haulier.cli.progress import choose_display
from haulier.cli.uploading import Uploading, states_of, tasks_of, uploads_of
from haulier.errors import HaulierError, InputError, JournalUnavailableError, PluginError
from haulier.models import ErrorRecord, TaskState

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from haulier.cli.session import Session
    from haulier.cli.signals import StopSignals
    from haulier.models import BackendStatus, Task

__all__ = ["Batch"]

MOST_SHOWN = 1000  # events: what came of each task is in the report


@dataclass(frozen=True)
class _Refused:
    """A file that could not be taken in."""

    file: str
    backend: str
    error: HaulierError


class Batch:
    """Takes files in, uploads them, reports them. Used by one thread.

    Args:
        session: The command at work.
        signals: Entered.
        patience: Seconds to wait while nothing moves; None for the usual.
    """

    def __init__(self, session: Session, signals: StopSignals, patience: float | None) -> None:
        self.session = session
        self._signals = signals
        self._display = choose_display(session.output)
        self._uploading = Uploading(session, signals, self._display, patience=patience, events=MOST_SHOWN)
        self._task_ids: dict[str, None] = {}
        self._refused: list[_Refused] = []
        self._more: list[ExitCode] = []
        self._uploading.show_only(self._task_ids)

    # -- taking in ---------------------------------------------------------------------------------------------

    def submit(self, file: str, sidecar: str | None, also: Sequence[str] = ()) -> None:
        """Queue a file; one that cannot be taken is told and does not stop the others.

        Args:
            file: Its path.
            sidecar: Its metadata file, if any.
            also: Names of further backends; none for those that are configured.

        Raises:
            HaulierError: Nothing at all can be taken in.
            StopRequestedError: Somebody asked to stop.
        """
        self._signals.check()
        try:
            manager, chosen = self.session.manager, self.session.settings.backend
            names = manager.service.chosen_backends(chosen, also or None)
            task = manager.submit(file, sidecar=sidecar, backend=names[0], also=names[1:])
        except (InputError, PluginError) as error:
            self._refuse(file, error)
        except UnicodeEncodeError:
            advice = "Rename the file, or its folder"
            self._refuse(file, InputError("its name cannot be written as text", where=file, advice=advice))
        else:
            self.adopt(
                one.id
                for one in manager.tasks(group=task.group)
                if one.item_id == task.item_id and one.backend in names
            )

    def _refuse(self, file: str, error: HaulierError) -> None:
        manager = self.session.manager
        self.session.output.error(error)
        backend = self.session.settings.backend or manager.config.upload.backend
        self._refused.append(_Refused(manager.service.ports.files.canonical(file), backend, error))

    def adopt(self, task_ids: Iterable[str], *, revive: bool = True) -> None:
        """Take tasks of the journal in; what failed earlier is tried again.

        Args:
            task_ids: Which.
            revive: Whether cancelled tasks are tried again too; else they are left out.
        """
        for task_id, state in states_of(self.session, task_ids):
            if state is TaskState.CANCELLED and not revive:
                continue
            if state in {TaskState.FAILED, TaskState.CANCELLED} and task_id not in self._task_ids:
                self.session.manager.retry(task_id)
            self._task_ids[task_id] = None

    def note(self, code: ExitCode) -> None:
        """Let something else have a say in the exit code."""
        self._more.append(code)

    # -- uploading ---------------------------------------------------------------------------------------------

    def upload(self) -> None:
        """Upload until nothing can move. Starts nothing when everything is completed already.

        Raises:
            StopRequestedError: Somebody asked to stop.
        """
        if all(state.settled for _, state in states_of(self.session, self._task_ids)):
            return
        if not self.session.manager.config.upload.enabled:
            self.session.output.warn("uploading is switched off (upload.enabled); the tasks stay queued")
            return
        self._uploading.start()
        self._uploading.wait_for(self._task_ids)
        self._uploading.wait_for_disposal(self._task_ids)

    def pause(self, seconds: float) -> None:
        """Let time pass while uploads go on, showing what happens.

        Raises:
            StopRequestedError: Somebody asked to stop.
        """
        self._uploading.start()
        self._uploading.pause(seconds)

    # -- the end -----------------------------------------------------------------------------------------------

    def report(self, extra: Mapping[str, Any] | None = None, *, queued_is_done: bool = False) -> ExitCode:
        """Write the result; the exit code.

        Args:
            extra: Further members of the document.
            queued_is_done: Whether nothing more was asked for than to queue the tasks.
        """
        self._uploading.finish()
        manager, output = self.session.manager, self.session.output
        states = list(states_of(self.session, self._task_ids))
        ended_badly = [task_id for task_id, state in states if state in {TaskState.FAILED, TaskState.CANCELLED}]
        left = [task_id for task_id, state in states if not state.settled]
        summary = manager.status()
        backends = {backend.name: backend for backend in summary.backends}
        for error in filter(None, map(failure_of, tasks_of(self.session, ended_badly))):
            output.error(error)
        interrupted = self._signals.received is not None
        if summary.journal_error is not None:
            output.error(JournalUnavailableError(summary.journal_error, advice=""))
        codes = {ExitCode.FAILED} if ended_badly else set()
        if not queued_is_done:
            tasks_left = tasks_of(self.session, left)
            codes.update(code_of(task, backends) for task in tasks_left)
            if not interrupted:
                for error in suspension_errors(tasks_left, backends):
                    output.error(error)
                self._tell_of_waiting(tasks_left, backends)
        self._write([task_id for task_id, _ in states], extra)
        if interrupted:
            return self._interrupted(len(left))
        refused = (exit_code_of(one.error) for one in self._refused)
        return first_of([*codes, *refused, *self._more])

    def _write(self, task_ids: Sequence[str], extra: Mapping[str, Any] | None) -> None:
        uploads = uploads_of(self.session, task_ids)
        if self.session.settings.json:
            tasks = (sent_document(task, receipt) for task, receipt in uploads)
            self.session.output.document({"tasks": chain(tasks, map(_refused, self._refused)), **(extra or {})})
        elif task_ids:
            self.session.output.lines(uploads_table(uploads))

    def _tell_of_waiting(self, left: Iterable[Task], backends: Mapping[str, BackendStatus]) -> None:
        """Say of each task that is left for a reason of its own what that is."""
        for task in left:
            backend = backends.get(task.backend)
            if task.state is TaskState.PAUSED:
                self.session.output.warn(f"{task.path}: is paused; `haulier resume {task.id}` lets it go on")
            elif task.error is not None and (backend is None or backend.suspended is None):
                self.session.output.warn(f"{task.path}: is left for later: {task.error.what}")

    def _interrupted(self, left: int) -> ExitCode:
        stay = "1 task stays" if left == 1 else f"{left} tasks stay"
        self.session.output.remark(f"interrupted; {stay} queued, `haulier run` or the same command goes on")
        return ExitCode.INTERRUPTED


def _refused(refused: _Refused) -> dict[str, Any]:
    error = refused.error
    record = ErrorRecord(error.code, error.what, error.where, error.advice)
    return {
        "id": None,
        "status": "refused",
        "file": refused.file,
        "backend": refused.backend,
        "error": error_document(record),
        "receipt": None,
    }
