"""Brings events to the callbacks of the program, on one daemon thread, and to its log.

The program marshals to its main thread, which may be waiting for us in ``shutdown``: so nobody ever waits for this
thread, and one that hangs in a callback is left behind.
"""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING, Any

from haulier.events import (
    UploadCancelled,
    UploadCompleted,
    UploadFailed,
    UploadProgress,
    UploadQueued,
    UploadRetrying,
    UploadStarted,
)
from haulier.models import TaskState
from haulier_wats.compat.log import logger
from haulier_wats.compat.tasks import CANCELLED, error_text

if TYPE_CHECKING:
    from collections.abc import Callable, Collection

    from haulier import UploadManager
    from haulier.events import Event
    from haulier.models import Task

    Tell = Callable[[str, str, Any], None]

__all__ = ["LOGGED", "Relay", "log_event"]

log = logger("upload_manager")

GLANCE = 1.0
"""Seconds between two looks at tasks that another process may have ended."""

BATCH = 200
REMEMBERED = 10_000
"""Ends that are known to have been told: more than end between learning an id and expecting it."""
LOGGED = [
    kind.kind for kind in (UploadQueued, UploadStarted, UploadCompleted, UploadRetrying, UploadFailed, UploadCancelled)
]


class Relay:
    """Tells what happens to tasks: ``started``, ``progress``, ``completed``, ``failed``, each with task id and detail.

    A task queued here may be uploaded by another process that shares the state folder; its end is told here too.

    Args:
        manager: An open manager.
        tell: Called with what happened, the task's id, and file name, percent, server's file id or error.
        without: Names of backends whose tasks are not told of: the program knows one task for each recording.
        monotonic: Seconds that never go back.
    """

    def __init__(
        self,
        manager: UploadManager,
        tell: Tell,
        *,
        without: Collection[str] = (),
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._manager = manager
        self._without = frozenset(without)
        self._tell = tell
        self._monotonic = monotonic
        self._queue = manager.event_queue()
        self._closed = False
        self._percent: dict[str, int] = {}
        self._awaited: dict[str, None] = {}  # queued here, end not yet told
        self._told: set[str] = set()  # whose end was told before its event came
        self._over: dict[str, None] = {}  # whose end was told last, the latest at the end
        self._thread = threading.Thread(target=self._run, name="wats-upload-callbacks", daemon=True)

    def start(self) -> None:
        """Begin to tell."""
        self._thread.start()

    def expect(self, task_id: str, *, again: bool = False) -> None:
        """Tell the end of this task too, wherever it is uploaded. From any thread.

        Args:
            task_id: A task that had not ended when its id was learned.
            again: It had, and is being retried.
        """
        if again:
            self._over.pop(task_id, None)
        self._awaited[task_id] = None

    def close(self) -> None:
        """Tell nothing more; returns at once."""
        self._closed = True
        self._queue.close(drop=True)

    def _run(self) -> None:
        next_look = self._monotonic() + GLANCE
        while not self._closed:
            event = self._queue.get(GLANCE)
            try:
                if event is not None and event.backend not in self._without:
                    self._pass_on(event)
                elif event is None and self._queue.closed:
                    return
                if self._monotonic() >= next_look:
                    next_look = self._monotonic() + GLANCE
                    self._look_around()
            except Exception:
                if not self._closed:
                    log.exception("telling of an upload failed")

    def _pass_on(self, event: Event) -> None:
        match event:
            case UploadCompleted() | UploadFailed() | UploadCancelled() if event.task in self._told:
                self._told.discard(event.task)
            case UploadQueued():
                self.expect(event.task)
            case UploadStarted():
                self._told.discard(event.task)
                self._over.pop(event.task, None)
                self._say("started", event.task, event.filename)
            case UploadProgress():
                self._progress(event.task, min(99, event.acknowledged * 100 // event.total) if event.total else 0)
            case UploadCompleted():
                self._completed(event.task, event.key)
            case UploadFailed():
                self._ended(event.task, "failed", error_text(event.error) or "")
            case UploadCancelled():
                self._ended(event.task, "failed", CANCELLED)
            case _:
                pass

    def _progress(self, task_id: str, percent: int) -> None:
        if self._percent.get(task_id) != percent:
            self._percent[task_id] = percent
            self._say("progress", task_id, percent)

    def _completed(self, task_id: str, file_id: str) -> None:
        self._progress(task_id, 100)
        self._ended(task_id, "completed", file_id)

    def _ended(self, task_id: str, what: str, detail: str) -> None:
        self._percent.pop(task_id, None)
        self._awaited.pop(task_id, None)
        self._over.pop(task_id, None)
        self._over[task_id] = None
        if len(self._over) > REMEMBERED:
            self._over.pop(next(iter(self._over)), None)
        self._say(what, task_id, detail)

    def _say(self, what: str, task_id: str, detail: Any) -> None:
        if not self._closed:
            self._tell(what, task_id, detail)

    def _look_around(self) -> None:
        """Did another process end what was queued here?"""
        batch: list[str] = []
        for task_id in list(self._awaited)[:BATCH]:
            if task_id in self._over:  # its end was told between learning its id and expecting it
                self._awaited.pop(task_id, None)
            else:
                batch.append(task_id)
        for task in self._manager.snapshots(batch) if batch else []:
            if task.state.settled:
                self._ended_elsewhere(task)
            else:
                self._awaited.pop(task.id, None)
                self._awaited[task.id] = None  # next time the others

    def _ended_elsewhere(self, task: Task) -> None:
        self._told.add(task.id)
        if task.state is TaskState.COMPLETED:
            receipt = self._manager.receipt(task.id)
            self._completed(task.id, receipt.key if receipt else "")
        else:
            why = CANCELLED if task.state is TaskState.CANCELLED else error_text(task.error)
            self._ended(task.id, "failed", why or "")


def log_event(event: Event) -> None:
    """Log what the manual promises; for a listener of its own, so that no callback holds it up."""
    match event:
        case UploadQueued():
            log.info("Recording queued for upload: %s (task: %s)", event.filename, event.task)
        case UploadStarted():
            log.debug("Upload started: %s (%s)", event.task, event.filename)
        case UploadCompleted():
            log.info("Upload completed: %s", event.task)
        case UploadRetrying():
            log.warning("Upload failed (attempt %d): %s - %s", event.attempt, event.task, error_text(event.error))
        case UploadFailed():
            log.error("Upload failed: %s - %s", event.task, error_text(event.error))
        case UploadCancelled():
            log.info("Upload cancelled: %s", event.task)
        case _:
            pass
