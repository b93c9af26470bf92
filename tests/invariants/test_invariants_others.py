"""Invariants 4, 5, 6 and 10: once, without repetition, without holding up others, without a word of secrets."""

from __future__ import annotations

import logging
import threading
from pathlib import Path

import pytest

from haulier import UploadManager, hookimpl
from haulier.backends.api import PartsMode, ResumeMode, Token
from haulier.backends.filesystem import FilesystemBackend, FilesystemOptions
from haulier.backends.memory import MemoryBackend
from haulier.backends.memory_options import MemoryOptions
from haulier.errors import LeaseLostError, NetworkError, QuotaError, ServerError
from haulier.models import Proof, ReceiptEntry, TaskState
from haulier.testing.rig import UploadRig
from haulier.testing.steps import StepProxy
from haulier.threads import Ended

SEQUENTIAL = {"parts": PartsMode.SEQUENTIAL, "resume": ResumeMode.OFFSET}
MODES = {"parallel": {}, "sequential": SEQUENTIAL}


# -- 4: once --------------------------------------------------------------------------------------------------


def test_invariant_4_a_key_is_fixed_at_submit_whatever_becomes_of_file_and_template(journal, record):
    backend = MemoryBackend("main", MemoryOptions())
    rig = UploadRig(journal, backend)
    task = rig.submit(record())
    key = rig.row(task).media.key
    record(size=4_000, seed=3)
    later = UploadRig(journal, backend, owner="later")
    later.intake.key_template = "elsewhere/{id}/{name}"
    later.work_on(60)
    assert later.receipt(task).key == key
    assert list(backend.store.objects) == [key]


def test_invariant_4_a_worker_whose_lease_ended_commits_nothing_and_completes_nothing(journal, record):
    backend = MemoryBackend("main", MemoryOptions(**SEQUENTIAL))
    quick = UploadRig(journal, backend, owner="quick")
    overtaken = []

    def overtake(name):
        """Somebody takes the slow one for dead, right after its last part was noted, and does the work."""
        if name == "ledger.save_part:done" and backend.store.bytes_received["send"] == 10_000 and not overtaken:
            quick.ledger.release_owner("slow")
            overtaken.append(quick.work())

    slow = UploadRig(journal, backend, owner="slow", wrap=lambda name, port: StepProxy(port, name, overtake))
    task = slow.submit(record())
    slow.work()
    assert overtaken == [1]
    assert quick.row(task).state is TaskState.COMPLETED
    assert backend.store.requests["commit"] == 1
    assert len(backend.store.objects) == 1


@pytest.mark.parametrize("unasked", [0, 1000], ids=["opened", "begun without a call"])
def test_invariant_4_what_went_in_one_call_is_asked_for_after_a_kill_before_anything_is_sent_again(
    journal, record, unasked
):
    options = MemoryOptions(parts="sequential", resume="offset", commit="last_part", unasked=unasked)
    backend = MemoryBackend("main", options)

    def die(name):
        if name == "backend.commit:done":
            raise Ended

    killed = UploadRig(journal, StepProxy(backend, "backend", die), owner="killed")
    task = killed.submit(record(size=500))
    with pytest.raises(Ended):
        killed.work()
    later = UploadRig(journal, backend, owner="later")
    later.ledger.release_owner("killed")
    later.work()
    assert later.row(task).state is TaskState.COMPLETED
    assert (backend.store.requests["settle"], backend.store.requests["commit"]) == (1, 1)
    assert backend.store.requests["open"] == (0 if unasked else 1)


def test_invariant_4_a_receipt_is_written_under_the_lease_it_was_earned_with(journal, record):
    rig = UploadRig(journal, MemoryBackend("main", MemoryOptions()))
    task = rig.submit(record())
    (lease,) = rig.ledger.claim(["main"])
    rig.ledger.release_owner("rig")
    rig.ledger.claim(["main"])
    media = rig.row(task).media
    entry = ReceiptEntry(media.role, media.name, media.key, "somewhere", media.size, "0" * 64, Proof.CONTENT)
    for late in (
        lambda: rig.ledger.complete(lease, (entry,), "memory", rig.row(task).disposal),
        lambda: rig.ledger.conclude_failure(lease, ServerError("500"), keep_session=False),
        lambda: rig.ledger.release(lease),
    ):
        with pytest.raises(LeaseLostError):
            late()
    assert rig.receipt(task) is None
    assert (rig.row(task).state, rig.row(task).epoch) == (TaskState.UPLOADING, 2)


def test_invariant_4_another_file_under_the_key_is_a_conflict_in_a_folder_too(journal, record, tmp_path):
    backend = FilesystemBackend("main", FilesystemOptions(str(tmp_path / "store")))
    rig = UploadRig(journal, backend)
    task = rig.submit(record())
    there = tmp_path / "store" / rig.row(task).media.key
    there.parent.mkdir(parents=True)
    there.write_bytes(b"x" * 10_000)
    rig.work_on(60)
    assert rig.row(task).state is TaskState.FAILED
    assert rig.row(task).error.code == "conflict"
    assert there.read_bytes() == b"x" * 10_000


# -- 5: without repetition ------------------------------------------------------------------------------------


@pytest.mark.parametrize("mode", MODES.values(), ids=MODES)
def test_invariant_5_a_connection_that_breaks_costs_the_parts_in_flight_and_no_more(journal, record, mode):
    backend = MemoryBackend("main", MemoryOptions(**mode))
    rig = UploadRig(journal, backend)
    task = rig.submit(record(size=20 * 1024))
    backend.store.faults.add("send", part=15, after=NetworkError("reset"))
    rig.work()
    assert rig.row(task).state is TaskState.RETRYING
    later = UploadRig(journal, backend, owner="later", clock=rig.clock)
    later.work_on(60)
    assert later.row(task).state is TaskState.COMPLETED
    in_flight = later.settings.window * later.settings.part_size
    assert backend.store.bytes_received["send"] <= 20 * 1024 + in_flight
    assert len(backend.store.sessions) == 1


# -- 6: nobody in the way -------------------------------------------------------------------------------------


@pytest.fixture
def manager(tmp_path):
    upload = {"backend": "store", "state_dir": str(tmp_path / "state")}
    backends = {
        "store": {"type": "filesystem", "url": str(tmp_path / "store")},
        "broken": {"type": "filesystem", "url": "relative/path"},
    }
    with UploadManager.open({"upload": upload, "backends": backends}) as opened:
        yield opened


def test_invariant_6_a_listener_that_hangs_delays_no_upload(manager, record):
    released, ended = threading.Event(), threading.Event()

    def hang(_):
        released.wait(5)
        ended.set()

    manager.subscribe(hang)
    manager.wait(manager.submit(record()), timeout=20)
    hung = not ended.is_set()
    released.set()
    assert hung, "the upload was done before the listener had dealt with its first event"


def test_invariant_6_a_backend_that_cannot_be_made_stops_no_other(manager, record):
    assert manager.wait(manager.submit(record()), timeout=20)


def test_invariant_6_a_file_that_is_refused_holds_back_none_of_its_folder(manager, record, tmp_path):
    folder = tmp_path / "recordings"
    folder.mkdir()

    class Strict:
        @hookimpl
        def find_sidecar(self, path, names):
            return path.with_suffix(".json").name

        @hookimpl
        def validate_metadata(self, path, metadata, backend):
            return "no case number" if path.name == "2.mp4" else None

    manager.register(Strict())
    for number in range(4):
        record(f"{number}.mp4", folder=folder)
        (folder / f"{number}.json").write_text('{"session_id": "s"}')
    tasks, _ = manager.scan(folder, settled=True)
    assert sorted(Path(task.path).name for task in tasks) == ["0.mp4", "1.mp4", "3.mp4"]


def test_invariant_6_an_item_that_is_refused_for_good_fails_alone(journal, record):
    backend = MemoryBackend("main", MemoryOptions())
    rig = UploadRig(journal, backend)
    tasks = [rig.submit(record(f"{number}.mp4")) for number in range(5)]
    backend.store.faults.add("open", item=rig.row(tasks[2]).item_id, before=QuotaError("too large"), times=None)
    rig.work_on(60)
    assert [str(rig.row(task).state) for task in tasks] == [*["completed"] * 2, "failed", *["completed"] * 2]


# -- 10: secrets ----------------------------------------------------------------------------------------------


class Granting(MemoryBackend):
    """Its sessions have an address that grants rights."""

    def open(self, upload, context):
        token, abilities = super().open(upload, context)
        return Token(token.public, {**token.secret, "url": "https://store.example/?signature=LETMEIN"}), abilities


def test_invariant_10_what_grants_rights_is_told_to_nobody_and_gone_with_its_session(journal, record, tmp_path, caplog):
    caplog.set_level(logging.DEBUG)
    backend = Granting("main", MemoryOptions(**SEQUENTIAL))
    rig = UploadRig(journal, backend)
    task = rig.submit(record())
    backend.store.faults.add("send", part=4, before=NetworkError("reset"))
    rig.work()
    assert rig.row(task).token.secret
    rig.work_on(60)
    assert rig.row(task).state is TaskState.COMPLETED
    assert rig.row(task).token is None
    told = "\n".join([caplog.text, repr(rig.told), repr(rig.row(task)), repr(rig.receipt(task).to_dict())])
    assert "LETMEIN" not in told
