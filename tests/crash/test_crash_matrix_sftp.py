"""The crash matrix of the filesystem backend over SFTP (a real asyncssh server): the client killed at every step.

``HAULIER_MATRIX_BASE=N`` runs a sample again, ``HAULIER_MATRIX_CASE=ID`` one case alone, ``pytest -m full`` every
other case.
"""

from __future__ import annotations

import itertools
import subprocess
import sys
import tempfile
from contextlib import ExitStack
from pathlib import Path

import pytest

from haulier.backends.keys import PARTIAL_FOLDER
from haulier.testing.crash.destination import Destination
from haulier.testing.crash.matrix import Matrix
from haulier.testing.crash.running import half, sampled, scratch, verdict
from haulier.testing.crash.zygote import Zygote, can_fork

pytestmark = [
    pytest.mark.proof,
    pytest.mark.skipif(not can_fork(), reason="children are forked, and this system has no fork"),
]

PROGRAM = Path(__file__).parents[1] / "backends" / "conformance" / "sftp_program.py"
CASES = 1
SEEDS = 1
MANY_SEEDS = 30


class SftpDestination(Destination):
    """A folder on an SFTP server that outlives its clients. Files go up whole, and nothing tells what arrived."""

    name = "filesystem-sftp"
    parts_at_once = 0
    says_what_it_holds = False

    def __init__(self):
        self._stack = ExitStack()
        self._numbers = itertools.count(1)

    def __enter__(self):
        self._root = Path(self._stack.enter_context(tempfile.TemporaryDirectory()))
        command = [sys.executable, PROGRAM, self._root]
        server = self._stack.enter_context(subprocess.Popen(command, stdout=subprocess.PIPE))
        self._stack.callback(server.terminate)
        self._port = int(server.stdout.readline())
        return self

    def __exit__(self, *_):
        self._stack.close()

    def reset(self, folder):
        self._below = f"case-{next(self._numbers)}"

    def table(self):
        return {
            "type": "filesystem",
            "url": f"sftp://127.0.0.1/{self._below}",
            "options": {"port": self._port, "username": "haulier"},
            "secrets": {"password": "hunter2-of-the-tests"},
        }

    def stored(self):
        return {key: content for key, content in self._files().items() if not key.startswith(PARTIAL_FOLDER)}

    def pending(self):
        return [key for key in self._files() if key.startswith(PARTIAL_FOLDER)]

    def received(self):
        return None

    def _files(self):
        place = self._root / self._below
        found = sorted(path for path in place.rglob("*") if path.is_file())
        return {path.relative_to(place).as_posix(): path.read_bytes() for path in found}


@pytest.fixture(scope="module")
def zygote(tmp_path_factory):
    with Zygote(tmp_path_factory.mktemp("zygote") / "children.log") as made:
        yield made


@pytest.fixture
def matrix(tmp_path, zygote):
    with scratch(tmp_path) as folder, Matrix(SftpDestination(), folder, zygote) as made:
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
