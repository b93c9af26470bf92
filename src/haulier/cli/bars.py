"""Progress bars. rich is imported with this module, so only where there is a terminal to show them."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TaskID, TextColumn, TransferSpeedColumn
from rich.text import Text

from haulier import events
from haulier.cli.progress import sentence
from haulier.cli.text import printable

if TYPE_CHECKING:
    from haulier.cli.output import Output

__all__ = ["Bars"]


class Bars:
    """A bar per running upload that shows what was acknowledged; what happened scrolls by above them.

    Args:
        output: Whether there is to be talk at all.
    """

    def __init__(self, output: Output) -> None:
        self._output = output
        self._bars: dict[str, TaskID] = {}
        self._progress = Progress(
            TextColumn("{task.fields[name]}", markup=False),
            BarColumn(),
            TextColumn("{task.fields[percent]:>3} %"),
            DownloadColumn(binary_units=True),
            TransferSpeedColumn(),
            console=Console(file=sys.stderr),
            transient=True,
        )
        self._progress.start()

    def show(self, event: events.Event) -> None:
        """Move a bar, or write a line above them."""
        if isinstance(event, events.UploadProgress):
            self._move(event)
            return
        bar = self._bars.pop(getattr(event, "task", ""), None)
        if bar is not None:
            self._progress.remove_task(bar)
        text = sentence(event)
        if text:
            self._progress.console.print(Text(printable(text)))

    def close(self) -> None:
        """Take the bars away."""
        self._progress.stop()

    def _move(self, event: events.UploadProgress) -> None:
        if event.task not in self._bars:
            name = printable(event.filename)
            self._bars[event.task] = self._progress.add_task("", total=event.total or None, name=name, percent=0)
        # The whole is shown when it is proven, and then the bar is gone.
        percent = min(99, event.acknowledged * 100 // event.total) if event.total else 0
        shown = min(event.acknowledged, event.total * 99 // 100)
        self._progress.update(self._bars[event.task], completed=shown, total=event.total or None, percent=percent)
