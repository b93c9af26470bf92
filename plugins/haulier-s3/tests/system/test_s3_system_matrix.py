"""The crash matrix against both real servers: the client killed at every step.

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

ACCESS, SECRET = "an-access-key", "a-secret-key-for-tests"
CASES = 2
SEEDS = 1
MANY_SEEDS = 60


class Bucket(Destination):
    """A bucket on a server that outlives its clients; a proxy before it counts."""

    def __init__(self, server):
        self.name = f"s3-{server.name}"
        self._server = server
        self._bucket = ""

    def __enter__(self):
        self._proxy = FaultyProxy(self._server.url).__enter__()
        return self

    def __exit__(self, *_):
        self._proxy.__exit__(None, None, None)

    def reset(self, folder):
        self._bucket = self._server.bucket()
        self._proxy.forget()

    def table(self):
        return {
            "type": "s3",
            "bucket": self._bucket,
            "endpoint_url": self._proxy.url,
            "addressing_style": "path",
            "access_key_id": ACCESS,
            "secret_access_key": SECRET,
            "min_part_size": PART_SIZE,
        }

    def stored(self):
        client = self._server.client
        listed = client.list_objects_v2(Bucket=self._bucket).get("Contents", [])
        return {
            entry["Key"]: client.get_object(Bucket=self._bucket, Key=entry["Key"])["Body"].read() for entry in listed
        }

    def pending(self):
        """Unfinished uploads that hold bytes.

        One that a process made and was killed before it could journal its name has none, and cannot be found again:
        ``haulier s3 cleanup``, or a rule of the bucket, drops it.
        """
        client = self._server.client
        found = client.list_multipart_uploads(Bucket=self._bucket).get("Uploads", [])
        return [each["UploadId"] for each in found if self._parts(each["Key"], each["UploadId"])]

    def _parts(self, key, upload_id):
        return self._server.client.list_parts(Bucket=self._bucket, Key=key, UploadId=upload_id).get("Parts")

    def received(self):
        return self._proxy.bytes_seen["PUT"]


@pytest.fixture(scope="module")
def zygote(tmp_path_factory):
    with Zygote(tmp_path_factory.mktemp("zygote") / "children.log") as made:
        yield made


@pytest.fixture
def matrix(server, tmp_path, zygote):
    with scratch(tmp_path) as folder, Matrix(Bucket(server), folder, zygote) as made:
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
