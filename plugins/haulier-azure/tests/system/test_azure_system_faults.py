"""The whole way to a real server, with faults between SDK and server and virtual time."""

from __future__ import annotations

import random

import pytest

from haulier.journal.sqlite import SqliteJournal
from haulier.models import Proof, SuspensionReason, TaskState
from haulier.testing.backend_suite.world import build_backend
from haulier.testing.rig import RigSettings, UploadRig
from haulier_azure.backend import AzureBackend

ACCOUNT = "devstoreaccount1"
KEY = "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw=="
PART = 1024
CONTENT = random.Random(5).randbytes(6 * PART + 77)


@pytest.fixture
def container(server):
    return server.container()


@pytest.fixture
def rig(tmp_path, relay, container):
    journal = SqliteJournal(tmp_path / "journal.db")
    backend = build_backend(
        AzureBackend,
        {
            "container": container,
            "account_url": f"{relay.url}/{ACCOUNT}",
            "credential": KEY,
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


def refused(status, code="", **headers):
    fields = {name.replace("_", "-"): value for name, value in headers.items()}
    return ("answer", status, {**fields, **({"x-ms-error-code": code} if code else {})}, b"")


def once(kind, applies):
    """A rule that strikes once."""
    struck = []

    def rule(request):
        if applies(request) and not struck:
            struck.append(request)
            return kind
        return None

    rule.struck = struck
    return rule


def assert_one_object(rig, task, server, container):
    assert rig.row(task).state is TaskState.COMPLETED
    receipt = rig.receipt(task)
    assert {entry.proof for entry in receipt.artifacts} == {Proof.CONTENT}
    assert sorted(server.keys(container)) == sorted(entry.key for entry in receipt.artifacts)
    assert server.content(container, receipt.artifacts[0].key) == CONTENT


@pytest.mark.parametrize(
    "fault",
    [
        refused(429, Retry_After="30"),
        refused(503, "ServerBusy", Retry_After="30"),
        refused(503, "ServerBusy"),
        refused(500, "OperationTimedOut"),
        ("reset", PART // 2),
        ("lose",),
        ("silence",),
    ],
    ids=["429 and Retry-After", "503 and Retry-After", "ServerBusy", "500", "reset in a part", "lost", "silence"],
)
def test_a_fault_in_a_part_costs_an_attempt_and_nothing_else(rig, task, relay, server, container, fault):
    relay.rule = once(fault, lambda request: request.is_part and request.number == 4)
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
    assert_one_object(rig, task, server, container)
    again = {each.number for each in relay.parts()}
    assert not again & acknowledged - {4}, "parts that were held were sent again"


def test_an_expired_credential_suspends_and_costs_nothing(rig, task, relay, server, container):
    relay.rule = lambda _: refused(403, "AuthenticationFailed") if relay.parts() else None
    rig.work()
    assert rig.ledger.suspension("archive")[0] is SuspensionReason.CREDENTIALS
    assert (rig.row(task).state, rig.row(task).attempts) == (TaskState.QUEUED, 0)
    sent = len(relay.parts())
    relay.rule = lambda _: None
    rig.clock.advance(301)
    rig.probe()
    rig.work_on(120)
    assert_one_object(rig, task, server, container)
    assert sent + 7 >= len(relay.parts()) - 1, "what was held was sent again"


@pytest.mark.parametrize("which", ["blocklist", None], ids=["media file", "sidecar"])
def test_a_lost_answer_to_the_commit_is_settled_by_looking(rig, task, relay, server, container, which):
    relay.rule = once(("lose",), lambda request: request.is_commit and request.query.get("comp") == which)
    rig.work_on(120)
    assert relay.rule.struck
    assert_one_object(rig, task, server, container)
    assert len(relay.parts()) == 7, "nothing was sent twice"


def test_half_a_commit_is_finished_without_sending_the_media_file_again(rig, task, relay, server, container):
    """The media file was committed, and the service failed at the sidecar."""
    relay.rule = once(
        refused(500, "InternalError"), lambda request: request.is_commit and request.query.get("comp") is None
    )
    rig.work_on(120)
    assert relay.rule.struck
    assert_one_object(rig, task, server, container)
    assert len(relay.parts()) == 7, "parts were sent again"


def test_blocks_that_somebody_else_s_commit_dropped_are_sent_again(rig, task, relay, server, container):
    """Another program wrote the same key and removed it again: uncommitted blocks belong to the name."""
    relay.rule = once(refused(503, "ServerBusy"), lambda request: request.is_commit)
    rig.work()
    assert relay.rule.struck
    blob = server.blob(container, rig.row(task).artifacts[0].key)
    blob.commit_block_list([])
    blob.delete_blob()
    rig.work_on(120)
    assert_one_object(rig, task, server, container)


def test_a_cancelled_upload_leaves_nothing_to_be_seen(rig, task, relay, server, container):
    def rule(request):
        if request.is_part and request.number == 3:
            rig.workers.interrupt(task, "cancel")

    relay.rule = rule
    rig.work()
    assert rig.row(task).state is TaskState.CANCELLED
    assert server.keys(container) == []
