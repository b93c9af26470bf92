"""The crash matrix against the emulator and the scripted service: the client killed at every step.

``HAULIER_MATRIX_BASE=N`` runs a sample again, ``HAULIER_MATRIX_CASE=ID`` one case alone, ``pytest -m full`` all cases.
"""

from __future__ import annotations

import re

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

CASES = 2
SEEDS = 1
MANY_SEEDS = 60


class Bucket(Destination):
    """A bucket on a server that outlives its clients; a proxy before it counts."""

    parts_at_once = 1
    finds_session_again = False

    def __init__(self, name, url):
        self.name = f"gcs-{name}"
        self._url = url
        self._bucket = "recordings"

    def __enter__(self):
        self._proxy = FaultyProxy(self._url).__enter__()
        return self

    def __exit__(self, *_):
        self._proxy.__exit__(None, None, None)

    def table(self):
        return {
            "type": "gcs",
            "bucket": self._bucket,
            "endpoint_url": self._proxy.url,
            "anonymous": True,
            "min_part_size": PART_SIZE,
        }

    def received(self):
        return sum(map(content_size, self._proxy.seen))


def content_size(request):
    """Bytes of a file in a request: all of a chunk, and what stands behind the resource in a single request."""
    if request.method == "PUT":
        return len(request.body)
    boundary = re.search(r'boundary="([^"]+)"', request.headers.get("Content-Type", ""))
    if boundary is None:
        return 0
    parts = request.body.split(b"--" + boundary[1].encode())
    return len(parts[2].partition(b"\r\n\r\n")[2].removesuffix(b"\r\n")) if len(parts) > 2 else 0


class EmulatorBucket(Bucket):
    def __init__(self, server):
        super().__init__(server.name, server.url)
        self._server = server

    def reset(self, folder):
        self._bucket = self._server.bucket()
        self._proxy.forget()

    def stored(self):
        return {key: self._server.content(self._bucket, key) for key in self._server.objects(self._bucket)}

    def pending(self):
        """Nothing that could be seen: sessions are in no listing, are paid for by nobody, and expire after a week."""
        return []


class ScriptedBucket(Bucket):
    def __init__(self, service):
        super().__init__("scripted", service.url)
        self._service = service
        service.unit = PART_SIZE

    def reset(self, folder):
        self._service.objects.clear()
        self._service.pending.clear()
        self._service.asked.clear()
        self._proxy.forget()

    def stored(self):
        return {key: found.content for key, found in self._service.objects.items()}

    def pending(self):
        """Sessions that hold bytes: what was begun and never journalled holds none, and expires by itself."""
        return [name for name, each in self._service.pending.items() if each.content and each.made is None]


@pytest.fixture(params=["emulator", pytest.param("service", marks=pytest.mark.full)])
def bucket(request):
    server = request.getfixturevalue(request.param)
    return EmulatorBucket(server) if request.param == "emulator" else ScriptedBucket(server)


@pytest.fixture(scope="module")
def zygote(tmp_path_factory):
    with Zygote(tmp_path_factory.mktemp("zygote") / "children.log") as made:
        yield made


@pytest.fixture
def matrix(bucket, tmp_path, zygote):
    with scratch(tmp_path) as folder, Matrix(bucket, folder, zygote) as made:
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
