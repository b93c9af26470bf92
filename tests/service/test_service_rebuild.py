"""A damaged journal is set aside and rebuilt: nothing lost, nothing stored twice, nothing deleted until confirmed."""

from __future__ import annotations

import os
import shutil
import time
from contextlib import closing
from dataclasses import replace

import apsw
import pytest

from haulier import TaskState, UploadManager
from haulier.backends.memory import MemoryBackend
from haulier.backends.memory_options import MemoryOptions
from haulier.files import Files
from haulier.models import Disposal
from haulier.service.rebuilt import awaits_confirmation, confirm, rebuilt, strays
from haulier.service.state import Keys

PAGE = 4096
YESTERDAY = time.time() - 86_400


@pytest.fixture(params=["memory", "filesystem"])
def destination(request, tmp_path):
    """What outlives the journal."""
    return Destination(request.param, tmp_path)


class Destination:
    """A destination that is asked from outside what it holds."""

    def __init__(self, kind, tmp_path):
        self.kind = kind
        self.folder = tmp_path / "archive"
        self.folder.mkdir()
        self.memory = MemoryBackend("main", MemoryOptions())

    def table(self):
        return {"type": "memory"} if self.kind == "memory" else {"type": "filesystem", "url": str(self.folder)}

    def objects(self):
        if self.kind == "memory":
            return sorted(key.rpartition("/")[2] for key in self.memory.store.objects)
        return sorted(path.name for path in self.folder.rglob("*") if path.is_file())


class Place:
    """A state folder, a folder of recordings, and managers that come and go."""

    def __init__(self, tmp_path, destination):
        self.state = tmp_path / "state"
        self.recordings = tmp_path / "recordings"
        self.recordings.mkdir()
        self.destination = destination
        self.managers = []

    @property
    def journal(self):
        return self.state / "journal.db"

    def manager(self, **upload):
        settings = {"backend": "main", "state_dir": str(self.state), "part_size": 1024, "auto_upload": True, **upload}
        watch = {"paths": [str(self.recordings)], "settle_seconds": 0}
        manager = UploadManager.open(
            {"upload": settings, "watch": watch, "backends": {"main": self.destination.table()}}
        )
        if self.destination.kind == "memory":
            manager.register(self.destination.memory)
        self.managers.append(manager)
        return manager

    def record(self, *names):
        for name in names:
            path = self.recordings / name
            path.write_bytes(name.encode() * 300)
            os.utime(path, (YESTERDAY, YESTERDAY))
        return [self.recordings / name for name in names]

    def settle(self, manager):
        """Take in the folder, upload until nothing moves; the states of all tasks by name."""
        manager.scan_watched()
        while manager.service.workers.work_once():
            pass
        return {task.path.rpartition("/")[2]: task.state for task in manager.tasks()}

    def set_aside(self):
        return sorted(path.name for path in self.state.glob("journal.db.damaged-*"))

    def close(self):
        for manager in self.managers:
            manager.close()


@pytest.fixture
def place(tmp_path, destination):
    made = Place(tmp_path, destination)
    yield made
    made.close()


def killed(place, manager):
    """Leave the state folder as a kill of its only manager would: its log not folded in, its locks free."""
    copy = place.state.with_name("copy")
    shutil.copytree(place.state, copy)
    manager.close()
    shutil.rmtree(place.state)
    copy.rename(place.state)


def overwrite(path, start, content):
    with path.open("r+b") as file:
        file.seek(start)
        file.write(content)


def root_page(path, name):
    with closing(apsw.Connection(str(path))) as connection:
        return connection.execute("SELECT rootpage FROM sqlite_schema WHERE name = ?", (name,)).fetchone()[0]


def damage_header(journal):
    overwrite(journal, 0, b"\xff" * 100)


def damage_first_page(journal):
    overwrite(journal, 0, os.urandom(PAGE))


def damage_middle(journal):
    overwrite(journal, (root_page(journal, "task") - 1) * PAGE, b"\xff" * PAGE)


def damage_artifacts(journal):
    overwrite(journal, (root_page(journal, "artifact") - 1) * PAGE, b"\xff" * PAGE)


def damage_receipts(journal):
    overwrite(journal, (root_page(journal, "receipt") - 1) * PAGE, b"\xff" * PAGE)


def damage_meta(journal):
    overwrite(journal, (root_page(journal, "meta") - 1) * PAGE, b"\xff" * PAGE)


def truncate(journal):
    os.truncate(journal, journal.stat().st_size // 2 // PAGE * PAGE)


def garble(journal):
    journal.write_bytes(b"this is a letter, no journal\n" * 1000)


def empty(journal):
    os.truncate(journal, 0)


DAMAGES = [
    damage_header,
    damage_first_page,
    damage_middle,
    damage_artifacts,
    damage_receipts,
    damage_meta,
    truncate,
    garble,
    empty,
]


@pytest.mark.parametrize("damage", DAMAGES)
def test_after_damage_nothing_is_lost_or_stored_twice_or_deleted(place, destination, damage):
    first = place.manager(delete_after_upload=True)
    stored, waiting = place.record("a.mp4", "b.mp4", "c.mp4"), place.record("d.mp4")
    for path in stored:
        first.submit(path)
    place.settle(first)
    first.submit(*waiting)
    key = {task.path: task.key for task in first.tasks()}
    first.close()
    damage(place.journal)
    broken = place.journal.read_bytes()

    again = place.manager(delete_after_upload=True)
    states = place.settle(again)
    again.service.disposer.step()

    assert set(states) == {"a.mp4", "b.mp4", "c.mp4", "d.mp4"}
    assert set(states.values()) == {TaskState.COMPLETED}
    assert destination.objects() == ["a.mp4", "b.mp4", "c.mp4", "d.mp4"]
    assert {task.path: task.key for task in again.tasks()} == key
    assert all(path.exists() for path in (*stored, *waiting))
    (aside,) = place.set_aside()
    assert (place.state / aside).read_bytes() == broken
    assert all(again.receipt(task.id) is not None for task in again.tasks())

    confirm(again.service.journal, Keys.load(place.state, Files()), 1.0)
    for _ in range(2):
        again.service.disposer.step()
    removed = {task.path for task in again.tasks() if task.disposal is Disposal.REMOVED}
    assert removed == {str(path) for path in (*stored, *waiting) if not path.exists()}
    assert str(waiting[0]) in removed


@pytest.mark.parametrize("damage", [damage_header, damage_middle, damage_artifacts, damage_receipts, truncate])
def test_a_task_that_was_not_sent_goes_on_under_its_own_id_key_and_nonce(place, damage):
    first = place.manager()
    place.record(*(f"{number:03}.mp4" for number in range(12)))
    first.scan_watched()
    before = {task.path: task for task in first.tasks()}
    first.close()
    damage(place.journal)

    again = place.manager()
    after = {task.path: task for task in again.tasks()}

    whole = [path for path in after if after[path].id == before[path].id]
    assert all(after[path].key == before[path].key for path in whole)
    assert len(whole) >= (12 if damage in {damage_header, damage_receipts} else 0)
    assert set(place.settle(again).values()) == {TaskState.COMPLETED}
    assert len(place.destination.objects()) == 12


def damage_log(journal):
    log = journal.with_name(f"{journal.name}-wal")
    overwrite(log, log.stat().st_size // 2, b"\xff" * 64)


def damage_the_logs_header(journal):
    overwrite(journal.with_name(f"{journal.name}-wal"), 8, b"\xff" * 8)


def lose_the_file_beside_its_log(journal):
    journal.unlink()


def empty_the_file_beside_its_log(journal):
    os.truncate(journal, 0)


@pytest.mark.parametrize(
    "damage", [damage_log, damage_the_logs_header, lose_the_file_beside_its_log, empty_the_file_beside_its_log]
)
def test_what_only_the_log_holds_is_salvaged(place, destination, damage):
    first = place.manager()
    for path in place.record("a.mp4", "b.mp4"):
        first.submit(path)
    place.settle(first)
    first.submit(*place.record("c.mp4"))
    ids = {task.path: task.id for task in first.tasks()}
    killed(place, first)
    assert (place.state / "journal.db-wal").stat().st_size > 10 * PAGE
    damage(place.journal)

    again = place.manager()

    assert again.service.journal.read(awaits_confirmation)
    if damage is not damage_log:
        assert {task.path: task.id for task in again.tasks()} == ids
    assert set(place.settle(again).values()) == {TaskState.COMPLETED}
    assert destination.objects() == ["a.mp4", "b.mp4", "c.mp4"]
    assert any(name.endswith("-wal") for name in place.set_aside())


def test_a_log_that_a_kill_left_is_no_damage(place):
    first = place.manager()
    first.submit(*place.record("a.mp4"))
    killed(place, first)

    again = place.manager()

    assert again.service.journal.read(rebuilt) is None
    assert place.set_aside() == []
    assert [task.state for task in again.tasks()] == [TaskState.QUEUED]


def test_where_the_destination_cannot_tell_nothing_is_sent_again(tmp_path):
    destination = Destination("memory", tmp_path)
    place = Place(tmp_path, destination)
    first = place.manager()
    first.submit(*place.record("a.mp4"))
    place.settle(first)
    first.close()
    garble(place.journal)
    destination.memory.options = replace(destination.memory.options, settles=False)

    again = place.manager()
    states = place.settle(again)
    (task,) = again.tasks()
    rebuilt_at = again.service.journal.read(rebuilt).at
    again.close()

    assert states == {"a.mp4": TaskState.FAILED}
    assert task.error.code == "outcome_unknown"
    assert destination.objects() == ["a.mp4"]
    assert (place.recordings / "a.mp4").exists()
    fresh = place.recordings / "recorded later.mp4"
    fresh.write_bytes(b"new" * 100)
    os.utime(fresh, (rebuilt_at + 0.001, rebuilt_at + 0.001))
    last = place.manager()
    assert place.settle(last)["recorded later.mp4"] is TaskState.COMPLETED
    place.close()


def test_a_file_of_no_watched_folder_is_taken_again_with_its_sidecar(tmp_path):
    destination = Destination("memory", tmp_path)
    place = Place(tmp_path, destination)
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    media, sidecar = elsewhere / "rdp_a.mp4", elsewhere / "rdp_a_metadata.json"
    media.write_bytes(b"content" * 100)
    sidecar.write_bytes(b"{}")
    gone = elsewhere / "gone.mp4"
    gone.write_bytes(b"gone")
    first = place.manager()
    first.submit(media, sidecar=sidecar)
    first.submit(gone)
    first.close()
    gone.unlink()
    damage_artifacts(place.journal)

    again = place.manager()
    again.service.upkeep.greet()

    assert [(task.path, task.sidecar) for task in again.tasks()] == [(str(media), str(sidecar))]
    assert again.service.journal.read(strays) == {str(gone): "main"}
    assert place.settle(again) == {"rdp_a.mp4": TaskState.COMPLETED}
    place.close()
