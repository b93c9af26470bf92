"""The crash matrix against a real server: the client killed at every step.

``HAULIER_MATRIX_BASE=N`` runs a sample again, ``HAULIER_MATRIX_CASE=ID`` one case alone, ``pytest -m full`` all cases.
"""

from __future__ import annotations

import pytest

from haulier.testing.crash.destination import PART_SIZE, Destination
from haulier.testing.crash.matrix import Matrix
from haulier.testing.crash.running import half, sampled, scratch, verdict
from haulier.testing.crash.zygote import Zygote, can_fork
from haulier.testing.http_faults import FaultyProxy

pytestmark = [
    pytest.mark.proof,
    pytest.mark.skipif(not can_fork(), reason="children are forked, and this system has no fork"),
]

ACCOUNT = "devstoreaccount1"
KEY = "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw=="
CASES = 2
SEEDS = 1
MANY_SEEDS = 60


class Container(Destination):
    """A container on a server that outlives its clients; a proxy before it counts."""

    name = "azure"

    def __init__(self, server):
        self._server = server
        self._container = ""

    def __enter__(self):
        self._proxy = FaultyProxy(self._server.url).__enter__()
        return self

    def __exit__(self, *_):
        self._proxy.__exit__(None, None, None)

    def reset(self, folder):
        self._container = self._server.container()
        self._proxy.forget()

    def table(self):
        return {
            "type": "azure",
            "container": self._container,
            "account_url": f"{self._proxy.url}/{ACCOUNT}",
            "credential": KEY,
            "min_part_size": PART_SIZE,
        }

    def stored(self):
        return {key: self._server.content(self._container, key) for key in self._server.keys(self._container)}

    def pending(self):
        """Uncommitted blocks expire by themselves; those under the key of an object are gone with its commit."""
        return [
            key
            for key in self._server.keys(self._container)
            if self._server.blob(self._container, key).get_block_list("uncommitted")[1]
        ]

    def received(self):
        """Bodies of files: blocks and whole objects, without the lists of blocks."""
        return sum(
            request.content_size
            for request in self._proxy.seen
            if request.method == "PUT" and "comp=blocklist" not in request.path
        )


@pytest.fixture(scope="module")
def zygote(tmp_path_factory):
    with Zygote(tmp_path_factory.mktemp("zygote") / "children.log") as made:
        yield made


@pytest.fixture
def matrix(server, tmp_path, zygote):
    with scratch(tmp_path) as folder, Matrix(Container(server), folder, zygote) as made:
        yield made


def test_invariants_1_to_5_hold_after_a_kill_at_any_step_or_time(matrix, proof_table):
    verdict(matrix, sampled(matrix, CASES, SEEDS), proof_table, how=", sample")


@pytest.mark.full
def test_invariants_1_to_5_hold_after_a_kill_at_every_other_step(matrix, proof_table):
    figures = verdict(matrix, half(matrix.cases()), proof_table)
    assert figures.unreached <= figures.cases // 20


@pytest.mark.full
def test_invariants_1_to_5_hold_after_kills_at_random_times(matrix, proof_table):
    verdict(matrix, matrix.at_random(range(MANY_SEEDS)), proof_table, how=", at random")
