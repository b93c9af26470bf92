"""Threads of which one runs at a time, chosen by a seed, in a time that passes only while nobody can run.

Code under simulation gets its threads, locks and waits from :class:`SimThreads`; its ports report each step to
:meth:`Scheduler.step`. Between two steps a thread runs alone, so a seed fixes everything that happens.
"""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

from haulier.threads import Ended

if TYPE_CHECKING:
    from collections.abc import Callable
    from random import Random
    from types import TracebackType

__all__ = ["Killed", "Scheduler", "SimThread", "SimThreads", "StuckError"]


class Killed(Ended):
    """The simulated process is no more: raised at whatever step its threads stand, and at each one after it."""


class StuckError(AssertionError):
    """Threads wait for each other, or one never comes to a step."""


class SimThread:
    """A thread that runs only when it is told to.

    Attributes:
        process: Name of the simulated process it belongs to.
        killed: Whether its process was ended.
    """

    PATIENCE = 60.0  # real seconds until a thread that reaches no step counts as stuck

    def __init__(self, scheduler: Scheduler, process: str, name: str, target: Callable[[], None]) -> None:
        self.process = process
        self.name = name
        self.killed = False
        self.done = False
        self.error: BaseException | None = None
        self.ready_when: Callable[[], bool] | None = None
        self.deadline: float | None = None
        self._scheduler = scheduler
        self._target = target
        self._go = threading.Semaphore(0)
        self._back = threading.Semaphore(0)
        self._thread = threading.Thread(target=self._run, name=f"sim-{process}-{name}", daemon=True)
        self._thread.start()

    def is_alive(self) -> bool:
        """Whether it has not come to its end."""
        return not self.done

    def join(self, timeout: float | None = None) -> None:
        """Wait for its end, in virtual time."""
        if self._scheduler.me() is not self:
            self._scheduler.wait(lambda: self.done, timeout)

    def can_run(self, now: float) -> bool:
        """Whether there is something for it to do."""
        if self.done:
            return False
        if self.killed or self.ready_when is None or self.ready_when():
            return True
        return self.deadline is not None and now >= self.deadline

    def resume(self) -> None:
        """Let it run until its next step. Called by the one who schedules."""
        self._go.release()
        if not self._back.acquire(timeout=self.PATIENCE):
            raise StuckError(f"{self.process}/{self.name} came to no step in {self.PATIENCE} s")

    def pause(self) -> None:
        """Stand here until resumed. Called by the thread itself."""
        self._back.release()
        self._go.acquire()
        if self.killed:
            raise Killed

    def _run(self) -> None:
        self._go.acquire()
        try:
            if not self.killed:
                self._scheduler.enter(self)
                self._target()
        except Killed:
            pass
        except BaseException as error:  # noqa: BLE001  reported by whoever checks the run
            self.error = error
        self.done = True
        self._back.release()


class Scheduler:
    """Picks who runs next.

    Args:
        chance: Decides; the same sequence gives the same run.

    Attributes:
        time: Virtual seconds since the start; the base of every simulated clock.
        steps: Steps so far.
        trace: The latest steps, each ``process/thread step``.
    """

    TRACE = 400

    def __init__(self, chance: Random) -> None:
        self.chance = chance
        self.time = 0.0
        self.steps = 0
        self.trace: list[str] = []
        self._threads: list[SimThread] = []
        self._local = threading.local()

    # -- called by simulated threads ---------------------------------------------------------------------------

    def enter(self, thread: SimThread) -> None:
        """A thread says who it is."""
        self._local.me = thread

    def me(self) -> SimThread | None:
        """The simulated thread that calls, None for the one who schedules."""
        found: SimThread | None = getattr(self._local, "me", None)
        return found

    def step(self, name: str) -> None:
        """A named step: others may run here, and the process may end here."""
        me = self.me()
        if me is None:
            return
        if me.killed:
            raise Killed
        self.note(f"{me.process}/{me.name} {name}")
        me.ready_when = None
        me.pause()

    def wait(self, ready: Callable[[], bool], seconds: float | None = None) -> bool:
        """Wait until ``ready``, or for virtual ``seconds``; whether it is."""
        me = self.me()
        if me is None:
            return ready()
        if me.killed:
            raise Killed
        me.ready_when, me.deadline = ready, None if seconds is None else self.time + seconds
        me.pause()
        me.ready_when = me.deadline = None
        return ready()

    def sleep(self, seconds: float) -> None:
        """Let virtual time pass for the calling thread."""
        self.wait(lambda: False, seconds)

    def note(self, line: str) -> None:
        """Count a step and remember it."""
        self.steps += 1
        self.trace.append(line)
        if len(self.trace) > 2 * self.TRACE:
            del self.trace[: self.TRACE]

    # -- called by the one who schedules -----------------------------------------------------------------------

    def spawn(self, process: str, name: str, target: Callable[[], None]) -> SimThread:
        """Add a thread; it runs when chosen. Simulated threads may call this too."""
        thread = SimThread(self, process, name, target)
        self._threads.append(thread)
        return thread

    def run_one(self, until: float) -> bool:
        """Let one thread go one step, or time pass to when one can; False when nothing happens before ``until``."""
        self._threads = [thread for thread in self._threads if not thread.done]
        ready = [thread for thread in self._threads if thread.can_run(self.time)]
        if not ready:
            deadlines = [thread.deadline for thread in self._threads if thread.deadline is not None]
            if not deadlines or min(deadlines) > until:
                self.time = max(self.time, until)
                return False
            self.time = max(self.time, min(deadlines))
            return True
        thread = self.chance.choice(ready)
        thread.resume()
        if thread.error is not None:
            raise thread.error
        return True

    def kill(self, process: str) -> None:
        """End all threads of a process where they stand. What they do while they end has no effect on any port."""
        victims = [thread for thread in self._threads if thread.process == process and not thread.done]
        for thread in victims:
            thread.killed = True
        for thread in victims:
            while not thread.done:
                thread.resume()


class _SimLock:
    """Held across steps; who wants it meanwhile is not chosen to run."""

    def __init__(self, scheduler: Scheduler) -> None:
        self._scheduler = scheduler
        self._holder: SimThread | None = None

    def __enter__(self) -> bool:
        me = self._scheduler.me()
        if me is None or me.killed:
            return True
        if not self._is_free():
            self._scheduler.wait(self._is_free)
        self._holder = me
        return True

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._holder is self._scheduler.me():
            self._holder = None

    def _is_free(self) -> bool:
        return self._holder is None or self._holder.done


class _SimCondition(_SimLock):
    def __init__(self, scheduler: Scheduler) -> None:
        super().__init__(scheduler)
        self._turn = 0

    def wait(self, timeout: float | None = None) -> bool:
        me, turn = self._scheduler.me(), self._turn
        if me is not None:
            self._holder = None
            told = self._scheduler.wait(lambda: self._turn != turn, timeout)
            self.__enter__()
            return told
        raise StuckError("the one who schedules cannot wait")

    def notify_all(self) -> None:
        self._turn += 1


class SimThreads:
    """A :class:`haulier.threads.Threads` for one simulated process.

    Args:
        scheduler: Who runs when.
        process: Name of the process.
    """

    def __init__(self, scheduler: Scheduler, process: str) -> None:
        self._scheduler = scheduler
        self._process = process

    def spawn(self, name: str, target: Callable[[], None]) -> SimThread:
        """Start a thread that dies with the simulated process."""
        return self._scheduler.spawn(self._process, name.removeprefix("haulier-"), target)

    def lock(self) -> _SimLock:
        """A lock."""
        return _SimLock(self._scheduler)

    def condition(self) -> _SimCondition:
        """A condition."""
        return _SimCondition(self._scheduler)
