"""The whole way to the emulator, with faults between client and server and virtual time."""

from __future__ import annotations

import json
import random

import pytest

from haulier.journal.sqlite import SqliteJournal
from haulier.models import Proof, SuspensionReason, TaskState
from haulier.testing.backend_suite.world import build_backend
from haulier.testing.http_faults import Fault
from haulier.testing.rig import RigSettings, UploadRig
from haulier_gcs.backend import GcsBackend

PART = 1024
COUNT = 7
CONTENT = random.Random(5).randbytes((COUNT - 1) * PART + 77)
EXPIRED = json.dumps({"error": {"code": 401, "message": "Invalid Credentials", "errors": [{"reason": "authError"}]}})
FULL = json.dumps({"error": {"code": 413, "message": "too large", "errors": [{"reason": "uploadTooLarge"}]}})


@pytest.fixture
def bucket(emulator):
    return emulator.bucket()


@pytest.fixture
def rig(tmp_path, line, bucket):
    journal = SqliteJournal(tmp_path / "journal.db")
    options = {"bucket": bucket, "endpoint_url": line.url, "anonymous": True, "min_part_size": PART}
    made = UploadRig(journal, build_backend(GcsBackend, options), settings=RigSettings(part_size=PART))
    made.workers.silence = made.workers.commit_timeout = 0.5
    yield made
    made.destinations.close()
    journal.close()


@pytest.fixture
def task(rig, tmp_path):
    (tmp_path / "clip.mp4").write_bytes(CONTENT)
    (tmp_path / "clip.json").write_text('{"host": "server"}')
    return rig.submit(tmp_path / "clip.mp4", tmp_path / "clip.json")


def is_chunk(request, start=None):
    span = request.headers.get("Content-Range", "")
    return request.method == "PUT" and span.startswith("bytes " if start is None else f"bytes {start}-")


def once(kind, asks):
    """A rule that strikes one request once."""
    struck = []

    def rule(request):
        if asks(request) and not struck:
            struck.append(request)
            return kind
        return None

    rule.struck = struck
    return rule


def assert_one_object(rig, task, emulator, bucket):
    row = rig.row(task)
    assert row.state is TaskState.COMPLETED
    receipt = rig.receipt(task)
    assert {entry.proof for entry in receipt.artifacts} == {Proof.CONTENT}
    assert sorted(emulator.objects(bucket)) == sorted(entry.key for entry in receipt.artifacts)
    assert emulator.content(bucket, receipt.artifacts[0].key) == CONTENT


@pytest.mark.parametrize(
    "fault",
    [
        Fault(429, {"Retry-After": "30"}),
        Fault(503, {"Retry-After": "30"}),
        Fault(503),
        Fault(500),
        Fault(408),
        Fault(reset=True),
        Fault(forward=True, reset=True),
        "silence",
    ],
    ids=["429 and Retry-After", "503 and Retry-After", "503", "500", "408", "reset", "lost answer", "silence"],
)
def test_a_fault_in_a_part_costs_an_attempt_and_nothing_else(rig, task, line, emulator, bucket, fault):
    line.strike(once(fault, lambda request: is_chunk(request, 3 * PART)))
    rig.work()
    row = rig.row(task)
    assert (row.state, row.attempts) == (TaskState.RETRYING, 1)
    line.released.set()
    if isinstance(fault, Fault) and fault.headers:
        rig.clock.advance(29)
        rig.work()
        assert rig.row(task).state is TaskState.RETRYING, "the service asked for half a minute"
    line.forget()
    rig.work_on(120)
    assert_one_object(rig, task, emulator, bucket)
    got_it = isinstance(fault, Fault) and fault.forward
    assert line.chunks() == [start * PART for start in range(4 if got_it else 3, COUNT)], "what was held was sent again"


def test_an_expired_credential_suspends_and_costs_nothing(rig, task, line, emulator, bucket):
    line.rule = lambda _: Fault(401, body=EXPIRED.encode()) if len(line.chunks()) > 2 else None
    rig.work()
    assert rig.ledger.suspension("archive")[0] is SuspensionReason.CREDENTIALS
    assert (rig.row(task).state, rig.row(task).attempts) == (TaskState.QUEUED, 0)
    line.rule = lambda _: None
    line.forget()
    rig.clock.advance(301)
    rig.probe()
    rig.work_on(120)
    assert_one_object(rig, task, emulator, bucket)
    assert len(line.chunks()) == COUNT - 2


def test_a_full_destination_is_the_item_s_own_and_is_told(rig, task, line, emulator, bucket):
    line.strike(lambda request: Fault(413, body=FULL.encode()) if is_chunk(request) else None)
    rig.work()
    row = rig.row(task)
    assert (row.state, row.error.code) == (TaskState.FAILED, "quota")
    line.strike(lambda _: None)
    rig.operations.apply("retry", [task])
    rig.work_on(120)
    assert_one_object(rig, task, emulator, bucket)


@pytest.mark.parametrize("operation", ["last part", "sidecar"])
def test_a_lost_answer_to_the_commit_is_settled_by_looking(rig, task, line, emulator, bucket, operation):
    def asks(request):
        is_sidecar = request.method == "POST" and "uploadType=multipart" in request.path
        return is_sidecar if operation == "sidecar" else is_chunk(request, (COUNT - 1) * PART)

    rule = once(Fault(forward=True, reset=True), asks)
    line.strike(rule)
    rig.work_on(120)
    assert rule.struck
    assert_one_object(rig, task, emulator, bucket)
    assert line.chunks() == [start * PART for start in range(COUNT)], "nothing was sent twice"


def test_half_a_commit_is_finished_without_sending_the_media_file_again(rig, task, line, emulator, bucket):
    """The media file was there, and the service failed at the sidecar."""
    rule = once(Fault(500), lambda request: "uploadType=multipart" in request.path)
    line.strike(rule)
    rig.work_on(120)
    assert rule.struck
    assert_one_object(rig, task, emulator, bucket)
    assert len(line.chunks()) == COUNT


def test_a_session_that_is_gone_begins_anew(rig, task, line, emulator, bucket):
    line.strike(once(Fault(410), lambda request: is_chunk(request, 3 * PART)))
    rig.work_on(120)
    assert rig.row(task).attempts == 0
    assert_one_object(rig, task, emulator, bucket)
    assert line.count("POST", "uploadType=resumable") == 2
    assert len(line.chunks()) == 4 + COUNT


def test_a_cancelled_upload_leaves_nothing(rig, task, line, emulator, bucket):
    def rule(request):
        if is_chunk(request, 2 * PART):
            rig.workers.interrupt(task, "cancel")

    line.strike(rule)
    rig.work()
    assert rig.row(task).state is TaskState.CANCELLED
    assert emulator.objects(bucket) == {}
    assert line.count("DELETE", "upload_id=") == 1


def test_a_source_that_changed_is_sent_anew(rig, task, line, emulator, bucket, tmp_path):
    """Before anything is visible: the session is cancelled, and the new content goes up under the same key."""
    other = CONTENT[::-1]

    def rule(request):
        if is_chunk(request, 4 * PART) and not rig.changed:
            rig.changed = True
            (tmp_path / "clip.mp4").write_bytes(other)

    rig.changed = False
    line.strike(rule)
    rig.work()
    assert emulator.objects(bucket) == {}
    assert line.count("DELETE", "upload_id=") == 1
