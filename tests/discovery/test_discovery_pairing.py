"""Which names are media, which are sidecars, and which belong together."""

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from haulier.discovery.pairing import pair_names

OLD = "rdp_123_1729950022_Production_Server_20241026_150022.mp4"
OLD_SIDECAR = "rdp_123_1729950022_metadata.json"


@pytest.mark.parametrize(
    ("media", "sidecar"),
    [
        (OLD, OLD_SIDECAR),
        ("rdp_123_1729950022_Production_Server_20241026_150022_resized.mp4", OLD_SIDECAR),
        ("session_123_ServerName_20241026_150000.mp4", "session_123_metadata.json"),
        ("rdp_unknown_1729950022_a.b.c_20241026_150022.mp4", "rdp_unknown_1729950022_metadata.json"),
        ("session_123.mp4", "session_123_metadata.json"),
        ("SESSION_1_X.MP4", "SESSION_1_METADATA.JSON"),
    ],
)
def test_a_video_finds_the_sidecar_of_its_session(media, sidecar):
    pairing = pair_names([media, sidecar])
    assert pairing.media == {media: sidecar}
    assert pairing.orphans == frozenset()


def test_all_segments_of_a_session_share_its_sidecar():
    segments = [f"rdp_1_2_host_20241026_15{minute:02}00.mp4" for minute in range(5)]
    pairing = pair_names([*segments, "rdp_1_2_metadata.json"])
    assert pairing.media == dict.fromkeys(segments, "rdp_1_2_metadata.json")


def test_the_longest_session_id_wins():
    names = ["rdp_1_metadata.json", "rdp_1_2_metadata.json", "rdp_1_2_host.mp4", "rdp_1_3_host.mp4"]
    assert pair_names(names).media == {
        "rdp_1_2_host.mp4": "rdp_1_2_metadata.json",
        "rdp_1_3_host.mp4": "rdp_1_metadata.json",
    }


def test_a_session_id_ends_at_an_underscore():
    pairing = pair_names(["session_12_metadata.json", "session_123_host.mp4"])
    assert pairing.media == {"session_123_host.mp4": None}
    assert pairing.orphans == {"session_12_metadata.json"}


def test_the_current_recorder_names_no_session():
    assert pair_names(["SRV-APP01_seg001_20251105_091500.avi", OLD_SIDECAR]).media == {
        "SRV-APP01_seg001_20251105_091500.avi": None
    }


def test_composed_and_decomposed_names_belong_together():
    media = unicodedata.normalize("NFD", "São_Paulo_20241028.mp4")
    sidecar = unicodedata.normalize("NFC", "São_metadata.json")
    assert pair_names([media, sidecar]).media == {media: sidecar}


@pytest.mark.parametrize("suffix", [".mp4", ".avi", ".mkv", ".webm", ".mov", ".wmv", ".MP4"])
def test_the_kinds_of_video(suffix):
    assert set(pair_names(["a" + suffix]).media) == {"a" + suffix}


def test_the_kinds_of_video_can_be_chosen():
    pairing = pair_names(["a.mp4", "a.bin"], media_suffixes={".bin"})
    assert set(pairing.media) == {"a.bin"}
    assert set(pairing.ignored) == {"a.mp4"}


@pytest.mark.parametrize(
    "name",
    [
        "a.tmp.mp4",
        "a.TMP.mp4",
        "a.part.mp4",
        "a.mp4.part",
        "a.mp4.crdownload",
        "cleanup_stats.json",
        "test_h264.mp4",
        "Test_H264.MP4",
        "openh264-1.8.0-win64.dll",
        "Thumbs.db",
        "notes.json",
        "_metadata.json",
        ".hidden.mp4",
        "~lock.mp4",
        ".haulier-disposal-0f-a.mp4",
        "mp4",
    ],
)
def test_foreign_and_temporary_files_are_ignored_with_a_reason(name):
    pairing = pair_names([name])
    assert pairing.media == {}
    assert pairing.sidecars == frozenset()
    assert pairing.ignored[name]


def test_a_backup_is_the_recording_when_its_original_is_gone():
    pairing = pair_names(["rdp_1_2_host.bak.mp4", "rdp_1_2_metadata.json"])
    assert pairing.media == {"rdp_1_2_host.bak.mp4": "rdp_1_2_metadata.json"}
    assert pairing.backups == {"rdp_1_2_host.bak.mp4": None}


@pytest.mark.parametrize("original", ["a.mp4", "a.avi"])
def test_a_backup_beside_its_original_is_ignored(original):
    pairing = pair_names([original, "a.bak.mp4"])
    assert set(pairing.media) == {original}
    assert "original" in pairing.ignored["a.bak.mp4"]


def test_a_backup_knows_the_temporary_file_beside_it():
    assert pair_names(["a.bak.mp4", "a.tmp.mp4"]).backups == {"a.bak.mp4": "a.tmp.mp4"}


@pytest.mark.parametrize("owner", [OLD, OLD.replace(".mp4", ".tmp.mp4"), f".haulier-disposal-0f-{OLD}"])
def test_a_sidecar_is_an_orphan_only_when_no_video_in_any_shape_belongs_to_it(owner):
    assert pair_names([OLD_SIDECAR]).orphans == {OLD_SIDECAR}
    assert pair_names([OLD_SIDECAR, owner]).orphans == frozenset()


def test_decisions_go_before_the_rules_but_never_touch_private_names():
    private = ".haulier-disposal-0f-a.mp4"
    names = ["a.mp4", "b.log", "c.tmp.mp4", "d_metadata.json", "e_metadata.json", "e_1.mp4", private]
    decisions = {"a.mp4": False, "b.log": True, "c.tmp.mp4": True, "d_metadata.json": True, "e_metadata.json": False}
    pairing = pair_names(names, accepted={**decisions, private: True})
    assert pairing.media == {"b.log": None, "c.tmp.mp4": None, "e_1.mp4": None}
    assert pairing.sidecars == {"d_metadata.json"}
    assert set(pairing.ignored) == {"a.mp4", "e_metadata.json", private}


@pytest.mark.parametrize(
    ("first", "second"),
    [("rdp_METADATA.json", "rdp_metadata.json"), ("e\u0301_metadata.json", "\u00e9_metadata.json")],
)
def test_of_two_sidecars_of_one_session_the_first_is_taken_and_the_other_told(first, second):
    video = first.partition("_")[0] + "_1.mp4"
    pairing = pair_names({second, first, video})
    assert pairing.media == {video: first}
    assert pairing.orphans == {second}


pieces = st.lists(
    st.sampled_from(["rdp", "1", "2", "_", ".", "bak", "tmp", ".mp4", ".avi", "_metadata.json", "é", "e\u0301", "A"]),
    min_size=1,
    max_size=6,
).map("".join)


@given(st.sets(pieces, max_size=12))
def test_every_name_is_media_or_sidecar_or_ignored_and_never_two_of_them(names):
    pairing = pair_names(names)
    groups = [set(pairing.media), set(pairing.sidecars), set(pairing.ignored)]
    assert set().union(*groups) == names
    assert sum(map(len, groups)) == len(names)
    assert pairing.orphans <= pairing.sidecars
    assert {sidecar for sidecar in pairing.media.values() if sidecar} <= pairing.sidecars
    assert not pairing.orphans & {sidecar for sidecar in pairing.media.values() if sidecar}
