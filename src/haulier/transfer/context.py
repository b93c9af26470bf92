"""What a running upload obeys: time limits, and a word from outside to stop."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

from haulier.errors import CancelledError

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["RunContext"]


class RunContext:
    """A :class:`haulier.backends.api.Context`. Thread-safe.

    Args:
        silence: Seconds without a byte in either direction.
        commit_timeout: Seconds a commit may take in all.
    """

    def __init__(self, *, silence: float = 60.0, commit_timeout: float = 600.0) -> None:
        self.silence = silence
        self.commit_timeout = commit_timeout
        self._reason = ""
        self._lock = threading.Lock()
        self._callbacks: dict[int, Callable[[], None]] = {}
        self._next = 0

    @property
    def reason(self) -> str:
        """Why it was told to stop: ``cancel``, ``pause``, ``stop``; empty while it was not."""
        return self._reason

    def stop(self, reason: str) -> None:
        """Tell it to stop. The first reason stays, but ``cancel`` overrides the others."""
        with self._lock:
            if not self._reason or reason == "cancel":
                self._reason = reason
            callbacks = list(self._callbacks.values())
            self._callbacks.clear()
        for callback in callbacks:
            callback()

    def cancelled(self) -> bool:
        """Whether it was told to stop."""
        return bool(self._reason)

    def check_cancelled(self) -> None:
        """Raise :class:`~haulier.errors.CancelledError` when it was."""
        if self._reason:
            raise CancelledError(f"told to stop ({self._reason})")

    def on_cancel(self, callback: Callable[[], None]) -> Callable[[], None]:
        """Call ``callback`` when told to stop, at once if that was before; the result undoes it."""
        with self._lock:
            number = self._next
            self._next += 1
            late = bool(self._reason)
            if not late:
                self._callbacks[number] = callback
        if late:
            callback()

        def undo() -> None:
            with self._lock:
                self._callbacks.pop(number, None)

        return undo
