"""Several destinations: one task for each, and a source that goes only when all of them have proof of it."""

from __future__ import annotations

import os

import pytest

from haulier import UploadManager
from haulier.backends.memory import MemoryBackend
from haulier.backends.memory_options import MemoryOptions
from haulier.errors import ConfigError, NetworkError, PermissionDeniedError, UnknownBackendError
from haulier.journal.memory import MemoryJournal
from haulier.models import Disposal, Proof
from haulier.service.disposal import Disposer
from haulier.service.parts import Ports
from haulier.testing.clock import FakeClock
from haulier.testing.rig import RigSettings, UploadRig
from haulier.threads import SystemThreads

HOUR = 3600.0
AWAY = NetworkError("nobody answers", reached=False)


class Inline(SystemThreads):
    """Probes are done when they are asked for."""

    def spawn(self, name, target):
        if not name.startswith("haulier-probe"):
            return super().spawn(name, target)
        target()
        return None


class Site:
    """A folder, a state folder, two destinations: `main` is a folder, `archive` keeps things in memory.

    Nothing runs by itself: `turn` does once what an agent's threads do again and again.
    """

    def __init__(self, folder):
        self.folder = folder / "recordings"
        self.folder.mkdir()
        self.state = folder / "state"
        self.stored = folder / "stored"
        self.clock = FakeClock()
        self.archive = MemoryBackend("archive", MemoryOptions())
        self.upload = {"backend": "main", "also": ["archive"], "delete_after_upload": True, "part_size": 1024}
        self.tables = {"main": {"type": "filesystem", "url": str(self.stored)}, "archive": {"type": "memory"}}
        self.watch = {}
        self.manager = None
        self.open()

    def open(self, **upload):
        """Open the manager, or open it again as after a restart."""
        if self.manager is not None:
            self.manager.close()
        self.upload.update(upload)
        document = {
            "upload": {**self.upload, "state_dir": str(self.state)},
            "backends": self.tables,
            "watch": self.watch,
        }
        self.manager = UploadManager.open(document, ports=Ports(clock=self.clock, threads=Inline()))
        if "archive" in self.tables:
            self.manager.register(self.archive)
        return self.manager

    def record(self, name="session.mp4", content=b"a recording" * 900):
        path = self.folder / name
        path.write_bytes(content)
        os.utime(path, (self.clock.now() - 60,) * 2)
        return path

    def turn(self):
        service = self.manager.service
        service.folders.step()
        service.upkeep.keep()
        while service.workers.work_once():
            pass
        service.disposer.step()

    def pass_time(self, seconds, step=120.0):
        end = self.clock.now() + seconds
        while self.clock.now() < end:
            self.turn()
            self.clock.advance(step)
        self.turn()

    def states(self):
        return {task.backend: str(task.state) for task in self.manager.tasks()}

    def disposals(self):
        return {task.backend: task.disposal for task in self.manager.tasks()}

    def task(self, backend):
        (found,) = self.manager.tasks(backend=backend)
        return found

    def archive_away(self):
        """Nothing can be connected to."""
        for method in ("open", "probe", "held", "settle"):
            self.archive.store.faults.add(method, before=AWAY, times=None)

    def archive_back(self):
        self.archive.store.faults.clear()


@pytest.fixture
def site(tmp_path):
    made = Site(tmp_path)
    yield made
    made.manager.close()


def names(folder):
    return sorted(path.name for path in folder.rglob("*") if path.is_file())


# -- every way in ------------------------------------------------------------------------------------------------


def test_submit_makes_a_task_for_each_configured_destination(site):
    task = site.manager.submit(site.record())
    assert task.backend == "main"
    assert [other.backend for other in site.manager.tasks(group=task.group)] == ["main", "archive"]
    assert [other.backend for other in site.manager.tasks()] == ["main", "archive"]


def test_a_scan_and_a_watched_folder_make_them_too(site):
    site.record()
    tasks, found = site.manager.scan(site.folder, settled=True)
    assert [task.backend for task in tasks] == ["main", "archive"]
    assert found.queued == {task.id for task in tasks}
    assert len({task.group for task in tasks}) == 1
    site.watch = {"paths": [str(site.folder)], "settle_seconds": 0}
    site.open()
    site.record("next.mp4")
    site.turn()
    assert [(os.path.basename(task.path), task.backend) for task in site.manager.tasks()] == [  # noqa: PTH119
        ("session.mp4", "main"),
        ("session.mp4", "archive"),
        ("next.mp4", "main"),
        ("next.mp4", "archive"),
    ]


def test_a_backend_that_is_chosen_replaces_the_first_and_what_is_passed_replaces_the_others(site):
    assert [site.manager.submit(site.record("a.mp4"), backend="archive").backend] == ["archive"]
    assert list(site.states()) == ["archive"]
    site.manager.submit(site.record("b.mp4"), also=())
    assert [task.backend for task in site.manager.tasks()] == ["archive", "main"]
    with pytest.raises(UnknownBackendError, match="nowhere"):
        site.manager.submit(site.record("c.mp4"), also=["nowhere"])
    assert len(site.manager.tasks()) == 2


def test_a_destination_that_is_added_later_gets_what_still_lies_in_a_watched_folder(site):
    site.watch = {"paths": [str(site.folder)], "settle_seconds": 0}
    site.open(also=[], delete_after_upload=False)
    video = site.record()
    site.turn()
    assert site.states() == {"main": "completed"}
    site.open(also=["archive"], delete_after_upload=True)
    site.turn()
    assert site.states() == {"main": "completed", "archive": "completed"}
    assert len({task.group for task in site.manager.tasks()}) == 1
    assert not video.exists()
    assert site.archive.store.requests["commit"] == 1


def test_submitting_again_changes_nothing(site):
    video = site.record()
    before = site.manager.submit(video), site.manager.tasks()
    assert (site.manager.submit(video), site.manager.tasks()) == before
    assert site.manager.submit(video, backend="archive", also=["main"]) == before[1][1]
    assert site.manager.tasks() == before[1]


# -- one of them is away -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("restarts", [False, True], ids=["running", "restarted in between"])
def test_invariant_2_one_of_two_is_away_for_an_hour_the_other_is_done_at_once_and_the_source_stays(site, restarts):
    video = site.record()
    content = video.read_bytes()
    site.archive_away()
    task = site.manager.submit(video)
    started = site.clock.now()
    site.turn()
    receipt = site.manager.receipt(task.id)
    assert receipt.completed_at == started, "no time passes before the one that can be reached is done"
    assert receipt.proof is Proof.CONTENT
    assert names(site.stored) == ["session.mp4"]
    for minutes in range(0, 60, 10):
        if restarts and minutes == 30:
            site.open()
        site.pass_time(HOUR / 6)
        assert video.exists(), "the other has no proof yet"
        assert site.states() == {"main": "completed", "archive": "queued"}
        assert site.disposals() == {"main": Disposal.PENDING, "archive": Disposal.KEPT}
    assert site.task("archive").attempts == 0, "an outage costs no attempts"
    site.archive_back()
    site.pass_time(120)
    assert site.states() == {"main": "completed", "archive": "completed"}
    assert [site.archive.store.content(key) for key in site.archive.store.objects] == [content]
    assert names(site.folder) == []
    assert set(site.disposals().values()) == {Disposal.REMOVED}


def test_invariant_2_the_first_one_away_and_the_further_one_done_keeps_the_source_too(site):
    site.tables["main"] = {"type": "filesystem", "url": str(site.stored), "create": False}
    site.open()
    video = site.record()
    site.manager.submit(video)
    site.pass_time(HOUR)
    assert site.states() == {"main": "queued", "archive": "completed"}
    assert video.exists()
    site.stored.mkdir()
    site.pass_time(120)
    assert site.states() == {"main": "completed", "archive": "completed"}
    assert not video.exists()


# -- one that will have no proof ---------------------------------------------------------------------------------


def test_invariant_2_one_failed_keeps_the_source_until_it_is_retried(site):
    fault = site.archive.store.faults.add("commit", before=PermissionDeniedError("not yours"), times=None)
    video = site.record()
    site.manager.submit(video)
    site.pass_time(HOUR)
    assert fault
    assert site.states() == {"main": "completed", "archive": "failed"}
    assert video.exists()
    site.archive_back()
    site.manager.retry(site.task("archive").id)
    site.turn()
    assert not video.exists()


def test_invariant_2_one_cancelled_keeps_the_source_and_its_retry_lets_it_go(site):
    site.archive_away()
    video = site.record()
    site.manager.submit(video)
    site.turn()
    site.manager.cancel(site.task("archive").id)
    site.pass_time(HOUR)
    assert video.exists(), "a cancelled upload's file is kept"
    assert site.disposals() == {"main": Disposal.KEPT, "archive": Disposal.KEPT}
    site.archive_back()
    site.manager.resume()
    site.manager.retry(site.task("archive").id)
    site.turn()
    assert not video.exists()
    assert set(site.disposals().values()) == {Disposal.REMOVED}


def test_invariant_2_releasing_sources_lets_none_go_that_a_destination_has_not(site):
    video = site.record()
    site.manager.submit(video)
    site.manager.cancel(site.task("archive").id)
    site.turn()
    assert site.manager.release_sources() == [site.task("main").id]
    site.turn()
    assert video.exists()


def test_invariant_2_a_destination_that_leaves_the_configuration_without_proof_keeps_the_source(site):
    site.archive_away()
    video = site.record()
    site.manager.submit(video)
    site.turn()
    del site.tables["archive"]
    site.open(also=[])
    site.pass_time(HOUR)
    assert site.states() == {"main": "completed", "archive": "queued"}
    assert video.exists()


def test_invariant_2_a_destination_that_got_another_name_has_to_prove_it_under_that_name_too(site):
    site.watch = {"paths": [str(site.folder)], "settle_seconds": 0}
    site.tables["main"] = {"type": "filesystem", "url": str(site.stored), "create": False}
    site.open()
    video = site.record()
    site.turn()
    assert site.states() == {"main": "queued", "archive": "completed"}
    vault = site.archive = MemoryBackend("vault", MemoryOptions(store=site.archive.store))
    site.tables["vault"] = {"type": "memory"}
    vault.store.faults.add("open", before=AWAY, times=1)
    site.open(also=["vault"])
    site.manager.register(vault)
    site.stored.mkdir()
    site.manager.resume()
    site.turn()
    assert site.states() == {"main": "completed", "archive": "completed", "vault": "queued"}
    assert video.exists()
    site.pass_time(120)
    assert site.states()["vault"] == "completed"
    assert len(vault.store.objects) == 1, "what lies there already is recognised"
    assert not video.exists()


def test_invariant_2_a_proof_too_weak_at_one_of_them_keeps_the_source(site):
    site.archive = MemoryBackend("archive", MemoryOptions(proof=Proof.SIZE))
    site.open(delete_proof="content")
    video = site.record()
    site.manager.submit(video)
    site.pass_time(120)
    assert site.states() == {"main": "completed", "archive": "completed"}
    assert video.exists()
    assert site.disposals() == {"main": Disposal.KEPT, "archive": Disposal.KEPT}


def test_invariant_2_the_same_content_receipted_before_at_one_of_them_counts_there(site):
    site.open(also=[], delete_after_upload=False)
    video = site.record()
    site.manager.submit(video)
    site.turn()
    site.open(also=["archive"], delete_after_upload=True)
    site.archive_away()
    site.manager.submit(video)
    site.pass_time(HOUR)
    assert video.exists()
    site.archive_back()
    site.pass_time(120)
    assert not video.exists()
    assert len(site.manager.receipts()) == 2
    assert names(site.stored) == ["session.mp4"]


def test_invariant_2_a_file_that_changed_between_its_two_uploads_stays_until_both_have_the_new_content(site):
    site.watch = {"paths": [str(site.folder)], "settle_seconds": 0, "interval_seconds": HOUR}
    site.open()
    site.archive_away()
    video = site.record()
    site.turn()
    assert site.states() == {"main": "completed", "archive": "queued"}
    site.record(content=b"other words" * 950)
    new = video.read_bytes()
    site.archive_back()
    site.manager.resume()
    service = site.manager.service
    for _ in range(200):  # the folder is not looked at meanwhile: the upload itself meets the new content
        site.clock.advance(1)
        service.workers.work_once()
        service.disposer.step()
    assert new in [site.archive.store.content(key) for key in site.archive.store.objects]
    assert video.read_bytes() == new, "main has the earlier content alone"
    site.clock.advance(HOUR)
    site.pass_time(120)
    assert not video.exists()
    assert sorted(receipt.backend for receipt in site.manager.receipts()) == ["archive", "main", "main"]
    assert new in [path.read_bytes() for path in site.stored.rglob("*.mp4")]


def test_invariant_2_a_source_taken_aside_before_a_crash_gets_its_name_back_when_it_is_wanted_again(site):
    site.archive_away()
    video = site.record()
    site.manager.submit(video)
    site.turn()
    first = site.task("main")
    aside = site.folder / f".haulier-disposal-{first.id[-12:]}-session.mp4"
    site.manager.service.journal.write(lambda tx: tx.update_task(first.id, disposal_path=str(aside)))
    video.rename(aside)
    site.turn()
    assert names(site.folder) == ["session.mp4"]
    site.archive_back()
    site.pass_time(120)
    assert names(site.folder) == []


def test_invariant_2_whichever_task_took_the_source_aside_before_a_crash_it_is_finished(site):
    site.archive_away()
    video = site.record()
    site.manager.submit(video)
    site.turn()
    site.archive_back()
    site.manager.resume()
    while site.manager.service.workers.work_once():
        pass
    second = site.task("archive")
    aside = site.folder / f".haulier-disposal-{second.id[-12:]}-session.mp4"
    site.manager.service.journal.write(lambda tx: tx.update_task(second.id, disposal_path=str(aside)))
    video.rename(aside)
    site.open()
    site.turn()
    assert names(site.folder) == []
    assert set(site.disposals().values()) == {Disposal.REMOVED}


def test_a_shared_sidecar_goes_when_both_destinations_had_it(site):
    site.open(sidecar_grace=0)
    sidecar = site.folder / "session.json"
    sidecar.write_text('{"session_id": "one"}')
    site.archive_away()
    site.manager.submit(site.record(), sidecar=sidecar)
    site.pass_time(HOUR)
    assert names(site.folder) == ["session.json", "session.mp4"]
    site.archive_back()
    site.pass_time(240)
    assert names(site.folder) == []


# -- the configuration -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("also", "error", "words"),
    [
        (["arhive"], UnknownBackendError, "no backend is called 'arhive'; did you mean 'archive'?"),
        (["main"], ConfigError, "'main' is upload.backend itself"),
        (["archive", "archive"], ConfigError, "'archive' is named twice"),
        ("archive", ConfigError, "must be a list"),
        ([""], UnknownBackendError, "no backend is called ''"),
        ([7], ConfigError, "must be a list, each entry a text"),
    ],
    ids=["unknown", "the first one", "twice", "no list", "empty", "no text"],
)
def test_wrong_names_are_refused_at_load(also, error, words):
    tables = {"main": {"type": "memory"}, "archive": {"type": "memory"}}
    with pytest.raises(error, match=words.replace("?", r"\?")) as caught:
        UploadManager.open({"upload": {"backend": "main", "also": also}, "backends": tables})
    assert "upload.also" in caught.value.where


def test_further_destinations_need_a_first_one():
    tables = {"main": {"type": "memory"}, "archive": {"type": "memory"}}
    with pytest.raises(ConfigError, match="there is no first one"):
        UploadManager.open({"upload": {"also": ["archive"]}, "backends": tables})


def test_a_first_one_that_another_layer_chose_is_left_out_of_the_others():
    from haulier.config.layers import load_config

    document = {
        "upload": {"backend": "main", "also": ["archive"]},
        "backends": {"main": {"type": "memory"}, "archive": {"type": "memory"}},
    }
    chosen = load_config(document, environ={"HAULIER_UPLOAD__BACKEND": "archive"}).upload
    assert (chosen.backend, chosen.also) == ("archive", ())
    assert load_config(document, environ={"HAULIER_UPLOAD__ALSO": ""}).upload.also == ()


def test_a_lenient_reader_leaves_a_wrong_name_out_and_says_so():
    from haulier.config.layers import load_config

    document = {
        "upload": {"backend": "main", "also": ["archive", "nowhere"]},
        "backends": {"main": {"type": "memory"}, "archive": {"type": "memory"}},
    }
    loaded = load_config(document, environ={}, lenient=True)
    assert loaded.upload.also == ("archive",)
    assert any("nowhere" in warning for warning in loaded.warnings)


def test_invariant_6_very_many_sources_that_wait_hold_up_none_that_may_go(tmp_path):
    """A look at all of them takes half a minute: it is taken seldom, and who is done goes without it."""

    class Slow(Disposer):
        looks = 0

        def step(self, task_ids=None):
            if task_ids is None:
                self.looks += 1
                self.clock.advance(30)
            return super().step(task_ids)

    rig = UploadRig(MemoryJournal(), MemoryBackend("main", MemoryOptions()), settings=RigSettings(delete_source=True))
    rig.disposer.__class__ = Slow
    rig.upkeep.dispose()
    video = tmp_path / "session.mp4"
    for _ in range(50):
        video.write_bytes(b"a recording")
        rig.submit(video)
        rig.work()
        rig.clock.advance(1)
        rig.upkeep.dispose()
        assert not video.exists()
    assert rig.disposer.looks == 1
    rig.clock.advance(300)
    rig.upkeep.dispose()
    assert rig.disposer.looks == 2
