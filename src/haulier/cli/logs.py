"""What the library logs, on stderr in the program's own form."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from haulier.cli.output import Output

__all__ = ["show_logs"]

_ALSO_AN_EVENT = ("workers", "_conclude")  # what became of a task is shown as its event, or at the end


class _OutputHandler(logging.Handler):
    """Writes records as remarks and warnings; what plugins are reproached with is said once."""

    def __init__(self, output: Output) -> None:
        super().__init__()
        self.output = output
        self._said: set[str] = set()

    def emit(self, record: logging.LogRecord) -> None:
        if (record.module, record.funcName) == _ALSO_AN_EVENT and record.levelno >= logging.ERROR:
            return
        text = self.format(record)
        if record.name == "haulier.hooks":  # each of several loads in one run says the same
            if text in self._said:
                return
            self._said.add(text)
        if record.levelno >= logging.WARNING:
            self.output.warn(text)
        else:
            self.output.say(text)


def show_logs(output: Output) -> None:
    """Let warnings be seen, with ``-v`` more. A later call for the same output does nothing."""
    logger = logging.getLogger("haulier")
    for handler in [handler for handler in logger.handlers if isinstance(handler, _OutputHandler)]:
        if handler.output.settings is output.settings:
            return
        logger.removeHandler(handler)  # of an earlier run in the same process
    logger.addHandler(_OutputHandler(output))
    logger.propagate = False
    levels = (logging.WARNING, logging.INFO, logging.DEBUG)
    logger.setLevel(levels[min(output.settings.verbose, 2)])
