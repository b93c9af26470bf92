"""How threads wait for what happens in this process, so that they need not look all the time."""

from __future__ import annotations

import threading
from collections import Counter, defaultdict
from contextlib import contextmanager
from typing import TYPE_CHECKING

from haulier import events

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from haulier.threads import Condition

__all__ = ["Endings", "Lookouts", "Waker"]

_ENDINGS = (events.UploadCompleted, events.UploadFailed, events.UploadCancelled)


class Waker:
    """Lets threads wait until something happened or a time passed. Thread-safe.

    Args:
        condition: What they wait with.
    """

    def __init__(self, condition: Condition) -> None:
        self._changed = condition
        self._turn = 0

    def turn(self) -> int:
        """A mark to wait from: what happens after it is not missed."""
        with self._changed:
            return self._turn

    def wake(self) -> None:
        """Let everybody look again."""
        with self._changed:
            self._turn += 1
            self._changed.notify_all()

    def wait(self, since: int, timeout: float) -> None:
        """Return when something happened since the mark, or after ``timeout`` seconds."""
        with self._changed:
            if self._turn == since:
                self._changed.wait(timeout)


class Endings:
    """Lets threads wait for the end of tasks, and wakes them for that alone. Thread-safe.

    Args:
        condition: What they wait with.
    """

    def __init__(self, condition: Condition) -> None:
        self._waker = Waker(condition)
        self._awaited: Counter[str] = Counter()
        self._lock = threading.Lock()

    @contextmanager
    def of(self, task_id: str) -> Iterator[Waker]:
        """What is woken when this task ends; look at it after a mark was taken and before the wait."""
        with self._lock:
            self._awaited[task_id] += 1
        try:
            yield self._waker
        finally:
            with self._lock:
                self._awaited[task_id] -= 1
                if not self._awaited[task_id]:
                    del self._awaited[task_id]

    def tell(self, told: Iterable[events.Event]) -> None:
        """These things happened."""
        if self._awaited and any(event.task in self._awaited for event in told if isinstance(event, _ENDINGS)):
            self._waker.wake()


class Lookouts:
    """One idle worker of each backend looks out for what no event of this process tells of. Thread-safe."""

    def __init__(self) -> None:
        self._posts: defaultdict[str, threading.Lock] = defaultdict(threading.Lock)

    @contextmanager
    def post(self, backend: str) -> Iterator[bool]:
        """Take the post for as long as the block runs; whether it was free."""
        post = self._posts[backend]
        taken = post.acquire(blocking=False)
        try:
            yield taken
        finally:
            if taken:
                post.release()
