"""Looking at folders again and again."""

import pytest

from haulier.discovery.scan import ScanResult
from haulier.discovery.watch import Watcher


@pytest.fixture
def away():
    return set()


@pytest.fixture
def looks():
    return []


@pytest.fixture
def watcher(away, looks):
    def look(folder, memory):
        looks.append((folder, id(memory)))
        return ScanResult(folder, unreachable="cannot be listed: gone" if folder in away else None)

    return Watcher(["one", "two"], look, interval=5, longest=60)


def folders(results):
    return [result.folder for result in results]


def test_every_folder_is_looked_at_once_at_the_start_and_then_at_each_interval(watcher):
    assert folders(watcher.step(100)) == ["one", "two"]
    assert watcher.step(104.9) == []
    assert watcher.next_due() == 105
    assert folders(watcher.step(105)) == ["one", "two"]


def test_a_folder_remembers_its_own_looks(watcher, looks):
    watcher.step(0)
    watcher.step(5)
    assert looks[:2] == looks[2:]
    assert looks[0][1] != looks[1][1]


def test_a_folder_that_is_away_is_asked_less_often_and_holds_up_no_other(watcher, away):
    away.add("one")
    asked = [now for now in range(300) if "one" in folders(watcher.step(now))]
    assert asked == [0, 10, 30, 70, 130, 190, 250]
    assert watcher.unreachable == {"one": "cannot be listed: gone"}
    assert watcher.next_due() == 300


def test_a_folder_that_came_back_is_looked_at_as_before(watcher, away):
    away.add("one")
    watcher.step(0)
    watcher.step(10)
    away.clear()
    assert watcher.step(30)[0].unreachable is None
    assert watcher.unreachable == {}
    assert "one" in folders(watcher.step(35))


def test_no_folders_mean_nothing_to_do():
    watcher = Watcher([], lambda folder, memory: pytest.fail("nothing to look at"))
    assert watcher.step(0) == []
    assert watcher.next_due() is None
