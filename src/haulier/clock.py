"""Time as a parameter: wall time for what is journalled, monotonic time for durations."""

from __future__ import annotations

import time
from typing import Protocol

__all__ = ["Clock", "SystemClock"]


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
