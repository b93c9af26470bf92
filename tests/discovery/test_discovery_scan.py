"""One look at a folder of real files."""

import json
import os
import shutil
from pathlib import Path

import pytest

from haulier.discovery.rules import ScanRules
from haulier.discovery.scan import FolderMemory, scan
from haulier.files import Files

RECORDINGS = Path(__file__).parent.parent / "data" / "recordings"
MANIFEST = {entry["file"]: entry for entry in json.loads((RECORDINGS / "MANIFEST.json").read_text("utf-8"))["files"]}
DAY = 86_400


class SetClock:
    """A clock that stands until it is moved."""

    def __init__(self):
        self.wall, self.running = 1_761_000_000.0, 1000.0

    def now(self):
        return self.wall

    def monotonic(self):
        return self.running

    def pass_time(self, seconds):
        self.wall += seconds
        self.running += seconds


@pytest.fixture
def clock():
    return SetClock()


@pytest.fixture
def put(tmp_path, clock):
    def put_file(name, content=b"video", age=3600.0):
        path = tmp_path / name
        path.write_bytes(content)
        os.utime(path, (clock.now() - age, clock.now() - age))
        return path

    return put_file


@pytest.fixture
def look(tmp_path, clock):
    def look_once(folder=tmp_path, *, memory=None, hooks=None, files=None, **rules):
        ports = {"files": files or Files(), "clock": clock, "rules": ScanRules("here", **rules)}
        return scan(folder, memory=memory, **ports, **(hooks or {}))

    return look_once


def taken(result):
    return {Path(found.path).name: found.sidecar and Path(found.sidecar).name for found in result.candidates}


@pytest.fixture
def recordings(tmp_path, clock):
    folder = tmp_path / "recordings"
    shutil.copytree(RECORDINGS, folder, ignore=shutil.ignore_patterns("MANIFEST.json"))
    for number, path in enumerate(sorted(folder.iterdir())):
        os.utime(path, (clock.now() - DAY - number,) * 2)
    return folder


def test_the_sample_folder_is_sorted_as_its_manifest_says_and_again(recordings, look):
    memory = FolderMemory()
    for _ in range(2):
        result = look(recordings, memory=memory)
        expected = {name: entry["sidecar"] for name, entry in MANIFEST.items() if entry["expect"] == "take"}
        assert taken(result) == expected
        assert set(result.ignored) == {name for name, entry in MANIFEST.items() if entry["expect"] == "ignore"}
        assert set(result.problems) == {name for name, entry in MANIFEST.items() if entry["expect"] == "problem"}
        assert result.waiting == {}
        assert result.unreachable is None


def test_the_sample_folder_names_both_faults_of_the_empty_recording(recordings, look):
    why = look(recordings).problems["rdp_412_1730300500_Empty_20241030_144140.mp4"]
    assert "is empty" in why
    assert "rdp_412_1730300500_metadata.json is no sound JSON" in why


def test_candidates_are_who_a_submit_would_find(recordings, look):
    for candidate in look(recordings).candidates:
        assert candidate.identity == Files().identity(candidate.path, "here")
        assert candidate.identity.size == MANIFEST[Path(candidate.path).name]["bytes"]


def test_the_sample_folder_is_left_as_it_was(recordings, look):
    before = {path.name: (path.stat().st_mtime_ns, path.stat().st_size) for path in recordings.iterdir()}
    look(recordings)
    assert {path.name: (path.stat().st_mtime_ns, path.stat().st_size) for path in recordings.iterdir()} == before


def test_what_a_rotation_would_delete_next_comes_first(put, look):
    for name, age in (("b.mp4", 100), ("c.mp4", 300), ("a.mp4", 200)):
        put(name, age=age)
    assert list(taken(look())) == ["c.mp4", "a.mp4", "b.mp4"]


def test_a_fresh_file_waits_until_it_has_settled(put, look, clock):
    put("a.mp4", age=3)
    assert "a.mp4" in look().waiting
    clock.pass_time(7)
    assert taken(look()) == {"a.mp4": None}


def test_a_file_that_grows_between_two_looks_waits_even_with_an_old_time(put, look, clock):
    memory = FolderMemory()
    put("a.mp4", b"some", age=3600)
    look(memory=memory)
    clock.pass_time(5)
    put("a.mp4", b"some more", age=3605)
    assert "a.mp4" in look(memory=memory).waiting


def test_a_file_from_the_future_is_taken_once_it_stands_still(put, look, clock):
    memory = FolderMemory()
    put("a.mp4", age=-DAY)
    assert "a.mp4" in look(memory=memory).waiting
    clock.pass_time(10)
    assert taken(look(memory=memory)) == {"a.mp4": None}


def test_without_a_settle_time_everything_is_taken_at_once(put, look):
    put("a.mp4", age=0)
    put("b.mp4", age=-DAY)
    assert taken(look(settle_seconds=0)) == {"a.mp4": None, "b.mp4": None}


def test_a_video_waits_for_a_sidecar_that_is_being_written(put, look, clock):
    put("s_1_a.mp4")
    put("s_1_metadata.json", b'{"session', age=1)
    assert "s_1_metadata.json" in look().waiting["s_1_a.mp4"]
    put("s_1_metadata.json", b"{}", age=1)
    clock.pass_time(10)
    assert taken(look()) == {"s_1_a.mp4": "s_1_metadata.json"}


def test_an_empty_video_is_a_problem_only_when_nobody_writes_it_any_more(put, look, clock):
    put("a.mp4", b"", age=1)
    assert "a.mp4" in look().waiting
    clock.pass_time(10)
    assert "empty" in look().problems["a.mp4"]


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (b"", "empty"),
        (b"{", "no sound JSON"),
        (b"[]", "no object"),
        (b'"text"', "no object"),
        (b'{"a": "\xe3"}', "UTF-8"),
        (b"[" * 100_000, "nested"),
        (b'{"a": "' + b"x" * (1 << 20) + b'"}', "larger than 1048576 bytes"),
    ],
)
def test_a_sidecar_that_cannot_be_sent_keeps_its_videos_back(put, look, content, why):
    put("s_1_a.mp4")
    put("s_1_b.mp4")
    put("other.mp4")
    put("s_1_metadata.json", content)
    result = look()
    assert taken(result) == {"other.mp4": None}
    assert set(result.problems) == {"s_1_a.mp4", "s_1_b.mp4"}
    assert all(why in text for text in result.problems.values())


def test_a_sidecar_may_be_as_large_as_the_limit(put, look):
    put("s_1_a.mp4")
    put("s_1_metadata.json", b'{"a": "' + b"x" * ((1 << 20) - 9) + b'"}')
    assert taken(look()) == {"s_1_a.mp4": "s_1_metadata.json"}


def test_a_mended_sidecar_lets_its_video_go(put, look, clock):
    memory = FolderMemory()
    put("s_1_a.mp4")
    put("s_1_metadata.json", b"{")
    assert "s_1_a.mp4" in look(memory=memory).problems
    put("s_1_metadata.json", b"{}", age=60)
    assert "s_1_a.mp4" in look(memory=memory).waiting
    clock.pass_time(10)
    assert taken(look(memory=memory)) == {"s_1_a.mp4": "s_1_metadata.json"}


class CountingFiles(Files):
    def __init__(self):
        super().__init__()
        self.reads = 0

    def read_bytes(self, path, limit):
        self.reads += 1
        return super().read_bytes(path, limit)


def test_a_sidecar_is_read_once_for_all_segments_and_scans_until_it_changes(put, look, clock):
    files, memory = CountingFiles(), FolderMemory()
    put("s_1_metadata.json", b"{}")
    for number in range(3):
        put(f"s_1_{number}.mp4")
    for _ in range(3):
        assert len(look(memory=memory, files=files).candidates) == 3
    assert files.reads == 1
    put("s_1_metadata.json", b"{ }")
    look(memory=memory, files=files)
    clock.pass_time(10)
    assert len(look(memory=memory, files=files).candidates) == 3
    assert files.reads == 2


def test_a_sidecar_without_a_video_is_a_problem_unless_it_is_fresh_or_known(put, look, tmp_path):
    put("s_1_metadata.json", b"{}")
    put("s_2_metadata.json", b"{}", age=2)
    put("s_3_metadata.json", b"{}")
    known = {"knows_sidecar": lambda path: path == str(tmp_path / "s_3_metadata.json")}
    result = look(hooks=known)
    assert list(result.problems) == ["s_1_metadata.json"]
    assert list(result.waiting) == ["s_2_metadata.json"]
    assert list(result.ignored) == ["s_3_metadata.json"]


def test_age_limits_leave_files_alone_without_calling_them_problems(put, look):
    put("new.mp4", age=29 * DAY)
    put("old.mp4", age=31 * DAY)
    put("old_empty.mp4", b"", age=31 * DAY)
    put("s_1_metadata.json", b"{}", age=31 * DAY)
    result = look(max_age_days=30)
    assert taken(result) == {"new.mp4": None}
    assert result.problems == {}
    assert "30 days" in result.ignored["old.mp4"]
    assert len(look().candidates) == 2


def test_older_recordings_can_be_left_alone(put, look, clock):
    put("before.mp4", age=100)
    put("after.mp4", age=50)
    result = look(since=clock.now() - 75)
    assert taken(result) == {"after.mp4": None}
    assert "before the start" in result.ignored["before.mp4"]


def test_a_backup_counts_only_after_ten_minutes(put, look, clock):
    put("a.bak.mp4", age=300)
    assert "compression" in look().waiting["a.bak.mp4"]
    clock.pass_time(300)
    assert taken(look()) == {"a.bak.mp4": None}


def test_a_backup_waits_for_a_compression_that_runs_and_not_for_one_that_died(put, look, clock):
    put("a.bak.mp4", age=3600)
    put("a.tmp.mp4", age=30)
    assert "a.bak.mp4" in look().waiting
    clock.pass_time(600)
    result = look()
    assert taken(result) == {"a.bak.mp4": None}
    assert "a.tmp.mp4" in result.ignored


def test_invariant_9_a_folder_that_is_away_is_unreachable_and_nothing_in_it_is_gone(look, tmp_path):
    result = look(tmp_path / "share")
    assert result.unreachable is not None
    assert "cannot be listed" in result.unreachable
    assert (result.candidates, result.ignored, result.problems, result.waiting) == ((), {}, {}, {})


def test_an_outage_does_not_make_a_scan_forget_what_it_saw(put, look, clock, tmp_path):
    memory = FolderMemory()
    put("a.mp4", age=-DAY)
    look(memory=memory)
    clock.pass_time(10)
    moved = tmp_path.rename(tmp_path.with_name("away"))
    assert look(memory=memory).unreachable
    moved.rename(tmp_path)
    assert taken(look(memory=memory)) == {"a.mp4": None}


def test_what_is_no_file_of_its_own_is_not_taken(put, look, tmp_path):
    put("real.mp4")
    (tmp_path / "folder.mp4").mkdir()
    (tmp_path / "latest.mp4").symlink_to("real.mp4")
    (tmp_path / "outside.mp4").symlink_to("/etc/passwd")
    (tmp_path / "outside.dll").symlink_to("/etc/passwd")
    result = look()
    assert taken(result) == {"real.mp4": None}
    assert set(result.ignored) == {"folder.mp4", "latest.mp4", "outside.dll"}
    assert set(result.problems) == {"outside.mp4"}


def test_a_video_that_may_not_be_read_is_a_problem(put, look, monkeypatch):
    put("a.mp4")
    monkeypatch.setattr(os, "access", lambda path, mode: False)  # the superuser may read anything
    assert "may not be read" in look().problems["a.mp4"]


def test_a_scan_tells_which_sidecars_are_still_needed_by_any_video(put, look):
    put("s_1_metadata.json", b"{")
    put("s_2_metadata.json", b"{}")
    for name in ("s_1_a.mp4", "s_2_a.tmp.mp4", ".haulier-disposal-0f-s_2_b.mp4", "c.mp4"):
        put(name)
    assert look().belonging == {
        "s_1_a.mp4": "s_1_metadata.json",
        "s_2_a.tmp.mp4": "s_2_metadata.json",
        ".haulier-disposal-0f-s_2_b.mp4": "s_2_metadata.json",
    }


# -- decisions of plugins ------------------------------------------------------------------------------------------


def fail(*args):
    raise RuntimeError("the plugin broke")


def test_a_plugin_may_take_and_refuse_files(put, look):
    for name in ("a.mp4", "draft-b.mp4", "c.log"):
        put(name)
    answers = {"draft-b.mp4": False, "c.log": True}
    result = look(hooks={"accept_file": lambda path: answers.get(path.name)})
    assert taken(result) == {"a.mp4": None, "c.log": None}
    assert "plugin" in result.ignored["draft-b.mp4"]


def test_invariant_6_a_plugin_that_fails_about_one_file_holds_back_that_file_until_it_answers(put, look):
    put("a.mp4")
    put("b.mp4")
    asked = []

    def accept(path):
        asked.append(path.name)
        if asked.count("a.mp4") == 1 and path.name == "a.mp4":
            fail()

    result = look(hooks={"accept_file": accept})
    assert taken(result) == {"b.mp4": None}
    assert "undecided" in result.problems["a.mp4"]
    assert "the plugin broke" in result.problems["a.mp4"]
    assert set(taken(look(hooks={"accept_file": accept}))) == {"a.mp4", "b.mp4"}


def test_a_video_does_not_leave_without_a_sidecar_that_is_undecided(put, look):
    put("s_1_a.mp4")
    put("s_1_metadata.json", b"{}")
    result = look(hooks={"accept_file": lambda path: fail() if path.suffix == ".json" else None})
    assert result.candidates == ()
    assert set(result.problems) == {"s_1_a.mp4", "s_1_metadata.json"}


def test_a_plugin_may_pair_by_its_own_rule(put, look):
    for name in ("a.mp4", "b.mp4", "s_1_c.mp4", "s_2_d.mp4"):
        put(name)
    for name in ("a.json", "s_1_metadata.json", "s_2_metadata.json"):
        put(name, b"{}")
    answers = {"a.mp4": "a.json", "s_1_c.mp4": ""}
    result = look(hooks={"find_sidecar": lambda path, names: answers.get(path.name)})
    assert taken(result) == {"a.mp4": "a.json", "b.mp4": None, "s_1_c.mp4": None, "s_2_d.mp4": "s_2_metadata.json"}
    assert (result.problems, result.ignored) == ({}, {})


def test_a_sidecar_that_a_plugin_names_must_be_sound_and_settled_too(put, look):
    put("a.mp4")
    put("b.mp4")
    put("a.json", b"{")
    put("b.json", b"{}", age=1)
    result = look(hooks={"find_sidecar": lambda path, names: path.stem + ".json"})
    assert "a.mp4" in result.problems
    assert "b.mp4" in result.waiting


@pytest.mark.parametrize("answer", ["a.mp4", "b.mp4", "absent.json", "../b.json"])
def test_a_plugin_that_names_what_cannot_be_a_sidecar_leaves_the_video_undecided(put, look, answer):
    put("a.mp4")
    put("b.mp4")
    result = look(hooks={"find_sidecar": lambda path, names: answer if path.name == "a.mp4" else None})
    assert taken(result) == {"b.mp4": None}
    assert "undecided" in result.problems["a.mp4"]


def test_a_pairing_plugin_that_fails_holds_back_only_its_file(put, look):
    put("a.mp4")
    put("b.mp4")
    result = look(hooks={"find_sidecar": lambda path, names: fail() if path.name == "a.mp4" else None})
    assert taken(result) == {"b.mp4": None}
    assert "find_sidecar" in result.problems["a.mp4"]
