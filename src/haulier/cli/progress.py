"""What people see while uploads run: plain lines, or bars on a terminal."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING, Protocol

from haulier import events
from haulier.cli.text import rate_text, size_text, time_text
from haulier.clock import seconds_text

if TYPE_CHECKING:
    from collections.abc import Mapping

    from haulier.cli.output import Output
    from haulier.models import ErrorRecord

__all__ = ["Display", "Lines", "Silence", "choose_display", "sentence"]

_STEP = 10  # percent between two lines of progress


class Display(Protocol):
    """Shows events. Used by one thread."""

    def show(self, event: events.Event) -> None:
        """Show one event."""

    def close(self) -> None:
        """Leave the terminal as it was."""


def choose_display(output: Output, *, stamped: bool = False, environ: Mapping[str, str] | None = None) -> Display:
    """Bars on a terminal that can show them, else lines; nothing when quiet.

    Args:
        output: Where it goes.
        stamped: Whether lines begin with the time.
        environ: For ``NO_COLOR`` and ``TERM``.
    """
    environ = os.environ if environ is None else environ
    if not output.talks:
        return Silence()
    if sys.stderr.isatty() and not environ.get("NO_COLOR") and environ.get("TERM") != "dumb":
        from haulier.cli.bars import Bars

        return Bars(output)
    return Lines(output, stamped=stamped)


class Silence:
    """Shows nothing."""

    def show(self, event: events.Event) -> None:
        """Show nothing."""

    def close(self) -> None:
        """Do nothing."""


class Lines:
    """One line per event, and per task at most one for every ten percent acknowledged.

    Args:
        output: Where lines go.
        stamped: Whether they begin with the time.
    """

    def __init__(self, output: Output, *, stamped: bool = False) -> None:
        self._output = output
        self._stamped = stamped
        self._first: dict[str, events.UploadProgress] = {}
        self._shown: dict[str, int] = {}

    def show(self, event: events.Event) -> None:
        """Write the event's line, if it is worth one."""
        if isinstance(event, events.UploadProgress):
            text = self._progress(event)
        else:
            text = sentence(event)
            self._forget(getattr(event, "task", ""))
        if text:
            self._output.say(f"{time_text(event.at)}  {text}" if self._stamped else text)

    def close(self) -> None:
        """Forget everything."""
        self._first.clear()
        self._shown.clear()

    def _forget(self, task: str) -> None:
        self._first.pop(task, None)
        self._shown.pop(task, None)

    def _progress(self, event: events.UploadProgress) -> str:
        if event.restarted:
            self._first[event.task] = event
            self._shown[event.task] = 0
            return f"{event.filename}: starts over"
        first = self._first.setdefault(event.task, event)
        percent = event.acknowledged * 100 // event.total if event.total else 0
        step = percent // _STEP
        if step <= self._shown.get(event.task, 0) or event.acknowledged >= event.total:
            return ""
        self._shown[event.task] = step
        rate = rate_text(event.acknowledged - first.acknowledged, event.at - first.at)
        done = f"{size_text(event.acknowledged)} of {size_text(event.total)}"
        return f"{event.filename}: {percent} % ({done}{', ' + rate if rate else ''})"


def sentence(event: events.Event) -> str:
    """An event in words, one line; empty for progress."""
    match event:
        case events.UploadQueued():
            return f"{event.filename}: queued as {event.task}"
        case events.UploadStarted():
            return f"{event.filename}: started{f', try {event.attempt}' if event.attempt > 1 else ''}"
        case events.UploadRetrying():
            wait = seconds_text(event.next_at - event.at)
            return f"{event.filename}: tried again in {wait}: {_reason(event.error)}"
        case events.UploadCompleted():
            return f"{event.filename}: completed, {size_text(event.size)}, proof {event.proof}, {event.location}"
        case events.UploadFailed():
            return f"{event.filename}: failed: {_reason(event.error)}"
        case events.UploadCancelled():
            return f"{event.filename}: cancelled"
        case events.BackendSuspended():
            wait = seconds_text(event.probe_at - event.at)
            return f"backend {event.backend}: {event.reason}, asked again in {wait}: {_reason(event.error)}"
        case events.BackendResumed():
            return f"backend {event.backend}: is back"
        case _:
            return ""


def _reason(error: ErrorRecord) -> str:
    return f"{error.what} ({error.where})" if error.where else error.what
