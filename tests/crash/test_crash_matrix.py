"""The crash matrix: a manager killed at every step it passes, for the memory store in each mode and a local folder.

``HAULIER_MATRIX_BASE=N`` runs a sample again, ``HAULIER_MATRIX_CASE=ID`` one case alone, ``pytest -m full`` every
other case, ``python -m haulier.testing.crash`` all.
"""

from __future__ import annotations

import pytest

from haulier.testing.crash.folder import FolderDestination
from haulier.testing.crash.matrix import Matrix
from haulier.testing.crash.memory import memory_destinations
from haulier.testing.crash.running import half, sampled, scratch, verdict
from haulier.testing.crash.zygote import Zygote, can_fork

pytestmark = [
    pytest.mark.proof,
    pytest.mark.skipif(not can_fork(), reason="children are forked, and this system has no fork"),
]

DESTINATIONS = {each.name: each for each in [*memory_destinations(), FolderDestination()]}
CASES = 9
SEEDS = 1
MANY_SEEDS = 100


@pytest.fixture(scope="module")
def zygote(tmp_path_factory):
    with Zygote(tmp_path_factory.mktemp("zygote") / "children.log") as made:
        yield made


@pytest.fixture(params=DESTINATIONS)
def matrix(request, tmp_path, zygote):
    with scratch(tmp_path) as folder, Matrix(DESTINATIONS[request.param], folder, zygote) as made:
        yield made


def test_invariants_1_to_5_hold_after_a_kill_at_any_step_or_time(matrix, proof_table):
    verdict(matrix, sampled(matrix, CASES, SEEDS), proof_table, how=", sample")


@pytest.mark.full
def test_invariants_1_to_5_hold_after_a_kill_at_every_other_step(matrix, proof_table):
    figures = verdict(matrix, half(matrix.cases()), proof_table)
    assert figures.unreached <= figures.cases // 100


@pytest.mark.full
def test_invariants_1_to_5_hold_after_kills_at_a_hundred_random_times(matrix, proof_table):
    verdict(matrix, matrix.at_random(range(MANY_SEEDS)), proof_table, how=", at random")
