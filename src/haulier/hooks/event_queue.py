"""A bounded queue of events in which only the newest progress of a task waits."""

from __future__ import annotations

import threading
from collections import OrderedDict
from dataclasses import replace
from typing import TYPE_CHECKING

from haulier.events import UploadProgress

if TYPE_CHECKING:
    from haulier.events import Event

__all__ = ["MOST_WAITING", "EventQueue"]

MOST_WAITING = 1000
GLANCE_SECONDS = 0.5


class EventQueue:
    """Events in order per task. Thread-safe.

    Progress is coalesced: newer progress takes the place of the older, unless a later event of the same task waits
    behind that. When the queue is full, progress is dropped first, then the oldest events; those are counted in
    :attr:`lost` and can be read again from the journal.

    Args:
        maxsize: Most events that wait.
        name: What it is called in statistics.
    """

    def __init__(self, maxsize: int = MOST_WAITING, *, name: str = "queue") -> None:
        if maxsize < 1:
            raise ValueError(f"maxsize is {maxsize}: a queue must hold at least one event")
        self.name = name
        self._maxsize = maxsize
        self._changed = threading.Condition()
        self._closed = False
        self._overflowed = False
        self._lost = 0
        self._taken = 0
        self._next_ticket = 0
        self._waiting: OrderedDict[int, Event] = OrderedDict()
        self._progress: OrderedDict[int, UploadProgress] = OrderedDict()  # those of them that may be dropped
        self._newest: dict[str, int] = {}  # ticket of the task's progress that no other event of it waits behind
        self._went_back: set[str] = set()  # tasks whose start-over was dropped and has not been told

    @property
    def lost(self) -> int:
        """How many events other than progress were dropped."""
        return self._lost

    @property
    def overflowed(self) -> bool:
        """Whether it was ever full when such an event came."""
        return self._overflowed

    @property
    def taken(self) -> int:
        """How many events were handed out."""
        return self._taken

    @property
    def waiting(self) -> int:
        """How many events wait now."""
        return len(self._waiting)

    @property
    def closed(self) -> bool:
        """Whether it takes no more."""
        return self._closed

    def put(self, event: Event) -> None:
        """Add an event; never blocks. Nothing happens once the queue is closed."""
        with self._changed:
            if self._closed:
                return
            if isinstance(event, UploadProgress):
                self._put_progress(event)
            else:
                self._newest.pop(getattr(event, "task", ""), None)
                self._make_room()
                self._append(event)
            self._changed.notify()

    def _put_progress(self, event: UploadProgress) -> None:
        # Counts go down only where ``restarted`` says so: it must outlive the event that carried it.
        older = self._newest.get(event.task)
        if (older is not None and self._progress[older].restarted) or event.task in self._went_back:
            self._went_back.discard(event.task)
            event = replace(event, restarted=True)
        if older is not None:
            self._waiting[older] = self._progress[older] = event
        elif len(self._waiting) < self._maxsize or self._drop_progress():
            ticket = self._append(event)
            self._progress[ticket] = event
            self._newest[event.task] = ticket
        elif event.restarted:
            self._went_back.add(event.task)

    def _append(self, event: Event) -> int:
        ticket = self._next_ticket
        self._next_ticket += 1
        self._waiting[ticket] = event
        return ticket

    def _make_room(self) -> None:
        if len(self._waiting) < self._maxsize:
            return
        self._overflowed = True
        if not self._drop_progress():
            self._waiting.popitem(last=False)
            self._lost += 1

    def _drop_progress(self) -> bool:
        """Drop the oldest progress; False when none waits."""
        if not self._progress:
            return False
        ticket = next(iter(self._progress))
        dropped = self._progress[ticket]
        self._remove(ticket)
        if dropped.restarted:
            self._went_back.add(dropped.task)
        return True

    def _remove(self, ticket: int) -> Event:
        event = self._waiting.pop(ticket)
        progress = self._progress.pop(ticket, None)
        if progress is not None and self._newest.get(progress.task) == ticket:
            del self._newest[progress.task]
        return event

    def get(self, timeout: float | None = None) -> Event | None:
        """The oldest event; None when none came within ``timeout`` seconds, or the queue is closed and empty."""
        with self._changed:
            if timeout is not None:
                self._changed.wait_for(self._ready, timeout)
            elif threading.current_thread() is threading.main_thread():
                # On Windows an untimed wait is deaf to Ctrl-C, which only the main thread hears.
                while not self._changed.wait_for(self._ready, GLANCE_SECONDS):
                    pass
            else:
                self._changed.wait_for(self._ready)
            if not self._waiting:
                return None
            self._taken += 1
            return self._remove(next(iter(self._waiting)))

    def _ready(self) -> bool:
        return bool(self._waiting) or self._closed

    def drain(self) -> list[Event]:
        """Everything that waits, without waiting: for a host's own loop (Tk: ``after``)."""
        with self._changed:
            drained = list(self._waiting.values())
            self._taken += len(drained)
            self._clear()
            return drained

    def close(self, *, drop: bool = False) -> None:
        """Take no more. What waits may still be got; with ``drop`` it is gone, and counted as lost.

        A host that stops pulling closes its queue: nobody else can know.
        """
        with self._changed:
            self._closed = True
            if drop:
                self._lost += len(self._waiting) - len(self._progress)
                self._clear()
            self._changed.notify_all()

    def _clear(self) -> None:
        self._waiting.clear()
        self._progress.clear()
        self._newest.clear()
