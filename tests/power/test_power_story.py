"""The power goes off anywhere between submit and the end of the source: nothing is lost, doubled or made up."""

from __future__ import annotations

import os
import random

import pytest

from haulier.testing.power.cases import Case, Selection
from haulier.testing.power.disk import Disk
from haulier.testing.power.findings import Figures
from haulier.testing.power.operations import Linked, Moved, Unlinked
from haulier.testing.power.runner import cut_everywhere, kill_and_go_on, record_story, story_root, truth_of
from haulier.testing.power.survival import EXTREMES, survivors

pytestmark = pytest.mark.proof

BASE = int(os.environ["HAULIER_POWER_BASE"])
CASE = os.environ.get("HAULIER_POWER_CASE", "")  # point:seed of an image to look at alone


@pytest.fixture(scope="module")
def recording():
    with story_root() as root:
        yield record_story(root)


def shown(figures):
    lines = [str(finding) for finding in figures.findings]
    return "\n".join(
        [
            f"HAULIER_POWER_BASE={BASE}, one image alone with HAULIER_POWER_CASE=POINT:SEED",
            str(figures.table),
            *lines[:20],
        ]
    )


def test_what_was_recorded_is_all_that_happened(recording):
    disk = Disk(recording)
    for operation in recording.operations:
        disk.take(operation)
    real = {
        path.relative_to(recording.root).as_posix(): path.read_bytes()
        for path in recording.root.rglob("*")
        if path.is_file()
    }
    assert survivors(disk, "everything").files == real


def tell(proof_table, name, figures):
    counted = {kind: figures.table[kind] for kind in ("lost", "doubled", "wrongly_reported", "deleted_without_proof")}
    proof_table(name, cases=figures.images, faults=figures.points, **counted)
    assert not figures.findings, shown(figures)


def test_invariants_1_2_3_4_hold_wherever_the_power_goes_off(recording, proof_table):
    cases = Selection(("nothing", EXTREMES[1 + BASE % 4], BASE), every=5, first=BASE)
    figures = cut_everywhere(recording, [Case.parse(CASE)] if CASE else cases, continue_each=10)
    tell(proof_table, "power cuts", figures)


@pytest.mark.full
def test_invariants_1_2_3_4_hold_on_many_disks_of_every_point(recording, proof_table):
    figures = cut_everywhere(recording, Selection((*EXTREMES, *range(BASE, BASE + 8))), continue_each=3)
    tell(proof_table, "power cuts, every point", figures)


def kills(recording, *, all_of_them):
    """Where a process is killed before the power goes off.

    After changes of names, where one process may rely on what another did not sync, and at other points. A rotating
    few have always one at which an object got its name.
    """
    numbers = range(1, len(recording.operations))
    at = {point: recording.operations[point - 1] for point in numbers}
    stored = [point for point, done in at.items() if isinstance(done, Moved) and done.folder != done.to_folder]
    names = [point for point, done in at.items() if isinstance(done, Linked | Moved | Unlinked)]
    chance = random.Random(BASE)
    if all_of_them:
        return sorted({*names, *chance.sample(numbers, len(names))})
    return [chance.choice(stored), chance.choice(names), chance.choice(numbers)]


def cut_after_kills(recording, points, seeds, every):
    figures = Figures()
    for point in points:
        cases = Selection(seeds, every=every, first=BASE, after=point)
        second = kill_and_go_on(recording, point)
        found = cut_everywhere(second, cases, truth=truth_of(recording), continue_each=20)
        figures.merge(found, f"killed at {point}, ")
    return figures


def test_invariants_1_2_3_4_hold_when_the_power_goes_off_after_a_kill(recording, proof_table):
    figures = cut_after_kills(recording, kills(recording, all_of_them=False), ("nothing",), 20)
    tell(proof_table, "power cuts after a kill", figures)


@pytest.mark.full
def test_invariants_1_2_3_4_hold_when_the_power_goes_off_after_any_kill(recording, proof_table):
    figures = cut_after_kills(recording, kills(recording, all_of_them=True), ("nothing", BASE), 10)
    tell(proof_table, "power cuts after any kill", figures)
