"""Plugins that misbehave in hooks and constructors, against a whole manager at work."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest

from haulier import TaskState, UploadManager, hookimpl
from haulier.backends.memory import MemoryBackend
from haulier.backends.memory_options import MemoryOptions
from haulier.errors import CancelledError, HaulierError, PluginError
from haulier.service.parts import Pace, Ports

PATIENCE = 30


@pytest.fixture
def make_manager(tmp_path):
    made = []

    def make(*plugins, backends=(), watch=None):
        upload = {"state_dir": str(tmp_path / "state"), "backend": "good", "max_retries": 0}
        document = {
            "upload": {**upload, "auto_upload": watch is not None},
            "backends": {"good": {"type": "memory"}, **{name: {"type": name} for name in backends}},
            "watch": {"paths": [str(watch)] if watch else [], "settle_seconds": 0, "interval_seconds": 0.1},
        }
        ports = Ports(pace=Pace(upkeep=0.02, idle=0.2))
        manager = UploadManager.open(document, plugins=plugins, ports=ports)
        made.append(manager)
        manager.start()
        return manager

    yield make
    for manager in made:
        manager.close(0.5)


@pytest.fixture
def record(tmp_path):
    def record(name, folder=tmp_path):
        folder.mkdir(exist_ok=True)
        path = folder / name
        path.write_bytes(name.encode() * 100)
        return path

    return record


def plugin(**hooks):
    """An object with these hook implementations, called ``Culprit``."""
    return type("Culprit", (), {name: staticmethod(hookimpl(hook)) for name, hook in hooks.items()})()


# -- decisions -----------------------------------------------------------------------------------------------------


def exiting(path):
    raise SystemExit(path)


ABOUT_A_FILE = {
    "accept_file says a word": ("accept_file", lambda path: "yes"),
    "accept_file says a number": ("accept_file", lambda path: 0),
    "accept_file exits": ("accept_file", exiting),
    "find_sidecar leaves the folder": ("find_sidecar", lambda path: "../outside.json"),
    "find_sidecar names a path": ("find_sidecar", lambda path: str(path.with_name("note.json"))),
    "find_sidecar names what is not there": ("find_sidecar", lambda path: "nowhere.json"),
    "find_sidecar names the file itself": ("find_sidecar", lambda path: path.name),
    "find_sidecar says a list": ("find_sidecar", lambda path: ["note.json"]),
    "find_sidecar says a path": ("find_sidecar", lambda path: Path("note.json")),
}
ABOUT_AN_ITEM = {
    "object_key says a number": ("object_key", lambda path: 7),
    "object_key says bytes": ("object_key", lambda path: b"key"),
    "object_key says 10 MB": ("object_key", lambda path: "a/" * 5_000_000),
    "object_key exits": ("object_key", exiting),
}
NONSENSE = {**ABOUT_A_FILE, **ABOUT_AN_ITEM}


class Culprit:
    """Talks nonsense about one file until it is healed."""

    def __init__(self, hook, answer):
        self.healed = False
        asked = {
            "accept_file": lambda path: self._about(path, answer),
            "find_sidecar": lambda path: self._about(path, answer),
            "object_key": lambda identity: self._about(Path(identity.path), answer),
        }
        setattr(self, hook, hookimpl(asked[hook]))

    def _about(self, path, answer):
        return answer(path) if path.name == "bad.mp4" and not self.healed else None


@pytest.mark.parametrize(("hook", "answer"), NONSENSE.values(), ids=NONSENSE)
def test_invariant_6_a_decision_that_makes_no_sense_costs_one_file_until_it_does(
    make_manager, record, tmp_path, hook, answer
):
    folder = tmp_path / "watched"
    for name in ("a.mp4", "bad.mp4", "z.mp4", "note.json"):
        record(name, folder)
    record("outside.json")
    (folder / "note.json").write_text("{}")
    culprit = Culprit(hook, answer)
    manager = make_manager(culprit, watch=folder)
    until(lambda: completed(manager) == ["a.mp4", "z.mp4"])
    until(lambda: str(folder / "bad.mp4") in manager.status().problems)
    assert hook in manager.status().problems[str(folder / "bad.mp4")]
    culprit.healed = True
    until(lambda: completed(manager) == ["a.mp4", "bad.mp4", "z.mp4"])
    assert str(folder / "bad.mp4") not in manager.status().problems


KEYS = ["..", "../../etc/passwd", "/etc/passwd", "", ".", "C:\\x", "con", "a\0b", "//x//", "ä" * 900]


@pytest.mark.parametrize("key", KEYS, ids=repr)
def test_a_key_that_would_leave_its_place_is_made_one_that_stays(make_manager, record, key):
    manager = make_manager(plugin(object_key=lambda: key))
    receipt = manager.wait(manager.submit(record("a.mp4")), timeout=PATIENCE)
    parts = receipt.key.split("/")
    assert all(part not in {"", ".", ".."} for part in parts)
    assert "\0" not in receipt.key
    assert ":" not in receipt.key


@pytest.mark.parametrize("answer", [True, 7, ["wrong"]], ids=repr)
def test_metadata_judged_in_nonsense_is_refused_under_the_plugins_name(make_manager, record, answer):
    manager = make_manager(plugin(validate_metadata=lambda: answer))
    with pytest.raises(PluginError, match="Culprit answered validate_metadata"):
        manager.submit(record("a.mp4"), metadata={"case": 7})
    assert manager.tasks() == []
    assert manager.wait(manager.submit(record("a.mp4")), timeout=PATIENCE)


# -- constructors --------------------------------------------------------------------------------------------------


def backend_plugin(name, init, close=lambda: None):
    class Made(MemoryBackend):
        type = name

        def __init__(self, *args):
            init()
            super().__init__(*args)

        def close(self):
            close()

    return plugin(register_backends=lambda: [Made])


@pytest.mark.parametrize("error", [RuntimeError("no such library"), SystemExit(3), KeyError("region")], ids=repr)
def test_invariant_6_a_destination_that_cannot_be_made_is_told_and_stops_no_other(make_manager, record, error):
    def fail():
        raise error

    manager = make_manager(backend_plugin("broken", fail), backends=["broken"])
    with pytest.raises(PluginError, match="'broken' cannot be made"):
        manager.submit(record("a.mp4"), backend="broken")
    assert manager.wait(manager.submit(record("a.mp4")), timeout=PATIENCE)


def test_invariant_6_a_destination_that_is_never_done_being_made_holds_up_no_other(make_manager, record):
    begun, released = threading.Event(), threading.Event()

    def hang():
        begun.set()
        released.wait()

    manager = make_manager(backend_plugin("slow", hang), backends=["slow"])
    assert begun.wait(PATIENCE)  # its own worker wants it
    try:
        assert manager.wait(manager.submit(record("a.mp4")), timeout=PATIENCE)
        assert [backend.name for backend in manager.status().backends] == ["good", "slow"]
        manager.close(0.1)
    finally:
        released.set()


def test_a_destination_that_cannot_be_closed_is_told_and_the_state_folder_is_let_go(make_manager, record, caplog):
    def fail():
        raise RuntimeError("still busy")

    manager = make_manager(backend_plugin("busy", lambda: None, fail), backends=["busy"])
    manager.wait(manager.submit(record("a.mp4"), backend="busy"), timeout=PATIENCE)
    manager.close()
    assert list(Path(manager.config.upload.state_dir, "owners").iterdir()) == []
    assert "'busy'" in caplog.text
    assert "still busy" in caplog.text


# -- calling back --------------------------------------------------------------------------------------------------


def test_a_listener_may_use_the_manager(make_manager, record):
    """It submits, waits, cancels and looks, all on its own thread."""
    seen = []

    def follow(event):
        if event.filename == "first.mp4":
            second = manager.submit(record("second.mp4"))
            seen.append(manager.wait(second, timeout=PATIENCE).task)
            third = manager.submit(record("third.mp4"))
            manager.cancel(third.id)
            seen.append(manager.status().running)
            done.set()

    done = threading.Event()
    manager = make_manager(plugin(upload_completed=follow))
    manager.wait(manager.submit(record("first.mp4")), timeout=PATIENCE)
    assert done.wait(PATIENCE)
    assert seen[1] is True
    assert manager.receipt(seen[0])


def test_a_listener_may_close_the_manager(make_manager, record):
    done = threading.Event()

    def close(event):
        manager.close()
        done.set()

    manager = make_manager(plugin(upload_completed=close))
    manager.submit(record("a.mp4"))
    assert done.wait(PATIENCE)
    with pytest.raises(HaulierError, match="closed"):
        manager.tasks()


@pytest.mark.parametrize("method", ["complete", "open", "send", "commit"])
def test_a_destination_may_use_the_manager(make_manager, record, method):
    submitted = []

    class Calling(MemoryBackend):
        def _call_back(self):
            if not submitted:
                submitted.append(manager.submit(record("other.mp4")))
                manager.wait(submitted[0], timeout=PATIENCE)

    def calling(self, *args):
        self._call_back()
        return getattr(super(Calling, self), method)(*args)

    setattr(Calling, method, calling)
    manager = make_manager()
    manager.register(Calling("calling", MemoryOptions()))
    assert manager.wait(manager.submit(record("a.mp4"), backend="calling"), timeout=PATIENCE)
    assert manager.task(submitted[0].id).state is TaskState.COMPLETED


def test_a_destination_that_closes_the_manager_loses_nothing(make_manager, record):
    done = threading.Event()

    class Closing(MemoryBackend):
        def send(self, *args):
            manager.close(0.1)
            done.set()
            return super().send(*args)

    manager = make_manager()
    manager.register(Closing("closing", MemoryOptions()))
    task = manager.submit(record("a.mp4"), backend="closing")
    assert done.wait(PATIENCE)
    later = make_manager()
    later.register(MemoryBackend("closing", MemoryOptions()))
    assert later.wait(task.id, timeout=PATIENCE).task == task.id


def test_a_decision_may_use_the_manager(make_manager, record):
    """A hook that queues another file with each: it is asked about that one, too."""

    def queue(identity):
        if Path(identity.path).name == "first.mp4":
            manager.submit(record("second.mp4"))

    manager = make_manager(plugin(object_key=queue))
    manager.wait(manager.submit(record("first.mp4")), timeout=PATIENCE)
    until(lambda: completed(manager) == ["first.mp4", "second.mp4"])


def test_a_cancelled_task_is_told_to_who_waits_though_its_destination_is_deaf(make_manager, record):
    begun, released = threading.Event(), threading.Event()

    class Deaf(MemoryBackend):
        def send(self, *args):
            begun.set()
            released.wait()
            return super().send(*args)

    manager = make_manager()
    manager.register(Deaf("deaf", MemoryOptions()))
    task = manager.submit(record("a.mp4"), backend="deaf")
    assert begun.wait(PATIENCE)
    assert manager.cancel(task.id) == [task.id]
    assert manager.wait(manager.submit(record("b.mp4")), timeout=PATIENCE)
    released.set()
    with pytest.raises(CancelledError):
        manager.wait(task, timeout=PATIENCE)


# -- waiting -------------------------------------------------------------------------------------------------------


def completed(manager):
    return sorted(Path(task.path).name for task in manager.tasks(states=[TaskState.COMPLETED]))


def until(condition):
    turn = threading.Event()
    for _ in range(PATIENCE * 50):
        if condition():
            return
        turn.wait(0.02)
    raise AssertionError("it did not happen")
