"""One listener: its queue, its thread, and what it is known for."""

from __future__ import annotations

import logging
import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING

from haulier.hooks.event_queue import EventQueue
from haulier.hooks.records import described

if TYPE_CHECKING:
    from collections.abc import Callable

    from haulier.clock import Clock
    from haulier.events import Event

__all__ = ["Listener", "ListenerStats"]

log = logging.getLogger("haulier.hooks")


@dataclass(frozen=True, slots=True)
class ListenerStats:
    """How a listener does.

    Attributes:
        name: Plugin, function or queue.
        delivered: Events that it took without raising.
        errors: Events on which it raised.
        lost: Events other than progress that it was never told; the journal has them.
        cut_off: Whether it hung and is told nothing more.
        overflowed: Whether its queue was ever full.
        waiting: Events in its queue.
        last_error: What it raised last.
    """

    name: str
    delivered: int
    errors: int
    lost: int
    cut_off: bool
    overflowed: bool = False
    waiting: int = 0
    last_error: str | None = None


class Listener:
    """Calls a function with events, in order, on a daemon thread that starts with the first of them. Thread-safe.

    Args:
        name: For logs and statistics.
        call: The function; it may raise, be slow, or never return.
        kinds: Kinds of events that it wants.
        clock: Monotonic time, to see that it hangs.
        hang_seconds: How long one call may take.
        ended: Called on its thread when the last event is delivered.
    """

    def __init__(
        self,
        name: str,
        call: Callable[[Event], object],
        kinds: frozenset[str],
        *,
        clock: Clock,
        hang_seconds: float,
        ended: Callable[[], None],
    ) -> None:
        self.name = name
        self.cut_off = False
        self._call = call
        self._kinds = kinds
        self._clock = clock
        self._hang_seconds = hang_seconds
        self._ended = ended
        self._events = EventQueue(name=name)
        self._starting = threading.Lock()
        self._thread: threading.Thread | None = None
        self._busy_since: float | None = None
        self._finished = False
        self._delivered = 0
        self._errors = 0
        self._last_error: str | None = None
        self._logged: set[str] = set()

    def tell(self, event: Event) -> None:
        """Queue an event if it is wanted. Never raises, never blocks."""
        if event.kind not in self._kinds or self._events.closed:
            return
        overflowed = self._events.overflowed
        self._events.put(event)
        if self._events.overflowed and not overflowed:
            log.warning("listener %s is too slow: events are dropped, progress first", self.name)
        self._start()

    def _start(self) -> None:
        with self._starting:
            if self._thread is not None:
                return
            thread = threading.Thread(target=self._run, name=f"haulier-listener-{self.name}", daemon=True)
            try:
                thread.start()
            except RuntimeError as error:  # no more threads, or the interpreter is ending: the next event tries again
                log.warning("listener %s could not be started: %s", self.name, described(error))
            else:
                self._thread = thread

    def _run(self) -> None:
        while (event := self._events.get()) is not None:
            self._deliver(event)
        self._finished = True
        self._ended()

    def _deliver(self, event: Event) -> None:
        self._busy_since = self._clock.monotonic()
        try:
            self._call(event)
        except BaseException as error:  # SystemExit would end the thread without a word
            self._errors += 1
            self._last_error = described(error)
            if event.kind not in self._logged:
                self._logged.add(event.kind)
                log.warning(
                    "listener %s raised on %s; more of the same are only counted",
                    self.name,
                    event.kind,
                    exc_info=error,
                )
        else:
            self._delivered += 1
        finally:
            self._busy_since = None

    def check_hanging(self) -> None:
        """Cut it off when its call takes too long; its thread ends should the call ever return."""
        since = self._busy_since
        if since is None or self.cut_off or self._clock.monotonic() - since <= self._hang_seconds:
            return
        self.cut_off = True
        self._events.close(drop=True)
        log.warning("listener %s hangs for over %g s and is told nothing more", self.name, self._hang_seconds)

    def close(self, *, drop: bool = False) -> None:
        """Tell it no more than what waits, or with ``drop`` nothing at all."""
        self._events.close(drop=drop)

    @property
    def pending(self) -> bool:
        """Whether events are still to be delivered that another thread may wait for."""
        thread = self._thread
        return not (self._finished or self.cut_off or thread is None or thread is threading.current_thread())

    @property
    def current(self) -> bool:
        """Whether this is its own thread."""
        return self._thread is threading.current_thread()

    def stats(self) -> ListenerStats:
        """How it does."""
        return ListenerStats(
            self.name,
            self._delivered,
            self._errors,
            self._events.lost,
            self.cut_off,
            self._events.overflowed,
            self._events.waiting,
            self._last_error,
        )
