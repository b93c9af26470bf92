"""``haulier send``."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING

import click

from haulier.cli.batch import Batch
from haulier.cli.session import open_session
from haulier.cli.settings import CommonCommand, Settings
from haulier.cli.signals import StopRequestedError, StopSignals

if TYPE_CHECKING:
    from haulier.cli.exit_codes import ExitCode

__all__ = ["also_option", "send", "wait_option"]

wait_option = click.option(
    "--wait",
    metavar="SECONDS",
    type=click.FloatRange(min=0),
    help="How long to wait while every task stands behind a suspended backend. "
    "[default: 10; 0 when it refuses the credentials]",
)
also_option = click.option(
    "--also",
    metavar="NAME",
    multiple=True,
    help="Send each file to this backend as well; repeatable. [default: upload.also]",
)


@click.command(cls=CommonCommand)
@click.argument("files", metavar="FILE...", nargs=-1, required=True)
@click.option("--sidecar", "--metadata", metavar="FILE", help="JSON file of metadata that goes with each file.")
@also_option
@wait_option
@click.pass_obj
def send(
    settings: Settings, files: tuple[str, ...], sidecar: str | None, also: tuple[str, ...], wait: float | None
) -> ExitCode:
    r"""Upload files and wait until they are stored and proven.

    Every file is in the durable queue before the first byte leaves. A file that was sent already and did not change is
    not sent again: its receipt is shown. One that failed earlier is tried again.

    \b
    Examples:
      haulier send session.mp4 --sidecar session.json
      haulier send *.mp4 --backend archive --json
      haulier send session.mp4 --also tape
    """
    with StopSignals() as signals, open_session(settings) as session:
        batch = Batch(session, signals, wait)
        with suppress(StopRequestedError):
            for file in files:
                batch.submit(file, sidecar, also)
            batch.upload()
        return batch.report()
