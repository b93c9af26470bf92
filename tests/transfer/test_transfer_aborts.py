"""Sessions that nobody goes on with: their destinations are told, later, often enough, and no longer than that."""

from __future__ import annotations

import hashlib
import logging
from contextlib import suppress
from dataclasses import replace
from itertools import pairwise

import pytest

from haulier.backends.api import IfAbsent, PartsMode, ResumeMode
from haulier.backends.filesystem import FilesystemBackend, FilesystemOptions
from haulier.backends.memory import MemoryBackend
from haulier.backends.memory_options import MemoryOptions
from haulier.errors import (
    AuthenticationError,
    JournalUnavailableError,
    NetworkError,
    PermissionDeniedError,
    ServerError,
    ThrottledError,
)
from haulier.journal.memory import MemoryJournal
from haulier.journal.sqlite import SqliteJournal, migrations
from haulier.models import TaskState
from haulier.testing.journal_rows import task_row
from haulier.testing.rig import RigSettings, UploadRig
from haulier.testing.steps import StepProxy
from haulier.threads import Ended
from haulier.transfer.context import RunContext
from haulier.transfer.policy import Policy

HOUR, DAY = 3600.0, 86_400.0
RESET = NetworkError("the connection was reset")
REFUSED = NetworkError("the connection was refused", reached=False)
CONTENT = bytes(range(250)) * 40


@pytest.fixture
def journal():
    return MemoryJournal()


@pytest.fixture
def backend():
    return MemoryBackend("main", MemoryOptions())


@pytest.fixture
def rig(journal, backend):
    return UploadRig(journal, backend)


def submit(rig, folder, name="clip.mp4", content=CONTENT):
    (folder / name).write_bytes(content)
    return rig.submit(folder / name)


def interrupted(rig, backend, folder, error=RESET, name="clip.mp4"):
    """A task that waits with a session in which some parts are held."""
    task = submit(rig, folder, name)
    backend.store.faults.add("send", part=4, before=error)
    rig.workers.work_once()
    assert rig.row(task).token is not None
    assert sessions(backend)
    return task


def sessions(backend):
    return {session.id for session in backend.store.sessions.values() if not session.committed}


def owed(rig):
    return list(rig.journal.read(lambda tx: tx.aborts()))


def aborts(backend):
    return backend.store.requests.get("abort", 0)


def cancel(rig, task):
    assert rig.operations.apply("cancel", [task]) == [task]
    assert rig.row(task).state is TaskState.CANCELLED


# -- cancelled while it waits


def queued(rig, backend, folder):
    task = interrupted(rig, backend, folder, REFUSED)
    rig.ledger.probe_succeeded("main")
    return task


def paused(rig, backend, folder):
    task = interrupted(rig, backend, folder)
    rig.operations.apply("pause", [task])
    return task


def failed(rig, backend, folder):
    return interrupted(rig, backend, folder, PermissionDeniedError("403"))


WAITING = [(queued, "queued"), (interrupted, "retrying"), (paused, "paused"), (failed, "failed")]


@pytest.mark.parametrize(("waiting", "state"), WAITING, ids=[case[1] for case in WAITING])
def test_invariant_10_a_cancelled_tasks_session_is_dropped_and_its_token_with_it(
    tmp_path, rig, backend, waiting, state
):
    task = waiting(rig, backend, tmp_path)
    assert rig.row(task).state == state
    cancel(rig, task)
    assert rig.row(task).token is None
    assert aborts(backend) == 0, "the command does not wait for the destination"
    assert [(each.task, each.backend) for each in owed(rig)] == [(task, "main")]
    rig.work()
    assert sessions(backend) == set()
    assert aborts(backend) == 1
    assert owed(rig) == [], "what the token grants goes with the session"
    assert not list(rig.journal.read(lambda tx: tx.parts(task)))


def test_the_partial_file_of_a_cancelled_task_goes(tmp_path, journal):
    store = tmp_path / "store"
    store.mkdir()
    backend = FilesystemBackend("disk", FilesystemOptions(url=str(store)))
    calls = []

    def fail_at_the_fourth(step):
        calls.append(step)
        if calls.count("backend.send") == 4 and step == "backend.send":
            raise RESET

    rig = UploadRig(journal, StepProxy(backend, "backend", fail_at_the_fourth))
    task = submit(rig, tmp_path)
    rig.work()
    partials = [path for path in store.rglob("*") if path.is_file()]
    assert partials
    cancel(rig, task)
    assert [path for path in store.rglob("*") if path.is_file()] == partials
    rig.work()
    assert not [path for path in store.rglob("*") if path.is_file()]


def test_a_task_that_was_never_begun_owes_nothing(tmp_path, rig, backend):
    task = submit(rig, tmp_path)
    cancel(rig, task)
    rig.work()
    assert owed(rig) == []
    assert aborts(backend) == 0


def test_a_cancelled_task_that_is_retried_has_a_session_of_its_own(tmp_path, rig, backend):
    task = interrupted(rig, backend, tmp_path)
    first = rig.row(task).nonce
    cancel(rig, task)
    rig.operations.apply("retry", [task])
    backend.store.faults.add("send", before=RESET)
    rig.work()  # the new session begins before the old one is dropped
    assert rig.row(task).nonce not in {"", first}
    assert len(sessions(backend)) == 1
    rig.work_on(60)
    assert rig.row(task).state is TaskState.COMPLETED
    assert sessions(backend) == set()
    assert owed(rig) == []


def test_what_the_destination_forgot_is_done(tmp_path, rig, backend):
    task = interrupted(rig, backend, tmp_path)
    backend.store.sessions.clear()
    cancel(rig, task)
    rig.work()
    assert (aborts(backend), owed(rig)) == (1, [])


@pytest.mark.parametrize("ends", ["died", "failed"])
def test_a_wish_to_cancel_that_a_running_task_did_not_hear_drops_its_session(tmp_path, rig, backend, ends):
    task = submit(rig, tmp_path)
    (lease,) = rig.ledger.claim(["main"])
    backend.store.faults.add("send", part=4, before=RESET)
    rig.ledger.clock.advance(1)
    rig.journal.write(lambda tx: tx.update_task(task, request="cancel"))
    if ends == "failed":
        rig.workers._see_through(lease)
    else:
        rig.engine.run(lease, backend, RunContext())
        rig.ledger.release_owner("rig")
    row = rig.row(task)
    assert (row.state, row.token) == (TaskState.CANCELLED, None)
    rig.work()
    assert sessions(backend) == set()


# -- whose commit may be there


def test_a_session_whose_commit_may_have_arrived_is_left_alone(tmp_path, journal):
    backend = MemoryBackend("main", MemoryOptions(settles=False))
    rig = UploadRig(journal, backend)
    task = submit(rig, tmp_path)
    backend.store.faults.add("commit", before=RESET)
    rig.work()
    assert rig.row(task).error.code == "outcome_unknown"
    cancel(rig, task)
    assert rig.row(task).committing, "it stays known that a commit may be there"
    assert rig.row(task).token is None
    rig.work()
    assert (aborts(backend), owed(rig)) == (0, [])


def test_a_retry_after_an_unknown_outcome_aborts_nothing(tmp_path, journal):
    backend = MemoryBackend("main", MemoryOptions(settles=False, if_absent=IfAbsent.NONE))
    rig = UploadRig(journal, backend)
    task = submit(rig, tmp_path)
    backend.store.faults.add("commit", after=RESET)
    rig.work()
    before = set(backend.store.objects)
    rig.operations.apply("retry", [task])
    rig.work()
    assert aborts(backend) == 0
    assert set(backend.store.objects) == before


# -- sessions that are replaced


def test_a_changed_sources_session_is_dropped_later_when_that_cannot_be_done_now(tmp_path, rig, backend):
    task = interrupted(rig, backend, tmp_path)
    (old,) = sessions(backend)
    (tmp_path / "clip.mp4").write_bytes(CONTENT[::-1])
    backend.store.faults.add("abort", before=RESET)
    rig.clock.advance(60)
    rig.workers.work_once()
    row = rig.row(task)
    assert row.token is None
    rig.work_on(60)
    assert rig.row(task).state is TaskState.COMPLETED
    assert old not in sessions(backend)
    assert owed(rig) == []


def test_a_session_that_is_started_over_is_dropped_later_when_that_cannot_be_done_now(tmp_path, journal):
    backend = MemoryBackend("main", MemoryOptions(parts=PartsMode.PARALLEL, resume=ResumeMode.LIST))
    rig = UploadRig(journal, backend)
    task = interrupted(rig, backend, tmp_path)
    (old,) = sessions(backend)
    for received in backend.store.sessions[old].artifacts.values():
        for slot, piece in list(received.pieces.items()):
            other = bytes(len(piece.data))
            received.add(slot, replace(piece, data=other, sha256=hashlib.sha256(other).hexdigest()))
    backend.store.faults.add("abort", before=RESET)
    rig.clock.advance(60)
    rig.work_on(60)
    assert aborts(backend) == 2
    assert rig.row(task).state is TaskState.COMPLETED
    assert old not in sessions(backend)
    assert owed(rig) == []


def test_a_session_opened_as_the_task_was_told_to_stop_is_known(tmp_path, rig, backend):
    task = submit(rig, tmp_path)
    backend.store.faults.add("open", when=lambda _: rig.workers.interrupt(task, "pause"))
    rig.work()
    assert rig.row(task).state is TaskState.PAUSED
    assert (rig.row(task).token is not None) == bool(sessions(backend))
    cancel(rig, task)
    rig.work()
    assert sessions(backend) == set()


# -- when it is tried, and how often


def test_nothing_is_asked_of_a_suspended_backend(tmp_path, rig, backend):
    task = interrupted(rig, backend, tmp_path, REFUSED)
    assert rig.ledger.suspension("main")[0] is not None
    cancel(rig, task)
    rig.work()
    assert aborts(backend) == 0
    rig.ledger.probe_succeeded("main")
    rig.work()
    assert sessions(backend) == set()


def test_a_recovery_does_not_wait_for_the_next_try(tmp_path, rig, backend):
    task = interrupted(rig, backend, tmp_path)
    cancel(rig, task)
    backend.store.faults.add("abort", before=RESET, times=4)
    for _ in range(4):
        rig.work()
        rig.clock.advance(60)
    assert owed(rig)[0].not_before > rig.clock.now() + HOUR - 120
    rig.ledger.probe_failed("main", REFUSED)
    rig.ledger.probe_succeeded("main")
    rig.work()
    assert owed(rig) == []


def test_a_failing_abort_is_tried_with_growing_waits_and_given_up_after_a_week(tmp_path, rig, backend, caplog):
    task = interrupted(rig, backend, tmp_path)
    cancel(rig, task)
    backend.store.faults.add("abort", before=ServerError("500"), times=None)
    caplog.set_level(logging.WARNING, logger="haulier.manager")
    start, waits = rig.clock.now(), []
    while pending := owed(rig):
        rig.clock.advance(max(0.0, pending[0].not_before - rig.clock.now()))
        waits.append(rig.clock.now() - start)
        rig.work()
    gaps = [round(later - earlier) for earlier, later in pairwise(waits)]
    assert gaps[:3] == [2, 4, 8]
    assert set(gaps[3:]) == {3600}
    assert 7 * DAY < waits[-1] <= 7 * DAY + 2 * HOUR
    assert "is given up" in caplog.text
    assert "clip.mp4" in caplog.text


def test_what_will_not_pass_by_itself_is_given_up_when_the_tries_are_spent(tmp_path, rig, backend):
    task = interrupted(rig, backend, tmp_path)
    cancel(rig, task)
    backend.store.faults.add("abort", before=PermissionDeniedError("403"), times=None)
    for _ in range(100):
        rig.work()
        rig.clock.advance(10)
    assert aborts(backend) == Policy().max_retries + 1
    assert owed(rig) == []


@pytest.mark.parametrize(
    "error", [AuthenticationError("401"), ServerError("500"), RuntimeError("a defect"), SystemExit(1)]
)
def test_a_failing_abort_costs_no_task_and_no_backend_anything(tmp_path, rig, backend, error):
    task = interrupted(rig, backend, tmp_path)
    cancel(rig, task)
    backend.store.faults.add("abort", before=error, times=None)
    other = submit(rig, tmp_path, "other.mp4")
    rig.work()
    assert rig.row(other).state is TaskState.COMPLETED
    assert rig.ledger.suspension("main")[0] is None
    assert all(row.attempts == 0 for row in rig.rows() if row.id == other)
    assert owed(rig)[0].tries == 1


def test_a_destination_that_wants_a_pause_gets_it(tmp_path, rig, backend):
    task = interrupted(rig, backend, tmp_path)
    cancel(rig, task)
    backend.store.faults.add("abort", before=ThrottledError("429", retry_after=900.0))
    rig.work()
    assert owed(rig)[0].not_before == rig.clock.now() + 900.0


def test_many_aborts_and_uploads_take_turns(tmp_path, rig, backend):
    refused = PermissionDeniedError("403")
    tasks = [interrupted(rig, backend, tmp_path, refused, f"{number}.mp4") for number in range(3)]
    for task in tasks:
        cancel(rig, task)
    new = submit(rig, tmp_path, "new.mp4")
    rig.workers.work_once()
    assert rig.row(new).state is TaskState.COMPLETED, "an upload does not wait behind all of them"
    assert len(owed(rig)) == 2
    rig.work()
    assert sessions(backend) == set()


def test_what_cannot_be_tried_for_a_month_is_given_up(tmp_path, rig, backend, caplog):
    task = interrupted(rig, backend, tmp_path, REFUSED)
    cancel(rig, task)
    aborter = rig.workers.aborter.owed
    rig.clock.advance(29 * DAY)
    aborter.give_up_old()
    assert len(owed(rig)) == 1
    rig.clock.advance(2 * DAY)
    with caplog.at_level(logging.WARNING, logger="haulier.manager"):
        aborter.give_up_old()
    assert owed(rig) == []
    assert "is given up" in caplog.text


def test_a_clock_that_is_set_back_lets_nothing_wait_for_ever(tmp_path, rig, backend):
    task = interrupted(rig, backend, tmp_path)
    cancel(rig, task)
    rig.clock.jump(-30 * DAY)
    rig.work()
    assert sessions(backend), "it is not due by this clock"
    rig.ledger.end_waits_from_the_future()
    rig.work()
    assert sessions(backend) == set()


# -- kills, and several managers


class Killed(Ended):
    """The process is no more."""


def until_killed(folder, at):
    """Cancel a waiting task and drop its session, killed at a step; whether it came to that, and what is left."""
    journal, backend = MemoryJournal(), MemoryBackend("main", MemoryOptions())
    rig = UploadRig(journal, backend, owner="first")
    task = interrupted(rig, backend, folder)
    passed = []

    def on_step(step):
        passed.append(step)
        if len(passed) == at:
            raise Killed

    clock = rig.clock
    rig = UploadRig(
        StepProxy(journal, "journal", on_step),
        StepProxy(backend, "backend", on_step),
        clock=clock,
        owner="first",
    )
    with suppress(Killed):
        rig.operations.apply("cancel", [task])
        rig.work()
    return len(passed) >= at, journal, backend, task, clock


def test_a_kill_at_any_step_between_the_cancel_and_the_abort_leaves_no_session(tmp_path):
    at, reached = 0, True
    while reached:
        at += 1
        reached, journal, backend, task, clock = until_killed(tmp_path, at)
        rig = UploadRig(journal, backend, clock=clock, owner="second")
        rig.ledger.release_owner("first")
        cancelled = rig.row(task).state is TaskState.CANCELLED
        if not cancelled:
            cancel(rig, task)
        rig.work()
        assert sessions(backend) == set(), f"killed at step {at}"
        assert owed(rig) == []
        assert rig.row(task).token is None
    assert at > 10


def test_two_managers_do_not_make_the_same_call(tmp_path, journal, backend, rig):
    task = interrupted(rig, backend, tmp_path)
    cancel(rig, task)
    other = UploadRig(journal, backend, clock=rig.clock, owner="other")
    taken = rig.workers.aborter.owed.take("main")
    assert taken is not None
    assert other.workers.aborter.owed.take("main") is None
    other.ledger.release_owner("rig")
    assert other.workers.aborter.owed.take("main") is not None


def test_a_manager_that_stops_leaves_the_abort_to_the_next(tmp_path, rig, backend, journal):
    task = interrupted(rig, backend, tmp_path)
    cancel(rig, task)
    backend.store.faults.add("abort", when=lambda _: rig.workers.stop() or False, before=None, after=RESET)
    rig.work()
    (left,) = owed(rig)
    assert (left.owner, left.tries) == ("", 0)
    assert not rig.workers.aborter.step(["main"]), "it stops"
    UploadRig(journal, backend, clock=rig.clock, owner="next").work()
    assert sessions(backend) == set()


def test_an_end_that_could_not_be_journalled_is_tried_again(tmp_path, backend):
    inner = MemoryJournal()
    full = []

    def on_step(step):
        if full and step == "journal.write":
            raise JournalUnavailableError("disk full")

    rig = UploadRig(StepProxy(inner, "journal", on_step), backend)
    task = interrupted(rig, backend, tmp_path)
    cancel(rig, task)
    backend.store.faults.add("abort", when=lambda _: full.append(1) or False)
    with pytest.raises(JournalUnavailableError):
        rig.workers.work_once()
    full.clear()
    backend.store.faults.clear()
    assert len(owed(rig)) == 1
    rig.work()
    assert owed(rig) == []
    assert sessions(backend) == set()


def test_a_session_with_which_a_task_goes_on_after_all_is_not_aborted(tmp_path, rig, backend):
    task = interrupted(rig, backend, tmp_path)
    row = rig.row(task)
    cancel(rig, task)
    rig.journal.write(lambda tx: tx.update_task(task, state=TaskState.PAUSED, token=row.token, nonce=row.nonce))
    rig.work()
    assert (aborts(backend), owed(rig)) == (0, [])
    assert sessions(backend)


# -- journals of before


def test_sessions_that_an_earlier_version_left_with_cancelled_tasks_are_dropped(tmp_path, backend):
    path = tmp_path / "old.db"
    rows = MemoryJournal()
    rig = UploadRig(rows, backend)
    task = interrupted(rig, backend, tmp_path)
    given = replace(rig.row(task), state=TaskState.CANCELLED, sequence=0)
    old = SqliteJournal(path, steps=migrations()[:2])
    old.write(lambda tx: tx.insert_task(given))
    old.write(lambda tx: tx.insert_task(task_row(7, state=TaskState.CANCELLED)))
    old.close()
    journal = SqliteJournal(path)
    later = UploadRig(journal, backend, clock=rig.clock, owner="later")
    later.upkeep.greet()
    assert later.row(task).token is None
    later.upkeep.greet()
    assert len(owed(later)) == 1
    later.work()
    assert sessions(backend) == set()
    journal.close()


def test_a_running_task_that_is_cancelled_drops_its_session_at_once(tmp_path, rig, backend):
    task = submit(rig, tmp_path)
    backend.store.faults.add(
        "send",
        part=3,
        when=lambda _: rig.operations.apply("cancel", [task]) and rig.workers.interrupt(task, "cancel"),
    )
    rig.workers.work_once()
    assert rig.row(task).state is TaskState.CANCELLED
    assert sessions(backend) == set()
    assert aborts(backend) == 1


def test_the_number_of_tries_is_the_configured_one(tmp_path, journal, backend):
    rig = UploadRig(journal, backend, settings=RigSettings(max_retries=0))
    task = interrupted(rig, backend, tmp_path)
    cancel(rig, task)
    backend.store.faults.add("abort", before=PermissionDeniedError("403"), times=None)
    rig.work()
    assert owed(rig) == []
