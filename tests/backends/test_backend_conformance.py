"""What every backend must do, run against all that come with the core.

A rig stands for one destination: ``backend()`` makes another instance that meets it, as a new process would.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field

import pytest
from fsspec.implementations.memory import MemoryFileSystem
from hypothesis import given, settings
from hypothesis import strategies as st

from haulier.backends.api import Held, IfAbsent, Outcome, PutBackend, ResumeMode, Stored
from haulier.backends.filesystem import FilesystemBackend, FilesystemOptions
from haulier.backends.memory import MemoryBackend, MemoryOptions, MemoryStore
from haulier.backends.put import adapt
from haulier.errors import ConflictError, SessionLostError

OTHER_ITEM = "b" * 64
MEDIA = bytes(range(95))
SIDECAR = b'{"case": "1"}'
PART = 10  # of the driver


class MemoryRig:
    def __init__(self, **options):
        self.store = MemoryStore()
        self.options = options

    def backend(self):
        return MemoryBackend("archive", MemoryOptions(store=self.store, **self.options))

    def content(self, key):
        found = self.store.get(key)
        return None if found is None else found.content

    def put(self, key, content):
        self.store.put(key, content, OTHER_ITEM)

    def keys(self):
        return sorted(self.store.objects)

    def leftovers(self):
        return list(self.store.sessions)


class LocalRig:
    def __init__(self, root):
        self.root = root

    def backend(self):
        return FilesystemBackend("archive", FilesystemOptions(str(self.root)))

    def content(self, key):
        path = self.root / key
        return path.read_bytes() if path.exists() else None

    def put(self, key, content):
        (self.root / key).parent.mkdir(parents=True, exist_ok=True)
        (self.root / key).write_bytes(content)

    def keys(self):
        return sorted(path.relative_to(self.root).as_posix() for path in self._files() if not self._partial(path))

    def leftovers(self):
        return [path for path in self._files() if self._partial(path)]

    def _files(self):
        return [path for path in self.root.rglob("*") if path.is_file()]

    def _partial(self, path):
        return path.relative_to(self.root).parts[0] == ".haulier-partial"


class RemoteRig:
    """A root of its own within fsspec's memory file system."""

    def __init__(self, root, **options):
        self.root = root
        self.options = options
        self.system = MemoryFileSystem()

    def backend(self):
        return FilesystemBackend("archive", FilesystemOptions(f"memory:/{self.root}", **self.options))

    def content(self, key):
        path = f"{self.root}/{key}"
        return self.system.cat_file(path) if self.system.isfile(path) else None

    def put(self, key, content):
        self.system.pipe_file(f"{self.root}/{key}", content)

    def keys(self):
        return sorted(path for path in self._files() if not path.startswith(".haulier-partial/"))

    def leftovers(self):
        return [path for path in self._files() if path.startswith(".haulier-partial/")]

    def _files(self):
        return [path[len(self.root) + 1 :] for path in self.system.find(self.root)]


@dataclass(frozen=True)
class ShelfOptions:
    shelf: dict = field(default_factory=dict)


class BlindShelf(PutBackend):
    """The least there is: it can put."""

    type = "blind-shelf"
    options_type = ShelfOptions

    def put(self, upload, artifact, body, context):
        content = body.read()
        self.options.shelf[artifact.key] = (content, upload.item_id)
        return Stored(artifact.key, f"shelf:{artifact.key}", len(content))


class Shelf(BlindShelf):
    """It can be asked as well."""

    type = "shelf"

    def stat(self, key, context):
        if key not in self.options.shelf:
            return None
        content, item_id = self.options.shelf[key]
        return Stored(key, f"shelf:{key}", len(content), "", {"sha256": hashlib.sha256(content).hexdigest()}, item_id)


class PutRig:
    def __init__(self, put_type):
        self.put_type = put_type
        self.shelf = {}

    def backend(self):
        return adapt(self.put_type)("archive", ShelfOptions(self.shelf))

    def content(self, key):
        return self.shelf[key][0] if key in self.shelf else None

    def put(self, key, content):
        self.shelf[key] = (content, OTHER_ITEM)

    def keys(self):
        return sorted(self.shelf)

    def leftovers(self):
        return []


class EveryBackend:
    """Holds for each destination. Subclasses bring the fixture ``rig``."""

    @pytest.mark.parametrize("size", [0, 1, PART - 1, PART, PART + 1, 3 * PART, 95])
    @pytest.mark.parametrize("sidecar", [None, b"", SIDECAR], ids=["alone", "empty sidecar", "sidecar"])
    def test_what_is_sent_is_what_is_stored(self, rig, drive_for, size, sidecar):
        contents = [MEDIA[:size]] if sidecar is None else [MEDIA[:size], sidecar]
        stored = drive_for(rig.backend(), *contents).run()
        assert [rig.content(entry.key) for entry in stored] == contents
        assert [entry.size for entry in stored] == [len(content) for content in contents]
        assert len(rig.keys()) == len(contents)

    @pytest.mark.parametrize("parts_before_kill", range(12))
    def test_after_a_kill_a_new_process_finishes(self, rig, drive_for, parts_before_kill):
        first = drive_for(rig.backend(), MEDIA, SIDECAR).open().send_some(parts_before_kill)
        second = first.resume(rig.backend())
        second.finish()
        assert (rig.content("2026/a.mp4"), rig.content("2026/a.json")) == (MEDIA, SIDECAR)
        assert len(rig.keys()) == 2
        if first.resumable:
            assert not set(first.sent) & set(second.sent), "what was acknowledged is not sent again"

    def test_opening_again_does_no_harm(self, rig, drive_for):
        first = drive_for(rig.backend(), MEDIA, SIDECAR).open().send_some(3)
        again = drive_for(rig.backend(), MEDIA, SIDECAR).open()
        if again.token.known:
            again = again.resume(rig.backend())
        again.finish()
        assert again.token.public.keys() == first.token.public.keys()
        assert (rig.content("2026/a.mp4"), rig.content("2026/a.json")) == (MEDIA, SIDECAR)

    def test_nothing_is_visible_before_commit(self, rig, drive_for):
        drive_for(rig.backend(), MEDIA).open().send_some()
        assert rig.keys() == []

    def test_settle_says_what_became_of_it(self, rig, drive_for):
        drive = drive_for(rig.backend(), MEDIA, SIDECAR).open()
        before = rig.backend().settle(drive.upload, drive.token, drive.context)
        assert before.outcome in {Outcome.ABSENT, Outcome.UNKNOWN}
        drive.send_some().commit()
        after = rig.backend().settle(drive.upload, drive.token, drive.context)
        assert after.outcome in {Outcome.PRESENT, before.outcome}
        assert after.outcome is not Outcome.ABSENT
        if after.outcome is Outcome.PRESENT:
            assert [entry.key for entry in after.stored] == ["2026/a.mp4", "2026/a.json"]

    def test_abort_leaves_nothing_and_may_come_twice(self, rig, drive_for):
        drive = drive_for(rig.backend(), MEDIA).open().send_some(4)
        for _ in range(2):
            rig.backend().abort(drive.upload, drive.token, drive.context)
        assert (rig.keys(), rig.leftovers()) == ([], [])

    def test_starting_over_with_other_content(self, rig, drive_for):
        stale = drive_for(rig.backend(), MEDIA[::-1], SIDECAR, nonce="n1").open().send_some(20)
        rig.backend().abort(stale.upload, stale.token, stale.context)
        drive_for(rig.backend(), MEDIA, b"{}", nonce="n2").run()
        assert (rig.content("2026/a.mp4"), rig.content("2026/a.json")) == (MEDIA, b"{}")

    def test_probe_writes_nothing(self, rig, context):
        rig.backend().probe(context)
        assert (rig.keys(), rig.leftovers()) == ([], [])

    def test_check_leaves_nothing(self, rig, context):
        assert rig.backend().check(context).rights["reach"] == "yes"
        assert (rig.keys(), rig.leftovers()) == ([], [])

    def test_session_abilities_are_never_more_than_declared(self, rig, drive_for):
        drive = drive_for(rig.backend(), MEDIA).open()
        assert drive.abilities == drive.backend.abilities


class AskedBackend(EveryBackend):
    """Holds for each destination that can be asked what it has."""

    def test_stat_finds_what_is_there_and_none_else(self, rig, drive_for, context):
        drive_for(rig.backend(), MEDIA).run()
        assert rig.backend().stat("2026/a.mp4", context).size == len(MEDIA)
        assert rig.backend().stat("2026/b.mp4", context) is None
        assert rig.backend().stat("2027/b.mp4", context) is None

    @pytest.mark.parametrize("theirs", [b"theirs", MEDIA[::-1]], ids=["other size", "same size"])
    def test_something_else_under_the_key_is_a_conflict_and_stays(self, rig, drive_for, theirs):
        rig.put("2026/a.mp4", theirs)
        drive = drive_for(rig.backend(), MEDIA, SIDECAR)
        with pytest.raises(ConflictError):
            drive.run()
        assert rig.content("2026/a.mp4") == theirs

    def test_a_conflict_that_comes_while_sending(self, rig, drive_for):
        drive = drive_for(rig.backend(), MEDIA).open().send_some()
        rig.put("2026/a.mp4", b"theirs")
        with pytest.raises(ConflictError):
            drive.commit()
        assert rig.content("2026/a.mp4") == b"theirs"

    def test_equal_content_under_the_key_is_success(self, rig, drive_for):
        rig.put("2026/a.mp4", MEDIA)
        stored = drive_for(rig.backend(), MEDIA, SIDECAR).run()
        assert stored[0].size == len(MEDIA)
        assert stored[0].item_id != OTHER_ITEM
        assert rig.content("2026/a.json") == SIDECAR

    def test_two_uploads_to_one_key_never_mix(self, rig, drive_for):
        ours = drive_for(rig.backend(), MEDIA, nonce="n1").open()
        theirs = drive_for(rig.backend(), MEDIA[::-1], item=OTHER_ITEM, nonce="n2").open()
        for _ in range(9):
            ours.send_some(1)
            theirs.send_some(1)
        ours.send_some().commit()
        with pytest.raises(ConflictError):
            theirs.send_some().commit()
        assert rig.content("2026/a.mp4") == MEDIA

    def test_a_commit_that_is_repeated_gives_the_same(self, rig, drive_for):
        drive = drive_for(rig.backend(), MEDIA, SIDECAR).open().send_some()
        first = drive.commit()
        again = drive_for(rig.backend(), MEDIA, SIDECAR)
        again.token, again.abilities, again.held = drive.token, drive.abilities, drive.held
        second = again.commit()
        assert [entry.key for entry in second] == [entry.key for entry in first]
        assert (rig.content("2026/a.mp4"), len(rig.keys())) == (MEDIA, 2)

    def test_settle_needs_no_token(self, rig, drive_for):
        drive = drive_for(rig.backend(), MEDIA).open()
        rig.backend().abort(drive.upload, drive.token, drive.context)
        assert rig.backend().settle(drive.upload, None, drive.context).outcome is Outcome.ABSENT
        drive.run()
        settled = rig.backend().settle(drive.upload, None, drive.context)
        assert settled.outcome is Outcome.PRESENT
        assert settled.stored[0].size == len(MEDIA)


class ResumableBackend(AskedBackend):
    """Holds for each destination that can tell what a session holds."""

    def test_a_committed_session_answers_so(self, rig, drive_for):
        drive = drive_for(rig.backend(), MEDIA, SIDECAR)
        drive.run()
        held = rig.backend().held(drive.upload, drive.token, drive.context)
        assert [entry.key for entry in held.stored] == ["2026/a.mp4", "2026/a.json"]


class SessionBackend(ResumableBackend):
    """Holds for each destination that keeps sessions."""

    def test_an_aborted_session_is_lost(self, rig, drive_for):
        drive = drive_for(rig.backend(), MEDIA).open().send_some(2)
        rig.backend().abort(drive.upload, drive.token, drive.context)
        with pytest.raises(SessionLostError):
            rig.backend().held(drive.upload, drive.token, drive.context)
        with pytest.raises(SessionLostError):
            drive.send_some(1)
        drive.held = Held(prefixes={0: len(MEDIA)})
        with pytest.raises(SessionLostError):
            drive.commit()


class TestParallelMemory(SessionBackend):
    @pytest.fixture
    def rig(self):
        return MemoryRig()


class TestPrefixMemory(SessionBackend):
    """As tus or a last-part destination behaves."""

    @pytest.fixture
    def rig(self):
        return MemoryRig(parts="sequential", resume="offset", commit="last_part")


class TestLocalFolder(SessionBackend):
    @pytest.fixture
    def rig(self, tmp_path):
        return LocalRig(tmp_path / "archive")


class TestRemoteFolder(AskedBackend):
    @pytest.fixture(params=[{}, {"read_back": True}], ids=["size", "content"])
    def rig(self, request, tmp_path):
        rig = RemoteRig(tmp_path.as_posix(), **request.param)
        yield rig
        if rig.system.exists(rig.root):
            rig.system.rm(rig.root, recursive=True)


class TestAskedPut(ResumableBackend):
    @pytest.fixture
    def rig(self):
        return PutRig(Shelf)


class TestBlindPut(EveryBackend):
    @pytest.fixture
    def rig(self):
        return PutRig(BlindShelf)

    def test_it_claims_little(self, rig):
        abilities = rig.backend().abilities
        assert (abilities.if_absent, abilities.resume) == (IfAbsent.NONE, ResumeMode.NONE)


@pytest.mark.parametrize("kind", ["list", "offset", "folder"])
@given(plan=st.lists(st.integers(0, 4), max_size=8), size=st.integers(0, 60))
@settings(max_examples=20, deadline=None)
def test_any_row_of_kills_ends_in_the_same_object(kind, tmp_path_factory, drive_for, plan, size):
    if kind == "folder":
        rig = LocalRig(tmp_path_factory.mktemp("archive"))
    else:
        rig = MemoryRig(parts="sequential", resume=kind)
    drive = drive_for(rig.backend(), MEDIA[:size], SIDECAR, part_size=7).open()
    for count in plan:
        drive = drive.send_some(count).resume(rig.backend())
    drive.finish()
    assert (rig.content("2026/a.mp4"), rig.content("2026/a.json")) == (MEDIA[:size], SIDECAR)
