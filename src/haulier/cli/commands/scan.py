"""``haulier scan``."""

from __future__ import annotations

import os
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import click

from haulier.cli.batch import Batch
from haulier.cli.commands.send import also_option, wait_option
from haulier.cli.exit_codes import ExitCode
from haulier.cli.session import open_session
from haulier.cli.settings import CommonCommand, Settings
from haulier.cli.signals import StopRequestedError, StopSignals
from haulier.errors import InputError

if TYPE_CHECKING:
    from haulier.cli.session import Session
    from haulier.discovery.scan import ScanResult

__all__ = ["scan"]

LONGEST_SETTLING = 60.0  # seconds that an upload from the command line waits for files to be whole


@click.command(cls=CommonCommand)
@click.argument("folder", metavar="DIR")
@click.option("--max-age-days", metavar="N", type=click.FloatRange(min=0), help="Leave older files alone.")
@click.option("--queue-only", is_flag=True, help="Queue the files and upload nothing now.")
@click.option("--settled", is_flag=True, help="Nobody writes to the files any more: take them at once.")
@also_option
@wait_option
@click.pass_obj
def scan(
    settings: Settings,
    folder: str,
    max_age_days: float | None,
    queue_only: bool,
    settled: bool,
    also: tuple[str, ...],
    wait: float | None,
) -> ExitCode:
    r"""Queue what lies in a folder, with sidecars, and upload it like ``send``.

    Files that somebody still writes to are given time to settle, then left for later.

    \b
    Examples:
      haulier scan ./recordings --max-age-days 30
      haulier scan ./recordings --queue-only
    """
    with StopSignals() as signals, open_session(settings) as session:
        batch = Batch(session, signals, wait)
        result = _take(session, batch, folder, max_age_days, also, settled=settled)
        with suppress(StopRequestedError):
            if result.waiting and not queue_only:
                batch.pause(min(session.manager.config.watch.settle_seconds, LONGEST_SETTLING) + 0.1)
                result = _take(session, batch, folder, max_age_days, also, settled=settled)
            if not queue_only:
                batch.upload()
        _tell(session, batch, result)
        return batch.report(_document(result), queued_is_done=queue_only)


def _take(
    session: Session, batch: Batch, folder: str, max_age_days: float | None, also: tuple[str, ...], *, settled: bool
) -> ScanResult:
    tasks, result = session.manager.scan(
        folder, max_age_days=max_age_days, backend=session.settings.backend, also=also or None, settled=settled
    )
    batch.adopt(tasks.ids, revive=False)  # what was given up stays so: nobody named it
    return result


def _tell(session: Session, batch: Batch, result: ScanResult) -> None:
    for name, why in result.problems.items():
        session.output.error(InputError(why, where=_path(result, name), advice=""))
        batch.note(ExitCode.FAILED)
    if session.manager.service.problems():
        batch.note(ExitCode.FAILED)
    for name, why in result.waiting.items():
        session.output.warn(f"{_path(result, name)}: {why}; it is left for later")
        batch.note(ExitCode.TRY_LATER)
    for name, why in result.ignored.items():
        if session.settings.verbose:
            session.output.say(f"{_path(result, name)}: left alone, {why}")


def _path(result: ScanResult, name: str) -> str:
    return os.path.join(result.folder, name)  # noqa: PTH118  plain text in, plain text out


def _document(result: ScanResult) -> dict[str, Any]:
    return {
        "folder": result.folder,
        "waiting": dict(result.waiting),
        "problems": dict(result.problems),
        "ignored": dict(result.ignored),
    }
