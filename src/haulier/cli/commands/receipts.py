"""``haulier receipts``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from haulier.cli.exit_codes import ExitCode
from haulier.cli.session import open_session
from haulier.cli.settings import CommonCommand, Settings
from haulier.cli.text import printable, size_text, table_text, time_text

if TYPE_CHECKING:
    from collections.abc import Sequence

    from haulier.cli.session import Session
    from haulier.models import GroupMember, Receipt

__all__ = ["chosen_receipts", "find_option", "receipts"]

MOST = 100  # receipts found whose other destinations are looked at


find_option = click.option(
    "--find",
    metavar="NAME",
    help="Those of a recording: a file name, a glob, a part of a path, or the beginning of an item id or SHA-256.",
)


def chosen_receipts(session: Session, task_ids: Sequence[str], find: str | None = None) -> list[Receipt]:
    """The receipts of these tasks, of what is to be found, or all; only those of ``--backend`` when it is given.

    Raises:
        TaskNotFoundError: No task and no receipt has one of the ids.
        InputError: There is nothing to look for.
        click.UsageError: Both tasks and something to find are named.
    """
    manager, backend = session.manager, session.settings.backend
    if find is not None:
        if task_ids:
            raise click.UsageError("name tasks, or give --find, not both")
        found = [receipt for receipt in manager.find_receipts(find) if backend in {None, receipt.backend}]
        if not found:
            session.output.warn(f"no receipt is about {find!r}; parts of a name are found with '*' around them")
        return found
    if not task_ids:
        return [receipt for receipt in manager.receipts() if backend in {None, receipt.backend}]
    chosen = []
    for task_id in task_ids:
        receipt = manager.receipt(task_id)
        if receipt is None:
            session.output.warn(f"{task_id}: is {manager.task(task_id).state} and has no receipt")
        elif backend in {None, receipt.backend}:
            chosen.append(receipt)
    return chosen


@click.command(cls=CommonCommand)
@click.argument("tasks", metavar="[TASK...]", nargs=-1)
@find_option
@click.pass_obj
def receipts(settings: Settings, tasks: tuple[str, ...], find: str | None) -> ExitCode:
    r"""Show receipts: what was stored where, and how that was proven; all, or those of the tasks named.

    With --find they tell where a recording is, in all backends. No destination is asked; `verify` does that.

    \b
    Examples:
      haulier receipts --find session.mp4
      haulier receipts --find 'rdp_2026*'
    """
    with open_session(settings) as session:
        chosen = chosen_receipts(session, tasks, find)
        document: dict[str, Any] = {"receipts": [receipt.to_dict() for receipt in chosen]}
        lines = [_table(chosen)]
        if find is not None:
            elsewhere = _without_receipt(session, chosen[:MOST])
            document["missing"] = [
                {"backend": one.backend, "task": one.task, "status": str(one.state)} for one in elsewhere
            ]
            lines += [printable(f"{one.backend}: {one.state}, no receipt yet ({one.task})") for one in elsewhere]
        session.output.result(document, lines)
        missing = len(chosen) < len(tasks) or (find is not None and not chosen)
    return ExitCode.FAILED if missing else ExitCode.OK


def _without_receipt(session: Session, found: list[Receipt]) -> list[GroupMember]:
    """Destinations that the same recordings are meant for and that have no receipt of them yet."""
    backend = session.settings.backend
    tasks = session.manager.snapshots(receipt.task for receipt in found)
    groups = [session.manager.group(task) for task in {task.group: task for task in tasks}.values()]
    members = (member for group in groups for member in group.members)
    return [member for member in members if member.proof is None and backend in {None, member.backend}]


def _table(chosen: list[Receipt]) -> str:
    if not chosen:
        return "no receipts"
    rows = [
        (
            time_text(receipt.completed_at),
            receipt.task,
            receipt.backend,
            entry.role,
            size_text(entry.size),
            entry.proof,
            entry.sha256,
            entry.location,
        )
        for receipt in chosen
        for entry in receipt.artifacts
    ]
    return table_text(
        ("TIME", "TASK", "BACKEND", "ROLE", "SIZE", "PROOF", "SHA-256", "LOCATION"), rows, right=("SIZE",)
    )
