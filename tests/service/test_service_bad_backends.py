"""A backend that misbehaves in any of its methods costs only what goes to it, and says which plugin it was."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest

from haulier import TaskState, UploadManager
from haulier.backends.api import (
    Abilities,
    Held,
    HeldPart,
    Outcome,
    PartsMode,
    ResumeMode,
    Settled,
    Stored,
    Token,
    UnaskedSession,
)
from haulier.backends.memory import MemoryBackend, MemoryOptions
from haulier.errors import HaulierError
from haulier.service.parts import Pace, Ports
from haulier.transfer.context import RunContext

METHODS = ("open", "held", "send", "commit", "settle", "abort", "probe", "complete")


class Odd(MemoryBackend):
    """Does in its methods what it is told, once for each entry."""

    type = "odd"

    def __init__(self, name, options):
        super().__init__(name, options)
        self.instead = {}

    def __getattribute__(self, name):
        found = super().__getattribute__(name)
        if name not in METHODS:
            return found
        instead = super().__getattribute__("instead")

        def call(*args, **kwargs):
            odd = instead.get(name)
            return found(*args, **kwargs) if odd is None else odd(lambda: found(*args, **kwargs))

        return call


@pytest.fixture
def good():
    return MemoryBackend("good", MemoryOptions())


@pytest.fixture
def bad():
    return Odd("bad", MemoryOptions())


@pytest.fixture
def manager(tmp_path, good, bad):
    upload = {"backend": "good", "state_dir": str(tmp_path / "state"), "part_size": 1024, "max_retries": 0}
    backends = {"good": {"type": "memory"}, "bad": {"type": "memory"}}
    made = UploadManager.open({"upload": upload, "backends": backends}, ports=Ports(pace=Pace(upkeep=0.02, idle=0.05)))
    made.register(good)
    made.register(bad)
    made.start()
    yield made
    made.close()


def record(folder, name, size=3000):
    path = folder / name
    path.write_bytes(name.encode().ljust(size, b"."))
    return path


def until(manager, task, states):
    while manager.task(task.id).state not in states:
        manager.service.workers.clock.now()
        manager._waker.wait(manager._waker.turn(), 0.05)
    return manager.task(task.id)


def the_good_one_is_done(manager, folder, name="good.mp4"):
    return manager.wait(manager.submit(record(folder, name)), timeout=30)


def after_mending_all_is_stored_once(manager, bad, task):
    bad.instead.clear()
    manager.retry(task.id)
    manager.resume()
    receipt = manager.wait(task, timeout=30)
    keys = [entry.key for entry in bad.list("", RunContext())]
    assert keys == [receipt.key]


def raising(error):
    def instead(_):
        raise error

    return instead


RUDE = [
    ValueError("no"),
    StopIteration(),
    RecursionError(),
    MemoryError(),
    AssertionError(),
    SystemExit(3),
    KeyboardInterrupt(),
    GeneratorExit(),
    BaseException("anything"),
]


@pytest.mark.parametrize("method", ["open", "send", "commit", "probe", "complete"])
@pytest.mark.parametrize("error", RUDE, ids=lambda error: type(error).__name__)
def test_invariant_6_whatever_a_backend_raises_costs_only_its_own_task(manager, bad, tmp_path, method, error):
    bad.instead[method] = raising(error)
    if method == "probe":
        bad.instead["open"] = raising(ConnectionRefusedError())
    task = manager.submit(record(tmp_path, "bad.mp4"), backend="bad")
    the_good_one_is_done(manager, tmp_path)
    if method == "probe":
        until(manager, task, {TaskState.QUEUED, TaskState.RETRYING, TaskState.FAILED})
    else:
        failed = until(manager, task, {TaskState.FAILED})
        assert failed.error.code == "plugin"
        assert type(error).__name__ in failed.error.what
        assert "bad" in failed.error.where
    after_mending_all_is_stored_once(manager, bad, task)


@pytest.mark.parametrize("method", ["settle", "held"])
def test_invariant_4_a_backend_that_cannot_be_asked_after_a_lost_answer_stores_nothing_twice(
    manager, bad, tmp_path, method
):
    def store_and_lose_the_answer(call):
        call()
        raise ConnectionResetError

    bad.instead["commit"] = store_and_lose_the_answer
    bad.instead[method] = raising(SystemExit(1))
    task = manager.submit(record(tmp_path, "bad.mp4"), backend="bad")
    the_good_one_is_done(manager, tmp_path)
    until(manager, task, {TaskState.FAILED, TaskState.COMPLETED})
    after_mending_all_is_stored_once(manager, bad, task)


@pytest.mark.parametrize("method", ["open", "send", "commit", "probe"])
def test_invariant_6_a_backend_that_hangs_holds_up_neither_the_others_nor_the_end(tmp_path, good, bad, method):
    upload = {"backend": "good", "state_dir": str(tmp_path / "state"), "max_retries": 0}
    backends = {"good": {"type": "memory"}, "bad": {"type": "memory"}}
    manager = UploadManager.open({"upload": upload, "backends": backends})
    manager.register(good)
    manager.register(bad)
    reached, released = threading.Event(), threading.Event()

    def hang(call):
        reached.set()
        released.wait()
        return call()

    bad.instead[method] = hang
    if method == "probe":
        bad.instead["open"] = raising(ConnectionRefusedError())
    manager.start()
    task = manager.submit(record(tmp_path, "bad.mp4"), backend="bad")
    assert reached.wait(30)
    the_good_one_is_done(manager, tmp_path)
    manager.close(timeout=0.5)
    released.set()
    bad.instead.clear()
    again = UploadManager.open({"upload": upload, "backends": backends})
    again.register(good)
    again.register(bad)
    with again:
        until_stored(again, task)
    assert len(list(bad.list("", RunContext()))) == 1


def until_stored(manager, task):
    """Its first owner is of this process and lives on in its hanging thread, which gives the task back in the end."""
    while True:
        manager.resume()
        try:
            return manager.wait(task, timeout=1)
        except HaulierError:
            manager.retry(task.id)


NONSENSE = {
    "open": [None, 7, (), (Token({}, {}),), ("token", Abilities()), (Token({"x": object()}, {}), Abilities())],
    "send": [None, 7, Held(parts={0: {99: HeldPart(5)}}), Held(parts={7: {1: HeldPart(5)}}), "held"],
    "commit": [
        None,
        (),
        7,
        (None,),
        (Stored("other-key", "x", 3),),
        (Stored("k", "x", -1, digests={"sha256": "no"}),),
        (Stored("a", "a", 3000), Stored("b", "b", 3000)),
    ],
}


@pytest.mark.parametrize(
    ("method", "answer"),
    [(method, answer) for method, answers in NONSENSE.items() for answer in answers],
    ids=lambda value: str(value)[:40],
)
def test_invariant_3_an_answer_that_makes_no_sense_is_never_taken_for_a_success(manager, bad, tmp_path, method, answer):
    bad.instead[method] = lambda _: answer
    task = manager.submit(record(tmp_path, "bad.mp4"), backend="bad")
    the_good_one_is_done(manager, tmp_path)
    ended = until(manager, task, {TaskState.FAILED, TaskState.COMPLETED, TaskState.RETRYING})
    stored = [entry.key for entry in bad.list("", RunContext())]
    assert ended.state is not TaskState.COMPLETED or stored == [manager.receipt(task.id).key]
    after_mending_all_is_stored_once(manager, bad, task)


@pytest.mark.parametrize("answer", [None, 7, Settled(Outcome.PRESENT, ()), Settled(Outcome.PRESENT, (None,))], ids=str)
def test_invariant_3_nonsense_about_a_lost_commit_is_no_proof(manager, bad, tmp_path, answer):
    bad.instead["commit"] = raising(ConnectionResetError())
    bad.instead["settle"] = lambda _: answer
    task = manager.submit(record(tmp_path, "bad.mp4"), backend="bad")
    ended = until(manager, task, {TaskState.FAILED, TaskState.COMPLETED})
    assert ended.state is TaskState.FAILED
    after_mending_all_is_stored_once(manager, bad, task)


def test_a_session_that_claims_more_than_was_declared_does_not_get_it(manager, bad, tmp_path):
    """Abilities may narrow, never widen."""
    narrow = Odd("narrow", MemoryOptions(parts=PartsMode.WHOLE, resume=ResumeMode.NONE))
    wide = Abilities(parts=PartsMode.PARALLEL, resume=ResumeMode.LIST)
    narrow.instead["open"] = lambda call: (call()[0], wide)
    manager.register(narrow)
    task = manager.submit(record(tmp_path, "wide.mp4"), backend="narrow")
    ended = until(manager, task, {TaskState.FAILED, TaskState.COMPLETED})
    assert ended.state is TaskState.COMPLETED or ended.error.code == "plugin"


@pytest.mark.parametrize(
    "declared",
    [
        pytest.param("all of them", id="no declaration"),
        pytest.param(UnaskedSession(-1, Abilities()), id="a size below nothing"),
        pytest.param(UnaskedSession(10**6, Abilities(parts=PartsMode.PARALLEL, commit="sometimes")), id="no ability"),
        pytest.param(UnaskedSession(10**6, Abilities(), {"key": object()}), id="a token that is no JSON"),
        pytest.param(RuntimeError("broken"), id="raises"),
        pytest.param(SystemExit(3), id="ends the thread"),
    ],
)
def test_invariant_6_nonsense_about_sessions_without_a_call_has_them_opened(manager, tmp_path, declared):
    class Declares(Odd):
        @property
        def unasked(self):
            if isinstance(declared, BaseException):
                raise declared
            return declared

    backend = Declares("declares", MemoryOptions())
    manager.register(backend)
    tasks = [manager.submit(record(tmp_path, f"{number}.mp4"), backend="declares") for number in range(3)]
    assert all(manager.wait(task, timeout=30).proof == "content" for task in tasks)


def test_invariant_6_who_hangs_before_a_claim_holds_up_nobody_who_writes_the_journal(manager, tmp_path):
    """What a plugin is asked in a claim would be asked while the journal is written."""
    over = threading.Event()

    class Hangs(Odd):
        @property
        def unasked(self):
            over.wait(30)

    manager.register(Hangs("hangs", MemoryOptions()))
    hanging = manager.submit(record(tmp_path, "hangs.mp4"), backend="hangs")
    good = manager.submit(record(tmp_path, "good.mp4"))
    assert manager.wait(good, timeout=20)
    assert manager.task(hanging.id).state is TaskState.QUEUED
    over.set()
    assert manager.wait(hanging, timeout=30)


def test_a_backend_that_calls_the_manager_back_waits_for_nobody(manager, bad, tmp_path):
    extra = record(tmp_path, "extra.mp4")

    def submit_another(call):
        manager.submit(extra)
        manager.status()
        return call()

    bad.instead["send"] = submit_another
    task = manager.submit(record(tmp_path, "bad.mp4"), backend="bad")
    assert manager.wait(task, timeout=30)
    assert {Path(one.path).name for one in manager.tasks()} == {"bad.mp4", "extra.mp4"}


def test_a_backend_that_closes_the_manager_loses_nothing(manager, bad, tmp_path):
    def close(call):
        manager.close(timeout=0.2)
        return call()

    bad.instead["send"] = close
    task = manager.submit(record(tmp_path, "bad.mp4"), backend="bad")
    for thread in list(manager._threads):
        thread.join(30)
    upload = {"backend": "good", "state_dir": str(tmp_path / "state")}
    bad.instead.clear()
    again = UploadManager.open({"upload": upload, "backends": {"good": {"type": "memory"}, "bad": {"type": "memory"}}})
    again.register(bad)
    with again:
        assert again.wait(task, timeout=30)
    assert len(list(bad.list("", RunContext()))) == 1


class Unmakable(MemoryBackend):
    type = "unmakable"

    def __init__(self, name, options):
        raise SystemExit("not today")


class UnmakablePlugin:
    from haulier import hookimpl

    @hookimpl
    def register_backends(self):
        return [Unmakable]


def test_a_backend_that_cannot_be_made_is_named_and_the_others_work(tmp_path, good):
    upload = {"backend": "good", "state_dir": str(tmp_path / "state")}
    tables = {"good": {"type": "memory"}, "bad": {"type": "unmakable"}}
    manager = UploadManager.open({"upload": upload, "backends": tables}, plugins=[UnmakablePlugin()])
    manager.register(good)
    with manager:
        the_good_one_is_done(manager, tmp_path)
        with pytest.raises(HaulierError, match="unmakable"):
            manager.submit(record(tmp_path, "bad.mp4"), backend="bad")


@pytest.mark.parametrize("error", RUDE, ids=lambda error: type(error).__name__)
def test_a_listener_that_calls_back_or_raises_holds_up_nothing(manager, tmp_path, error):
    seen = []

    def listener(event):
        if event.kind == "upload_completed" and not seen:
            seen.append(event)
            manager.submit(record(tmp_path, "from-the-listener.mp4"))
            raise error

    manager.subscribe(listener)
    the_good_one_is_done(manager, tmp_path)
    while not any(Path(task.path).name == "from-the-listener.mp4" for task in manager.tasks()):
        manager._waker.wait(manager._waker.turn(), 0.05)
    (late,) = [task for task in manager.tasks() if Path(task.path).name == "from-the-listener.mp4"]
    assert manager.wait(late, timeout=30)
