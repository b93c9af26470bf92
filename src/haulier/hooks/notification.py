"""Tells listeners what happened, so that none of them can hold up an upload or another listener."""

from __future__ import annotations

import difflib
import threading
from typing import TYPE_CHECKING

from haulier.errors import InputError
from haulier.hooks.event_queue import MOST_WAITING, EventQueue
from haulier.hooks.listener import Listener, ListenerStats
from haulier.hooks.spec import EVENT_HOOKS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from haulier.clock import Clock
    from haulier.events import Event
    from haulier.hooks.loading import PluginHost
    from haulier.hooks.records import Implementation

__all__ = ["EventQueue", "ListenerStats", "Notifier"]

HANG_SECONDS = 60.0


class Notifier:
    """Delivers events to plugins' event hooks, to subscribed callables and to pull queues. Thread-safe.

    All event hooks of one plugin are one listener. A plugin that is registered or refused later is noticed at the next
    event.

    Args:
        host: The plugins; None for none.
        clock: Monotonic time, to see that a listener hangs.
        hang_seconds: How long a listener may take for one event; looked at when events are published.

    Raises:
        PluginError: The plugins are strict, and one failed.
    """

    def __init__(self, host: PluginHost | None, *, clock: Clock, hang_seconds: float = HANG_SECONDS) -> None:
        self._host = host
        self._clock = clock
        self._hang_seconds = hang_seconds
        self._lock = threading.RLock()
        self._ended = threading.Condition()
        self._closed = False
        self._revision = -1
        self._plugins: dict[str, tuple[Mapping[str, Implementation], Listener]] = {}
        self._subscribed: list[Listener] = []
        self._queues: list[EventQueue] = []
        self.refresh()

    def refresh(self) -> None:
        """Follow the plugins that were registered or refused since.

        Raises:
            PluginError: The plugins are strict, and one failed.
        """
        if self._host is not None:
            self._host.load()
            with self._lock:
                self._follow(self._host)

    def _follow(self, host: PluginHost) -> None:
        """Takes no lock of the host: events are published while it may be importing something slow."""
        if host.revision == self._revision:
            return
        self._revision = host.revision
        found: dict[str, dict[str, Implementation]] = {}
        for kind in EVENT_HOOKS:
            for implementation in host.implementations(kind):
                found.setdefault(implementation.plugin, {})[kind] = implementation
        for plugin, (hooks, listener) in list(self._plugins.items()):
            if found.get(plugin) != hooks:
                listener.close(drop=True)
                del self._plugins[plugin]
        for plugin, hooks in found.items():
            if plugin not in self._plugins:
                self._plugins[plugin] = hooks, self._listener(plugin, _dispatch(hooks), frozenset(hooks))

    def _listener(self, name: str, call: Callable[[Event], object], kinds: frozenset[str]) -> Listener:
        listener = Listener(
            name, call, kinds, clock=self._clock, hang_seconds=self._hang_seconds, ended=self._note_ended
        )
        if self._closed:
            listener.close()
        return listener

    def _note_ended(self) -> None:
        with self._ended:
            self._ended.notify_all()

    def subscribe(self, listener: Callable[[Event], object], kinds: Iterable[str] | None = None) -> Callable[[], None]:
        """Tell ``listener`` on a thread of its own.

        Args:
            listener: Called with each event.
            kinds: Kinds of events it wants; all when None.

        Returns:
            What ends it: nothing is told after that but the event that is being told just then.

        Raises:
            InputError: There is no such kind.
        """
        chosen = frozenset(EVENT_HOOKS if kinds is None else kinds)
        for kind in sorted(chosen - set(EVENT_HOOKS)):
            near = difflib.get_close_matches(kind, EVENT_HOOKS, 1)
            advice = f"Did you mean {near[0]!r}?" if near else f"Choose from {', '.join(EVENT_HOOKS)}"
            raise InputError(f"there is no kind of event {kind!r}", advice=advice)
        name = getattr(listener, "__name__", None) or type(listener).__name__
        with self._lock:
            made = self._listener(name, listener, chosen)
            self._subscribed.append(made)

        def unsubscribe() -> None:
            made.close(drop=True)
            with self._lock:
                self._subscribed = [other for other in self._subscribed if other is not made]

        return unsubscribe

    def queue(self, maxsize: int = MOST_WAITING) -> EventQueue:
        """A queue to pull from; its :meth:`~EventQueue.close` ends it."""
        made = EventQueue(maxsize)
        with self._lock:
            if self._closed:
                made.close()
            self._queues.append(made)
        return made

    def publish(self, told: Sequence[Event]) -> None:
        """Hand events to everybody. Never raises, never blocks on a listener; may be called by one."""
        with self._lock:
            if self._closed:
                return
            if self._host is not None:
                self._follow(self._host)
            self._queues = [queue for queue in self._queues if not queue.closed]
            for listener in self._listeners():
                listener.check_hanging()
                for event in told:
                    listener.tell(event)
            for queue in self._queues:
                for event in told:
                    queue.put(event)

    def _listeners(self) -> list[Listener]:
        return [*(listener for _, listener in self._plugins.values()), *self._subscribed]

    def stats(self) -> list[ListenerStats]:
        """How each listener and queue does; of a queue, delivered is what was pulled."""
        with self._lock:
            listeners, queues = self._listeners(), list(self._queues)
        return [
            *(listener.stats() for listener in listeners),
            *(
                ListenerStats(queue.name, queue.taken, 0, queue.lost, False, queue.overflowed, queue.waiting)
                for queue in queues
            ),
        ]

    def close(self, timeout: float) -> None:
        """Take no more events, and give listeners time for those they were told.

        What is not delivered then is dropped; who hangs is left behind. A listener may call this itself: it is not
        waited for, and gets the rest of its events once it returns. What waits in pull queues stays there.

        Args:
            timeout: Seconds for all listeners together.
        """
        with self._lock:
            self._closed = True
            listeners, queues = self._listeners(), list(self._queues)
        for queue in queues:
            queue.close()
        for listener in listeners:
            listener.check_hanging()
            listener.close()
        with self._ended:
            self._ended.wait_for(lambda: not any(listener.pending for listener in listeners), timeout)
        for listener in listeners:
            if not listener.current:
                listener.close(drop=True)


def _dispatch(hooks: Mapping[str, Implementation]) -> Callable[[Event], object]:
    def call(event: Event) -> object:
        return hooks[event.kind](event=event)

    return call
