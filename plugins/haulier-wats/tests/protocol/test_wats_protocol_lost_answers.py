"""The reference server did what it was asked, and the answer to exactly that request never came."""

from __future__ import annotations

import contextlib
import hashlib
import sqlite3

import pytest

from haulier import Proof, TaskState
from haulier.testing.http_faults import Fault

LAST = "Upload-Complete"
STEPS = {
    "create-session": lambda request: request.path.endswith("create-session"),
    "last append of the metadata": lambda request: request.path.endswith("metadata") and closes(request),
    "last append of the video": lambda request: request.path.endswith("video") and closes(request),
    "finalize": lambda request: request.path.endswith("finalize"),
}


class Loser:
    """Loses the answer to the first request that fits, and to so many after it; the server did what they asked."""

    def __init__(self, fits, more):
        self.left = more + 1
        self._fits = fits
        self._met = False

    def __call__(self, request):
        self._met = self._met or self._fits(request)
        if not self._met or not self.left:
            return None
        self.left -= 1
        return Fault(forward=True, reset=True)


def closes(request):
    return request.method == "PATCH" and request.headers[LAST] == "?1"


def count(data, table):
    with contextlib.closing(sqlite3.connect(data / ".server" / "wats.db")) as database:
        return database.execute(f"SELECT count(*) FROM {table}").fetchone()[0]


@pytest.mark.parametrize("more", [0, 1], ids=["alone", "and the next answer"])
@pytest.mark.parametrize("step", STEPS)
def test_invariant_4_a_lost_answer_makes_no_second_session_and_no_second_recording(
    reference_server, data, make_rig, recording, proxy_before, step, more
):
    proxy = proxy_before(reference_server.url)
    proxy.rule = Loser(STEPS[step], more)
    video, metadata = recording
    rig = make_rig(proxy.url)
    task = rig.submit(video, sidecar=metadata)
    rig.work()
    rig = make_rig(proxy.url)  # the next process takes over
    rig.work_on(30)
    assert proxy.rule.left == 0, "every fault was met"
    assert rig.row(task).state is TaskState.COMPLETED
    receipt = rig.receipt(task)
    assert receipt.proof is Proof.CONTENT
    (kept,) = (data / "recordings").rglob("*.mp4")
    assert hashlib.sha256(kept.read_bytes()).hexdigest() == receipt.sha256
    assert (count(data, "sessions"), count(data, "recordings")) == (1, 1)
    assert proxy.count("POST", "finalize") == 1, "settled by asking, not by doing it again"


def test_each_append_carries_its_digest_and_each_step_a_key_of_its_own(
    reference_server, make_rig, recording, proxy_before
):
    proxy = proxy_before(reference_server.url)
    rig = make_rig(proxy.url)
    video, metadata = recording
    rig.submit(video, sidecar=metadata)
    rig.work_on(60)
    appends = [request for request in proxy.seen if request.method == "PATCH"]
    assert appends
    assert all(request.headers["Content-Digest"].startswith("sha-256=:") for request in appends)
    create, finalize = (request for request in proxy.seen if "Idempotency-Key" in request.headers)
    assert create.path.endswith("create-session")
    assert finalize.path.endswith("finalize")
    assert create.headers["Idempotency-Key"] != finalize.headers["Idempotency-Key"]
