"""Uploading some tasks while somebody watches: what ``send``, ``scan`` and ``run --once`` share."""

from __future__ import annotations

from typing import TYPE_CHECKING

from haulier.cli.standing import stand_of, wait_until_still
from haulier.clock import SystemClock
from haulier.models import Disposal, TaskState

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Container

    from haulier.cli.progress import Display
    from haulier.cli.session import Session
    from haulier.cli.signals import StopSignals
    from haulier.cli.standing import Stand
    from haulier.events import Event
    from haulier.models import Task

__all__ = ["Uploading", "tasks_of"]

DISPOSAL_SECONDS = 8.0  # sources are let go of every five seconds
GLANCE_SECONDS = 0.5  # between two looks for a stop signal; stopping as a whole may take two seconds


def tasks_of(session: Session, task_ids: Collection[str]) -> list[Task]:
    """Snapshots of tasks in the order of their ids, of one moment."""
    rows = session.manager.service.journal.read(lambda tx: [tx.task(task_id) for task_id in task_ids])
    return [row.snapshot() for row in rows if row is not None]


class Uploading:
    """Starts the manager, shows events and waits, on one thread.

    Args:
        session: The command at work.
        signals: Entered; ends every wait.
        display: Shows events.
        patience: See :func:`haulier.cli.standing.wait_until_still`.
    """

    def __init__(
        self, session: Session, signals: StopSignals, display: Display, *, patience: float | None = None
    ) -> None:
        self.session = session
        self.clock = SystemClock()
        self._signals = signals
        self._display = display
        self._patience = patience
        self._events = session.manager.event_queue(maxsize=100_000)
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
        pending = list(dict.fromkeys(task_ids))

        def look() -> list[Stand]:
            nonlocal pending
            suspended = self.session.manager.service.suspended()
            unfinished = [task for task in tasks_of(self.session, pending) if not task.state.settled]
            pending = [task.id for task in unfinished]
            now = self.clock.now()
            return [stand_of(task, suspended.get(task.backend), now) for task in unfinished]

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
        while self.clock.monotonic() < end:
            tasks = tasks_of(self.session, task_ids)
            waiting = {task.group for task in tasks if task.state is not TaskState.COMPLETED}  # theirs cannot go yet
            if not any(task.disposal is Disposal.PENDING and task.group not in waiting for task in tasks):
                return
            self.pause(0.2)

    def _tell(self, event: Event) -> None:
        self._display.show(event)
        for watcher in self._watchers:
            watcher(event)
