"""Bad plugins among good ones in one manager: each is told under its name, and the others' uploads go on.

All bad destinations of this module live in one manager, beside a good one: what one of them did is there when the
next one comes.
"""

from __future__ import annotations

import asyncio
import itertools
import threading
from dataclasses import replace

import pytest

from haulier import TaskState, UploadManager
from haulier.backends.api import Held, HeldPart, PartsMode, ResumeMode, Settled, Token
from haulier.backends.memory import MemoryBackend
from haulier.backends.memory_options import MemoryOptions
from haulier.errors import (
    CancelledError,
    JournalDamagedError,
    JournalUnavailableError,
    LeaseLostError,
    NetworkError,
    PermissionDeniedError,
    PluginError,
    SourceChangedError,
)
from haulier.service.parts import Pace, Ports

OFFSET = {"parts": PartsMode.SEQUENTIAL, "resume": ResumeMode.OFFSET}
MOVING = {TaskState.QUEUED, TaskState.UPLOADING, TaskState.RETRYING}
PATIENCE = 30


def bad(name, method, act, **options):
    """A destination one of whose methods does what ``act`` says; it is given the method as it should be."""

    def instead(self, *args, **given):
        return act(getattr(MemoryBackend, method).__get__(self), *args, **given)

    return type("Bad", (MemoryBackend,), {method: instead})(name, MemoryOptions(**options))


def raising(error):
    def act(*_, **__):
        raise error

    return act


def answering(answer):
    return lambda *_, **__: answer


def changing(change):
    return lambda proper, *args, **given: change(proper(*args, **given))


class Crowd:
    """A manager with a good destination and as many bad ones as come."""

    def __init__(self, folder, **upload):
        self.folder = folder
        self.numbers = itertools.count()
        self.good = MemoryBackend("good", MemoryOptions())
        upload = {"state_dir": str(folder / "state"), "backend": "good", "part_size": 1024, "max_retries": 0, **upload}
        ports = Ports(pace=Pace(upkeep=0.02, idle=0.05))
        self.manager = UploadManager.open({"upload": {**upload, "max_concurrent_uploads": 1}}, ports=ports)
        self.manager.register(self.good)
        self.manager.start()

    def record(self):
        path = self.folder / f"{next(self.numbers)}.mp4"
        path.write_bytes(bytes(range(250)) * 20)
        return path

    def employ(self, backend):
        self.manager.register(backend)
        return backend

    def submit(self, backend):
        return self.manager.submit(self.record(), backend=backend.name)

    def is_well(self):
        """Whether the good destination gets its file and the manager thinks well of itself."""
        receipt = self.manager.wait(self.submit(self.good), timeout=PATIENCE)
        return receipt.proof == "content" and self.manager.status().journal_error is None

    def outcome(self, task):
        """The task when it moves no more."""
        ended = threading.Event()
        undo = self.manager.subscribe(lambda event: ended.set() if event.task == task.id else None, ENDS)
        end = self.manager._ports.clock.monotonic() + PATIENCE
        while (now := self.manager.task(task.id)).state in MOVING:
            assert self.manager._ports.clock.monotonic() < end, now
            ended.wait(0.1)
        undo()
        return now


ENDS = ("upload_failed", "upload_completed", "upload_cancelled")


@pytest.fixture(scope="module")
def crowd(tmp_path_factory):
    made = Crowd(tmp_path_factory.mktemp("crowd"))
    yield made
    made.manager.close()


class OfItsOwn(BaseException):
    """What a library of the plugin may raise."""


RAISED = [
    RuntimeError("broken"),
    StopIteration(),
    RecursionError(),
    MemoryError(),
    AssertionError(),
    UnicodeDecodeError("utf-8", b"\xff", 0, 1, "bad"),
    SystemExit(3),
    KeyboardInterrupt(),
    GeneratorExit(),
    asyncio.CancelledError(),
    OfItsOwn(),
    LeaseLostError("not mine to raise"),
    JournalUnavailableError("not mine to raise"),
    JournalDamagedError("not mine to raise"),
    CancelledError("nobody asked for it"),
]


@pytest.mark.parametrize("error", RAISED, ids=repr)
@pytest.mark.parametrize("method", ["complete", "open", "send", "commit"])
def test_invariant_6_whatever_a_destination_raises_is_its_own_failure(crowd, method, error):
    backend = crowd.employ(bad(f"{method}-{next(crowd.numbers)}", method, raising(error)))
    failed = crowd.outcome(crowd.submit(backend))
    assert failed.state is TaskState.FAILED
    assert (failed.error.code, failed.error.where) == ("plugin", backend.name)
    assert crowd.manager.receipt(failed.id) is None
    assert crowd.is_well()


@pytest.mark.parametrize("error", [RuntimeError("broken"), SystemExit(3), LeaseLostError("no")], ids=repr)
@pytest.mark.parametrize("method", ["held", "settle", "abort", "probe"])
def test_invariant_6_so_is_what_it_raises_in_trouble(crowd, method, error):
    """Methods that are called only when something went wrong before."""
    backend = bad(f"{method}-{next(crowd.numbers)}", method, raising(error))
    trouble = {
        "held": ("send", NetworkError("reset")),
        "settle": ("commit", NetworkError("reset")),
        "abort": ("send", SourceChangedError("it says so")),
        "probe": ("open", PermissionDeniedError("403")),
    }
    when, what = trouble[method]
    if method == "held":
        backend.store.faults.add("open", after=NetworkError("reset"))
        backend.open = changing(lambda session: (replace(session[0], known=True), session[1])).__get__(backend.open)
    backend.store.faults.add(when, before=what)
    crowd.employ(backend)
    task = crowd.submit(backend)
    crowd.manager.wait(crowd.submit(crowd.good), timeout=PATIENCE)
    if method == "abort":
        assert crowd.manager.wait(task, timeout=PATIENCE).size == 5000  # it is begun anew, and that is all
    else:
        assert crowd.outcome(task).state is TaskState.FAILED
    assert crowd.is_well()
