"""A plain server written from the page serves our backend, our client and the whole of Haulier."""

from __future__ import annotations

import pytest

from haulier import Proof, Secret, TaskState, UploadManager
from haulier.testing.http_faults import Fault
from haulier.transfer.context import RunContext
from haulier_wats.backend import WatsBackend
from haulier_wats.options import WatsOptions


def contents(paths):
    video, metadata = (path.read_bytes() for path in paths)
    return {"video": video, "metadata": metadata, "session_id": "rdp_123_1729950022"}


def run(rig, recording):
    video, metadata = recording
    task = rig.submit(video, sidecar=metadata)
    rig.work_on(30)
    return rig.row(task), rig.receipt(task)


def test_it_serves_the_backend(plain_server, make_rig, recording):
    row, receipt = run(make_rig(plain_server.url), recording)
    assert row.state is TaskState.COMPLETED
    assert receipt.proof is Proof.ACKNOWLEDGED, "no more is claimed than it said"
    assert list(plain_server.recordings.values()) == [contents(recording)]


def test_it_serves_an_upload_manager(plain_server, tmp_path, recording, token):
    video, metadata = recording
    config = {
        "upload": {"backend": "store", "state_dir": str(tmp_path / "state")},
        "backends": {"store": {"type": "wats", "base_url": f"{plain_server.url}/api", "api_token": token}},
    }
    with UploadManager.open(config) as uploads:
        receipt = uploads.wait(uploads.submit(video, sidecar=metadata), timeout=60)
        again = uploads.submit(video, sidecar=metadata)
        assert uploads.wait(again, timeout=60).sha256 == receipt.sha256
    assert list(plain_server.recordings.values()) == [contents(recording)]
    assert len(plain_server.sessions) == 1


def test_it_may_sign_addresses_of_an_object_storage_that_knows_no_token(
    plain_server, make_rig, recording, proxy_before, token
):
    storage = proxy_before(plain_server.url)
    storage.rule = lambda request: Fault(200)
    plain_server.storage = storage.url
    row, _ = run(make_rig(plain_server.url), recording)
    assert row.state is TaskState.COMPLETED
    assert len(plain_server.sessions) == 1
    assert [request.method for request in storage.seen] == ["PUT", "PUT"]
    assert [request.body for request in storage.seen] == [path.read_bytes() for path in reversed(recording)]
    assert not any(token in str(request.headers) for request in storage.seen)


def test_it_serves_listing_and_deleting(plain_server, make_rig, recording, token):
    run(make_rig(plain_server.url), recording)
    backend, context = WatsBackend("wats", WatsOptions(f"{plain_server.url}/api", Secret(token))), RunContext()
    (stored,) = backend.list("", context)
    assert stored.size == recording[0].stat().st_size
    assert backend.delete(stored.key, context)
    assert not backend.delete(stored.key, context)
    assert plain_server.recordings == {}
    backend.close()


@pytest.mark.parametrize(("step", "orphans"), [("create-session", 1), ("metadata", 0), ("video", 0), ("finalize", 0)])
def test_invariant_4_a_lost_answer_is_no_second_recording(
    plain_server, make_rig, recording, proxy_before, step, orphans
):
    proxy = proxy_before(plain_server.url)
    faults = iter([Fault(forward=True, reset=True)])
    proxy.rule = lambda request: next(faults, None) if request.path.endswith(step) else None
    row, _ = run(make_rig(proxy.url), recording)
    assert row.state is TaskState.COMPLETED
    assert list(plain_server.recordings.values()) == [contents(recording)]
    assert len(plain_server.sessions) == 1 + orphans, "at most one orphan"


def test_invariant_4_a_lost_answer_that_nobody_can_settle_is_unknown(plain_server, make_rig, recording, proxy_before):
    plain_server.forgets = True
    proxy = proxy_before(plain_server.url)
    faults = iter([Fault(forward=True, reset=True)])
    proxy.rule = lambda request: next(faults, None) if request.path.endswith("finalize") else None
    row, receipt = run(make_rig(proxy.url), recording)
    assert (row.state, row.error.code, receipt) == (TaskState.FAILED, "outcome_unknown", None)
    assert len(plain_server.recordings) == 1
    assert proxy.count("POST", "create-session") == 1, "never a blind repetition"
    assert recording[0].exists()
