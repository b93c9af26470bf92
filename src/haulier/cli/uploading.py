"""Uploading some tasks while somebody watches: what ``send``, ``scan`` and ``run --once`` share."""

from __future__ import annotations

from collections import deque
from functools import partial
from itertools import islice
from typing import TYPE_CHECKING

from haulier.cli.standing import Stand, stand_of, wait_until_still
from haulier.clock import SystemClock
from haulier.models import Disposal, TaskState
from haulier.service.task_list import TaskList

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Container, Iterable, Iterator, Sequence

    from haulier.cli.progress import Display
    from haulier.cli.session import Session
    from haulier.cli.signals import StopSignals
    from haulier.events import Event
    from haulier.journal.api import ClaimRow, Transaction
    from haulier.models import Receipt, Task

__all__ = ["Uploading", "states_of", "tasks_of", "uploads_of"]

PAGE = 200  # tasks that are read at once

DISPOSAL_SECONDS = 8.0  # sources are let go of every five seconds
GLANCE_SECONDS = 0.5  # between two looks for a stop signal; stopping as a whole may take two seconds


def tasks_of(session: Session, task_ids: Collection[str]) -> TaskList:
    """Tasks in the order of their ids, each read when it is looked at: they may be very many."""
    return TaskList(task_ids, session.manager.snapshots)


def states_of(session: Session, task_ids: Iterable[str]) -> Iterator[tuple[str, TaskState]]:
    """Ids of tasks with their states, in their order; cheaper than the whole of each."""

    def query(ids: Sequence[str], tx: Transaction) -> list[ClaimRow | None]:
        return [tx.claim_of(task_id) for task_id in ids]

    for ids in _pages(task_ids):
        claims = session.manager.service.journal.read(partial(query, ids))
        yield from ((one, claim.state) for one, claim in zip(ids, claims, strict=True) if claim is not None)


def uploads_of(session: Session, task_ids: Iterable[str]) -> Iterator[tuple[Task, Receipt | None]]:
    """Tasks with the receipts of those that are completed, in the order of their ids."""

    def query(ids: Sequence[str], tx: Transaction) -> list[tuple[Task, Receipt | None]]:
        rows = [row for row in map(tx.task, ids) if row is not None]
        return [(row.snapshot(), tx.receipt(row.id) if row.state is TaskState.COMPLETED else None) for row in rows]

    for ids in _pages(task_ids):
        yield from session.manager.service.journal.read(partial(query, ids))


def _pages(task_ids: Iterable[str]) -> Iterator[Sequence[str]]:
    left = iter(task_ids)
    while page := tuple(islice(left, PAGE)):
        yield page


class Uploading:
    """Starts the manager, shows events and waits, on one thread.

    Args:
        session: The command at work.
        signals: Entered; ends every wait.
        display: Shows events.
        patience: See :func:`haulier.cli.standing.wait_until_still`.
        events: Most that wait to be shown; the oldest go where more come while nobody looks.
    """

    def __init__(
        self,
        session: Session,
        signals: StopSignals,
        display: Display,
        *,
        patience: float | None = None,
        events: int = 100_000,
    ) -> None:
        self.session = session
        self.clock = SystemClock()
        self._signals = signals
        self._display = display
        self._patience = patience
        self._events = session.manager.event_queue(maxsize=events)
        self._watchers: list[Callable[[Event], None]] = []

    def on_event(self, watcher: Callable[[Event], None]) -> None:
        """Also tell ``watcher`` each event, on the waiting thread."""
        self._watchers.append(watcher)

    def show_only(self, task_ids: Container[str]) -> None:
        """Show nothing about other tasks from now on."""
        shown = self._display

        class Chosen:
            def show(self, event: Event) -> None:
                task = getattr(event, "task", None)
                if task is None or task in task_ids:
                    shown.show(event)

            def close(self) -> None:
                shown.close()

        self._display = Chosen()

    def start(self) -> None:
        """Start uploading."""
        self.session.manager.start()

    def finish(self) -> None:
        """Leave the terminal as it was."""
        for event in self._events.drain():
            self._tell(event)
        self._display.close()

    def pause(self, seconds: float) -> None:
        """Let time pass, showing what happens.

        Raises:
            StopRequestedError: Somebody asked to stop.
        """
        end = self.clock.monotonic() + seconds
        while True:
            self._signals.check()
            left = end - self.clock.monotonic()
            if left <= 0:
                return
            event = self._events.get(timeout=min(left, GLANCE_SECONDS))
            if event is not None:
                self._tell(event)

    def wait_for(self, task_ids: Collection[str]) -> None:
        """Wait until none of these tasks can move any more.

        Raises:
            StopRequestedError: Somebody asked to stop.
        """
        pending = deque(dict.fromkeys(task_ids))

        def look() -> set[Stand]:
            """Of very many tasks one that moves is enough; those that ended are never looked at again."""
            suspended = self.session.manager.service.suspended()
            now = self.clock.now()
            stands: set[Stand] = set()
            for _ in range(len(pending)):
                row = self.session.manager.service.journal.read(lambda tx: tx.task(pending[0]))
                if row is None or row.state.settled:
                    pending.popleft()
                    continue
                stands.add(stand_of(row.snapshot(), suspended.get(row.backend), now))
                if Stand.MOVING in stands:
                    break
                pending.rotate(-1)
            return stands

        self.wait_still(look)

    def wait_still(self, look: Callable[[], Collection[Stand]]) -> None:
        """Wait until nothing moves that ``look`` looks at.

        Raises:
            StopRequestedError: Somebody asked to stop.
        """
        wait_until_still(look, pause=self.pause, clock=self.clock, patience=self._patience)

    def wait_for_disposal(self, task_ids: Collection[str]) -> None:
        """Give the sources of completed tasks a moment to be let go of; what is not done then is done next time.

        Raises:
            StopRequestedError: Somebody asked to stop.
        """
        from haulier.service.rebuilt import awaits_confirmation

        manager = self.session.manager
        if not manager.config.upload.delete_after_upload or manager.service.journal.read(awaits_confirmation):
            return
        end = self.clock.monotonic() + DISPOSAL_SECONDS
        waiting: set[str] = set()  # groups whose sources cannot go yet
        pending: dict[str, str] = {}  # groups by the tasks whose sources may
        for task in tasks_of(self.session, task_ids):
            if task.state is not TaskState.COMPLETED:
                waiting.add(task.group)
            elif task.disposal is Disposal.PENDING:
                pending[task.id] = task.group
        left = [task_id for task_id, group in pending.items() if group not in waiting]
        while left and self.clock.monotonic() < end:
            self.pause(0.2)
            left = [task.id for task in tasks_of(self.session, left) if task.disposal is Disposal.PENDING]

    def _tell(self, event: Event) -> None:
        self._display.show(event)
        for watcher in self._watchers:
            watcher(event)
