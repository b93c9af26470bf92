"""A clock that a test moves."""

from __future__ import annotations

import threading

__all__ = ["FakeClock"]


class FakeClock:
    """Wall and monotonic time that stand still until moved. Thread-safe.

    Args:
        now: Wall time at the start, seconds since the epoch.
    """

    def __init__(self, now: float = 1_800_000_000.0) -> None:
        self._now = now
        self._monotonic = 1000.0
        self._lock = threading.Lock()

    def now(self) -> float:
        """Wall time, seconds since the epoch."""
        with self._lock:
            return self._now

    def monotonic(self) -> float:
        """Seconds that only grow."""
        with self._lock:
            return self._monotonic

    def advance(self, seconds: float) -> None:
        """Let time pass."""
        with self._lock:
            self._now += seconds
            self._monotonic += seconds

    def jump(self, seconds: float) -> None:
        """Set the wall clock, forward or back; the monotonic clock goes on unmoved."""
        with self._lock:
            self._now += seconds
