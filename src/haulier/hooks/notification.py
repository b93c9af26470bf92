"""Tells listeners what happened, so that none of them can hold up an upload or another listener."""

from __future__ import annotations

import contextlib
import logging
import threading
from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING

from haulier.events import Event, UploadProgress
from haulier.hooks.spec import EVENT_HOOKS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from haulier.clock import Clock
    from haulier.hooks.loading import PluginHost

__all__ = ["EventQueue", "ListenerStats", "Notifier"]

log = logging.getLogger("haulier.hooks")

HANG_SECONDS = 60.0
MOST_WAITING = 1000


@dataclass(frozen=True, slots=True)
class ListenerStats:
    """How a listener does: delivered events, errors it raised, events it lost, whether it was cut off."""

    name: str
    delivered: int
    errors: int
    lost: int
    cut_off: bool


class EventQueue:
    """A bounded queue of events in which only the newest progress of a task waits. Thread-safe."""

    def __init__(self, maxsize: int = MOST_WAITING) -> None:
        self.lost = 0
        self._maxsize = maxsize
        self._waiting: deque[Event] = deque()
        self._changed = threading.Condition()
        self._closed = False

    def put(self, event: Event) -> None:
        """Add an event; never blocks. When full, progress is dropped first, then the oldest event."""
        with self._changed:
            if self._closed:
                return
            if isinstance(event, UploadProgress):
                self._drop_progress_of(event.task)
            if len(self._waiting) >= self._maxsize:
                self._make_room()
            self._waiting.append(event)
            self._changed.notify()

    def _drop_progress_of(self, task: str) -> None:
        """Only progress that no later event of its task follows: an older one would be told after it otherwise."""
        for index in range(len(self._waiting) - 1, -1, -1):
            waiting = self._waiting[index]
            if getattr(waiting, "task", None) == task:
                if isinstance(waiting, UploadProgress) and not waiting.restarted:
                    del self._waiting[index]
                return

    def _make_room(self) -> None:
        for index, waiting in enumerate(self._waiting):
            if isinstance(waiting, UploadProgress):
                del self._waiting[index]
                return
        self._waiting.popleft()
        self.lost += 1

    def get(self, timeout: float | None = None) -> Event | None:
        """The oldest event; None when there is none within ``timeout`` seconds or the queue was closed."""
        with self._changed:
            self._changed.wait_for(lambda: self._waiting or self._closed, timeout)
            return self._waiting.popleft() if self._waiting else None

    def drain(self) -> list[Event]:
        """Everything that waits, without waiting: for a host's own loop."""
        with self._changed:
            taken = list(self._waiting)
            self._waiting.clear()
            return taken

    def close(self, *, drop: bool = False) -> None:
        """Take no more; what waits may still be got unless ``drop``."""
        with self._changed:
            self._closed = True
            if drop:
                self._waiting.clear()
            self._changed.notify_all()

    @property
    def finished(self) -> bool:
        """Whether it is closed and empty."""
        with self._changed:
            return self._closed and not self._waiting


class _Listener:
    """One listener with its queue and its thread, which starts with its first event."""

    def __init__(self, name: str, call: Callable[[Event], object], kinds: frozenset[str], clock: Clock) -> None:
        self.name = name
        self.kinds = kinds
        self.events = EventQueue()
        self.delivered = 0
        self.errors = 0
        self.cut_off = False
        self._call = call
        self._clock = clock
        self._busy_since: float | None = None
        self._thread: threading.Thread | None = None
        self._starting = threading.Lock()

    def tell(self, event: Event) -> None:
        if self.cut_off or event.kind not in self.kinds:
            return
        since = self._busy_since
        if since is not None and self._clock.monotonic() - since > HANG_SECONDS:
            self.cut_off = True
            self.events.close(drop=True)
            log.warning("listener %s hangs and is told nothing more", self.name)
            return
        self.events.put(event)
        with self._starting:
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name=f"haulier-listener-{self.name}", daemon=True)
                self._thread.start()

    def _run(self) -> None:
        while not self.events.finished:
            event = self.events.get()
            if event is not None:
                self._deliver(event)

    def _deliver(self, event: Event) -> None:
        self._busy_since = self._clock.monotonic()
        try:
            self._call(event)
        except Exception:
            if not self.errors:
                log.exception("listener %s raised on %s; further errors are only counted", self.name, event.kind)
            self.errors += 1
        finally:
            self._busy_since = None
            self.delivered += 1

    def join(self, timeout: float) -> None:
        thread = self._thread
        if thread is not None and thread is not threading.current_thread():
            thread.join(timeout)

    def stats(self) -> ListenerStats:
        return ListenerStats(self.name, self.delivered, self.errors, self.events.lost, self.cut_off)


class Notifier:
    """Delivers events to plugins' event hooks, to subscribed callables and to pull queues. Thread-safe.

    Args:
        host: The plugins; None for none.
        clock: Monotonic time, to see that a listener hangs.
    """

    def __init__(self, host: PluginHost | None, *, clock: Clock) -> None:
        self._host = host
        self._clock = clock
        self._lock = threading.Lock()
        self._listeners: list[_Listener] = []
        self._queues: list[EventQueue] = []
        self._hooked: set[tuple[str, str]] = set()
        self.refresh()

    def refresh(self) -> None:
        """Take in event hooks of plugins that were registered since."""
        if self._host is None:
            return
        found: dict[str, dict[str, Callable[..., object]]] = {}
        for kind in EVENT_HOOKS:
            for plugin, implementation in self._host.implementations(kind):
                if (plugin, kind) not in self._hooked:
                    found.setdefault(plugin, {})[kind] = implementation
        with self._lock:
            for plugin, hooks in found.items():
                self._hooked |= {(plugin, kind) for kind in hooks}
                self._listeners.append(_Listener(plugin, _dispatch(hooks), frozenset(hooks), self._clock))

    def subscribe(self, listener: Callable[[Event], object], kinds: Iterable[str] | None = None) -> Callable[[], None]:
        """Tell ``listener`` on a thread of its own; the result ends that."""
        chosen = frozenset(EVENT_HOOKS if kinds is None else kinds)
        made = _Listener(getattr(listener, "__name__", "listener"), listener, chosen, self._clock)
        with self._lock:
            self._listeners.append(made)

        def undo() -> None:
            with self._lock, contextlib.suppress(ValueError):
                self._listeners.remove(made)
            made.events.close()

        return undo

    def queue(self, maxsize: int = MOST_WAITING) -> EventQueue:
        """A queue to pull from."""
        made = EventQueue(maxsize)
        with self._lock:
            self._queues.append(made)
        return made

    def publish(self, told: Sequence[Event]) -> None:
        """Hand events to everybody. Never raises, never blocks on a listener."""
        with self._lock:
            listeners, queues = list(self._listeners), list(self._queues)
        for event in told:
            for listener in listeners:
                listener.tell(event)
            for waiting in queues:
                waiting.put(event)

    def stats(self) -> list[ListenerStats]:
        """How each listener does."""
        with self._lock:
            return [listener.stats() for listener in self._listeners]

    def close(self, timeout: float) -> None:
        """Give listeners up to ``timeout`` seconds in all for what they were told; who hangs is left behind."""
        with self._lock:
            listeners, queues = list(self._listeners), list(self._queues)
        for waiting in (*(listener.events for listener in listeners), *queues):
            waiting.close()
        deadline = self._clock.monotonic() + timeout
        for listener in listeners:
            listener.join(max(0.0, deadline - self._clock.monotonic()))


def _dispatch(hooks: dict[str, Callable[..., object]]) -> Callable[[Event], object]:
    def call(event: Event) -> object:
        return hooks[event.kind](event=event)

    return call
