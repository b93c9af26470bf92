"""The public face with real threads: submit, wait, operate, survive."""

from __future__ import annotations

import json
import threading
import time

import pytest

from haulier import TaskState, UploadManager
from haulier.backends.memory import MemoryBackend
from haulier.backends.memory_faults import Gate
from haulier.backends.memory_options import MemoryOptions
from haulier.errors import (
    CancelledError,
    InputError,
    JournalUnavailableError,
    NetworkError,
    ServerError,
    StateFolderError,
    TaskNotFoundError,
    UnknownBackendError,
    ValidationError,
    WaitTimeoutError,
)
from haulier.models import Disposal, Proof
from haulier.service.parts import Pace, Ports
from haulier.service.state import open_journal


@pytest.fixture
def memory():
    return MemoryBackend("main", MemoryOptions())


@pytest.fixture
def make_manager(tmp_path, memory):
    made = []

    def make(start=True, ports=None, **upload):
        upload = {"backend": "main", "state_dir": str(tmp_path / "state"), "part_size": 1024, **upload}
        backends = {"main": {"type": "memory"}, "second": {"type": "filesystem", "url": str(tmp_path / "second")}}
        manager = UploadManager.open({"upload": upload, "backends": backends}, ports=ports)
        manager.register(memory)
        made.append(manager)
        if start:
            manager.start()
        return manager

    yield make
    for manager in made:
        manager.close()


def record(tmp_path, name="session.mp4", size=5000):
    path = tmp_path / name
    path.write_bytes(bytes(range(250)) * (size // 250))
    return path


def until(condition, timeout=30.0):
    end = time.monotonic() + timeout
    while not condition():
        assert time.monotonic() < end, "it did not happen"
        time.sleep(0.01)


class DeepSleep(Pace):
    """Whoever is not the lookout sleeps until something happens in this process."""

    asleep = 3600.0


def test_what_another_program_submits_is_taken_while_the_one_that_looked_out_uploads(make_manager, memory, tmp_path):
    manager = make_manager(ports=Ports(pace=DeepSleep(upkeep=0.02, idle=0.02)), max_concurrent_uploads=3)
    other = make_manager(start=False)
    gates = [Gate(), Gate()]
    for number, gate in enumerate(gates):
        memory.store.faults.add("commit", gate=gate)
        other.submit(record(tmp_path, f"{number}.mp4"))
        assert gate.wait_reached()
    manager.wait(other.submit(record(tmp_path, "last.mp4")), timeout=30)
    for gate in gates:
        gate.release()
    until(lambda: manager.status().counts[TaskState.COMPLETED] == 3)


def test_submit_wait_receipt(make_manager, tmp_path):
    manager = make_manager()
    task = manager.submit(record(tmp_path), metadata={"case": 7})
    receipt = manager.wait(task, timeout=30)
    assert receipt.proof is Proof.CONTENT
    assert manager.receipt(task.id) == receipt
    assert manager.task(task.id).progress == 100
    assert manager.status().counts[TaskState.COMPLETED] == 1


def test_the_tasks_of_a_scan_are_read_when_they_are_looked_at(make_manager, tmp_path):
    manager = make_manager(start=False)
    folder = tmp_path / "recordings"
    folder.mkdir()
    for number in range(450):
        (folder / f"{number:03}.mp4").write_bytes(b"%d" % number)
    tasks, found = manager.scan(folder, settled=True)
    assert len(tasks) == 450
    assert set(tasks.ids) == {task.id for task in tasks} == found.queued
    assert [task.id for task in tasks[10:13]] == [tasks[10].id, tasks[11].id, tasks[12].id]
    assert tasks[-1] in tasks
    manager.cancel(tasks[0].id)
    assert [task.state for task in tasks[:2]] == [TaskState.CANCELLED, TaskState.QUEUED]
    again, found = manager.scan(folder, settled=True)
    assert again == tasks
    assert not found.queued
    with pytest.raises(IndexError):
        tasks[450]


def test_very_many_tasks_are_waited_for_together(make_manager, memory, tmp_path):
    manager = make_manager()
    folder = tmp_path / "recordings"
    folder.mkdir()
    for number in range(150):
        (folder / f"{number:03}.mp4").write_bytes(b"%d" % number)
    gate = Gate()
    memory.store.faults.add("commit", gate=gate)
    bad = manager.submit(record(tmp_path, "given-up.mp4"))
    assert gate.wait_reached()
    tasks, _ = manager.scan(folder, settled=True)
    assert manager.wait_all(tasks, timeout=60) == {TaskState.COMPLETED: 150}
    with pytest.raises(WaitTimeoutError, match="1 of the tasks has not ended"):
        manager.wait_all([bad], timeout=0.05)
    manager.cancel(bad.id)
    gate.release()
    ended = manager.wait_all([bad.id, *tasks], timeout=60)
    assert sum(ended.values()) == 151
    assert manager.wait_all([], timeout=0) == {}
    with pytest.raises(TaskNotFoundError):
        manager.wait_all(["upload_nobody"], timeout=60)


def test_making_a_manager_touches_nothing(tmp_path):
    UploadManager.open({"upload": {"state_dir": str(tmp_path / "state")}, "backends": {"main": {"type": "memory"}}})
    assert list(tmp_path.iterdir()) == []


def test_submit_works_before_start_and_a_later_manager_delivers(make_manager, tmp_path):
    first = make_manager(start=False)
    task = first.submit(record(tmp_path))
    first.close()
    assert make_manager().wait(task, timeout=30).task == task.id


def test_wait_says_what_became_of_a_failed_task(make_manager, tmp_path, memory):
    memory.store.faults.add("open", before=ValidationError("no such case"), times=None)
    manager = make_manager()
    with pytest.raises(ValidationError, match="no such case"):
        manager.wait(manager.submit(record(tmp_path)), timeout=30)


def test_wait_ends_in_time_and_the_task_goes_on(make_manager, tmp_path, memory):
    gate = Gate()
    memory.store.faults.add("open", gate=gate)
    manager = make_manager()
    task = manager.submit(record(tmp_path))
    with pytest.raises(WaitTimeoutError):
        manager.wait(task, timeout=0.05)
    gate.release()
    assert manager.wait(task, timeout=30)


@pytest.mark.parametrize("method", ["open", "held", "send", "commit"])
def test_a_running_task_is_cancelled_or_was_stored(make_manager, tmp_path, memory, method):
    gate = Gate()
    if method == "held":
        memory.store.faults.add("send", nth=2, before=NetworkError("reset"))
    memory.store.faults.add(method, gate=gate)
    manager = make_manager()
    task = manager.submit(record(tmp_path))
    assert gate.wait_reached(timeout=20)
    assert manager.cancel(task.id) == [task.id]
    gate.release()
    with pytest.raises(CancelledError):
        manager.wait(task, timeout=30)
    assert manager.receipt(task.id) is None


def test_invariant_5_pause_keeps_what_was_sent_and_resume_goes_on(make_manager, tmp_path, memory):
    gate = Gate()
    memory.store.faults.add("send", nth=4, gate=gate)
    manager = make_manager()
    task = manager.submit(record(tmp_path))
    assert gate.wait_reached(timeout=30)
    manager.pause(task.id)
    gate.release()
    until(lambda: manager.task(task.id).state is TaskState.PAUSED)
    manager.resume(task.id)
    manager.wait(task, timeout=30)
    assert memory.store.requests["open"] == 1


def test_retry_of_a_failed_task(make_manager, tmp_path, memory):
    memory.store.faults.add("open", before=ValidationError("not now"))
    manager = make_manager()
    task = manager.submit(record(tmp_path))
    with pytest.raises(ValidationError):
        manager.wait(task, timeout=30)
    assert manager.retry() == [task.id]
    assert manager.wait(task, timeout=30)


def test_close_is_quick_while_a_destination_hangs_and_loses_nothing(make_manager, tmp_path, memory):
    gate = Gate()
    memory.store.faults.add("send", gate=gate)
    manager = make_manager()
    task = manager.submit(record(tmp_path))
    assert gate.wait_reached(timeout=30)
    began = time.monotonic()
    manager.close()
    assert time.monotonic() - began < 2.5
    gate.release()
    assert make_manager().wait(task, timeout=30)


def test_invariant_4_two_managers_share_a_journal_and_upload_each_file_once(make_manager, tmp_path, memory):
    first, second = make_manager(), make_manager()
    tasks = [first.submit(record(tmp_path, f"{number}.mp4")) for number in range(20)]
    for task in tasks:
        second.wait(task, timeout=20)
    assert memory.store.requests["commit"] == 20


def test_a_manager_that_vanished_leaves_its_tasks_to_others(make_manager, tmp_path, memory):
    gate = Gate()
    memory.store.faults.add("send", gate=gate)
    first = make_manager()
    task = first.submit(record(tmp_path))
    assert gate.wait_reached(timeout=30)
    first.service.owner.close()  # what the end of its process does
    second = make_manager()
    assert second.wait(task, timeout=20)
    gate.release()
    until(lambda: not first.service.workers.flying())
    assert memory.store.requests["commit"] == 1


def test_invariant_2_one_task_for_each_backend_and_the_source_goes_when_all_are_done(make_manager, tmp_path, memory):
    down = memory.store.faults.add("open", before=NetworkError("away", reached=False), times=None)
    manager = make_manager(delete_after_upload=True)
    video = record(tmp_path)
    manager.submit(video, backend="second", also=["main"])
    other, there = sorted(manager.tasks(), key=lambda task: task.backend)
    assert other.group == there.group
    manager.wait(there, timeout=30)
    manager.service.disposer.step()
    assert video.exists()
    assert down
    memory.store.faults.clear()
    manager.resume()
    manager.wait(other, timeout=20)
    until(lambda: manager.service.disposer.step() or not video.exists())
    assert {task.disposal for task in manager.tasks()} <= {Disposal.REMOVED, Disposal.PENDING}


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda folder: folder / "missing.mp4", "no such file"),
        (lambda folder: folder, "folder"),
    ],
    ids=["missing", "folder"],
)
def test_bad_files_are_refused_in_words(make_manager, tmp_path, make, words):
    manager = make_manager(start=False)
    with pytest.raises(InputError, match=words):
        manager.submit(make(tmp_path))
    assert manager.tasks() == []


@pytest.mark.parametrize("content", ["{broken", "[1, 2]"])
def test_a_broken_sidecar_is_refused_and_nothing_is_queued(make_manager, tmp_path, content):
    sidecar = tmp_path / "session.json"
    sidecar.write_text(content)
    manager = make_manager(start=False)
    with pytest.raises(InputError, match="sidecar"):
        manager.submit(record(tmp_path), sidecar=sidecar)
    assert manager.tasks() == []


def test_unknown_names_are_refused(make_manager, tmp_path):
    manager = make_manager(start=False)
    with pytest.raises(UnknownBackendError, match="nowhere"):
        manager.submit(record(tmp_path), backend="nowhere")
    with pytest.raises(TaskNotFoundError):
        manager.task("upload_0")


def test_a_state_folder_that_cannot_be_used_is_refused(tmp_path):
    (tmp_path / "state").write_text("a file in its place")
    manager = UploadManager.open(
        {"upload": {"state_dir": str(tmp_path / "state")}, "backends": {"main": {"type": "memory"}}}
    )
    with pytest.raises(StateFolderError, match="state"):
        manager.status()


class FullDisk:
    """A journal whose disk is full while ``full`` is set."""

    def __init__(self, journal):
        self._journal = journal
        self.full = threading.Event()

    def write(self, change, **options):
        if self.full.is_set():
            raise JournalUnavailableError("the disk is full")
        return self._journal.write(change, **options)

    def __getattr__(self, name):
        return getattr(self._journal, name)


def test_while_the_journal_cannot_be_written_nothing_is_committed_and_afterwards_all_goes_on(
    make_manager, tmp_path, memory
):
    opened = []

    def journal(folder, files):
        opened.append(FullDisk(open_journal(folder, files)))
        return opened[0]

    gate = Gate()
    memory.store.faults.add("send", nth=3, gate=gate)
    manager = make_manager(ports=Ports(journal=journal))
    task = manager.submit(record(tmp_path))
    assert gate.wait_reached(timeout=30)
    opened[0].full.set()
    gate.release()
    until(lambda: manager.status().journal_error)
    with pytest.raises(JournalUnavailableError):
        manager.submit(record(tmp_path, "other.mp4"))
    assert memory.store.requests["commit"] == 0
    opened[0].full.clear()
    assert manager.wait(task, timeout=20)
    assert manager.status().journal_error is None


def test_events_are_told_in_order_and_kept(make_manager, tmp_path, memory):
    memory.store.faults.add("open", before=ServerError("500"))
    manager = make_manager()
    told = []
    manager.subscribe(told.append)
    task = manager.submit(record(tmp_path))
    manager.wait(task, timeout=20)
    kept = [event.kind for event in manager.events()]
    assert kept == ["upload_queued", "upload_started", "upload_retrying", "upload_started", "upload_completed"]
    until(lambda: [event.kind for event in told if event.kind != "upload_progress"] == kept)
    progress = [event.acknowledged for event in told if event.kind == "upload_progress"]
    assert progress == sorted(progress)


def test_watched_folders_are_taken_by_themselves_once(tmp_path):
    folder = tmp_path / "recordings"
    folder.mkdir()
    config = {
        "upload": {"state_dir": str(tmp_path / "state")},
        "watch": {"paths": [str(folder)], "settle_seconds": 0, "interval_seconds": 0.1},
        "backends": {"store": {"type": "filesystem", "url": str(tmp_path / "store")}},
    }
    with UploadManager.open(config) as manager:
        record(folder, "rdp_1_1729950022_Host_20241026_150022.mp4")
        (folder / "rdp_1_1729950022_metadata.json").write_text(json.dumps({"session_id": "rdp_1_1729950022"}))
        (folder / "empty.mp4").write_bytes(b"")
        until(lambda: manager.status().counts[TaskState.COMPLETED] == 1)
        record(folder, "second.mp4")
        until(lambda: manager.status().counts[TaskState.COMPLETED] == 2)
        until(lambda: any("empty.mp4" in path for path in manager.status().problems))
        assert sum(manager.status().counts.values()) == 2
        first = manager.tasks()[0]
        assert first.sidecar.endswith("rdp_1_1729950022_metadata.json")


def test_invariant_6_a_destination_that_hangs_holds_up_no_other(make_manager, tmp_path, memory):
    gate = Gate()
    memory.store.faults.add("open", gate=gate, times=None)
    manager = make_manager(max_concurrent_uploads=1)
    stuck = [manager.submit(record(tmp_path, f"{number}.mp4")) for number in range(5)]
    assert gate.wait_reached(timeout=30)
    assert manager.wait(manager.submit(record(tmp_path, "other.mp4"), backend="second"), timeout=30)
    gate.release()
    for task in stuck:
        manager.wait(task, timeout=20)
