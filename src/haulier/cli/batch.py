"""Files that one command takes in, uploads and reports: the body of ``send`` and ``scan``."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from haulier.cli.documents import error_document, sent_document
from haulier.cli.exit_codes import ExitCode, exit_code_of, first_of
from haulier.cli.outcome import code_of, failure_of, suspension_errors, uploads_table
from haulier.cli.progress import choose_display
from haulier.cli.uploading import Uploading, tasks_of
from haulier.errors import HaulierError, InputError, JournalUnavailableError, PluginError
from haulier.models import ErrorRecord, TaskState

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from haulier.cli.session import Session
    from haulier.cli.signals import StopSignals
    from haulier.models import BackendStatus, Receipt, Task

__all__ = ["Batch"]


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
        self._uploading = Uploading(session, signals, self._display, patience=patience)
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
                one for one in manager.tasks(group=task.group) if one.item_id == task.item_id and one.backend in names
            )

    def _refuse(self, file: str, error: HaulierError) -> None:
        manager = self.session.manager
        self.session.output.error(error)
        backend = self.session.settings.backend or manager.config.upload.backend
        self._refused.append(_Refused(manager.service.ports.files.canonical(file), backend, error))

    def adopt(self, tasks: Iterable[Task], *, revive: bool = True) -> None:
        """Take tasks of the journal in; what failed earlier is tried again.

        Args:
            tasks: Snapshots.
            revive: Whether cancelled tasks are tried again too; else they are left out.
        """
        for task in tasks:
            if task.state is TaskState.CANCELLED and not revive:
                continue
            if task.state in {TaskState.FAILED, TaskState.CANCELLED} and task.id not in self._task_ids:
                self.session.manager.retry(task.id)
            self._task_ids[task.id] = None

    def note(self, code: ExitCode) -> None:
        """Let something else have a say in the exit code."""
        self._more.append(code)

    # -- uploading ---------------------------------------------------------------------------------------------

    def upload(self) -> None:
        """Upload until nothing can move. Starts nothing when everything is completed already.

        Raises:
            StopRequestedError: Somebody asked to stop.
        """
        if all(task.state.settled for task in tasks_of(self.session, self._task_ids)):
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
        tasks = tasks_of(self.session, self._task_ids)
        receipts = [manager.receipt(task.id) if task.state is TaskState.COMPLETED else None for task in tasks]
        uploads: list[tuple[Task, Receipt | None]] = list(zip(tasks, receipts, strict=True))
        summary = manager.status()
        backends = {backend.name: backend for backend in summary.backends}
        for error in filter(None, map(failure_of, tasks)):
            output.error(error)
        interrupted = self._signals.received is not None
        left = [task for task in tasks if not task.state.settled]
        if summary.journal_error is not None:
            output.error(JournalUnavailableError(summary.journal_error, advice=""))
        if not interrupted and not queued_is_done:
            for error in suspension_errors(left, backends):
                output.error(error)
            self._tell_of_waiting(left, backends)
        document = {
            "tasks": [*(sent_document(task, receipt) for task, receipt in uploads), *map(_refused, self._refused)],
            **(extra or {}),
        }
        output.result(document, [uploads_table(uploads)] if uploads else [])
        if interrupted:
            return self._interrupted(left)
        refused = [exit_code_of(one.error) for one in self._refused]
        judged = [task for task in tasks if task.state.settled or not queued_is_done]
        return first_of([*(code_of(task, backends) for task in judged), *refused, *self._more])

    def _tell_of_waiting(self, left: list[Task], backends: Mapping[str, BackendStatus]) -> None:
        """Say of each task that is left for a reason of its own what that is."""
        for task in left:
            backend = backends.get(task.backend)
            if task.state is TaskState.PAUSED:
                self.session.output.warn(f"{task.path}: is paused; `haulier resume {task.id}` lets it go on")
            elif task.error is not None and (backend is None or backend.suspended is None):
                self.session.output.warn(f"{task.path}: is left for later: {task.error.what}")

    def _interrupted(self, left: list[Task]) -> ExitCode:
        stay = "1 task stays" if len(left) == 1 else f"{len(left)} tasks stay"
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
