"""Workers that go from task to task: what one transaction claims and completes, and when they stop."""

from __future__ import annotations

import pytest

from haulier import TaskState
from haulier.backends.memory import MemoryBackend
from haulier.backends.memory_options import MemoryOptions
from haulier.errors import NetworkError
from haulier.journal.memory import MemoryJournal
from haulier.testing.rig import UploadRig


class Telling(MemoryBackend):
    """Says when it is about to commit."""

    def __init__(self):
        super().__init__("main", MemoryOptions())
        self.before_commit = lambda upload: None

    def commit(self, upload, *arguments):
        self.before_commit(upload)
        return super().commit(upload, *arguments)


@pytest.fixture
def backend():
    return Telling()


@pytest.fixture
def rig(backend):
    return UploadRig(MemoryJournal(), backend)


@pytest.fixture
def submit(rig, tmp_path):
    def make(name):
        (tmp_path / name).write_bytes(name.encode() * 1000)
        return rig.submit(tmp_path / name)

    return make


@pytest.fixture
def tasks(submit):
    return [submit(f"{number}.mp4") for number in range(3)]


def states(rig, tasks):
    return [rig.row(task).state for task in tasks]


def test_a_worker_sees_a_whole_queue_through(rig, tasks):
    assert rig.workers.work("main")
    assert states(rig, tasks) == [TaskState.COMPLETED] * 3
    for task in tasks:
        assert rig.kinds(task) == ["upload_queued", "upload_started", "upload_completed"]
    assert not rig.workers.work("main")


def test_one_task_at_a_time_is_claimed(rig, backend, tasks):
    seen = []
    backend.before_commit = lambda upload: seen.append(states(rig, tasks))
    rig.workers.work("main")
    done, now, later = TaskState.COMPLETED, TaskState.UPLOADING, TaskState.QUEUED
    assert seen == [[now, later, later], [done, now, later], [done, done, now]]


def test_a_worker_that_is_told_to_stop_claims_nothing_more(rig, backend, tasks):
    backend.before_commit = lambda upload: rig.workers.stop() if upload.task == tasks[1] else None
    assert rig.workers.work("main")
    assert rig.row(tasks[0]).state is TaskState.COMPLETED
    assert rig.row(tasks[1]).state in {TaskState.COMPLETED, TaskState.QUEUED}
    assert (rig.row(tasks[2]).state, rig.row(tasks[2]).epoch) == (TaskState.QUEUED, 0)


def test_a_queue_that_is_never_empty_does_not_keep_the_aborts_waiting(rig, backend, submit):
    cancelled = submit("cancelled.mp4")
    backend.store.faults.add("send", part=2, before=NetworkError("the connection was reset"))
    rig.workers.work("main")
    rig.operations.apply("cancel", [cancelled])
    last = [submit(f"{number}.mp4") for number in range(3)][-1]
    aborted = {}

    def a_second_passes(upload):
        aborted[upload.task] = backend.store.requests.get("abort", 0)
        rig.clock.advance(1)

    backend.before_commit = a_second_passes
    while rig.workers.work("main"):
        pass
    assert aborted[last] == 1
