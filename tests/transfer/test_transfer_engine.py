"""The way of one file through machine, engine, ledger and journal, against a scriptable destination."""

from __future__ import annotations

import hashlib
import itertools
import os

import pytest

from haulier.backends.api import CommitMode, PartsMode, ResumeMode
from haulier.backends.memory import MemoryBackend
from haulier.backends.memory_options import MemoryOptions
from haulier.errors import CancelledError, LeaseLostError
from haulier.journal.memory import MemoryJournal
from haulier.journal.sqlite import SqliteJournal
from haulier.models import Proof, TaskState
from haulier.testing.rig import UploadRig
from haulier.testing.steps import StepProxy
from haulier.threads import Ended
from haulier.transfer.context import RunContext
from haulier.transfer.run import UploadRun

MODES = [
    (PartsMode.PARALLEL, ResumeMode.LIST, CommitMode.EXPLICIT),
    (PartsMode.SEQUENTIAL, ResumeMode.OFFSET, CommitMode.EXPLICIT),
    (PartsMode.SEQUENTIAL, ResumeMode.OFFSET, CommitMode.LAST_PART),
    (PartsMode.WHOLE, ResumeMode.NONE, CommitMode.EXPLICIT),
    (PartsMode.WHOLE, ResumeMode.NONE, CommitMode.LAST_PART),
    (PartsMode.PARALLEL, ResumeMode.LIST, CommitMode.EXPLICIT, "unasked"),
    (PartsMode.WHOLE, ResumeMode.NONE, CommitMode.LAST_PART, "unasked"),
]


def backend(parts=PartsMode.PARALLEL, resume=ResumeMode.LIST, commit=CommitMode.EXPLICIT, session="", **options):
    unasked = 10**6 if session == "unasked" else 0
    return MemoryBackend("main", MemoryOptions(parts=parts, resume=resume, commit=commit, unasked=unasked, **options))


@pytest.fixture
def journal(tmp_path):
    opened = SqliteJournal(tmp_path / "journal.db")
    yield opened
    opened.close()


def make_file(folder, name="session.mp4", size=10_000, seed=0):
    path = folder / name
    path.write_bytes(bytes((seed + index * 7 + index // 251) % 256 for index in range(size)))
    return path


def sha(path):
    return hashlib.sha256(path.read_bytes()).hexdigest()


@pytest.mark.parametrize("size", [0, 1, 1023, 1024, 1025, 2048, 10_000])
@pytest.mark.parametrize("mode", MODES, ids="-".join)
def test_a_file_and_its_sidecar_arrive_and_the_receipt_says_so(tmp_path, journal, mode, size):
    destination = backend(*mode)
    rig = UploadRig(journal, destination)
    video, sidecar = make_file(tmp_path, size=size), tmp_path / "session.json"
    sidecar.write_text('{"session_id": "one"}')
    task = rig.submit(video, sidecar)
    assert rig.work() == 1
    receipt = rig.receipt(task)
    assert rig.row(task).state is TaskState.COMPLETED
    assert receipt.sha256 == sha(video)
    assert receipt.artifacts[1].sha256 == sha(sidecar)
    assert receipt.proof is Proof.CONTENT
    assert b"".join(destination.read(receipt.key, RunContext())) == video.read_bytes()
    assert b"".join(destination.read(receipt.artifacts[1].key, RunContext())) == sidecar.read_bytes()
    assert rig.kinds(task) == ["upload_queued", "upload_started", "upload_completed"]


class Killed(Ended):
    """Ends the worker as a kill would: nothing after it runs."""


@pytest.mark.parametrize("mode", MODES, ids="-".join)
def test_invariant_5_after_a_kill_at_any_step_the_upload_goes_on_and_is_stored_once(tmp_path, mode):
    video, sidecar = make_file(tmp_path), tmp_path / "session.json"
    sidecar.write_text('{"session_id": "one"}')
    for point in itertools.count():
        journal = SqliteJournal(tmp_path / f"journal-{point}.db")
        destination = backend(*mode)
        steps = itertools.count()

        def kill(name, steps=steps, point=point):
            if name != "files.open_source:done" and next(steps) == point:  # a handle nobody owns yet would only warn
                raise Killed(name)

        first = UploadRig(
            journal, destination, owner="first", wrap=lambda name, port, kill=kill: StepProxy(port, name, kill)
        )
        task = UploadRig(journal, destination).submit(video, sidecar)
        killed = False
        try:
            first.work()
        except Killed:
            killed = True
        second = UploadRig(journal, destination, owner="second")
        second.ledger.release_owner("first")
        second.work_on(600)
        row = second.row(task)
        assert row.state is TaskState.COMPLETED, (point, row)
        receipt = second.receipt(task)
        assert receipt.sha256 == sha(video)
        stored = [entry.key for entry in destination.list("", RunContext())]
        assert sorted(stored) == sorted(entry.key for entry in receipt.artifacts)
        journal.close()
        if not killed:
            break
    assert point > 10


class Synced(MemoryJournal):
    """Remembers whether each transaction was to be synced, and what stood when bytes went out."""

    def __init__(self):
        super().__init__()
        self.durable = []

    def write(self, change, *, durable=True, then=None):
        self.durable.append(durable)
        return super().write(change, durable=durable, then=then)


@pytest.mark.parametrize("session", ["", "unasked"], ids=["opened", "begun without a call"])
def test_invariant_4_a_session_that_begins_without_a_call_is_on_disk_with_its_claim(tmp_path, session):
    """One synced transaction less for each file, and nothing leaves before one."""
    synced = Synced()
    destination = backend(PartsMode.WHOLE, ResumeMode.NONE, CommitMode.LAST_PART, session)
    rig = UploadRig(synced, destination)
    rig.submit(make_file(tmp_path, size=500))
    synced.durable.clear()
    before_bytes = []

    def look(_):
        row = rig.rows()[0]
        before_bytes.append((list(synced.durable), row.committing, row.token is not None))
        return False

    destination.store.faults.add("commit", when=look)
    rig.work()
    assert rig.rows()[0].state is TaskState.COMPLETED
    claims_and_sessions = [True] if session else [False, True]
    assert before_bytes == [(claims_and_sessions, True, True)]


def test_invariant_1_what_was_submitted_is_there_after_the_process_is_gone(tmp_path, journal):
    video = make_file(tmp_path)
    task = UploadRig(journal, backend()).submit(video)
    again = SqliteJournal(tmp_path / "journal.db")
    assert UploadRig(again, backend()).row(task).state is TaskState.QUEUED
    again.close()


def test_invariant_4_submitting_an_unchanged_file_again_gives_the_same_task(tmp_path, journal):
    rig = UploadRig(journal, backend())
    video = make_file(tmp_path)
    task = rig.submit(video)
    assert rig.submit(video) == task
    rig.work()
    assert rig.submit(video) == task
    assert len(rig.rows()) == 1


def test_invariant_7_a_source_changed_before_the_upload_is_sent_in_its_new_form(tmp_path, journal):
    destination = backend()
    rig = UploadRig(journal, destination)
    video = make_file(tmp_path)
    task = rig.submit(video)
    key = rig.row(task).media.key
    make_file(tmp_path, size=5_000, seed=9)
    rig.work()
    assert rig.row(task).state is TaskState.RETRYING
    assert rig.row(task).attempts == 0
    rig.clock.advance(2)
    rig.work()
    receipt = rig.receipt(task)
    assert receipt.sha256 == sha(video)
    assert receipt.key == key
    assert rig.submit(video) == task


def test_invariant_7_a_source_that_never_stands_still_fails_as_unstable(tmp_path, journal):
    rig = UploadRig(journal, backend())
    video = make_file(tmp_path)
    task = rig.submit(video)
    for round_number in range(21):
        os.utime(video, ns=(0, 1_000_000_000 * (round_number + 5)))
        rig.work()
        rig.clock.advance(4000)
    assert rig.row(task).state is TaskState.FAILED
    assert rig.row(task).error.code == "source_unstable"


def test_a_file_that_vanished_fails_and_says_so(tmp_path, journal):
    rig = UploadRig(journal, backend())
    video = make_file(tmp_path)
    os.utime(video, (rig.clock.now() - 31 * 86_400,) * 2)
    task = rig.submit(video)
    video.unlink()
    rig.work()
    error = rig.row(task).error
    assert rig.row(task).state is TaskState.FAILED
    assert (error.what, error.where) == (f"{video.name} is gone; it was 31 days old", str(video))


def test_an_upload_that_is_over_opens_no_source_any_more(tmp_path, journal):
    rig = UploadRig(journal, backend())
    rig.submit(make_file(tmp_path))
    (lease,) = rig.ledger.claim(["main"])
    run = UploadRun(rig.engine, lease, backend(), RunContext(), lambda _: None)
    source = run._source(run.upload.media)
    run.close()
    with pytest.raises(ValueError, match="closed"):
        source.readinto_at(0, bytearray(1))
    with pytest.raises(CancelledError):  # a reader may be about to, when everything was closed already
        run._source(run.upload.media)


def test_invariant_4_a_worker_that_lost_its_lease_writes_nothing(tmp_path, journal):
    rig = UploadRig(journal, backend())
    task = rig.submit(make_file(tmp_path))
    (lease,) = rig.ledger.claim(["main"])
    rig.ledger.release_owner("rig")
    (newer,) = rig.ledger.claim(["main"])
    with pytest.raises(LeaseLostError):
        rig.ledger.intend_commit(lease, {})
    rig.ledger.intend_commit(newer, {})
    assert rig.row(task).epoch == 2
