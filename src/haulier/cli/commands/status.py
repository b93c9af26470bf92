"""``haulier status``."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import click

from haulier.cli.documents import backend_document, group_document, task_document
from haulier.cli.exit_codes import ExitCode
from haulier.cli.rebuilds import CONFIRM, disposal_line, rebuilt_document
from haulier.cli.session import open_session
from haulier.cli.settings import CommonCommand, Settings
from haulier.cli.text import age_text, printable, size_text, table_text
from haulier.clock import seconds_text
from haulier.models import Disposal

if TYPE_CHECKING:
    from collections.abc import Iterator

    from haulier.manager import UploadManager
    from haulier.models import BackendStatus, Group, ManagerStatus, Task

__all__ = ["status"]

NEWEST = 50


@click.command(cls=CommonCommand)
@click.argument("tasks", metavar="[TASK...]", nargs=-1)
@click.option(
    "--limit", metavar="N", type=click.IntRange(min=0), default=NEWEST, show_default=True, help="Newest tasks to show."
)
@click.pass_obj
def status(settings: Settings, tasks: tuple[str, ...], limit: int) -> ExitCode:
    """Show how tasks and backends stand; of tasks the newest, or those named."""
    from haulier.service.rebuilt import rebuilt

    with open_session(settings) as session:
        manager = session.manager
        summary = manager.status()
        if tasks:
            shown = [manager.task(task_id) for task_id in tasks]
        else:
            shown = manager.tasks(backend=settings.backend or "", limit=limit, newest_first=True)
        document: dict[str, Any] = {
            "counts": {str(state): count for state, count in summary.counts.items()},
            "backends": [backend_document(backend) for backend in summary.backends],
            "tasks": [task_document(task) for task in shown],
        }
        groups = _groups(manager, shown)
        document["groups"] = [group_document(group) for group in groups]
        found = manager.service.journal.read(rebuilt)
        if found is not None:
            document["rebuilt"] = rebuilt_document(found)
        session.output.result(document, _lines(summary, shown, groups, disposal_line(found)))
    return ExitCode.OK


def _groups(manager: UploadManager, tasks: list[Task]) -> list[Group]:
    """One for each file among these tasks that has several destinations."""
    by_group = {task.group: task for task in reversed(tasks)}
    several = [task for name, task in by_group.items() if len(manager.tasks(group=name, limit=2)) > 1]
    return [manager.group(task) for task in reversed(several)]


def _lines(summary: ManagerStatus, tasks: list[Task], groups: list[Group], disposal: str) -> Iterator[str]:
    now = time.time()
    if disposal:
        yield disposal
        yield CONFIRM
    yield ", ".join(f"{count} {state}" for state, count in summary.counts.items() if count) or "no tasks"
    for backend in summary.backends:
        yield _backend_line(backend, now)
    if tasks:
        yield ""
        yield table_text(
            ("TASK", "STATUS", "DONE", "SIZE", "BACKEND", "SINCE", "FILE"),
            [
                (
                    task.id,
                    task.state,
                    f"{task.progress} %",
                    size_text(task.size),
                    task.backend,
                    age_text(task.updated_at, now),
                    task.path,
                )
                for task in tasks
            ],
            right=("DONE", "SIZE"),
        )
    for task in tasks:
        if task.error is not None:
            wait = f" (next try in {seconds_text(task.not_before - now)})" if task.not_before else ""
            yield printable(f"{task.id}: {task.error.what}. {task.error.advice}{wait}")

    for group in groups:
        yield ""
        yield from _group_lines(group)


def _group_lines(group: Group) -> Iterator[str]:
    yield printable(f"{group.path}, {_source_text(group)}")
    for member in group.members:
        has = f"has it, {member.proof} ({member.location})" if member.proof else f"{member.state} ({member.task})"
        keeps = f"; keeps the source: {member.hold}" if member.hold and member.proof else ""
        yield printable(f"  {member.backend}: {has}{keeps}")


def _source_text(group: Group) -> str:
    if group.disposal in {Disposal.REMOVED, Disposal.KEPT_CHANGED}:
        return f"source {group.disposal}"
    if not group.may_go:
        missing = ", ".join(member.backend for member in group.members if member.hold)
        return f"source stays, not proven: {missing}"
    return "source goes now" if group.disposal is Disposal.PENDING else "source kept, proven everywhere"


def _backend_line(backend: BackendStatus, now: float) -> str:
    name = f"backend {backend.name} ({backend.type or 'not configured'})"
    owed = f"; unfinished uploads still to be dropped there: {backend.aborts_owed}" if backend.aborts_owed else ""
    if backend.suspended is None:
        return f"{name}: ready{owed}"
    since = f" since {age_text(backend.since, now)}" if backend.since else ""
    reason = f": {backend.error.what}" if backend.error else ""
    return printable(f"{name}: suspended, {backend.suspended}{since}{reason}{owed}")
