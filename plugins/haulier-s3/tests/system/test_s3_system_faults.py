"""The whole way to both real servers, with faults between SDK and server and virtual time."""

from __future__ import annotations

import random

import pytest

from haulier.journal.sqlite import SqliteJournal
from haulier.models import Proof, SuspensionReason, TaskState
from haulier.testing.backend_suite.world import build_backend
from haulier.testing.rig import RigSettings, UploadRig
from haulier_s3.backend import S3Backend

ACCESS, SECRET = "an-access-key", "a-secret-key-for-tests"
PART = 1024
CONTENT = random.Random(5).randbytes(6 * PART + 77)
EXPIRED = b"<Error><Code>ExpiredToken</Code><Message>The provided token has expired.</Message></Error>"
FULL = (
    b"<Error><Code>XMinioStorageFull</Code><Message>Storage reached its minimum free drive threshold.</Message></Error>"
)


@pytest.fixture
def bucket(server):
    return server.bucket()


@pytest.fixture
def rig(tmp_path, relay, bucket):
    journal = SqliteJournal(tmp_path / "journal.db")
    backend = build_backend(
        S3Backend,
        {
            "bucket": bucket,
            "endpoint_url": relay.url,
            "addressing_style": "path",
            "access_key_id": ACCESS,
            "secret_access_key": SECRET,
            "min_part_size": PART,
        },
    )
    made = UploadRig(journal, backend, settings=RigSettings(part_size=PART, window=3))
    made.workers.silence = made.workers.commit_timeout = 0.5
    yield made
    made.destinations.close()
    journal.close()


@pytest.fixture
def task(rig, tmp_path):
    (tmp_path / "clip.mp4").write_bytes(CONTENT)
    (tmp_path / "clip.json").write_text('{"host": "server"}')
    return rig.submit(tmp_path / "clip.mp4", tmp_path / "clip.json")


def once(kind, *, number, **_):
    """A rule that strikes one part once."""
    struck = []

    def rule(request):
        if request.is_part and request.number == number and not struck:
            struck.append(request)
            return kind
        return None

    return rule


def assert_one_object(rig, task, server, bucket):
    row = rig.row(task)
    assert row.state is TaskState.COMPLETED
    receipt = rig.receipt(task)
    assert {entry.proof for entry in receipt.artifacts} == {Proof.CONTENT}
    listed = server.client.list_objects_v2(Bucket=bucket)["Contents"]
    assert sorted(entry["Key"] for entry in listed) == sorted(entry.key for entry in receipt.artifacts)
    assert server.client.get_object(Bucket=bucket, Key=receipt.artifacts[0].key)["Body"].read() == CONTENT
    assert not server.client.list_multipart_uploads(Bucket=bucket).get("Uploads")


@pytest.mark.parametrize(
    "fault",
    [
        ("answer", 429, {"Retry-After": "30"}, b""),
        ("answer", 503, {"Retry-After": "30"}, b""),
        ("answer", 503, {}, b"<Error><Code>SlowDown</Code></Error>"),
        ("answer", 500, {}, b""),
        ("reset", PART // 2),
        ("lose",),
        ("silence",),
    ],
    ids=["429 and Retry-After", "503 and Retry-After", "SlowDown", "500", "reset in a part", "lost answer", "silence"],
)
def test_a_fault_in_a_part_costs_an_attempt_and_nothing_else(rig, task, relay, server, bucket, fault):
    relay.rule = once(fault, number=4)
    rig.work()
    row = rig.row(task)
    assert (row.state, row.attempts) == (TaskState.RETRYING, 1)
    if fault[0] == "answer" and "Retry-After" in fault[2]:
        rig.clock.advance(29)
        rig.work()
        assert rig.row(task).state is TaskState.RETRYING, "the service asked for half a minute"
    acknowledged = {each.number for each in relay.parts()}
    relay.passed.clear()
    rig.work_on(120)
    assert_one_object(rig, task, server, bucket)
    again = {each.number for each in relay.parts()}
    assert not again & acknowledged - {4}, "parts that were held were sent again"


def test_an_expired_credential_suspends_and_costs_nothing(rig, task, relay, server, bucket):
    relay.rule = lambda request: ("answer", 400, {}, EXPIRED) if relay.parts() else None
    rig.work()
    assert rig.ledger.suspension("archive")[0] is SuspensionReason.CREDENTIALS
    assert (rig.row(task).state, rig.row(task).attempts) == (TaskState.QUEUED, 0)
    sent = len(relay.parts())
    relay.rule = lambda _: None
    rig.clock.advance(301)
    rig.probe()
    rig.work_on(120)
    assert_one_object(rig, task, server, bucket)
    assert sent + 7 >= len(relay.parts()) - 1, "what was held was sent again"


def test_a_full_destination_is_the_item_s_own_and_is_told(rig, task, relay, server, bucket):
    relay.rule = lambda request: ("answer", 507, {}, FULL) if request.is_part else None
    rig.work()
    row = rig.row(task)
    assert (row.state, row.error.code) == (TaskState.FAILED, "quota")
    relay.rule = lambda _: None
    rig.operations.apply("retry", [task])
    rig.work_on(120)
    assert_one_object(rig, task, server, bucket)


@pytest.mark.parametrize("operation", ["complete", "sidecar"])
def test_a_lost_answer_to_the_commit_is_settled_by_looking(rig, task, relay, server, bucket, operation):
    struck = []

    def rule(request):
        is_complete = request.method == "POST" and "uploadId" in request.query
        is_sidecar = request.method == "PUT" and not request.is_part
        if not struck and (is_complete if operation == "complete" else is_sidecar):
            struck.append(request)
            return ("lose",)
        return None

    relay.rule = rule
    rig.work_on(120)
    assert struck
    assert_one_object(rig, task, server, bucket)
    assert len([each for each in relay.parts() if each.forwarded]) == 7, "nothing was sent twice"


def test_half_a_commit_is_finished_without_sending_the_media_file_again(rig, task, relay, server, bucket):
    """The media file was completed, and the service failed at the sidecar."""
    struck = []

    def rule(request):
        if request.method == "PUT" and not request.is_part and not struck:
            struck.append(request)
            return ("answer", 500, {}, b"")
        return None

    relay.rule = rule
    rig.work_on(120)
    assert struck
    assert_one_object(rig, task, server, bucket)
    assert len(relay.parts()) == 7, "parts were sent again"


def test_a_cancelled_upload_leaves_nothing(rig, task, relay, server, bucket):
    def rule(request):
        if request.is_part and request.number == 3:
            rig.workers.interrupt(task, "cancel")

    relay.rule = rule
    rig.work()
    assert rig.row(task).state is TaskState.CANCELLED
    assert "Contents" not in server.client.list_objects_v2(Bucket=bucket)
    assert not server.client.list_multipart_uploads(Bucket=bucket).get("Uploads")
