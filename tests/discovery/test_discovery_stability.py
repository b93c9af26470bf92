"""When a file counts as whole."""

from dataclasses import replace

import pytest

from haulier.discovery.stability import Looks
from haulier.files import FileEntry

NOW = 1_730_000_000.0
FILE = FileEntry("a.mp4", 100, int((NOW - 60) * 1e9), is_file=True)


def quiet(looks, entry, *, wall=0.0, monotonic=0.0):
    return looks.look([entry], now=NOW + wall, monotonic=monotonic)[entry.name]


def test_a_first_look_goes_by_the_age_of_the_file():
    assert quiet(Looks(), FILE) == pytest.approx(60)


def test_a_file_that_changed_since_the_last_look_is_not_quiet_whatever_its_time_says():
    looks = Looks()
    quiet(looks, FILE)
    assert quiet(looks, replace(FILE, size=200), wall=5, monotonic=5) == 0
    assert quiet(looks, replace(FILE, size=200), wall=6, monotonic=6) == pytest.approx(66)


def test_another_file_under_the_same_name_is_a_change():
    looks = Looks()
    quiet(looks, FILE)
    assert quiet(looks, replace(FILE, file_id="7"), monotonic=5) == 0


def test_a_time_that_lies_ahead_counts_from_the_first_look():
    looks, ahead = Looks(), replace(FILE, mtime_ns=int((NOW + 86_400) * 1e9))
    assert quiet(looks, ahead) == 0
    assert quiet(looks, ahead, wall=9, monotonic=9) == 9
    assert quiet(looks, ahead, wall=10, monotonic=10) == 10


def test_a_wall_clock_that_was_set_back_does_not_hold_a_file_for_ever():
    looks = Looks()
    quiet(looks, FILE)
    assert quiet(looks, FILE, wall=-3600, monotonic=30) == 30


def test_a_file_that_left_and_came_back_is_new():
    looks, ahead = Looks(), replace(FILE, mtime_ns=int((NOW + 86_400) * 1e9))
    quiet(looks, ahead)
    looks.look([], now=NOW, monotonic=5)
    assert quiet(looks, ahead, monotonic=20) == 0


def test_two_names_are_apart_from_when_one_came_or_the_other_went():
    looks = Looks()
    other = replace(FILE, name="b.mp4")

    def apart(names, at):
        looks.look([replace(FILE, name=name) for name in names], now=NOW + at, monotonic=at)
        return looks.apart_for(FILE.name, other.name)

    assert apart(["a.mp4"], 0) == float("inf"), "nobody saw it otherwise"
    assert apart(["a.mp4", "b.mp4"], 10) == float("inf")
    assert apart(["a.mp4"], 20) == 0
    assert apart(["a.mp4"], 50) == 30
    assert apart([], 60) == 40
    assert apart(["a.mp4"], 70) == 0
    assert apart(["a.mp4"], 100) == 30
