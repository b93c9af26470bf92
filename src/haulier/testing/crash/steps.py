"""Counts the steps of a process, and ends the process at one of them."""

from __future__ import annotations

import json
import os
import sys
import threading
from collections import Counter
from typing import TYPE_CHECKING, Any

from haulier.testing.steps import StepProxy

if TYPE_CHECKING:
    from collections.abc import Collection
    from pathlib import Path

__all__ = ["SIGKILL", "Steps"]

SIGKILL = 9  # by its number, for on Windows it has no name


class Steps:
    """What a process has passed, in order. Thread-safe; a callable for :class:`~haulier.testing.steps.StepProxy`.

    Args:
        record: Where the list is written, by :meth:`write` and right before the process is ended; a process that is not
            to be ended also writes which modules it imported.
        kill_at: Step at whose n-th passing the process ends itself with SIGKILL; None for never.
        ignored: Steps that are no steps here: what changes nothing, and is done as often as threads happen to idle.
    """

    def __init__(self, record: Path, kill_at: tuple[str, int] | None, ignored: Collection[str] = ()) -> None:
        self._record = record
        self._kill_at = kill_at
        self._ignored = {name for step in ignored for name in (step, f"{step}:done")}
        self._passed: list[str] = []
        self._counts: Counter[str] = Counter()
        self._lock = threading.Lock()

    def __call__(self, step: str) -> None:
        """Pass a step."""
        if step in self._ignored:
            return
        with self._lock:
            self._passed.append(step)
            self._counts[step] += 1
            if self._kill_at == (step, self._counts[step]):
                self._write("")
                os.kill(os.getpid(), SIGKILL)

    def wrap(self, name: str, port: Any) -> Any:
        """Stand before a port; one that is wrapped already stays as it is."""
        return port if isinstance(port, StepProxy) else StepProxy(port, name, self)

    def write(self, error: str = "") -> None:
        """Write down what was passed, and how the process failed if it did."""
        with self._lock:
            self._write(error)

    def _write(self, error: str) -> None:
        modules = [] if self._kill_at else list(sys.modules)
        told = {"passed": self._passed, "error": error, "modules": modules}
        self._record.write_text(json.dumps(told), "utf-8")
