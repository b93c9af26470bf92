"""``haulier verify``."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

import click

from haulier.cli.commands.receipts import chosen_receipts, find_option
from haulier.cli.exit_codes import ExitCode, exit_code_of, first_of
from haulier.cli.session import open_session
from haulier.cli.settings import CommonCommand, Settings
from haulier.cli.text import table_text
from haulier.models import Verdict

if TYPE_CHECKING:
    from collections.abc import Iterator

    from haulier.models import Comparison

__all__ = ["verify"]


@click.command(cls=CommonCommand)
@click.argument("tasks", metavar="[TASK...]", nargs=-1)
@click.option("--read", is_flag=True, help="Read objects back where the destination tells no digest of them.")
@find_option
@click.pass_obj
def verify(settings: Settings, tasks: tuple[str, ...], read: bool, find: str | None) -> ExitCode:
    """Ask the destination whether what receipts tell of is still there; all receipts, or those of the tasks named.

    With --find those of a recording, at every destination that has it.

    Each artifact is the same, differs, is missing, or nobody can tell. What was compared is said: the content, by a
    digest, or only the size.
    """
    with open_session(settings) as session:
        chosen = chosen_receipts(session, tasks, find)
        found = session.manager.verify(chosen, read=read)
        session.output.result({"artifacts": [comparison.to_dict() for comparison in found]}, _lines(found, read=read))
    missing = [ExitCode.FAILED] if len(chosen) < len(tasks) or (find is not None and not chosen) else []
    return first_of([*map(_code, found), *missing])


def _code(comparison: Comparison) -> ExitCode:
    if comparison.verdict is Verdict.SAME:
        return ExitCode.OK
    return exit_code_of(comparison.error) if comparison.error else ExitCode.FAILED


def _lines(found: list[Comparison], *, read: bool) -> Iterator[str]:
    if found:
        rows = [
            (one.verdict, one.by or "-", one.receipt.task, one.entry.role, one.entry.location, one.remark)
            for one in found
        ]
        yield table_text(("VERDICT", "BY", "TASK", "ROLE", "LOCATION", "REMARK"), rows)
    counts = Counter(_what_was_shown(one) for one in found)
    yield ", ".join(f"{count} {what}" for what, count in sorted(counts.items())) or "nothing to verify"
    if not read and any(one.by == "size" and one.verdict is Verdict.SAME for one in found):
        yield "Of what is the same by size only, `haulier verify --read` compares the content where it can be read back"


def _what_was_shown(one: Comparison) -> str:
    if one.verdict is not Verdict.SAME:
        return str(one.verdict)
    return "same by content" if one.by == "content" else "same by size only"
