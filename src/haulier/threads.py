"""Threads as a parameter: who runs, and how one waits for another. A simulation brings its own."""

from __future__ import annotations

import threading
from collections import deque
from typing import TYPE_CHECKING, Generic, Protocol, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import TracebackType

__all__ = ["Condition", "Ended", "Lock", "Mailbox", "Runner", "SystemThreads", "Threads"]

T = TypeVar("T")


class Ended(BaseException):
    """The process, or the one that a test plays, ends here: whatever catches everything else lets this one pass."""


class Lock(Protocol):
    """What :class:`threading.Lock` does in a ``with`` block."""

    def __enter__(self) -> bool: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None, /
    ) -> None: ...


class Condition(Lock, Protocol):
    """What is used of :class:`threading.Condition`."""

    def wait(self, timeout: float | None = None) -> bool:
        """Let go, wait to be told or for ``timeout`` seconds, take hold again; False when the time ran out."""

    def notify_all(self) -> None:
        """Tell everybody who waits."""


class Runner(Protocol):
    """A thread that was started."""

    def is_alive(self) -> bool:
        """Whether it has not come to its end."""

    def join(self, timeout: float | None = None) -> None:
        """Wait for its end, at most ``timeout`` seconds. Returns at once when a thread waits for itself."""


class Threads(Protocol):
    """Starts threads and makes what they wait with. Thread-safe.

    Whoever holds a plain :class:`threading.Lock` calls no port: only what is made here may be held during such a call.
    """

    def spawn(self, name: str, target: Callable[[], None]) -> Runner:
        """Start a daemon thread: it dies with the process and is never joined at exit."""

    def lock(self) -> Lock:
        """A lock that may be held while a port is called."""

    def condition(self) -> Condition:
        """A condition with a lock of its own."""


class SystemThreads:
    """The machine's own threads."""

    def spawn(self, name: str, target: Callable[[], None]) -> Runner:
        """Start a daemon thread."""
        thread = _Thread(target=target, name=name, daemon=True)
        thread.start()
        return thread

    def lock(self) -> Lock:
        """A plain lock."""
        return threading.Lock()

    def condition(self) -> Condition:
        """A plain condition."""
        return threading.Condition()


class _Thread(threading.Thread):
    def join(self, timeout: float | None = None) -> None:
        if self is not threading.current_thread():
            super().join(timeout)


class Mailbox(Generic[T]):
    """A queue without end between threads. Thread-safe.

    Args:
        condition: What its readers wait with.
    """

    def __init__(self, condition: Condition) -> None:
        self._changed = condition
        self._items: deque[T] = deque()

    def put(self, item: T) -> None:
        """Add an item."""
        with self._changed:
            self._items.append(item)
            self._changed.notify_all()

    def get(self) -> T:
        """Take the oldest item; waits for one."""
        with self._changed:
            while not self._items:
                self._changed.wait()
            return self._items.popleft()
