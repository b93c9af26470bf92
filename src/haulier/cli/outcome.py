"""What became of tasks: their exit code, their report, and why some were left."""

from __future__ import annotations

from typing import TYPE_CHECKING

from haulier.cli.exit_codes import ExitCode
from haulier.cli.text import size_text, table_text
from haulier.errors import HaulierError, error_from_code
from haulier.models import SuspensionReason, TaskState

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from haulier.models import BackendStatus, Receipt, Task

__all__ = ["code_of", "failure_of", "suspension_errors", "uploads_table"]


def code_of(task: Task, backends: Mapping[str, BackendStatus]) -> ExitCode:
    """The exit code that one task stands for."""
    if task.state is TaskState.COMPLETED:
        return ExitCode.OK
    if task.state.settled:
        return ExitCode.FAILED
    backend = backends.get(task.backend)
    refused = backend is not None and backend.suspended is SuspensionReason.CREDENTIALS
    return ExitCode.CREDENTIALS if refused and task.state is not TaskState.PAUSED else ExitCode.TRY_LATER


def failure_of(task: Task) -> HaulierError | None:
    """The error of a task that failed or was cancelled, to be told."""
    if task.state is TaskState.CANCELLED and task.error is None:
        return error_from_code("cancelled", "the task was cancelled", where=task.path)
    if task.state not in {TaskState.FAILED, TaskState.CANCELLED} or task.error is None:
        return None
    error = task.error
    what = error.what if error.where in {"", task.path} else f"{error.where}: {error.what}"
    return error_from_code(error.code, what, where=task.path, advice=error.advice)


def suspension_errors(left: Sequence[Task], backends: Mapping[str, BackendStatus]) -> Iterator[HaulierError]:
    """Why tasks were left queued, backend by backend."""
    for name in dict.fromkeys(task.backend for task in left if task.state is not TaskState.PAUSED):
        backend = backends.get(name)
        if backend is None or backend.suspended is None or backend.error is None:
            continue
        count = sum(1 for task in left if task.backend == name)
        reason = f"{backend.error.where}: {backend.error.what}" if backend.error.where else backend.error.what
        what = f"{_tasks(count)} queued, the backend is suspended ({backend.suspended}): {reason}"
        stays = "`haulier run` or the next `haulier send` goes on when it is back"
        advice = backend.error.advice if backend.suspended is SuspensionReason.CREDENTIALS else stays
        yield error_from_code(backend.error.code, what, where=f"backend {name}", advice=advice)


def _tasks(count: int) -> str:
    return "1 task stays" if count == 1 else f"{count} tasks stay"


def uploads_table(uploads: Iterable[tuple[Task, Receipt | None]]) -> str:
    """Tasks with what their receipts prove, and their backends where these are several."""
    shown = list(uploads)
    several = len({task.backend for task, _ in shown}) > 1
    return table_text(
        ("FILE", *(["BACKEND"] if several else []), "STATUS", "SIZE", "PROOF", "LOCATION", "TASK"),
        [
            (
                task.path.replace("\\", "/").rpartition("/")[2],
                *([task.backend] if several else []),
                task.state,
                size_text(receipt.size if receipt else task.size),
                receipt.proof if receipt else "-",
                receipt.location if receipt else "-",
                task.id,
            )
            for task, receipt in shown
        ],
        right=("SIZE",),
    )
