"""A recorder's folder at work: segments are replaced by compression, deleted by rotation, and arrive all the same."""

from __future__ import annotations

import os

import pytest

from haulier.backends.memory import MemoryBackend
from haulier.backends.memory_options import MemoryOptions
from haulier.discovery.rules import ScanRules
from haulier.discovery.scan import FolderMemory, scan
from haulier.errors import NetworkError
from haulier.files import Files
from haulier.journal.memory import MemoryJournal
from haulier.models import TaskState
from haulier.testing.clock import FakeClock
from haulier.testing.rig import RigSettings, UploadRig
from haulier.testing.steps import StepProxy

NOW = 1_800_000_000.0
HOUR, DAY = 3600.0, 86_400.0


class Recorder:
    """The program that writes the folder."""

    def __init__(self, folder):
        self.folder = folder
        folder.mkdir()

    def record(self, name, content, age=HOUR):
        path = self.folder / name
        path.write_bytes(content)
        os.utime(path, (NOW - age, NOW - age))
        return path

    def compress(self, path, content, age=60.0):
        """Encode, rename the original, put the new one in its place, delete the backup."""
        encoded = self.record(f"{path.stem}.tmp{path.suffix}", content, age)
        backup = path.rename(path.with_name(f"{path.stem}.bak{path.suffix}"))
        encoded.rename(path)
        backup.unlink()

    def rotate(self, path):
        path.unlink()


class Uploader:
    """A watched folder without threads: each look and each upload happens when a test says so."""

    def __init__(self, folder, wrap=lambda name, port: port):
        self.folder, self.memory = folder, FolderMemory()
        self.backend = MemoryBackend("main", MemoryOptions())
        self.rig = UploadRig(
            MemoryJournal(), self.backend, settings=RigSettings(part_size=1024), clock=FakeClock(NOW), wrap=wrap
        )

    def look(self, files=None):
        """Queue what is whole."""
        source_id = self.rig.intake.source_id
        found = scan(
            self.folder, files=files or Files(), clock=self.rig.clock, rules=ScanRules(source_id), memory=self.memory
        )
        return [self.rig.submit(candidate.path) for candidate in found.candidates]

    @property
    def stored(self):
        return sorted(self.backend.store.content(key) for key in self.backend.store.objects)


@pytest.fixture
def recorder(tmp_path):
    return Recorder(tmp_path / "recordings")


@pytest.fixture
def uploader(recorder):
    return Uploader(recorder.folder)


@pytest.mark.parametrize("looks_between", [True, False], ids=["seen by a scan", "unseen"])
def test_what_compression_replaced_while_it_was_queued_is_stored_once_in_its_new_form(
    recorder, uploader, looks_between
):
    path = recorder.record("rdp_1_seg001.mp4", b"large" * 1000)
    uploader.look()
    recorder.compress(path, b"small" * 100)
    if looks_between:
        uploader.look()
    uploader.rig.work_on(DAY)
    uploader.look()
    uploader.rig.work_on(DAY)
    assert uploader.stored == [b"small" * 100]
    rows = uploader.rig.rows()
    assert {row.state for row in rows} <= {TaskState.COMPLETED, TaskState.CANCELLED}
    assert [row.attempts for row in rows] == [0] * len(rows)


def test_what_compression_replaces_while_it_is_sent_is_started_over(recorder):
    path = recorder.record("rdp_1_seg001.mp4", b"large" * 1000)
    pending = [b"small" * 100]

    def replace(name):
        if name == "backend.send:done" and pending:
            recorder.compress(path, pending.pop())

    uploader = Uploader(recorder.folder, lambda name, port: StepProxy(port, name, replace))
    (task,) = uploader.look()
    uploader.rig.work_on(DAY)
    assert uploader.stored == [b"small" * 100]
    assert (uploader.rig.row(task).state, uploader.rig.row(task).attempts) == (TaskState.COMPLETED, 0)


def test_a_backup_that_a_failed_compression_left_is_taken_after_ten_minutes_without_its_original(recorder, uploader):
    path = recorder.record("rdp_1_seg001.mp4", b"large" * 1000)
    uploader.look()
    path.rename(path.with_name("rdp_1_seg001.bak.mp4"))
    for wait in (1, 599):
        assert uploader.look() == []
        uploader.rig.clock.advance(wait)
    assert uploader.look() != []
    uploader.rig.work()
    assert uploader.stored == [b"large" * 1000]


def test_a_backup_waits_ten_minutes_after_its_temporary_file_went(recorder, uploader):
    recorder.record("rdp_1_seg001.bak.mp4", b"large" * 1000)
    temporary = recorder.record("rdp_1_seg001.tmp.mp4", b"small", age=0)
    assert uploader.look() == []
    temporary.unlink()
    uploader.rig.clock.advance(11)
    assert uploader.look() == []
    uploader.rig.clock.advance(599)
    assert uploader.look() == []
    uploader.rig.clock.advance(2)
    assert len(uploader.look()) == 1


def test_a_backup_beside_a_recording_that_came_while_the_folder_was_listed_is_no_recording(recorder, uploader):
    path = recorder.record("rdp_1_seg001.bak.mp4", b"large" * 1000)

    class Late(Files):
        def scan_folder(self, folder):
            listed = super().scan_folder(folder)
            recorder.record("rdp_1_seg001.mp4", b"small" * 100)
            return listed

    assert uploader.look(Late()) == []
    path.unlink()
    uploader.look()
    uploader.rig.work()
    assert uploader.stored == [b"small" * 100]


def test_what_rotation_would_delete_next_goes_first_however_late_it_was_found(recorder, uploader):
    recorder.record("new.mp4", b"new", age=HOUR)
    (new,) = uploader.look()
    recorder.record("oldest.mp4", b"oldest", age=29 * DAY)
    recorder.record("old.mp4", b"old", age=20 * DAY)
    uploader.look()
    done = []
    while uploader.rig.work(most=1):
        done.append(uploader.stored)
    assert [len(stored) for stored in done] == [1, 2, 3]
    assert done[0] == [b"oldest"]
    assert done[1] == [b"old", b"oldest"]
    assert uploader.rig.row(new).state is TaskState.COMPLETED


def test_invariant_6_an_oldest_recording_that_cannot_go_holds_up_no_other(recorder, uploader):
    recorder.record("oldest.mp4", b"oldest", age=29 * DAY)
    recorder.record("new.mp4", b"new")
    uploader.backend.store.faults.add("send", times=3, before=NetworkError("reset"))
    uploader.look()
    uploader.rig.work_on(DAY)
    assert uploader.stored == [b"new", b"oldest"]


def test_what_rotation_deleted_before_its_upload_is_told_with_name_and_age_and_tried_no_more(recorder, uploader):
    path = recorder.record("rdp_1_seg001.mp4", b"video", age=30 * DAY)
    (task,) = uploader.look()
    recorder.rotate(path)
    uploader.rig.work_on(DAY)
    row = uploader.rig.row(task)
    assert row.state is TaskState.FAILED
    assert row.error.what == "rdp_1_seg001.mp4 is gone; it was 30 days old"
    assert row.error.where == str(path)
    assert uploader.rig.kinds(task).count("upload_failed") == 1
    assert uploader.backend.store.requests["open"] == 0
