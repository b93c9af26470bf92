"""Invariant 9 and the settling of lost answers: what trouble costs, and whom."""

from __future__ import annotations

import hashlib

import pytest

from haulier.backends.api import CommitMode, IfAbsent, PartsMode, ResumeMode
from haulier.backends.memory import MemoryBackend
from haulier.backends.memory_options import MemoryOptions
from haulier.errors import (
    AuthenticationError,
    NetworkError,
    PermissionDeniedError,
    ServerError,
    ThrottledError,
    ValidationError,
)
from haulier.journal.sqlite import SqliteJournal
from haulier.models import SuspensionReason, TaskState
from haulier.testing.rig import UploadRig
from haulier.transfer.context import RunContext


def destination(**options):
    return MemoryBackend("main", MemoryOptions(**options))


@pytest.fixture
def journal(tmp_path):
    opened = SqliteJournal(tmp_path / "journal.db")
    yield opened
    opened.close()


def submit_many(rig, folder, count, size=3000):
    tasks = []
    for number in range(count):
        path = folder / f"session-{number:03}.mp4"
        path.write_bytes(bytes([number % 251]) * size)
        tasks.append(rig.submit(path))
    return tasks


def states(rig):
    return [str(row.state) for row in rig.rows()]


def stored_keys(backend):
    return sorted(entry.key for entry in backend.list("", RunContext()))


def requests(backend, method):
    return backend.store.requests.get(method, 0)


def test_invariant_9_an_outage_at_start_and_of_a_minute_costs_no_attempt(tmp_path, journal):
    backend = destination()
    rig = UploadRig(journal, backend)
    submit_many(rig, tmp_path, 6)
    away = NetworkError("connection refused", reached=False)
    down = [backend.store.faults.add(name, before=away, times=None) for name in ("open", "send", "commit", "probe")]
    assert down
    start = rig.clock.now()
    while rig.clock.now() < start + 60:
        rig.work()
        rig.probe()
        rig.clock.advance(1)
    assert set(states(rig)) == {"queued"}
    assert all(row.attempts == 0 for row in rig.rows())
    backend.store.faults.clear()
    rig.work_on(200)
    assert set(states(rig)) == {"completed"}
    assert "upload_failed" not in rig.kinds()
    assert rig.kinds().count("backend_suspended") == 1
    assert rig.kinds().count("backend_resumed") == 1


def test_invariant_9_one_poisoned_item_among_twenty_fails_alone(tmp_path, journal):
    backend = destination()
    rig = UploadRig(journal, backend)
    tasks = submit_many(rig, tmp_path, 21)
    poison = rig.row(tasks[7]).item_id
    backend.store.faults.add("send", item=poison, before=ServerError("500"), times=None)
    rig.work_on(600)
    assert [rig.row(task).state == TaskState.FAILED for task in tasks] == [task == tasks[7] for task in tasks]
    assert states(rig).count("completed") == 20
    assert rig.row(tasks[7]).slow_lane


@pytest.mark.parametrize("count", [2, 3, 20])
def test_invariant_9_health_well_and_uploads_failing_for_a_minute_fails_nothing(tmp_path, journal, count):
    backend = destination()
    rig = UploadRig(journal, backend)
    submit_many(rig, tmp_path, count)
    backend.store.faults.add("open", before=ServerError("503"), times=None)
    start = rig.clock.now()
    while rig.clock.now() < start + 60:
        rig.work()
        rig.probe()
        rig.clock.advance(0.5)
    assert "failed" not in states(rig)
    backend.store.faults.clear()
    rig.work_on(600)
    assert set(states(rig)) == {"completed"}


def test_invariant_9_refused_credentials_cost_one_request_and_wait_for_others(tmp_path, journal):
    backend = destination()
    rig = UploadRig(journal, backend)
    submit_many(rig, tmp_path, 5)
    backend.store.faults.add("open", before=AuthenticationError("401"), times=None)
    rig.work()
    assert requests(backend, "open") == 1
    assert rig.ledger.suspension("main")[0] is SuspensionReason.CREDENTIALS
    rig.clock.advance(290)
    rig.probe()
    rig.work()
    assert requests(backend, "open") == 1
    backend.store.faults.clear()
    rig.clock.advance(20)
    rig.work_on(60)
    assert set(states(rig)) == {"completed"}
    assert all(row.attempts == 0 for row in rig.rows())


def test_invariant_9_a_refused_item_is_its_own_while_the_probe_is_well(tmp_path, journal):
    backend = destination()
    rig = UploadRig(journal, backend)
    tasks = submit_many(rig, tmp_path, 3)
    item = rig.row(tasks[1]).item_id
    backend.store.faults.add("open", item=item, before=PermissionDeniedError("403"), times=None)
    rig.work_on(60)
    assert [str(rig.row(task).state) for task in tasks] == ["completed", "failed", "completed"]


def test_a_permanent_error_fails_at_once_with_the_servers_reason(tmp_path, journal):
    backend = destination()
    rig = UploadRig(journal, backend)
    (task,) = submit_many(rig, tmp_path, 1)
    backend.store.faults.add("open", before=ValidationError("session_id is missing"), times=None)
    rig.work_on(60)
    row = rig.row(task)
    assert row.state is TaskState.FAILED
    assert row.error.what == "session_id is missing"
    assert requests(backend, "open") == 1


def test_retry_after_is_obeyed(tmp_path, journal):
    backend = destination()
    rig = UploadRig(journal, backend)
    (task,) = submit_many(rig, tmp_path, 1)
    backend.store.faults.add("open", before=ThrottledError("429", retry_after=17))
    rig.work()
    due = rig.row(task).not_before
    assert due == rig.clock.now() + 17
    rig.clock.advance(16)
    assert rig.work() == 0
    rig.clock.advance(1)
    assert rig.work() == 1
    assert rig.row(task).state is TaskState.COMPLETED


def test_waits_double_and_end_after_the_retries(tmp_path, journal):
    backend = destination()
    rig = UploadRig(journal, backend)
    (task,) = submit_many(rig, tmp_path, 1)
    backend.store.faults.add("open", before=ServerError("500"), times=None)
    waits = []
    while rig.row(task).state is not TaskState.FAILED:
        rig.work()
        row = rig.row(task)
        waits.append(row.not_before - rig.clock.now())
        rig.clock.advance(waits[-1])
    assert waits == [2, 4, 8, 3600]
    backend.store.faults.clear()
    rig.work()
    assert rig.row(task).state is TaskState.COMPLETED


def test_new_bytes_set_the_count_of_attempts_back(tmp_path, journal):
    backend = destination(parts=PartsMode.SEQUENTIAL, resume=ResumeMode.OFFSET)
    rig = UploadRig(journal, backend)
    (task,) = submit_many(rig, tmp_path, 1, size=10_000)
    for part in range(1, 11):
        backend.store.faults.add("send", part=part, before=NetworkError("reset"))
    rig.work_on(600)
    assert rig.row(task).state is TaskState.COMPLETED
    assert "upload_failed" not in rig.kinds()


@pytest.mark.parametrize("commit", list(CommitMode))
def test_invariant_4_a_lost_answer_to_the_commit_is_settled_by_asking(tmp_path, journal, commit):
    backend = destination(parts=PartsMode.SEQUENTIAL, resume=ResumeMode.OFFSET, commit=commit)
    rig = UploadRig(journal, backend)
    (task,) = submit_many(rig, tmp_path, 1)
    backend.store.faults.add("commit", after=NetworkError("silence"))
    rig.work()
    assert rig.row(task).state is TaskState.COMPLETED
    assert requests(backend, "commit") == 1
    assert len(stored_keys(backend)) == 1


def test_invariant_4_an_unknown_outcome_fails_and_is_never_repeated_blindly(tmp_path, journal):
    backend = destination(settles=False)
    rig = UploadRig(journal, backend)
    (task,) = submit_many(rig, tmp_path, 1)
    backend.store.faults.add("commit", after=NetworkError("silence"))
    rig.work_on(7200)
    assert rig.row(task).state is TaskState.FAILED
    assert rig.row(task).error.code == "outcome_unknown"
    assert requests(backend, "commit") == 1


def test_invariant_4_something_else_under_the_key_is_a_conflict_and_stays(tmp_path, journal):
    backend = destination()
    rig = UploadRig(journal, backend)
    (task,) = submit_many(rig, tmp_path, 1)
    key = rig.row(task).media.key
    backend.store.put(key, b"other content")
    rig.work_on(60)
    assert rig.row(task).state is TaskState.FAILED
    assert rig.row(task).error.code == "conflict"
    assert b"".join(backend.read(key, RunContext())) == b"other content"


def test_invariant_3_wrong_bytes_at_the_destination_are_never_called_completed(tmp_path, journal):
    backend = destination()
    rig = UploadRig(journal, backend)
    (task,) = submit_many(rig, tmp_path, 1)
    backend.store.faults.add("commit", wrong_digests=True, times=None)
    rig.work_on(60)
    assert rig.row(task).state is TaskState.FAILED
    assert rig.row(task).error.code == "integrity"
    assert rig.receipt(task) is None


def test_a_forgotten_session_is_opened_anew(tmp_path, journal):
    backend = destination(parts=PartsMode.SEQUENTIAL, resume=ResumeMode.OFFSET)
    rig = UploadRig(journal, backend)
    (task,) = submit_many(rig, tmp_path, 1, size=10_000)
    backend.store.faults.add("send", part=6, forget=True)
    rig.work_on(60)
    assert rig.row(task).state is TaskState.COMPLETED
    assert rig.receipt(task).sha256 == hashlib.sha256(bytes([0]) * 10_000).hexdigest()
    assert requests(backend, "open") == 2


def test_a_session_that_was_lost_between_two_tries_is_begun_under_another_nonce(tmp_path, journal):
    nonces = []

    class Destination(MemoryBackend):
        def open(self, upload, context):
            nonces.append(upload.nonce)
            return super().open(upload, context)

    backend = Destination("main", MemoryOptions(parts=PartsMode.SEQUENTIAL, resume=ResumeMode.OFFSET))
    rig = UploadRig(journal, backend)
    (task,) = submit_many(rig, tmp_path, 1, size=10_000)
    backend.store.faults.add("send", part=6, before=NetworkError("reset"))
    rig.work()
    backend.store.forget_sessions()
    rig.work_on(60)
    assert rig.row(task).state is TaskState.COMPLETED
    assert len(set(nonces)) == len(nonces) == 2
    assert rig.row(task).nonce == nonces[-1]


def test_a_part_of_which_only_the_beginning_arrived_goes_on_from_there(tmp_path, journal):
    backend = destination(parts=PartsMode.SEQUENTIAL, resume=ResumeMode.OFFSET)
    rig = UploadRig(journal, backend)
    (task,) = submit_many(rig, tmp_path, 1, size=10_000)
    backend.store.faults.add("send", part=4, keep=100)
    backend.store.faults.add("send", part=7, keep=500, after=NetworkError("reset"))
    rig.work_on(60)
    assert rig.row(task).state is TaskState.COMPLETED
    assert sum(backend.store.bytes_received.values()) < 10_000 + 2 * 1024


def test_a_task_in_flight_is_cancelled_and_its_session_dropped(tmp_path, journal):
    backend = destination()
    rig = UploadRig(journal, backend)
    (task,) = submit_many(rig, tmp_path, 1)
    backend.store.faults.add(
        "send", when=lambda call: rig.operations.apply("cancel", [task]) and rig.workers.interrupt(task, "cancel")
    )
    rig.work()
    assert rig.row(task).state is TaskState.CANCELLED
    assert stored_keys(backend) == []
    assert requests(backend, "abort") == 1
    assert rig.kinds(task)[-1] == "upload_cancelled"


def test_invariant_4_check_then_write_destinations_keep_what_is_there(tmp_path, journal):
    backend = destination(if_absent=IfAbsent.CHECK_THEN_WRITE)
    rig = UploadRig(journal, backend)
    tasks = submit_many(rig, tmp_path, 3)
    rig.work_on(60)
    assert len(stored_keys(backend)) == len(tasks)


def test_a_person_who_looked_may_have_an_unknown_outcome_tried_anew(tmp_path, journal):
    backend = destination(settles=False)
    rig = UploadRig(journal, backend)
    (task,) = submit_many(rig, tmp_path, 1)
    backend.store.faults.add("commit", before=NetworkError("silence"))
    rig.work_on(60)
    assert rig.row(task).error.code == "outcome_unknown"
    assert rig.operations.apply("retry", None) == [], "not with all the others"
    assert rig.operations.apply("retry", [task]) == [task]
    rig.work_on(60)
    assert rig.row(task).state is TaskState.COMPLETED
    assert len(stored_keys(backend)) == 1


def test_a_file_that_comes_back_is_taken_up_by_the_next_scan(tmp_path, journal):
    rig = UploadRig(journal, destination())
    (task,) = submit_many(rig, tmp_path, 1)
    path = tmp_path / "session-000.mp4"
    path.rename(tmp_path / "away.mp4")
    rig.work_on(60)
    assert rig.row(task).error.code == "source_unavailable"
    (tmp_path / "away.mp4").rename(path)
    assert rig.submit(path) == task
    rig.work_on(60)
    assert rig.row(task).state is TaskState.COMPLETED


@pytest.mark.parametrize("fate", ["changed", "gone"])
def test_invariant_7_a_commit_that_arrived_stands_whatever_became_of_the_source_since(tmp_path, journal, fate):
    backend = destination()
    rig = UploadRig(journal, backend)
    (task,) = submit_many(rig, tmp_path, 1)
    path = tmp_path / "session-000.mp4"
    before = hashlib.sha256(path.read_bytes()).hexdigest()
    backend.store.faults.add("commit", after=NetworkError("silence"))
    backend.store.faults.add("settle", before=NetworkError("refused", reached=False))
    rig.work()
    assert rig.row(task).committing
    if fate == "gone":
        path.unlink()
    else:
        path.write_bytes(b"new content")
    rig.work_on(60)
    assert rig.row(task).state is TaskState.COMPLETED
    assert rig.receipt(task).sha256 == before
    assert requests(backend, "commit") == 1


def test_a_wall_clock_that_is_set_back_prolongs_no_wait(tmp_path, journal):
    backend = destination()
    rig = UploadRig(journal, backend)
    (task,) = submit_many(rig, tmp_path, 1)
    backend.store.faults.add("open", before=ServerError("500"))
    rig.upkeep.step()
    rig.work()
    assert rig.row(task).state is TaskState.RETRYING
    rig.clock.jump(-30 * 86_400)
    rig.upkeep.step()
    assert rig.work() == 1
    assert rig.row(task).state is TaskState.COMPLETED


def test_a_wall_clock_that_is_set_back_prolongs_no_suspension(tmp_path, journal):
    backend = destination()
    rig = UploadRig(journal, backend)
    submit_many(rig, tmp_path, 1)
    backend.store.faults.add("open", before=NetworkError("refused", reached=False))
    rig.upkeep.step()
    rig.work()
    rig.clock.jump(-30 * 86_400)
    rig.upkeep.step()
    rig.work_on(60)
    assert set(states(rig)) == {"completed"}


def test_invariant_9_a_wrong_address_that_refuses_everything_fails_no_task(tmp_path, journal):
    backend = destination()
    rig = UploadRig(journal, backend)
    submit_many(rig, tmp_path, 5)
    for method in ("open", "probe"):
        backend.store.faults.add(method, before=ValidationError("404 not found"), times=None)
    rig.work()
    rig.clock.advance(2)
    rig.probe()
    rig.work()
    assert set(states(rig)) == {"queued"}
    assert requests(backend, "open") == 1
    backend.store.faults.clear()
    rig.work_on(120)
    assert set(states(rig)) == {"completed"}
