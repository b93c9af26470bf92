"""The public face: :class:`UploadManager`."""

from __future__ import annotations

import logging
import os
from contextlib import suppress
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any, Self

from haulier.errors import (
    HaulierError,
    InputError,
    JournalError,
    TaskNotFoundError,
    WaitTimeoutError,
    error_from_code,
)
from haulier.journal.api import TaskFilter
from haulier.models import Receipt, Task, TaskState
from haulier.service.comparing import compare_receipt
from haulier.service.finding import find_receipts
from haulier.service.holding import describe_group, warn_of_weak_proof
from haulier.service.intake import Submission
from haulier.service.parts import Ports, Service, open_service
from haulier.service.summary import manager_status
from haulier.service.task_list import TaskList
from haulier.service.waking import Endings, Lookouts, Waker
from haulier.threads import Ended
from haulier.transfer.context import RunContext

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence
    from types import TracebackType

    from haulier.config.models import Config
    from haulier.discovery.scan import ScanResult
    from haulier.events import Event
    from haulier.journal.api import Transaction
    from haulier.models import Comparison, Group, ManagerStatus
    from haulier.threads import Runner

__all__ = ["UploadManager"]

log = logging.getLogger("haulier.manager")

StrPath = str | os.PathLike[str]


class UploadManager:
    """Takes files, brings them to storage, and keeps the proof.

    ::

        with UploadManager.open("haulier.toml") as uploads:
            task = uploads.submit("session.mp4", sidecar="session.json")  # on disk when this returns
            receipt = uploads.wait(task, timeout=600)  # raises the task's error
            print(receipt.location, receipt.sha256, receipt.proof)

    Making one does no I/O. Every method may be called from any thread. Results are frozen snapshots. Threads are daemon
    threads: leaving the program without :meth:`close` loses nothing but the parts in flight.

    Args:
        config: See :func:`haulier.config.layers.load_config`.
        plugins: Plugin modules or objects besides the installed ones.
        ports: Clock, files, threads; for tests.
    """

    def __init__(self, config: Config, *, plugins: Sequence[object] = (), ports: Ports | None = None) -> None:
        self.config = config
        self._plugins = list(plugins)
        self._ports = ports or Ports()
        self._service: Service | None = None
        self._opening = self._ports.threads.lock()
        self._waker = Waker(self._ports.threads.condition())
        self._stopping = Waker(self._ports.threads.condition())
        self._endings = Endings(self._ports.threads.condition())
        self._lookouts = Lookouts()
        self._threads: list[Runner] = []
        self._running = False
        self._closed = False

    @classmethod
    def open(cls, config: StrPath | Mapping[str, Any] | None = None, **options: Any) -> Self:
        """Load a configuration and make a manager of it; ``options`` go to the constructor.

        Args:
            config: A file, a mapping of the same shape, or None to look for a file.
            **options: See the class.

        Raises:
            ConfigError: The configuration is wrong or missing.
        """
        from haulier.config.layers import load_config
        from haulier.service.parts import plugin_host

        plugins = options.get("plugins", ())
        loaded = load_config(config, readers=lambda: plugin_host(None, plugins).config_readers())
        return cls(loaded, **options)

    # -- life --------------------------------------------------------------------------------------------------

    @property
    def service(self) -> Service:
        """The parts this manager is made of; opens the journal at the first call.

        Raises:
            StateFolderError: The state folder cannot be used.
            JournalError: The journal cannot be used.
        """
        with self._opening:
            if self._closed:
                raise HaulierError("the manager is closed")
            if self._service is None:
                self._service = open_service(self.config, self._plugins, self._ports, self._tell)
            return self._service

    def _tell(self, told: Sequence[Event]) -> None:
        self._waker.wake()
        self._endings.tell(told)

    def start(self) -> None:
        """Start uploading in the background. A second call does nothing.

        Raises:
            ConfigError: The chosen backend cannot be made.
            JournalError: The journal cannot be used.
        """
        service = self.service
        if self._running or not self.config.upload.enabled:
            return
        service.upkeep.bury_the_dead()
        service.upkeep.greet()
        warn_of_weak_proof(self.config.upload, service.destinations)
        self._running = True
        upkeep = service.upkeep
        for name, step in (("upkeep", upkeep.keep), ("folders", upkeep.look), ("disposal", upkeep.dispose)):
            self._spawn(f"haulier-{name}", partial(self._repeat, service, step))
        for name in service.destinations.names:
            self._employ(service, name)

    def close(self, timeout: float = 2.0) -> None:
        """Stop within ``timeout`` seconds. Work in flight keeps its sessions and goes on at the next start."""
        with self._opening:
            if self._closed:
                return
            self._closed = True
            service = self._service
        self._running = False
        if service is None:
            return
        deadline = self._ports.clock.monotonic() + timeout
        service.workers.stop()
        service.upkeep.stop()
        self._stopping.wake()
        self._waker.wake()
        for thread in self._threads:
            thread.join(max(0.0, deadline - self._ports.clock.monotonic()))
        service.close(
            max(0.0, deadline - self._ports.clock.monotonic()),
            idle=not any(thread.is_alive() for thread in self._threads),
        )

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _employ(self, service: Service, backend: str) -> None:
        """Give a backend workers of its own: one that hangs must not hold up the others."""
        for number in range(self.config.upload.max_concurrent_uploads):
            self._spawn(f"haulier-{backend}-{number}", lambda: self._work(service, backend))

    def _spawn(self, name: str, target: Callable[[], None]) -> None:
        self._threads.append(self._ports.threads.spawn(name, target))

    def _work(self, service: Service, backend: str) -> None:
        while self._running:
            turn = self._waker.turn()
            try:
                worked = service.upkeep.journal_error is None and service.workers.work(backend)
            except JournalError as error:
                service.upkeep.note_journal_error(error)
                worked = False
            except Ended:
                raise
            except BaseException:  # a defect must not cost a worker
                log.exception("a worker stumbled")
                worked = False
            if worked:
                self._waker.wake()
            elif self._running:
                self._idle(service, backend, turn)

    def _idle(self, service: Service, backend: str, turn: int) -> None:
        """Wait for work: the lookout of a backend not for long, the others until something happens here.

        A lookout that finds work begins an upload, and the event of that wakes the one who follows it.
        """
        with self._lookouts.post(backend) as is_lookout:
            self._waker.wait(turn, self._idle_seconds(service, backend) if is_lookout else self._ports.pace.asleep)

    def _idle_seconds(self, service: Service, backend: str) -> float:
        """Until the next retry is due, at most a second: other processes' submits are not signalled."""
        longest = self._ports.pace.idle
        with suppress(JournalError):
            due = service.journal.read(lambda tx: tx.next_time([backend]))
            left = longest if due is None else due - self._ports.clock.now()
            if left > 0:  # what is past and was not claimed waits for something else
                return min(longest, max(0.02, left))
        return longest

    def _repeat(self, service: Service, step: Callable[[], None]) -> None:
        turn, pace = self._stopping.turn(), self._ports.pace
        while True:
            self._stopping.wait(turn, pace.upkeep if service.workers.busy() else pace.rest)
            if not self._running:
                return
            try:
                step()
            except Ended:
                raise
            except BaseException:  # the upkeep must go on
                log.exception("the upkeep stumbled")

    # -- tasks -------------------------------------------------------------------------------------------------

    def submit(
        self,
        path: StrPath,
        *,
        sidecar: StrPath | None = None,
        metadata: Mapping[str, Any] | None = None,
        backend: str | None = None,
        also: Iterable[str] | None = None,
    ) -> Task:
        """Queue a file. When this returns the task survives a kill, an exit and a power cut; the file stays yours.

        Submitting an unchanged file again gives the same task. May be called before :meth:`start`.

        Args:
            path: The media file.
            sidecar: Its metadata file, if any.
            metadata: A JSON object to go with it.
            backend: Name of a configured backend; None for ``upload.backend``.
            also: Names of further backends: one task each, linked by ``group``. The source goes only when all have
                proof of it. None for ``upload.also``.

        Returns:
            The task of the first backend; ``tasks(group=task.group)`` gives the others too.

        Raises:
            InputError: A file is missing, a folder or unreadable; the sidecar or metadata is broken.
            UnknownBackendError: No such backend.
            JournalError: It could not be written down; nothing was queued.
        """
        service = self.service
        first, *further = service.chosen_backends(backend, also)
        taken = service.intake.take([Submission(path, first, sidecar, metadata or {}, also=tuple(further))])
        self._waker.wake()
        return taken[0].row.snapshot()

    def scan(
        self,
        folder: StrPath,
        *,
        max_age_days: float | None = None,
        backend: str | None = None,
        also: Iterable[str] | None = None,
        settled: bool = False,
    ) -> tuple[TaskList, ScanResult]:
        """Queue what lies in a folder, once, whatever its age unless ``max_age_days`` is given.

        Args:
            folder: The folder.
            max_age_days: Leave older files alone.
            backend: Name of a configured backend.
            also: See :meth:`submit`.
            settled: Take files at once instead of waiting until they stood still.

        Returns:
            The tasks of everything that was taken (also those known before), of each file at each of its backends: a
            sequence that reads each from the journal when it is looked at, as long as the manager is open. And what was
            found; its ``queued`` has the ids of the tasks that are new.

        Raises:
            InputError: The folder cannot be listed.
            JournalError: It could not be written down.
        """
        service = self.service
        names = service.chosen_backends(backend, also)
        result = service.look(folder, max_age_days=max_age_days, settled=settled)
        if result.unreachable is not None:
            raise InputError(f"the folder cannot be listed ({result.unreachable})", where=os.fspath(folder))
        taken = service.take_candidates(result, names)
        self._waker.wake()
        queued = frozenset(task_id for task_id, created in taken if created)
        return TaskList((task_id for task_id, _ in taken), self.snapshots), replace(result, queued=queued)

    def scan_watched(self) -> list[ScanResult]:
        """Look at every watched folder once and queue what is whole, within the configured age."""
        if not self.config.upload.auto_upload:
            return []
        results = self.service.folders.watch_once()
        self._waker.wake()
        return results

    def wait(self, task: Task | str, timeout: float | None = None) -> Receipt:
        """Wait until a task is completed.

        Args:
            task: A task or its id.
            timeout: Seconds; None waits for ever.

        Returns:
            Its receipt.

        Raises:
            WaitTimeoutError: It is not done by then; it goes on.
            CancelledError: It was cancelled.
            HaulierError: Its own error when it failed.
            TaskNotFoundError: No such task.
        """
        task_id = task if isinstance(task, str) else task.id
        with self._endings.of(task_id) as ending:
            return self._wait(task_id, timeout, ending)

    def wait_all(self, tasks: Iterable[Task | str], timeout: float | None = None) -> Mapping[TaskState, int]:
        """Wait until each of these tasks is completed, failed or cancelled; of many this costs less than :meth:`wait`.

        Args:
            tasks: Tasks or their ids; what :meth:`scan` returned, for example.
            timeout: Seconds; None waits for ever.

        Returns:
            How many ended in which state.

        Raises:
            WaitTimeoutError: Some have not ended by then; they go on.
            TaskNotFoundError: No such task.
        """
        from haulier.service.waiting import wait_for_all

        ids = tasks.ids if isinstance(tasks, TaskList) else (one if isinstance(one, str) else one.id for one in tasks)
        return wait_for_all(ids, timeout, journal=self.service.journal, endings=self._endings, clock=self._ports.clock)

    def _wait(self, task_id: str, timeout: float | None, ending: Waker) -> Receipt:
        deadline = None if timeout is None else self._ports.clock.monotonic() + timeout
        while True:
            turn = ending.turn()
            found = self.service.journal.read(lambda tx: tx.receipt(task_id) or tx.task(task_id))
            if isinstance(found, Receipt):
                return found
            if found is None:
                raise TaskNotFoundError("no task has this id", where=task_id)
            if found.state in {TaskState.FAILED, TaskState.CANCELLED}:
                raise _task_error(found.snapshot())
            left = 0.5 if deadline is None else min(0.5, deadline - self._ports.clock.monotonic())
            if left <= 0:
                raise WaitTimeoutError(f"the task is {found.state} after {timeout} s", where=task_id)
            ending.wait(turn, left)

    def task(self, task_id: str) -> Task:
        """A snapshot of a task.

        Raises:
            TaskNotFoundError: No such task.
        """
        row = self.service.journal.read(lambda tx: tx.task(task_id))
        if row is None:
            raise TaskNotFoundError("no task has this id", where=task_id)
        return row.snapshot()

    def tasks(
        self,
        *,
        states: Iterable[TaskState] = (),
        backend: str = "",
        group: str = "",
        limit: int | None = None,
        newest_first: bool = False,
    ) -> list[Task]:
        """Snapshots of tasks in order of submission; ``group`` asks for those of one submit to several backends."""
        query = TaskFilter(frozenset(states), backend, limit=limit, group=group, newest_first=newest_first)
        return [row.snapshot() for row in self.service.journal.read(lambda tx: tx.tasks(query))]

    def snapshots(self, task_ids: Iterable[str]) -> list[Task]:
        """Snapshots of these tasks, all of one moment; ids nobody knows are left out."""
        wanted = list(task_ids)
        rows = self.service.journal.read(lambda tx: [tx.task(task_id) for task_id in wanted])
        return [row.snapshot() for row in rows if row is not None]

    def status(self) -> ManagerStatus:
        """A summary; costs the same for any number of tasks."""
        return manager_status(self.service, running=self._running)

    def group(self, task: Task | str) -> Group:
        """How the destinations of a task's file stand, and whether its source may go; ``task`` is a task or its id.

        Raises:
            TaskNotFoundError: No such task.
        """
        task_id = task if isinstance(task, str) else task.id
        is_enough = self.service.disposer.is_enough

        def query(tx: Transaction) -> Group | None:
            row = tx.task(task_id)
            return None if row is None else describe_group(tx, row, is_enough)

        found = self.service.journal.read(query)
        if found is None:
            raise TaskNotFoundError("no task has this id", where=task_id)
        return found

    def receipt(self, task_id: str) -> Receipt | None:
        """The receipt of a task, None before it is completed."""
        return self.service.journal.read(lambda tx: tx.receipt(task_id))

    def receipts(self, *, after: int = 0, limit: int | None = None) -> list[Receipt]:
        """Receipts with a greater number than ``after``, oldest first."""
        return list(self.service.journal.read(lambda tx: tx.receipts(after, limit)))

    def find_receipts(self, name: str) -> list[Receipt]:
        """Where a recording is, in all backends, oldest receipt first; none of them is asked.

        Args:
            name: A file name, a glob, a part of a path, or the beginning of an item id or SHA-256.

        Raises:
            InputError: There is nothing to look for in it.
        """
        return self.service.journal.read(lambda tx: find_receipts(tx, name))

    def verify(self, receipts: Iterable[Receipt], *, read: bool = False) -> list[Comparison]:
        """Ask destinations whether what these receipts tell of is still there. Waits for their answers.

        Args:
            receipts: See :meth:`receipts` and :meth:`find_receipts`.
            read: Whether objects are read back where a destination tells no digest of them.

        Returns:
            One per artifact; one that cannot be asked is said so, and raises nothing.
        """
        upload = self.config.upload
        context = RunContext(silence=upload.upload_timeout, commit_timeout=upload.commit_timeout)
        destinations = self.service.destinations
        return [
            found for receipt in receipts for found in compare_receipt(receipt, destinations.get, context, read=read)
        ]

    # -- operators ---------------------------------------------------------------------------------------------

    def retry(self, *task_ids: str) -> list[str]:
        """Queue failed, waiting or (by id) cancelled tasks again; none named means all that failed or wait."""
        return self._operate("retry", task_ids)

    def cancel(self, *task_ids: str) -> list[str]:
        """Give tasks up, at any time; their sources are kept. None named means all that have not ended."""
        return self._operate("cancel", task_ids)

    def pause(self, *task_ids: str) -> list[str]:
        """Let tasks wait for :meth:`resume`, keeping what was sent. None named means all that have not ended."""
        return self._operate("pause", task_ids)

    def resume(self, *task_ids: str) -> list[str]:
        """Queue paused tasks again; none named means all of them, and ends every suspension of a backend."""
        resumed = self._operate("resume", task_ids)
        if not task_ids:
            self.service.operations.resume_backends(self.service.destinations.names)
            self._waker.wake()
        return resumed

    def release_sources(self) -> list[str]:
        """Let the sources of completed tasks go that were kept so far, as ``delete_after_upload`` would have.

        They go in the background, each only if it still is what its receipt is about and that shows ``delete_proof``.

        Returns:
            The ids of those tasks; :attr:`~haulier.models.Task.disposal` tells what became of each.
        """
        service = self.service
        released = service.operations.release_sources(service.disposer.is_enough)
        service.workers.sources_to_go.set()
        return released

    def _operate(self, action: str, task_ids: tuple[str, ...]) -> list[str]:
        done = self.service.operations.apply(action, task_ids or None)
        if action in {"cancel", "pause"}:
            for task_id in done:
                self.service.workers.interrupt(task_id, action)
        self._waker.wake()
        return done

    # -- events and plugins ------------------------------------------------------------------------------------

    def events(self, since: int = 0, limit: int = 1000) -> list[Event]:
        """Journalled events with a greater sequence, oldest first, from every process that shared this journal."""
        return list(self.service.journal.read(lambda tx: tx.events(since, limit)))

    def subscribe(self, listener: Callable[[Event], None], kinds: Iterable[str] | None = None) -> Callable[[], None]:
        """Have ``listener`` called on a thread of its own with what happens in this process; the result ends that."""
        undo: Callable[[], None] = self.service.notifier.subscribe(listener, kinds)
        return undo

    def event_queue(self, maxsize: int = 1000) -> Any:
        """A queue to pull events from, for hosts with a loop of their own (Tk: ``after``)."""
        return self.service.notifier.queue(maxsize)

    def register(self, plugin: object) -> None:
        """Add a plugin (a module or object with hook implementations), or a ready-made backend.

        Raises:
            PluginError: It is refused; the message says why.
        """
        from haulier.backends.api import Backend

        if isinstance(plugin, Backend):
            is_new = plugin.name not in self.service.destinations.names
            self.service.destinations.add(plugin)
            if is_new and self._running:
                self._employ(self.service, plugin.name)
        elif self._service is None:
            self._plugins.append(plugin)
        else:
            self.service.host.register(plugin)
            self.service.notifier.refresh()


def _task_error(task: Task) -> HaulierError:
    if task.error is None:
        return error_from_code("cancelled", f"the task is {task.state}", where=task.path)
    return error_from_code(task.error.code, task.error.what, where=task.error.where, advice=task.error.advice)
