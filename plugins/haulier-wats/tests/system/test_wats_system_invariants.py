"""Invariants on the whole way to the real reference server: what a user of WATS would notice if they did not hold."""

from __future__ import annotations

import hashlib
import logging

import pytest

from haulier.config.secrets import Secret
from haulier.journal.sqlite import SqliteJournal
from haulier.models import Proof, TaskState
from haulier.testing.http_faults import Fault
from haulier.testing.rig import UploadRig
from haulier_wats.backend import WatsBackend
from haulier_wats.options import WatsOptions

TOKEN = "a-token-for-tests"


@pytest.fixture
def journal(tmp_path):
    opened = SqliteJournal(tmp_path / "journal.db")
    yield opened
    opened.close()


@pytest.fixture
def make_rig(journal, proxy):
    made = []

    def make(**options):
        options = {"base_url": f"{proxy.url}/api", "api_token": Secret(TOKEN), **options}
        made.append(UploadRig(journal, WatsBackend("wats", WatsOptions(**options))))
        return made[-1]

    yield make
    for rig in made:
        rig.destinations.close()


@pytest.fixture
def recording(tmp_path):
    path = tmp_path / "HOST_seg001_20251105_091500.avi"
    path.write_bytes(bytes(index % 251 for index in range(20_000)))
    return path


def stored(tmp_path):
    found = (tmp_path / "server" / "recordings").rglob("*.avi")
    return [hashlib.sha256(path.read_bytes()).hexdigest() for path in found]


@pytest.mark.parametrize("status", [302, 307])
@pytest.mark.parametrize(
    ("server_kind", "step"), [("auto", "create-session"), ("auto", "finalize"), ("never", "finalize")]
)
def test_invariant_3_a_redirect_at_any_step_is_no_success(
    make_rig, proxy, recording, tmp_path, status, server_kind, step
):
    rig = make_rig(resumable=server_kind)
    task = rig.submit(recording)
    proxy.rule = lambda request: (
        Fault(status, {"Location": f"{proxy.url}/api/health"}) if request.path.endswith(step) else None
    )
    rig.work_on(60)
    assert rig.row(task).state is not TaskState.COMPLETED
    assert rig.receipt(task) is None
    assert stored(tmp_path) == []


def test_invariant_3_an_answer_without_a_recording_proves_no_more_than_that_it_came(make_rig, proxy, recording):
    """What an old server says: a success, and not a word of what it stored."""
    rig = make_rig(resumable="never")
    task = rig.submit(recording)
    proxy.rule = lambda request: (
        Fault(200, {"Content-Type": "application/json"}, b'{"success": true}', forward=True)
        if request.path.endswith("finalize")
        else None
    )
    rig.work_on(60)
    assert rig.receipt(task).proof is Proof.ACKNOWLEDGED


def test_invariant_4_a_session_whose_answer_was_lost_is_found_again(make_rig, proxy, recording, tmp_path, server):
    rig = make_rig()
    task = rig.submit(recording)
    lost = [Fault(forward=True, reset=True)] * 3
    proxy.rule = lambda request: lost.pop() if lost and request.path.endswith("create-session") else None
    rig.work_on(600)
    assert rig.row(task).state is TaskState.COMPLETED
    assert stored(tmp_path) == [rig.receipt(task).sha256]
    opened = [request for request in proxy.seen if request.path.endswith("create-session")]
    assert len(opened) == 4
    assert len({request.headers["Idempotency-Key"] for request in opened}) == 1, "one session, not one for each answer"


def test_invariant_10_the_token_is_in_no_log_event_error_receipt_or_journal(
    make_rig, proxy, recording, tmp_path, caplog
):
    caplog.set_level(logging.DEBUG)
    rig = make_rig()
    task = rig.submit(recording)
    echo = f'{{"detail": "not with Bearer {TOKEN}"}}'.encode()
    answers = iter([Fault(401, body=echo), Fault(500, body=echo), Fault(reset=True), Fault(400, body=echo)])
    proxy.rule = lambda request: next(answers, None) if request.method == "POST" else None
    for _ in range(8):
        rig.work()
        rig.clock.advance(400)
        rig.probe()
        rig.operations.apply("retry", None)
    assert rig.row(task).state is TaskState.COMPLETED
    assert any(getattr(event, "error", None) for event in rig.told), "there were errors to be told of"
    told = "\n".join([caplog.text, repr(rig.told), repr(rig.row(task)), repr(rig.receipt(task).to_dict())])
    assert TOKEN not in told
    on_disk = b"".join(path.read_bytes() for path in tmp_path.glob("journal.db*"))
    assert TOKEN.encode() not in on_disk
