"""``haulier run``: the agent."""

from __future__ import annotations

from collections import Counter
from contextlib import suppress
from typing import TYPE_CHECKING

import click

from haulier import events
from haulier.cli.commands.send import wait_option
from haulier.cli.exit_codes import ExitCode
from haulier.cli.once import run_once
from haulier.cli.progress import choose_display
from haulier.cli.session import open_session
from haulier.cli.settings import CommonCommand, Settings
from haulier.cli.signals import StopRequestedError, StopSignals
from haulier.cli.uploading import Uploading
from haulier.errors import ConfigError, HaulierError, PluginError, error_from_code

if TYPE_CHECKING:
    from haulier.cli.session import Session

__all__ = ["run"]

_COUNTED = {"upload_completed": "completed", "upload_failed": "failed", "upload_cancelled": "cancelled"}
_HOUR = 3600.0


@click.command(cls=CommonCommand)
@click.option("--once", is_flag=True, help="Scan once, upload until nothing can move any more, and end.")
@wait_option
@click.pass_obj
def run(settings: Settings, once: bool, wait: float | None) -> ExitCode:
    r"""Watch folders and upload what is queued, until stopped by Ctrl-C or SIGTERM.

    What happens is told on stderr, one line each. Work in flight is kept and goes on at the next start.

    \b
    Examples:
      haulier run
      haulier run --once        for a timetable, e.g. cron
    """
    with StopSignals() as signals, open_session(settings, backend=settings.backend, watch=not once) as session:
        unusable = _unusable(session)
        uploading = Uploading(
            session, signals, choose_display(session.output, stamped=not once), patience=wait if once else None
        )
        if once:
            return run_once(session, uploading, signals, unusable)
        return _run(session, uploading, signals)


def _unusable(session: Session) -> dict[str, HaulierError]:
    """Tell which backends cannot be used; one that can is needed.

    Raises:
        ConfigError: Uploading is switched off, or there is no backend that can be used.
        PluginError: The only backend's plugin cannot be used.
    """
    config = session.manager.config
    if not config.upload.enabled:
        raise ConfigError("uploading is switched off", where="upload.enabled", advice="Set it to true")
    if not config.backends:
        session.backend()
    wrong: dict[str, HaulierError] = {}
    for name in config.backends:
        try:
            session.backend(name)
        except (ConfigError, PluginError) as error:
            wrong[name] = error
    if len(wrong) == len(config.backends):
        raise next(iter(wrong.values()))
    for trouble in wrong.values():
        session.output.error(trouble)
    return wrong


def _run(session: Session, uploading: Uploading, signals: StopSignals) -> ExitCode:
    done: Counter[str] = Counter()

    def count(event: events.Event) -> None:
        if event.kind in _COUNTED:
            done[_COUNTED[event.kind]] += 1
        if isinstance(event, events.UploadFailed) and not session.output.talks:
            error = event.error
            where = error.where or event.filename
            session.output.error(error_from_code(error.code, error.what, where=where, advice=error.advice))

    uploading.on_event(count)
    watched = session.manager.config.watch.paths if session.auto_upload else ()
    if watched and not session.manager.config.upload.backend:
        session.output.warn("watched folders are not taken in: several backends, and none chosen by upload.backend")
    for path in watched:
        session.output.say(f"watching {path}")
    session.output.say("uploading; Ctrl-C stops, and what is not done goes on next time")
    with suppress(StopRequestedError):
        uploading.start()
        while True:
            uploading.pause(_HOUR)
    uploading.finish()
    counts = session.manager.status().counts
    left = sum(count for state, count in counts.items() if not state.settled)
    document = {name: done[name] for name in _COUNTED.values()}
    text = ", ".join(f"{count} {name}" for name, count in document.items())
    session.output.result({**document, "left": left}, [f"{text}, {left} left queued"])
    if not signals.by_keyboard:
        return ExitCode.OK  # a service manager's way to stop it
    session.output.remark(f"interrupted; {left} tasks stay queued")
    return ExitCode.INTERRUPTED
