"""A simulated world: one machine with a watched folder, one or two agents on one journal, two destinations.

The agents are real: :class:`~haulier.manager.UploadManager` with workers, upkeep, policy, engine and journal. Around
them everything that is a port is simulated: threads, time, disk, destinations.
"""

from __future__ import annotations

import hashlib
import itertools
import os
from dataclasses import replace
from random import Random
from typing import TYPE_CHECKING

from haulier.backends.api import CommitMode, PartsMode, ResumeMode
from haulier.backends.memory import MemoryOptions, MemoryStore
from haulier.config.models import BackendConfig, Config, PluginsConfig, UploadConfig, WatchConfig
from haulier.errors import (
    AuthenticationError,
    HaulierError,
    JournalError,
    NetworkError,
    PermissionDeniedError,
    ServerError,
    ThrottledError,
)
from haulier.files import Files
from haulier.files.names import is_private_name, original_name
from haulier.journal.memory import MemoryJournal
from haulier.manager import UploadManager
from haulier.models import Disposal, TaskState
from haulier.service.parts import Pace, Ports
from haulier.service.state import Keys, source_id
from haulier.testing.simulation.checks import BrokenError, Checks, digest
from haulier.testing.simulation.destination import Moods, SimDestination
from haulier.testing.simulation.disk import Disk, SimFiles
from haulier.testing.simulation.journal import SimJournal
from haulier.testing.simulation.scheduler import Scheduler, SimThreads

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from haulier.backends.memory import MemoryObject
    from haulier.journal.api import Journal, TaskRow
    from haulier.testing.simulation.plan import Incident, Plan

__all__ = ["World"]

MODES = (
    (PartsMode.PARALLEL, ResumeMode.LIST, CommitMode.EXPLICIT),
    (PartsMode.SEQUENTIAL, ResumeMode.OFFSET, CommitMode.EXPLICIT),
    (PartsMode.SEQUENTIAL, ResumeMode.OFFSET, CommitMode.LAST_PART),
    (PartsMode.WHOLE, ResumeMode.NONE, CommitMode.EXPLICIT),
    (PartsMode.WHOLE, ResumeMode.NONE, CommitMode.LAST_PART),
)
PLACES = ("main", "spare")
FRESH = 1_800_000_000
ENDED = frozenset({TaskState.COMPLETED, TaskState.FAILED, TaskState.CANCELLED})


class _Clock:
    def __init__(self, world: World) -> None:
        self._world = world

    def now(self) -> float:
        return FRESH + self._world.scheduler.time + self._world.clock_ahead

    def monotonic(self) -> float:
        return 1000.0 + self._world.scheduler.time


class _Store(MemoryStore):
    """Tells the checks before it takes an object."""

    def __init__(self, name: str, world: World) -> None:
        super().__init__()
        self._name = name
        self._world = world

    def write(self, new: MemoryObject) -> MemoryObject:
        self._world.checks.on_store(self._name, new.key, self.get(new.key), new.sha256)
        return super().write(new)


class World:
    """See the module.

    Args:
        plan: What happens.
        folder: An empty folder of its own.
    """

    def __init__(self, plan: Plan, folder: Path) -> None:
        self.plan = plan
        self.folder = folder / "recordings"
        self.state = folder / "state"
        self.folder.mkdir(parents=True)
        (self.state / "owners").mkdir(parents=True)
        (self.state / "secret.key").write_text(f"{plan.seed % 16**8:064x}", "ascii")
        self.scheduler = Scheduler(Random(f"schedule {plan.seed}"))
        self.clock_ahead = 0.0
        self.journal_full_until = 0.0
        self.disk = Disk(self.scheduler)
        self.journal: Journal = self._journal()
        self.stores = {name: _Store(name, self) for name in PLACES}
        self.moods = {name: Moods() for name in PLACES}
        self.nonces = itertools.count(1)
        self.writes = itertools.count(1)
        self.faults = 0
        self.look_again_by = 0.0  # virtual time by which folders are looked at again, whatever kept agents from it
        self.checks = Checks(self.journal, self.stores, self._chain_key, self._is_away)
        self.managers: dict[str, UploadManager] = {}
        self.restarts: dict[str, float] = {}
        self.keys = Keys.load(self.state, Files())
        self.later: list[tuple[float, Callable[[], object]]] = []

    def _journal(self) -> Journal:
        if not self.plan.durable:
            return MemoryJournal()
        from haulier.journal.sqlite import SqliteJournal

        return SqliteJournal(self.state / "journal.db")

    def _chain_key(self) -> bytes:
        return self.keys.derive("receipts")

    def _is_away(self, name: str) -> bool:
        return self.scheduler.time < self.moods[name].until.get("unreachable", 0.0)

    # -- processes ---------------------------------------------------------------------------------------------

    @property
    def names(self) -> list[str]:
        """The simulated processes."""
        return [f"agent{number}" for number in range(self.plan.processes)]

    def boot(self, process: str) -> None:
        """Start an agent."""
        manager = UploadManager(self._config(), ports=self._ports(process))
        self.managers[process] = manager

        def begin() -> None:
            try:
                service = manager.service
            except HaulierError:  # the disk is full: the host starts it again later
                self.managers.pop(process, None)
                self.after(10.0, lambda: self.boot(process))
                return
            for number, place in enumerate(PLACES):
                service.destinations.add(self._destination(place, number))
            service.workers.tell = self.checks.on_progress
            self._start(manager, process)

        self.scheduler.spawn(process, "boot", begin)

    def _start(self, manager: UploadManager, process: str) -> None:
        """Start as a host does that tries again when the disk was full."""
        try:
            manager.start()
        except JournalError:
            self.after(10.0, lambda: self.ask_by_name(process, "start", lambda found: self._start(found, process)))
        except HaulierError:
            return  # somebody closed it meanwhile

    def _config(self) -> Config:
        upload = UploadConfig(
            backend="main",
            state_dir=self.state,
            auto_upload=True,
            upload_timeout=20.0,
            commit_timeout=40.0,
            memory_budget=400,
            part_size=100,
            delete_after_upload=self.plan.delete,
            sidecar_grace=0.0,
            key_template="{id16}/{name}",
        )
        tables = {name: BackendConfig(name, "memory") for name in PLACES}
        watch = WatchConfig((self.folder,), settle_seconds=1.0, interval_seconds=20.0)
        return Config(upload, watch, tables, PluginsConfig(allow=("none of the installed",)))

    def _ports(self, process: str) -> Ports:
        return Ports(
            clock=_Clock(self),
            files=SimFiles(self.disk, process, self.checks.on_remove),
            random=self.scheduler.chance.random,
            nonce=lambda: f"{next(self.nonces):032x}",
            environ={},
            threads=SimThreads(self.scheduler, process),
            pace=Pace(upkeep=5.0, idle=15.0),
            journal=lambda folder, files: SimJournal(  # noqa: ARG005
                self.journal, self.scheduler, self._journal_is_full, self.checks.after_write
            ),
        )

    def _journal_is_full(self) -> bool:
        return self.scheduler.time < self.journal_full_until

    def _destination(self, place: str, number: int) -> SimDestination:
        parts, resume, commit = MODES[self.plan.modes[number]]
        settles, store = self.plan.settles[number], self.stores[place]
        unasked = (0, 1000, 10**6)[(self.plan.seed + number) % 3]
        options = MemoryOptions(
            parts=parts, resume=resume, commit=commit, settles=settles, unasked=unasked, store=store
        )
        return SimDestination(
            place,
            options,
            self.moods[place],
            self.scheduler,
            lambda method, upload, part: self.checks.on_call(place, method, upload, part),
        )

    def ask(self, process: int, what: str, call: Callable[[UploadManager], object]) -> None:
        """Have a host thread of a living agent call its manager; a clear error is an answer too."""
        self.ask_by_name(self.names[process % len(self.names)], what, call)

    def ask_by_name(self, name: str, what: str, call: Callable[[UploadManager], object]) -> None:
        """The same by name."""
        manager = self.managers.get(name)
        if manager is None:
            return

        def run() -> None:
            try:
                call(manager)
            except HaulierError:
                return

        self.scheduler.spawn(name, what, run)

    def end(self, name: str) -> None:
        """SIGKILL."""
        self.managers.pop(name, None)
        self.scheduler.kill(name)
        self.disk.free_locks_of(name)

    # -- running -----------------------------------------------------------------------------------------------

    def run(self, seconds: float, *, until: Callable[[], bool] = lambda: False, steps: int = 10**9) -> None:
        """Let virtual time pass, or so many steps, or until something is so."""
        end, last = self.scheduler.time + seconds, self.scheduler.steps + steps
        while self.scheduler.time < end and self.scheduler.steps < last and not until():
            due = min([end, *(at for at, _ in self.later)])
            self.scheduler.run_one(due)
            for entry in [entry for entry in self.later if entry[0] <= self.scheduler.time]:
                self.later.remove(entry)
                entry[1]()
            self._memory_is_bounded()

    def _memory_is_bounded(self) -> None:
        for manager in self.managers.values():
            if manager._service is not None and manager._service.workers.engine.pool.peak > 400:  # noqa: SLF001
                raise BrokenError("memory", "bodies took more than the memory budget")

    def after(self, seconds: float, call: Callable[[], object]) -> None:
        """Have something happen later."""
        self.later.append((self.scheduler.time + seconds, call))

    def live(self) -> None:
        """The whole plan, then quiet, then the last checks."""
        for name in self.names:
            self.boot(name)
        for incident in self.plan.incidents:
            self.run(600.0, steps=incident.after)
            self.scheduler.note(f"-- {incident} at {self.scheduler.time:.1f}")
            self.happen(incident)
        self.run(30.0)
        self.settle()
        self.checks.at_the_end(self.present(), self.private())
        for name in self.names:
            self.end(name)
        self.journal.close()

    def settle(self) -> None:
        """Nothing is wrong any more: all that can end well does."""
        self.journal_full_until = 0.0
        for entry in sorted(self.later, key=lambda entry: entry[0]):
            entry[1]()
        self.later.clear()
        for place in PLACES:
            self.stores[place].faults.clear()
            self.moods[place].until.clear()
            self.moods[place].poisoned.clear()
            self.moods[place].delays = 0.0
        self.disk.unreadable.clear()
        self.disk.in_use.clear()
        for _ in range(10):
            self.ask(0, "resume", lambda manager: manager.resume())
            self.run(400.0, until=lambda: self._is_quiet() and self.scheduler.time > self.look_again_by)
            self.ask(0, "retry", lambda manager: manager.retry())
            self.run(45.0)
            if self._is_quiet() and self.scheduler.time > self.look_again_by:
                return

    def _is_quiet(self) -> bool:
        rows = self.checks.rows.values()
        ended = all(row.state in ENDED for row in rows)
        disposed = all(row.disposal is not Disposal.PENDING or self.checks.waits_for_another(row) for row in rows)
        return (
            ended
            and disposed
            and not self.checks.sessions.owed
            and not any(
                row.state is TaskState.FAILED and row.error and row.error.code not in self.checks.honest_ends
                for row in rows
            )
        )

    def present(self) -> dict[str, tuple[str, str]]:
        """Media files in the folder: item id and digest by path."""
        files, own = Files(), source_id(self.journal, self.keys)
        paths = [path for path in sorted(self.folder.glob("[rs]*.mp4")) if path.stat().st_size]
        return {str(path): (files.identity(path, own).item_id, digest(path.read_bytes())) for path in paths}

    def private(self) -> list[str]:
        """What was taken aside and not given back, though nothing else has taken its name."""
        known = {row.disposal_path for row in self.checks.rows.values() if row.disposal is Disposal.KEPT_CHANGED}
        aside = [path for path in self.folder.iterdir() if is_private_name(path.name) and str(path) not in known]
        return [str(path) for path in aside if not path.with_name(original_name(path.name)).exists()]

    # -- incidents ---------------------------------------------------------------------------------------------

    def happen(self, incident: Incident) -> None:
        """Carry an incident out."""
        self.faults += 1
        getattr(self, f"_on_{incident.kind}")(*incident.detail)

    def _path(self, number: int) -> Path:
        """Two segments each of two recording sessions, and one file that has no metadata."""
        return self.folder / ("screen_seg001.mp4" if number == 4 else f"rdp_{number // 2}_server_seg{number}.mp4")

    def _on_write(self, number: int, size: int) -> None:
        """The host writes a recording, new or over an old one, in place."""
        if not self.folder.exists():
            return
        path = self._path(number)
        content = self._content(size)
        self.checks.ever.setdefault(path.name, set()).add(digest(content))
        path.write_bytes(content)
        self._stamp(path)

    def _content(self, size: int) -> bytes:
        tag = f"{self.plan.seed} {next(self.writes)} ".encode()
        return (hashlib.sha256(tag).digest() * (size // 32 + 1))[: max(size, 8)] if size else b""

    def _stamp(self, path: Path) -> None:
        at = int((FRESH + self.scheduler.time - 100) * 1_000_000_000) + next(self.writes)
        os.utime(path, ns=(at, at))

    def _on_replace(self, number: int, size: int) -> None:
        """Another file takes the name, as after compression."""
        if self.folder.exists() and self._path(number).exists():
            draft = self.folder / f"draft-{number}.part"
            content = self._content(size)
            self.checks.ever.setdefault(self._path(number).name, set()).add(digest(content))
            draft.write_bytes(content)
            self._stamp(draft)
            draft.replace(self._path(number))

    def _on_truncate(self, number: int) -> None:
        path = self._path(number)
        if self.folder.exists() and path.exists():
            content = path.read_bytes()[: path.stat().st_size // 2]
            self.checks.ever.setdefault(path.name, set()).add(digest(content))
            path.write_bytes(content)
            self._stamp(path)

    def _on_vanish(self, number: int) -> None:
        self._path(number).unlink(missing_ok=True)

    def _on_touch(self, number: int) -> None:
        path = self._path(number)
        if self.folder.exists() and path.exists():
            self.checks.touched.add(digest(path.read_bytes()))
            self._stamp(path)

    def _on_sidecar(self, number: int) -> None:
        if self.folder.exists():
            path = self.folder / f"rdp_{number // 2}_metadata.json"
            path.write_text(f'{{"session_id": "rdp_{number // 2}", "version": {next(self.writes)}}}')
            self.checks.ever.setdefault(path.name, set()).add(digest(path.read_bytes()))
            self._stamp(path)

    def _on_submit(self, process: int, number: int, place: int, also: bool) -> None:
        path = self._path(number)
        others = [PLACES[1 - place]] if also else []

        def submit(manager: UploadManager) -> None:
            task = manager.submit(path, backend=PLACES[place], also=others)
            self.checks.accepted.add(task.id)

        self.ask(process, "submit", submit)

    def _on_kill(self, process: int, seconds: int) -> None:
        name = self.names[process % len(self.names)]
        self.end(name)
        self.after(seconds, lambda: None if name in self.managers else self.boot(name))

    def _on_close(self, process: int, seconds: int) -> None:
        """A clean end; what does not stop in time dies with the process."""
        name = self.names[process % len(self.names)]
        self.ask(process, "close", lambda manager: manager.close())

        def again() -> None:
            self.end(name)
            self.boot(name)

        self.after(seconds + 5, again)

    def _on_fail(self, place: int, method: str, error: str, times: int) -> None:
        self.stores[PLACES[place]].faults.add(method, before=_error(error), times=times)

    def _on_lose_answer(self, place: int, method: str, error: str, times: int) -> None:
        self.stores[PLACES[place]].faults.add(method, after=_error(error), times=times)

    def _on_keep_some(self, place: int, count: int) -> None:
        self.stores[PLACES[place]].faults.add("send", keep=count, after=_error("reset"))

    def _on_fall_short(self, place: int, count: int) -> None:
        """Part of a part is kept, and the answer says so."""
        self.stores[PLACES[place]].faults.add("send", keep=count)

    def _on_occupy(self, place: int, number: int) -> None:
        """Somebody else puts an object where a task's is to go."""
        rows = [row for row in self.checks.rows.values() if row.backend == PLACES[place]]
        if rows:
            key = rows[number % len(rows)].media.key
            if self.stores[PLACES[place]].get(key) is None:
                self.checks.honest_ends |= {"conflict"}
                self.checks.foreign.add(key)
                self.stores[PLACES[place]].put(key, b"somebody else's")

    def _on_rot(self, place: int, number: int) -> None:
        """A part that was taken and acknowledged is another one now."""
        for session in self.stores[PLACES[place]].sessions.values():
            for received in session.artifacts.values():
                for slot, piece in list(received.pieces.items()):
                    if not session.committed and piece.data and slot % 2 == number % 2:
                        rotten = bytes(byte ^ 1 for byte in piece.data)
                        received.add(slot, replace(piece, data=rotten, sha256=digest(rotten)))

    def _on_forget(self, place: int, method: str) -> None:
        self.stores[PLACES[place]].faults.add(method, forget=True)

    def _on_wrong_digest(self, place: int, method: str) -> None:
        # An object that was not believed stays under its key; a changed source then finds it taken.
        self.checks.honest_ends |= {"conflict"}
        self.stores[PLACES[place]].faults.add(method, wrong_digests=True)

    def _on_mood(self, place: int, mood: str, seconds: int) -> None:
        self.moods[PLACES[place]].until[mood] = self.scheduler.time + seconds

    def _on_poison(self, place: int, number: int, method: str) -> None:
        del method
        self.moods[PLACES[place]].poisoned ^= {self._path(number).name}

    def _on_double(self, place: int, number: int, method: str) -> None:
        del number
        self.moods[PLACES[place]].doubled ^= {method}

    def _on_edit_during(self, place: int, method: str, number: int, size: int) -> None:
        """The host writes at the very moment of a call."""
        pending = [number]

        def when(_: object) -> bool:
            if pending:
                self._on_write(pending.pop(), size)
            return False

        self.stores[PLACES[place]].faults.add(method, when=when)

    def _on_folder_away(self, seconds: int) -> None:
        away = self.folder.with_name("away")
        if self.folder.exists():
            self.folder.rename(away)
            self.after(seconds, lambda: away.rename(self.folder))
            self._look_again(seconds + 340.0)

    def _look_again(self, seconds: float) -> None:
        self.look_again_by = max(self.look_again_by, self.scheduler.time + seconds)

    def _on_unreadable(self, number: int, seconds: int) -> None:
        self.disk.unreadable.add(str(self._path(number)))
        self.after(seconds, lambda: self.disk.unreadable.discard(str(self._path(number))))

    def _on_in_use(self, number: int, seconds: int) -> None:
        self.disk.in_use.add(str(self._path(number)))
        self.after(seconds, lambda: self.disk.in_use.discard(str(self._path(number))))

    def _on_journal_full(self, seconds: int) -> None:
        self.journal_full_until = self.scheduler.time + seconds
        self._look_again(seconds + 100.0)  # who cannot write scans less often, and a changed file is looked at twice

    def _on_clock(self, seconds: float) -> None:
        """The wall clock is set, or the machine slept."""
        self.clock_ahead += seconds

    def _on_operate(self, process: int, action: str, all_of_them: bool) -> None:
        def operate(manager: UploadManager) -> None:
            ids = [] if all_of_them else [task.id for task in manager.tasks(limit=1)]
            if all_of_them or ids:
                getattr(manager, action)(*ids)

        self.ask(process, action, operate)

    def _on_steal(self, process: int) -> None:
        """A living owner loses its lock: the others take it for dead."""
        name = self.names[process % len(self.names)]
        self.checks.stolen = True
        self.disk.free_locks_of(name)


def _error(name: str) -> Exception:
    return {
        "reset": NetworkError("the connection was reset"),
        "refused": NetworkError("the connection could not be made", reached=False),
        "server": ServerError("the server failed (503)"),
        "throttled": ThrottledError("too many requests (429)", retry_after=9.0),
        "expired": AuthenticationError("the credentials have expired (401)"),
        "forbidden": PermissionDeniedError("not allowed (403)"),
        "defect": RuntimeError("a defect of the backend"),
    }[name]


def explain(row: TaskRow) -> str:
    """A task in one line."""
    return f"{row.id} {row.state} {row.media.name} -> {row.backend} ({row.error.what if row.error else 'no error'})"
