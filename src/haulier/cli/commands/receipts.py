"""``haulier receipts``."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from haulier.cli.exit_codes import ExitCode
from haulier.cli.session import open_session
from haulier.cli.settings import CommonCommand, Settings
from haulier.cli.text import size_text, table_text, time_text

if TYPE_CHECKING:
    from collections.abc import Sequence

    from haulier.cli.session import Session
    from haulier.models import Receipt

__all__ = ["chosen_receipts", "receipts"]


def chosen_receipts(session: Session, task_ids: Sequence[str]) -> list[Receipt]:
    """The receipts of these tasks, or all; only those of ``--backend`` when it is given.

    Raises:
        TaskNotFoundError: No task and no receipt has one of the ids.
    """
    manager, backend = session.manager, session.settings.backend
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
@click.pass_obj
def receipts(settings: Settings, tasks: tuple[str, ...]) -> ExitCode:
    """Show receipts: what was stored where, and how that was proven; all, or those of the tasks named."""
    with open_session(settings) as session:
        chosen = chosen_receipts(session, tasks)
        session.output.result({"receipts": [receipt.to_dict() for receipt in chosen]}, [_table(chosen)])
        missing = bool(tasks) and len(chosen) < len(tasks)
    return ExitCode.FAILED if missing else ExitCode.OK


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
