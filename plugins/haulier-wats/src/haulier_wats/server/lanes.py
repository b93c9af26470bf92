"""What many requests want done at once is done together: one hop into a thread, one transaction, one sync."""

from __future__ import annotations

import asyncio
import threading
from contextlib import suppress
from queue import SimpleQueue
from typing import TYPE_CHECKING, Generic, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

__all__ = ["Lane", "LaneThread"]

MOST_AT_ONCE = 64
"""Jobs that are done together; those beyond them are done next."""

Job = TypeVar("Job")
Result = TypeVar("Result")


class LaneThread:
    """A thread that does what lanes give it, one after the other. It runs from the first job on.

    Args:
        name: Of the thread.
    """

    def __init__(self, name: str) -> None:
        self._queue: SimpleQueue[Callable[[], None] | None] = SimpleQueue()
        self._thread = threading.Thread(target=self._run, name=f"wats-{name}", daemon=True)
        self._lock = threading.Lock()
        self._is_closed = False

    def do(self, work: Callable[[], None]) -> None:
        """Have something done soon; once it is closed, at once and here."""
        with self._lock:
            if not self._is_closed:
                if self._thread.ident is None:
                    self._thread.start()
                self._queue.put(work)
                return
        work()

    def close(self) -> None:
        """Wait until all is done that it was given. May be called twice."""
        with self._lock:
            self._is_closed = True
        if self._thread.is_alive():
            self._queue.put(None)
            self._thread.join()

    def _run(self) -> None:
        while (work := self._queue.get()) is not None:
            work()


class Lane(Generic[Job, Result]):
    """Takes all the jobs that wait, has them done together, and takes those that came meanwhile.

    The more wait, the less each costs; a job that comes alone waits for nobody. Belongs to the event loop that uses it.

    Args:
        do_all: Does jobs in the lane's thread, one call at a time; a result or an error for each, in their order. What
            it raises is the error of all.
        thread: Where.
    """

    def __init__(self, do_all: Callable[[Sequence[Job]], Sequence[Result | Exception]], thread: LaneThread) -> None:
        self._do_all = do_all
        self._thread = thread
        self._waiting: list[tuple[Job, asyncio.Future[Result]]] = []
        self._busy = False

    async def do(self, job: Job) -> Result:
        """Have a job done. Who does not wait for it any more does not keep it from being done.

        Raises:
            Exception: What the job came to.
        """
        loop = asyncio.get_running_loop()
        done: asyncio.Future[Result] = loop.create_future()
        self._waiting.append((job, done))
        if not self._busy:
            self._busy = True
            loop.call_soon(self._begin, loop)  # behind what is about to add jobs of its own
        return await done

    def _begin(self, loop: asyncio.AbstractEventLoop) -> None:
        batch, self._waiting = self._waiting[:MOST_AT_ONCE], self._waiting[MOST_AT_ONCE:]
        self._thread.do(lambda: self._run(loop, batch))

    def _run(self, loop: asyncio.AbstractEventLoop, batch: Sequence[tuple[Job, asyncio.Future[Result]]]) -> None:
        results: Sequence[Result | BaseException]
        try:
            results = self._do_all([job for job, _ in batch])
        except BaseException as error:  # noqa: BLE001 - it is raised where the jobs came from
            results = [error] * len(batch)
        with suppress(RuntimeError):  # the loop is closed: nobody waits
            loop.call_soon_threadsafe(self._end, loop, [done for _, done in batch], results)

    def _end(
        self,
        loop: asyncio.AbstractEventLoop,
        batch: Sequence[asyncio.Future[Result]],
        results: Sequence[Result | BaseException],
    ) -> None:
        for done, result in zip(batch, results, strict=True):
            if done.done():
                continue
            if isinstance(result, BaseException):
                done.set_exception(result)
            else:
                done.set_result(result)
        self._busy = bool(self._waiting)
        if self._busy:
            self._begin(loop)
