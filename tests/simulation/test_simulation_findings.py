"""What simulations found, each as the smallest test that shows it."""

from __future__ import annotations

import hashlib
import threading

import pytest

from haulier.backends.api import CommitMode, PartsMode, ResumeMode
from haulier.backends.memory import MemoryBackend, MemoryOptions
from haulier.clock import SystemClock
from haulier.config.models import BackendConfig, Config, UploadConfig
from haulier.errors import JournalUnavailableError, NetworkError, ServerError, ThrottledError
from haulier.files import Files
from haulier.journal.memory import MemoryJournal
from haulier.manager import UploadManager
from haulier.models import TaskState
from haulier.service.parts import Pace, Ports
from haulier.service.state import Keys, Owner
from haulier.testing.clock import FakeClock
from haulier.testing.rig import RigSettings, UploadRig
from haulier.testing.simulation.runner import run_seed
from haulier.transfer.context import RunContext

LAST_PART = [
    (PartsMode.SEQUENTIAL, ResumeMode.OFFSET, CommitMode.LAST_PART),
    (PartsMode.WHOLE, ResumeMode.NONE, CommitMode.LAST_PART),
]


@pytest.mark.parametrize("mode", LAST_PART, ids="-".join)
@pytest.mark.parametrize("budget", [64 * 1024, 1024], ids=["buffered", "streamed"])
def test_invariant_7_a_source_that_changes_while_the_committing_part_is_read_is_never_stored_torn(
    tmp_path, mode, budget
):
    parts, resume, commit = mode
    destination = MemoryBackend("main", MemoryOptions(parts=parts, resume=resume, commit=commit))
    rig = UploadRig(MemoryJournal(), destination, settings=RigSettings(memory_budget=budget, part_size=1024))
    video = tmp_path / "session.mp4"
    video.write_bytes(b"old" * 500)
    pending = [b"new" * 900]

    def when(_):
        if pending:
            video.write_bytes(pending.pop())
        return False

    destination.store.faults.add("commit", when=when)
    task = rig.submit(video)
    rig.work_on(600)
    receipt = rig.receipt(task)
    stored = b"".join(destination.read(receipt.key, RunContext()))
    assert not pending
    assert stored in {b"old" * 500, b"new" * 900}
    assert receipt.sha256 == hashlib.sha256(stored).hexdigest()


def test_an_upload_whose_worker_is_ended_while_it_waits_leaves_no_source_open():
    outcomes = [run_seed(seed) for seed in (214829310, 214829311)]
    assert [outcome.broken for outcome in outcomes] == [None, None]


def test_files_that_changed_while_the_journal_was_full_are_waited_for():
    assert run_seed(819165271).broken is None


def test_a_resumed_task_does_not_wait_for_a_time_that_a_clock_set_back_made_far(tmp_path):
    destination = MemoryBackend("main", MemoryOptions())
    rig = UploadRig(MemoryJournal(), destination)
    video = tmp_path / "session.mp4"
    video.write_bytes(b"video")
    destination.store.faults.add("open", before=ThrottledError("429", retry_after=30))
    task = rig.submit(video)
    rig.work()
    rig.operations.apply("pause", [task])
    rig.clock.jump(-86_400)
    rig.operations.apply("resume", [task])
    rig.work()
    assert rig.row(task).state is TaskState.COMPLETED


def owner(journal, folder, name):
    return Owner(journal, folder, Files(), SystemClock(), name)


@pytest.fixture
def state(tmp_path):
    (tmp_path / "owners").mkdir()
    return tmp_path


def test_invariant_1_tasks_of_an_owner_that_nobody_entered_are_given_back(state):
    """Taken for dead once, it claimed again, and then it died."""
    journal = MemoryJournal()
    rig = UploadRig(journal, MemoryBackend("main", MemoryOptions()), owner="late")
    (state / "session.mp4").write_bytes(b"video")
    task = rig.submit(state / "session.mp4")
    late, other = owner(journal, state, "late"), owner(journal, state, "other")
    late.close()
    other.bury_the_dead(rig.ledger.release_owner)
    rig.ledger.claim(["main"])
    assert rig.row(task).state is TaskState.UPLOADING
    assert other.bury_the_dead(rig.ledger.release_owner) == 1
    assert rig.row(task).state is TaskState.QUEUED
    other.close()


def test_an_owner_whose_lock_file_was_removed_shows_that_it_lives(state):
    journal = MemoryJournal()
    rig = UploadRig(journal, MemoryBackend("main", MemoryOptions()), owner="living")
    living, other = owner(journal, state, "living"), owner(journal, state, "other")
    for lock in state.joinpath("owners").glob("living*"):
        lock.unlink()
    assert other.bury_the_dead(rig.ledger.release_owner) == 0
    living.show_life()
    (state / "session.mp4").write_bytes(b"video")
    task = rig.submit(state / "session.mp4")
    rig.ledger.claim(["main"])
    assert other.bury_the_dead(rig.ledger.release_owner) == 0
    assert rig.row(task).state is TaskState.UPLOADING
    living.close()
    other.close()


class Unwilling(MemoryJournal):
    """Cannot be read while ``away``."""

    away = False

    def read(self, query):
        if self.away:
            raise JournalUnavailableError("the journal cannot be used now", where="test")
        return super().read(query)

    def write(self, change, *, durable=True, then=None):
        if self.away:
            raise JournalUnavailableError("the journal cannot be used now", where="test")
        return super().write(change, durable=durable, then=then)


@pytest.fixture
def unwilling(tmp_path):
    journal = Unwilling()
    upload = UploadConfig(backend="main", state_dir=tmp_path / "state")
    config = Config(upload, backends={"main": BackendConfig("main", "memory")})
    (tmp_path / "state" / "owners").mkdir(parents=True)
    ports = Ports(journal=lambda folder, files: journal, pace=Pace(upkeep=0.01, idle=0.01))
    manager = UploadManager(config, ports=ports)
    yield manager, journal
    journal.away = False
    manager.close()


def test_a_manager_whose_start_failed_can_be_started_again(unwilling, tmp_path):
    manager, journal = unwilling
    (tmp_path / "session.mp4").write_bytes(b"video")
    task = manager.submit(tmp_path / "session.mp4")
    journal.away = True
    with pytest.raises(JournalUnavailableError):
        manager.start()
    journal.away = False
    manager.start()
    assert manager.wait(task, timeout=30).size == 5


def test_invariant_1_a_journal_that_was_away_does_not_end_the_upkeep(unwilling, tmp_path):
    """An outage is ended by the upkeep's probe: without it the task would wait for ever."""
    manager, journal = unwilling
    backend = MemoryBackend("main", MemoryOptions())
    manager.register(backend)
    manager.start()
    journal.away = True
    while not manager.service.upkeep.journal_error:
        manager._stopping.wait(manager._stopping.turn(), 0.01)
    backend.store.faults.add("open", before=NetworkError("refused", reached=False))
    journal.away = False
    (tmp_path / "session.mp4").write_bytes(b"video")
    assert manager.wait(manager.submit(tmp_path / "session.mp4"), timeout=30).size == 5


def test_invariant_2_a_source_submitted_to_another_destination_too_stays_until_that_one_has_it(tmp_path):
    """Submitted twice, not as one group."""
    here, there = MemoryBackend("here", MemoryOptions()), MemoryBackend("there", MemoryOptions())
    rig = UploadRig(MemoryJournal(), here, there, settings=RigSettings(delete_source=True))
    video = tmp_path / "session.mp4"
    video.write_bytes(b"video")
    there.store.faults.add("open", before=NetworkError("refused", reached=False), times=3)
    rig.submit(video)
    late = rig.submit(video, backend="there")
    rig.work()
    rig.disposer.step()
    assert video.exists()
    rig.work_on(600)
    assert rig.row(late).state is TaskState.COMPLETED
    rig.disposer.step()
    assert not video.exists()


def test_invariant_6_sources_that_wait_for_another_destination_hold_up_no_disposal_behind_them(tmp_path):
    here, there = MemoryBackend("here", MemoryOptions()), MemoryBackend("there", MemoryOptions())
    rig = UploadRig(MemoryJournal(), here, there, settings=RigSettings(delete_source=True))
    there.store.faults.add("open", before=NetworkError("refused", reached=False), times=None)
    for number in range(101):
        path = tmp_path / f"{number}.mp4"
        path.write_bytes(b"video")
        rig.submit(path)
        rig.submit(path, backend="there")
    last = tmp_path / "last.mp4"
    last.write_bytes(b"video")
    rig.submit(last)
    rig.work()
    rig.disposer.step()
    assert not last.exists()
    assert len(list(tmp_path.glob("*.mp4"))) == 101


def test_two_managers_do_not_dispose_at_once(tmp_path):
    """What one has settled, another that looked before would take for a new file's."""
    rig = UploadRig(MemoryJournal(), MemoryBackend("main", MemoryOptions()), settings=RigSettings(delete_source=True))
    rig.disposer.turn = lambda: Files().lock_file(tmp_path / "disposal.lock")
    video = tmp_path / "session.mp4"
    video.write_bytes(b"video")
    rig.submit(video)
    rig.work()
    with Files().lock_file(tmp_path / "disposal.lock"):
        assert rig.disposer.step() == 0
    assert video.exists()
    assert rig.disposer.step() == 1


class WritesMeanwhile(Files):
    """The host writes a sidecar anew at the moment in which it is about to be deleted."""

    def __init__(self, path, content):
        super().__init__()
        self.path, self.content = path, content

    def remove(self, path):
        if path.endswith(self.path.name):
            self.path.write_bytes(self.content)
        super().remove(path)


def test_invariant_2_a_sidecar_that_is_written_while_it_is_deleted_stays(tmp_path):
    settings = RigSettings(delete_source=True, sidecar_grace=0.0)
    rig = UploadRig(MemoryJournal(), MemoryBackend("main", MemoryOptions()), settings=settings)
    video, sidecar = tmp_path / "session.mp4", tmp_path / "session.json"
    video.write_bytes(b"video")
    sidecar.write_text('{"session_id": "one"}')
    rig.submit(video, sidecar)
    rig.work()
    rig.disposer.files = WritesMeanwhile(sidecar, b'{"session_id": "two"}')
    rig.disposer.step()
    rig.disposer.step()
    assert not video.exists()
    assert sidecar.read_bytes() == b'{"session_id": "two"}'


@pytest.mark.parametrize("error", [ServerError("500"), NetworkError("refused", reached=False)], ids=["retry", "probe"])
def test_a_wait_written_by_a_process_whose_clock_was_ahead_and_that_died_does_not_last(tmp_path, error):
    journal, destination = MemoryJournal(), MemoryBackend("main", MemoryOptions())
    ahead = UploadRig(journal, destination, owner="ahead", clock=FakeClock(1_800_003_600.0))
    behind = UploadRig(journal, destination, owner="behind", clock=FakeClock(1_800_000_000.0))
    behind.upkeep.step()
    (tmp_path / "session.mp4").write_bytes(b"video")
    destination.store.faults.add("open", before=error)
    task = ahead.submit(tmp_path / "session.mp4")
    ahead.work()
    for _ in range(60):
        behind.clock.advance(1.0)
        behind.upkeep.step()
        behind.work()
    assert behind.row(task).state is TaskState.COMPLETED


class KeyStore:
    """A key store in which somebody else's key appears while ours is being made."""

    def __init__(self):
        self.kept = {}

    def get_password(self, service, name):
        return self.kept.get((service, name))

    def set_password(self, service, name, password):
        self.kept[service, name] = password


def test_two_processes_that_start_at_once_have_one_key_of_the_key_store(tmp_path):
    store, files = KeyStore(), Files()
    keys = []
    threads = [threading.Thread(target=lambda: keys.append(Keys.load(tmp_path, files, store))) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert {key.secret for key in keys} == {Keys.load(tmp_path, files, store).secret}


@pytest.fixture
def rig():
    return UploadRig(MemoryJournal(), MemoryBackend("main", MemoryOptions()), settings=RigSettings(max_retries=0))


def recording(folder):
    path = folder / "session.mp4"
    path.write_bytes(b"video" * 1000)
    return path


def test_a_cancel_that_was_asked_while_the_last_try_failed_is_kept(rig, tmp_path):
    task = rig.submit(recording(tmp_path))
    store = rig.destinations.get("main").store

    def when(_):
        return bool(rig.operations.apply("cancel", [task]))

    store.faults.add("send", when=when, before=ServerError("500"))
    rig.work()
    assert rig.row(task).state is TaskState.CANCELLED


def test_a_resume_before_its_pause_was_heeded_undoes_it(rig, tmp_path):
    task = rig.submit(recording(tmp_path))
    store = rig.destinations.get("main").store

    wishes = ["pause", "resume"]

    def when(_):
        if wishes:
            rig.operations.apply(wishes.pop(0), [task])
            rig.workers.interrupt(task, "pause")
            rig.operations.apply(wishes.pop(0), [task])
        return False

    store.faults.add("send", when=when)
    rig.work()
    assert rig.row(task).state is TaskState.COMPLETED


def test_invariant_10_a_cancelled_task_keeps_nothing_that_grants_rights(rig, tmp_path):
    task = rig.submit(recording(tmp_path))
    store = rig.destinations.get("main").store
    store.faults.add("send", part=3, before=NetworkError("reset"))
    rig.work()
    rig.operations.apply("cancel", [task])
    assert rig.row(task).state is TaskState.CANCELLED
    assert rig.row(task).token is None


def test_invariant_4_a_task_cancelled_while_its_commit_may_be_there_asks_first_when_it_is_retried(rig, tmp_path):
    task = rig.submit(recording(tmp_path))
    store = rig.destinations.get("main").store
    store.faults.add("commit", after=RuntimeError("odd"))
    rig.work()
    rig.operations.apply("cancel", [task])
    sent = store.bytes_received["send"]
    rig.operations.apply("retry", [task])
    rig.work_on(60)
    assert rig.row(task).state is TaskState.COMPLETED
    assert store.bytes_received["send"] == sent
