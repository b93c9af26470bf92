"""A lock that says so when its own thread would wait for itself."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from types import TracebackType

__all__ = ["Turn"]


class Turn:
    """One thread's turn at something. Thread-safe; used with ``with``.

    Args:
        hint: What the caller should have done instead of coming back while it is inside.

    Raises:
        RuntimeError: The thread is inside already and would wait for ever.
    """

    def __init__(self, hint: str) -> None:
        self._hint = hint
        self._lock = threading.Lock()
        self._inside: int | None = None

    def refuse_return(self) -> None:
        """Raise when the calling thread is inside."""
        if self._inside == threading.get_ident():
            raise RuntimeError(self._hint)

    def __enter__(self) -> None:
        self.refuse_return()
        self._lock.acquire()
        self._inside = threading.get_ident()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._inside = None
        self._lock.release()
