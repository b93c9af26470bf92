"""Ctrl-C and its relatives: once is a wish, twice is an order."""

from __future__ import annotations

import os
import signal
from typing import TYPE_CHECKING, Any, Self

from haulier.cli.exit_codes import ExitCode

if TYPE_CHECKING:
    from types import FrameType, TracebackType

__all__ = ["StopRequestedError", "StopSignals"]

_NAMES = ("SIGINT", "SIGTERM", "SIGBREAK")  # the last on Windows alone


class StopRequestedError(Exception):
    """Somebody asked the program to stop."""


class StopSignals:
    """While entered, a stop signal is remembered; the second one ends the process at once. Main thread only."""

    def __init__(self) -> None:
        self.received: int | None = None
        self._before: dict[int, Any] = {}

    @property
    def by_keyboard(self) -> bool:
        """Whether it was Ctrl-C."""
        return self.received == signal.SIGINT

    def check(self) -> None:
        """Raise :class:`StopRequestedError` when a signal came."""
        if self.received is not None:
            raise StopRequestedError

    def __enter__(self) -> Self:
        for number in (getattr(signal, name) for name in _NAMES if hasattr(signal, name)):
            self._before[number] = signal.signal(number, self._note)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def _note(self, number: int, frame: FrameType | None) -> None:
        del frame
        if self.received is not None:
            os._exit(ExitCode.INTERRUPTED)
        self.received = number
