"""Invariants 2, 7 and 9 about sources: what changes, vanishes or comes back while it is on its way."""

from __future__ import annotations

import hashlib
import os

import pytest

from haulier.backends.api import PartsMode, ResumeMode
from haulier.backends.memory import MemoryBackend
from haulier.backends.memory_options import MemoryOptions
from haulier.errors import NetworkError
from haulier.files import Files
from haulier.models import Disposal, Proof, TaskState
from haulier.testing.rig import RigSettings, UploadRig
from haulier.testing.steps import StepProxy

SEQUENTIAL = {"parts": PartsMode.SEQUENTIAL, "resume": ResumeMode.OFFSET}
MODES = {"parallel": {}, "sequential": SEQUENTIAL, "whole": {"parts": PartsMode.WHOLE, "resume": ResumeMode.NONE}}


def sha(path):
    return hashlib.sha256(path.read_bytes()).hexdigest()


@pytest.mark.parametrize("mode", MODES.values(), ids=MODES)
def test_invariant_7_a_change_during_the_upload_is_seen_before_the_commit(journal, record, mode):
    backend = MemoryBackend("main", MemoryOptions(**mode))
    video = record()
    changes = [lambda: record(size=9_000, seed=1)]

    def change(name):
        """Right after the last part, before anything is looked at again."""
        if name == "backend.send:done" and backend.store.bytes_received["send"] == 10_000 and changes:
            changes.pop()()

    rig = UploadRig(journal, backend, wrap=lambda name, port: StepProxy(port, name, change))
    task = rig.submit(video)
    rig.work()
    assert not changes
    assert backend.store.requests["commit"] == 0
    assert (rig.row(task).state, rig.row(task).attempts) == (TaskState.RETRYING, 0)
    rig.work_on(60)
    assert rig.receipt(task).sha256 == sha(video)
    assert [backend.store.content(key) for key in backend.store.objects] == [video.read_bytes()]


@pytest.mark.parametrize("mode", [{}, SEQUENTIAL], ids=["parallel", "sequential"])
def test_invariant_7_what_is_held_is_read_again_and_a_mixture_is_never_stored(journal, record, mode):
    backend = MemoryBackend("main", MemoryOptions(**mode, proof=Proof.SIZE))
    rig = UploadRig(journal, backend)
    video = record()
    task = rig.submit(video)
    backend.store.faults.add("send", part=6, before=NetworkError("reset"))
    rig.work()
    before = video.stat()
    with video.open("r+b") as file:  # the same file, size and time: nothing but its bytes tells
        file.write(bytes(1000))
    os.utime(video, ns=(before.st_atime_ns, before.st_mtime_ns))
    rig.work_on(60)
    assert rig.row(task).state is TaskState.COMPLETED
    assert backend.store.content(rig.receipt(task).key) == video.read_bytes()
    assert rig.receipt(task).sha256 == sha(video)


def test_invariant_7_the_wait_for_a_changing_source_doubles(journal, record):
    rig = UploadRig(journal, MemoryBackend("main", MemoryOptions()))
    task = rig.submit(record())
    waits = []
    for turn in range(6):
        record(size=5_000 + turn)
        rig.work()
        waits.append(rig.row(task).not_before - rig.clock.now())
        rig.clock.advance(waits[-1])
    assert waits == [1, 2, 4, 8, 16, 32]
    assert rig.row(task).attempts == 0


def test_invariant_9_a_folder_that_is_away_fails_no_task_and_the_upload_goes_on_when_it_is_back(
    journal, record, tmp_path
):
    share = tmp_path / "share"
    share.mkdir()
    rig = UploadRig(journal, MemoryBackend("main", MemoryOptions()))
    task = rig.submit(record(folder=share))
    share.rename(tmp_path / "away")
    for _ in range(10):
        rig.work()
        assert rig.row(task).state is TaskState.RETRYING
        rig.clock.advance(3600)
    assert rig.row(task).attempts == 0
    (tmp_path / "away").rename(share)
    rig.work_on(3600)
    assert rig.row(task).state is TaskState.COMPLETED


def test_invariant_2_a_name_that_was_taken_while_its_old_content_was_compared_is_left_to_the_new_file(
    journal, record, tmp_path
):
    video = record()

    class Recording(Files):
        """The recorder writes again under the old name, just while the old content is looked at."""

        def open_source(self, path, **options):
            if os.fspath(path) != os.fspath(video):
                video.write_bytes(b"a new recording")
            return super().open_source(path, **options)

    rig = UploadRig(journal, MemoryBackend("main", MemoryOptions()), settings=RigSettings(delete_source=True))
    task = rig.submit(video)
    rig.work()
    video.write_bytes(b"changed")
    rig.disposer.files = Recording()
    rig.disposer.step()
    assert video.read_bytes() == b"a new recording"
    assert rig.row(task).disposal is Disposal.KEPT_CHANGED
    kept = [path for path in tmp_path.glob("*") if path.is_file() and not path.name.startswith("journal.db")]
    assert sorted(path.read_bytes() for path in kept) == [b"a new recording", b"changed"]


def test_invariant_2_a_sidecar_that_went_after_the_submit_still_arrives(journal, record, tmp_path):
    sidecar = tmp_path / "session.json"
    sidecar.write_text('{"session_id": "one"}')
    backend = MemoryBackend("main", MemoryOptions())
    rig = UploadRig(journal, backend)
    task = rig.submit(record(), sidecar)
    sidecar.unlink()
    rig.work()
    assert rig.row(task).state is TaskState.COMPLETED
    assert backend.store.content(rig.receipt(task).artifacts[1].key) == b'{"session_id": "one"}'


def test_invariant_2_a_source_that_goes_to_two_places_stays_until_both_have_it(journal, record):
    near, far = MemoryBackend("near", MemoryOptions()), MemoryBackend("far", MemoryOptions())
    far.store.faults.add("open", before=NetworkError("refused", reached=False))
    rig = UploadRig(journal, near, far, settings=RigSettings(delete_source=True))
    video = record()
    first, second = (rig.submit(video, backend=name) for name in ("near", "far"))
    rig.journal.write(lambda tx: tx.update_task(second, group=rig.row(first).group))
    rig.work()
    rig.disposer.step()
    assert rig.row(first).state is TaskState.COMPLETED
    assert video.exists()
    rig.work_on(60)
    rig.disposer.step()
    assert not video.exists()


def test_invariant_2_a_sidecar_stays_for_its_grace_after_the_newest_segment(journal, record, tmp_path):
    settings = RigSettings(delete_source=True, sidecar_grace=3600)
    rig = UploadRig(journal, MemoryBackend("main", MemoryOptions()), settings=settings)
    sidecar = tmp_path / "session.json"
    sidecar.write_text('{"session_id": "one"}')
    video = record()
    os.utime(video, (rig.clock.now(), rig.clock.now()))
    rig.submit(video, sidecar)
    rig.work()
    rig.disposer.step()
    rig.clock.advance(3500)
    rig.disposer.step()
    assert (video.exists(), sidecar.exists()) == (False, True)
    rig.clock.advance(200)
    rig.disposer.step()
    assert not sidecar.exists()
