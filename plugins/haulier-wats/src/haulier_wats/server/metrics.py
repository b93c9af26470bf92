"""What a server has done since it started, in numbers."""

from __future__ import annotations

import threading
import time
from collections import Counter
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["Metrics"]


class Metrics:
    """Counters. For any thread.

    Args:
        monotonic: Seconds on a clock that never jumps.
    """

    def __init__(self, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._monotonic = monotonic
        self._started = monotonic()
        self._lock = threading.Lock()
        self._requests: Counter[tuple[str, str, int]] = Counter()
        self._totals: Counter[str] = Counter()

    def answered(self, route: str, method: str, status: int) -> None:
        """Count a request; ``route`` and ``method`` are of a fixed set, whatever clients send."""
        with self._lock:
            self._requests[route, method, status] += 1

    def add(self, name: str, amount: int = 1) -> None:
        """Count something else."""
        with self._lock:
            self._totals[name] += amount

    def total(self, name: str) -> int:
        """What :meth:`add` came to."""
        with self._lock:
            return self._totals[name]

    def uptime(self) -> float:
        """Seconds since the start."""
        return self._monotonic() - self._started

    def requests(self) -> list[dict[str, Any]]:
        """How many requests of each route and method were answered with each status."""
        with self._lock:
            counted = sorted(self._requests.items())
        return [
            {"route": route, "method": method, "status": status, "count": count}
            for (route, method, status), count in counted
        ]
