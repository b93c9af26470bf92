"""One writer at a time for each upload resource; a newer request ends the older."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager, contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

__all__ = ["OverdueError", "Turn", "Turns"]


class OverdueError(Exception):
    """The time of an upload session is up, which can only end while nobody works on it: leave its turn, look again."""


class Turn:
    """The right of one request to work on one resource.

    Attributes:
        superseded: Whether a newer request waits for the resource.
        stopped: Whether the server stops and waits for no client any more.
    """

    def __init__(self) -> None:
        self.superseded = False
        self.stopped = False
        self.finished = asyncio.Event()
        self._limit: asyncio.Timeout | None = None

    def supersede(self) -> None:
        """Tell the holder to come to an end, now if it is waiting for its client."""
        self.superseded = True
        self._cut_short()

    def stop(self) -> None:
        """Tell the holder that the server stops."""
        self.stopped = True
        self._cut_short()

    def _cut_short(self) -> None:
        if self._limit is not None and not self._limit.expired():
            self._limit.reschedule(0)

    @asynccontextmanager
    async def waiting(self, seconds: float) -> AsyncIterator[None]:
        """Bound a wait for the client by time, :meth:`supersede` and :meth:`stop`.

        Raises:
            TimeoutError: It took longer, or the turn was superseded or stopped.
        """
        async with asyncio.timeout(0 if self.superseded or self.stopped else seconds) as limit:
            self._limit = limit
            try:
                yield
            finally:
                self._limit = None


class Turns:
    """Who works on what. Belongs to the event loop's thread; :meth:`busy` may be asked from any."""

    def __init__(self) -> None:
        self._lines: dict[tuple[str, str], list[Turn]] = {}
        self._held: set[Turn] = set()
        self._stopped = False

    def stop(self) -> None:
        """End all waits for clients, those to come as well."""
        self._stopped = True
        for turn in self._held:
            turn.stop()

    def busy(self, session: str) -> bool:
        """Whether anything of a session is being worked on."""
        return any(key[0] == session for key in tuple(self._lines))

    @contextmanager
    def free(self) -> Iterator[Turn]:
        """A turn on nothing in particular, which only :meth:`stop` ends."""
        turn = Turn()
        turn.stopped = self._stopped
        self._held.add(turn)
        try:
            yield turn
        finally:
            self._held.remove(turn)

    @asynccontextmanager
    async def take(self, session: str, resource: str) -> AsyncIterator[Turn]:
        """End those who came earlier, wait until they have, and go first."""
        key = (session, resource)
        line = self._lines.setdefault(key, [])
        for earlier in line:
            earlier.supersede()
        with self.free() as turn:
            line.append(turn)
            try:
                while line[0] is not turn:
                    await line[0].finished.wait()
                yield turn
            finally:
                line.remove(turn)
                turn.finished.set()
                if not line:
                    del self._lines[key]
