"""Time as a parameter: wall time for what is journalled, monotonic time for durations."""

from __future__ import annotations

import time
from typing import Protocol

__all__ = ["Clock", "SystemClock", "seconds_text"]

_MINUTE, _HOUR, _DAY = 60, 3600, 86_400


class Clock(Protocol):
    """Where time comes from. Thread-safe."""

    def now(self) -> float:
        """Wall time, seconds since the epoch. May jump both ways."""

    def monotonic(self) -> float:
        """Seconds that only grow; for durations within this process."""


class SystemClock:
    """The machine's own clocks."""

    def now(self) -> float:
        """Wall time, seconds since the epoch."""
        return time.time()

    def monotonic(self) -> float:
        """Seconds that only grow."""
        return time.monotonic()


def seconds_text(seconds: float) -> str:
    """A duration in its largest sensible unit: ``4 s``, ``5 min``, ``3 h``, ``2 days``."""
    if seconds < 2 * _MINUTE:
        return f"{max(0.0, seconds):.0f} s"
    if seconds < 2 * _HOUR:
        return f"{seconds / _MINUTE:.0f} min"
    if seconds < 2 * _DAY:
        return f"{seconds / _HOUR:.0f} h"
    return f"{seconds / _DAY:.0f} days"
