"""The whole way to the real reference server, with faults on the line and virtual time."""

from __future__ import annotations

import hashlib

import pytest

from haulier.config.secrets import Secret
from haulier.journal.sqlite import SqliteJournal
from haulier.models import Proof, SuspensionReason, TaskState
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
def rig(journal, proxy):
    made = make_rig(journal, proxy.url)
    yield made
    made.destinations.close()


def make_rig(journal, url, token=TOKEN, **options):
    backend = WatsBackend("wats", WatsOptions(f"{url}/api", Secret(token), **options))
    return UploadRig(journal, backend)


def submit_many(rig, folder, count, size=3000):
    tasks = []
    for number in range(count):
        path = folder / f"HOST_seg{number:03}_20251105_0915{number % 60:02}.avi"
        path.write_bytes(bytes([number % 251]) * size)
        tasks.append(rig.submit(path))
    return tasks


def stored(tmp_path):
    """Digests of what lies in the server's store, sidecars left out."""
    found = (tmp_path / "server" / "recordings").rglob("*.avi")
    return sorted(hashlib.sha256(path.read_bytes()).hexdigest() for path in found)


def sent(rig):
    return sorted(rig.receipt(row.id).sha256 for row in rig.rows() if row.state is TaskState.COMPLETED)


def states(rig):
    return [str(row.state) for row in rig.rows()]


def pass_time(rig, seconds, step=1.0):
    end = rig.clock.now() + seconds
    while rig.clock.now() < end:
        rig.work()
        rig.probe()
        rig.clock.advance(step)


def test_recordings_arrive_and_their_receipts_prove_the_content(rig, tmp_path):
    submit_many(rig, tmp_path, 5, size=20_000)
    rig.work_on(60)
    assert set(states(rig)) == {"completed"}
    assert stored(tmp_path) == sent(rig)
    assert {rig.receipt(row.id).proof for row in rig.rows()} == {Proof.CONTENT}


def test_invariant_9_server_down_at_start_and_a_minute_in_between_fails_nothing(journal, tmp_path, server, proxy):
    proxy.upstream = server.url
    dead = "http://127.0.0.1:9"
    down = make_rig(journal, dead)
    submit_many(down, tmp_path, 6)
    pass_time(down, 30)
    assert set(states(down)) == {"queued"}
    assert all(row.attempts == 0 for row in down.rows())
    down.destinations.close()

    up = make_rig(journal, proxy.url)
    up.clock.advance(200)
    up.probe()
    up.work(most=2)
    assert states(up).count("completed") == 2
    proxy.rule = lambda _: Fault(reset=True)
    pass_time(up, 60)
    proxy.rule = lambda _: None
    up.work_on(300)
    assert set(states(up)) == {"completed"}
    assert "upload_failed" not in up.kinds()
    assert stored(tmp_path) == sent(up)
    up.destinations.close()


@pytest.mark.parametrize("fault", [Fault(reset=True), Fault(status=500)], ids=["reset", "500"])
def test_invariant_9_a_poisoned_recording_fails_alone(rig, proxy, tmp_path, fault):
    tasks = submit_many(rig, tmp_path, 21)
    poison = rig.row(tasks[10]).item_id
    proxy.rule = lambda request: fault if poison.encode() in request.body else None
    rig.work_on(900)
    assert states(rig).count("completed") == 20
    assert rig.row(tasks[10]).state is TaskState.FAILED
    assert len(stored(tmp_path)) == 20


def test_invariant_9_health_well_and_uploads_503_for_a_minute_fails_nothing(rig, proxy, tmp_path):
    submit_many(rig, tmp_path, 6)
    proxy.rule = lambda request: None if request.method == "GET" else Fault(status=503)
    pass_time(rig, 60)
    assert "failed" not in states(rig)
    proxy.rule = lambda _: None
    rig.work_on(300)
    assert set(states(rig)) == {"completed"}
    assert stored(tmp_path) == sent(rig)


def test_refused_credentials_cost_one_request_that_sends_something(journal, proxy, tmp_path):
    rig = make_rig(journal, proxy.url, token="wrong")
    submit_many(rig, tmp_path, 5)
    rig.work()
    assert proxy.count("POST") == 1
    assert rig.ledger.suspension("wats")[0] is SuspensionReason.CREDENTIALS
    pass_time(rig, 250)
    assert proxy.count("POST") == 1
    rig.destinations.close()


def test_a_400_fails_at_once_with_the_servers_reason(rig, proxy, tmp_path):
    (task,) = submit_many(rig, tmp_path, 1)
    proxy.rule = lambda request: (
        Fault(400, {"Content-Type": "application/problem+json"}, b'{"title": "bad", "detail": "the host is not known"}')
        if request.path.endswith("create-session")
        else None
    )
    rig.work_on(60)
    assert rig.row(task).state is TaskState.FAILED
    assert "the host is not known" in rig.row(task).error.what
    assert proxy.count("POST") == 1


def test_retry_after_is_obeyed(rig, proxy, tmp_path):
    (task,) = submit_many(rig, tmp_path, 1)
    answers = iter([Fault(429, {"Retry-After": "2"})])
    proxy.rule = lambda request: next(answers, None) if request.method == "POST" else None
    rig.work()
    assert rig.row(task).not_before == rig.clock.now() + 2
    rig.clock.advance(2)
    rig.work()
    assert rig.row(task).state is TaskState.COMPLETED


def test_invariant_3_a_redirect_of_a_post_is_an_error_and_nothing_is_called_stored(rig, proxy, tmp_path):
    (task,) = submit_many(rig, tmp_path, 1)
    proxy.rule = lambda request: Fault(302, {"Location": "/login"}) if request.method == "POST" else None
    rig.work_on(60)
    assert rig.row(task).state is TaskState.FAILED
    assert "redirect" in rig.row(task).error.what
    assert rig.receipt(task) is None


@pytest.mark.parametrize("step", ["create-session", "finalize"])
def test_invariant_4_a_lost_answer_leaves_one_recording(rig, proxy, tmp_path, step):
    (task,) = submit_many(rig, tmp_path, 1, size=20_000)
    faults = iter([Fault(forward=True, reset=True)])
    proxy.rule = lambda request: next(faults, None) if request.path.endswith(step) else None
    rig.work_on(60)
    assert rig.row(task).state is TaskState.COMPLETED
    assert stored(tmp_path) == sent(rig)
    incoming = [path for path in (tmp_path / "server" / ".incoming").rglob("*") if path.is_file()]
    assert incoming == [], "no session is left behind"


def test_invariant_5_a_lost_answer_to_a_part_sends_at_most_that_part_again(rig, proxy, tmp_path):
    (task,) = submit_many(rig, tmp_path, 1, size=20_000)
    patches = iter([None] * 9 + [Fault(forward=True, reset=True)])
    proxy.rule = lambda request: next(patches, None) if request.method == "PATCH" else None
    rig.work_on(60)
    assert rig.row(task).state is TaskState.COMPLETED
    assert stored(tmp_path) == sent(rig)
    sizes = sum(artifact.size for artifact in rig.row(task).artifacts)
    assert proxy.bytes_seen["PATCH"] <= sizes + 2 * rig.settings.part_size


def test_an_old_server_without_the_extension_gets_plain_forms_and_its_receipt_claims_no_more(rig, proxy, tmp_path):
    plain = make_rig(rig.journal, proxy.url, resumable="never")
    (task,) = submit_many(plain, tmp_path, 1, size=20_000)
    plain.work_on(60)
    assert plain.row(task).state is TaskState.COMPLETED
    assert stored(tmp_path) == sent(plain)
    assert proxy.count("PATCH") == 0
    plain.destinations.close()
