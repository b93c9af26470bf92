"""What became of tasks: their exit code, their report, and why some were left."""

from __future__ import annotations

from collections import Counter
from itertools import chain, islice
from typing import TYPE_CHECKING

from haulier.cli.exit_codes import ExitCode
from haulier.cli.text import size_text, table_lines
from haulier.errors import HaulierError, error_from_code
from haulier.models import SuspensionReason, TaskState

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from haulier.models import BackendStatus, Receipt, Task

__all__ = ["code_of", "failure_of", "suspension_errors", "uploads_table"]

_FIRST = 1000  # uploads


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


def suspension_errors(left: Iterable[Task], backends: Mapping[str, BackendStatus]) -> Iterator[HaulierError]:
    """Why tasks were left queued, backend by backend."""
    counts = Counter((task.backend, task.state is TaskState.PAUSED) for task in left)
    for name in dict.fromkeys(name for name, paused in counts if not paused):
        backend = backends.get(name)
        if backend is None or backend.suspended is None or backend.error is None:
            continue
        count = counts[name, True] + counts[name, False]
        reason = f"{backend.error.where}: {backend.error.what}" if backend.error.where else backend.error.what
        what = f"{_tasks(count)} queued, the backend is suspended ({backend.suspended}): {reason}"
        stays = "`haulier run` or the next `haulier send` goes on when it is back"
        advice = backend.error.advice if backend.suspended is SuspensionReason.CREDENTIALS else stays
        yield error_from_code(backend.error.code, what, where=f"backend {name}", advice=advice)


def _tasks(count: int) -> str:
    return "1 task stays" if count == 1 else f"{count} tasks stay"


def uploads_table(uploads: Iterator[tuple[Task, Receipt | None]]) -> Iterator[str]:
    """Tasks with what their receipts prove, line by line; their backends where the first of them have several."""
    first = list(islice(uploads, _FIRST))
    several = len({task.backend for task, _ in first}) > 1
    return table_lines(
        ("FILE", *(["BACKEND"] if several else []), "STATUS", "SIZE", "PROOF", "LOCATION", "TASK"),
        (
            (
                task.path.replace("\\", "/").rpartition("/")[2],
                *([task.backend] if several else []),
                task.state,
                size_text(receipt.size if receipt else task.size),
                receipt.proof if receipt else "-",
                receipt.location if receipt else "-",
                task.id,
            )
            for task, receipt in chain(first, uploads)
        ),
        right=("SIZE",),
    )
