"""Invariant 2: nothing is deleted without proof, and never anything but what was sent."""

from __future__ import annotations

import itertools
import json
import os

import pytest

from haulier.backends.memory import MemoryBackend
from haulier.backends.memory_options import MemoryOptions
from haulier.files import Files
from haulier.journal.memory import MemoryJournal
from haulier.journal.sqlite import SqliteJournal
from haulier.models import Disposal, Proof, TaskState
from haulier.testing.clock import FakeClock
from haulier.testing.rig import RigSettings, UploadRig
from haulier.testing.steps import StepProxy

NOW = 1_800_000_000.0
DAY = 86_400.0


@pytest.fixture
def journal(tmp_path):
    opened = SqliteJournal(tmp_path / "journal.db")
    yield opened
    opened.close()


@pytest.fixture
def folder(tmp_path):
    made = tmp_path / "recordings"
    made.mkdir()
    return made


def rig_on(journal, backend=None, **settings):
    chosen = backend or MemoryBackend("main", MemoryOptions())
    return UploadRig(journal, chosen, settings=RigSettings(delete_source=True, **settings), clock=FakeClock(NOW))


def record(folder, name="session.mp4", content=b"x" * 3000):
    path = folder / name
    path.write_bytes(content)
    os.utime(path, (NOW - 100, NOW - 100))
    return path


def sidecar_of(folder, name="session.json"):
    path = folder / name
    path.write_text(json.dumps({"session_id": "s"}))
    return path


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def test_invariant_2_a_source_goes_after_its_receipt(journal, folder):
    rig = rig_on(journal)
    task = rig.submit(record(folder))
    rig.disposer.step()
    assert names(folder) == ["session.mp4"], "nothing goes before the upload"
    rig.work()
    assert names(folder) == ["session.mp4"]
    rig.disposer.step()
    assert names(folder) == []
    assert rig.row(task).disposal is Disposal.REMOVED
    assert rig.receipt(task).proof is Proof.CONTENT


def test_without_delete_after_upload_everything_stays(journal, folder):
    rig = UploadRig(journal, MemoryBackend("main", MemoryOptions()))
    task = rig.submit(record(folder))
    rig.work()
    rig.disposer.step()
    assert names(folder) == ["session.mp4"]
    assert rig.row(task).disposal is Disposal.KEPT


def test_invariant_2_a_proof_weaker_than_the_backends_best_keeps_the_source(journal, folder):
    backend = MemoryBackend("main", MemoryOptions(proof=Proof.ACKNOWLEDGED))
    rig = rig_on(journal, backend, delete_proof=Proof.CONTENT)
    task = rig.submit(record(folder))
    rig.work()
    rig.disposer.step()
    assert names(folder) == ["session.mp4"]
    assert rig.row(task).state is TaskState.COMPLETED
    assert rig.row(task).disposal is Disposal.KEPT


@pytest.mark.parametrize("keeps_times", [True, False])
def test_invariant_2_a_source_that_changed_after_the_upload_gets_its_name_back(journal, folder, keeps_times):
    rig = rig_on(journal)
    video = record(folder)
    task = rig.submit(video)
    rig.work()
    before = video.stat()
    video.write_bytes(b"y" * 3000)
    if keeps_times:
        os.utime(video, ns=(before.st_atime_ns, before.st_mtime_ns))
    rig.disposer.step()
    assert names(folder) == ["session.mp4"]
    assert video.read_bytes() == b"y" * 3000
    assert rig.row(task).disposal is Disposal.KEPT_CHANGED


def test_invariant_2_giving_a_name_back_never_overwrites_another_file(journal, folder):
    rig = rig_on(journal)
    video = record(folder)
    rig.submit(video)
    rig.work()
    video.write_bytes(b"changed")

    class Racing(Files):
        def rename_no_replace(self, src, dst):
            if os.fspath(dst) == os.fspath(video):
                video.write_bytes(b"a third file under the old name")
            super().rename_no_replace(src, dst)

    rig.disposer.files = Racing()
    rig.disposer.step()
    assert video.read_bytes() == b"a third file under the old name"
    kept = [path for path in folder.iterdir() if path != video]
    assert [path.read_bytes() for path in kept] == [b"changed"]


def test_invariant_2_a_crash_at_any_step_of_the_removal_is_finished_from_the_journal(tmp_path, folder):
    for point in itertools.count():
        journal = SqliteJournal(tmp_path / f"journal-{point}.db")
        video = record(folder)
        rig = rig_on(journal)
        task = rig.submit(video)
        rig.work()
        steps = itertools.count()

        class Crash(BaseException):
            pass

        def crash(name, steps=steps, point=point, crash_type=Crash):
            if not name.startswith("files.open_source") and next(steps) == point:
                raise crash_type

        rig.disposer.files = StepProxy(Files(), "files", crash)
        crashed = False
        try:
            rig.disposer.step()
        except Crash:
            crashed = True
        rig.disposer.files = Files()
        rig.disposer.step()
        assert names(folder) == [], point
        assert rig.row(task).disposal is Disposal.REMOVED
        journal.close()
        if not crashed:
            break
    assert point > 5


def test_invariant_2_a_shared_sidecar_goes_last_and_only_after_its_grace(journal, folder):
    rig = rig_on(journal)
    sidecar = sidecar_of(folder)
    first, second = record(folder, "one.mp4"), record(folder, "two.mp4", b"z" * 2000)
    rig.submit(first, sidecar)
    rig.work()
    rig.disposer.step()
    later = rig.submit(second, sidecar)
    rig.operations.apply("pause", [later])
    rig.clock.advance(2 * DAY)
    rig.disposer.step()
    assert names(folder) == ["session.json", "two.mp4"], "a segment still needs it"
    rig.operations.apply("resume", [later])
    rig.work()
    rig.disposer.step()
    rig.disposer.step()
    assert names(folder) == [], "the newest segment is older than the grace by now"


def test_invariant_2_a_sidecar_stays_within_its_grace_and_while_unqueued_media_pairs_with_it(journal, folder):
    unqueued = [True]
    rig = UploadRig(
        journal,
        MemoryBackend("main", MemoryOptions()),
        settings=RigSettings(delete_source=True),
        clock=FakeClock(NOW),
        has_unqueued_media=lambda _: unqueued[0],
    )
    rig.submit(record(folder), sidecar_of(folder))
    rig.work()
    rig.disposer.step()
    rig.disposer.step()
    assert names(folder) == ["session.json"]
    rig.clock.advance(2 * DAY)
    rig.disposer.step()
    assert names(folder) == ["session.json"]
    unqueued[0] = False
    rig.disposer.step()
    assert names(folder) == []


def test_invariant_2_a_sidecar_that_changed_is_kept(journal, folder):
    rig = rig_on(journal, sidecar_grace=0.0)
    sidecar = sidecar_of(folder)
    rig.submit(record(folder), sidecar)
    rig.work()
    sidecar.write_text('{"session_id": "another"}')
    rig.disposer.step()
    rig.disposer.step()
    assert names(folder) == ["session.json"]


def test_invariant_2_a_volume_that_is_away_says_nothing_about_its_files(journal, folder):
    rig = rig_on(journal)
    video = record(folder)
    task = rig.submit(video)
    rig.work()
    away = folder.with_name("away")
    folder.rename(away)
    rig.disposer.step()
    assert rig.row(task).disposal is Disposal.PENDING
    away.rename(folder)
    rig.disposer.step()
    assert rig.row(task).disposal is Disposal.REMOVED


class FlickeringVolume:
    """Takes the folder away before one call through a port and brings it back some calls later."""

    def __init__(self, folder, start, calls):
        self.folder, self.away = folder, folder.with_name("away")
        self.seen, self.start, self.end = -1, start, start + calls

    def __call__(self, _):
        self.seen += 1
        if self.seen == self.start:
            self.folder.rename(self.away)
        elif self.seen == self.end:
            self.away.rename(self.folder)

    def settle(self):
        if self.away.exists():
            self.away.rename(self.folder)


@pytest.mark.parametrize("calls", [1, 2, 3, 100])
def test_invariant_2_a_volume_that_goes_away_at_any_step_leaves_nothing_aside(folder, calls):
    for start in itertools.count():
        rig = rig_on(MemoryJournal(), sidecar_grace=0.0)
        task = rig.submit(record(folder), sidecar_of(folder))
        rig.work()
        volume = FlickeringVolume(folder, start, calls)
        rig.disposer.files = StepProxy(Files(), "files", volume)
        rig.disposer.step()
        volume.settle()
        if rig.row(task).disposal is Disposal.REMOVED:
            assert "session.mp4" not in names(folder), start
        rig.disposer.files = Files()
        rig.disposer.step()
        assert names(folder) == [], start
        assert rig.row(task).disposal is Disposal.REMOVED
        if volume.seen < start:
            break
    assert start > 8
