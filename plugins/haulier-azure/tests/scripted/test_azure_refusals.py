"""What is asked of the service, and what its refusals lead to."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from haulier.backends.api import Answer, Outcome
from haulier.errors import (
    AuthenticationError,
    ConflictError,
    IntegrityError,
    PermissionDeniedError,
    ServerError,
    SessionLostError,
    ThrottledError,
)
from haulier.testing.backend_suite.drive import Drive, make_upload, pattern
from haulier.testing.backend_suite.world import build_backend
from haulier.transfer.context import RunContext
from haulier_azure.backend import AzureBackend

UNIT = 512
MEDIA = pattern(3 * UNIT + 5)
SMALL = pattern(100)
SIDECAR = b'{"host": "server"}'
KEY = "2026/11/clip.mp4"
NOW = datetime(2026, 11, 23, tzinfo=UTC)


def backend(service, **options):
    table = {
        "container": "sessions",
        "account_url": f"{service.origin}/recordings",
        "credential": "YS1rZXktZm9yLXRlc3Rz",
        "min_part_size": UNIT,
        **options,
    }
    made = build_backend(AzureBackend, table)
    return AzureBackend("archive", made.options, clock=NOW.timestamp)


def drive(service, *contents, nonce="n1", **options):
    upload = make_upload(contents, nonce=nonce)
    return Drive(backend(service, **options), upload, list(contents), part_size=UNIT)


def denied(*operations):
    return lambda asked: (403, "AuthorizationPermissionMismatch") if asked.operation in operations else None


# -- what is asked for -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("content", [SMALL, MEDIA], ids=["one request", "blocks"])
def test_tier_retention_and_hold_come_with_the_object_itself(service, content):
    options = {"tier": "cool", "immutability_mode": "locked", "immutability_days": 10, "legal_hold": True}
    drive(service, content, **options).run()
    headers = service.blobs[KEY].headers
    assert headers["x-ms-access-tier"] == "Cool"
    assert headers["x-ms-immutability-policy-mode"].lower() == "locked"
    assert headers["x-ms-immutability-policy-until-date"] == "Thu, 03 Dec 2026 00:00:00 GMT"
    assert headers["x-ms-legal-hold"].lower() == "true"


def test_a_day_of_retention_can_be_named(service):
    drive(service, MEDIA, immutability_mode="unlocked", immutability_until="2031-12-31").run()
    assert service.blobs[KEY].headers["x-ms-immutability-policy-until-date"] == "Wed, 31 Dec 2031 00:00:00 GMT"


@pytest.mark.parametrize("content", [SMALL, MEDIA], ids=["one request", "blocks"])
def test_without_options_nothing_of_them_is_asked_for(service, content):
    drive(service, content).run()
    headers = service.blobs[KEY].headers
    assert not [name for name in headers if "immutability" in name or "legal" in name or "tier" in name]


@pytest.mark.parametrize("content", [SMALL, MEDIA], ids=["one request", "blocks"])
def test_an_object_has_its_type_its_digest_and_whose_it_is(service, content):
    import hashlib

    drive(service, content).run()
    headers = service.blobs[KEY].headers
    assert headers["x-ms-blob-content-type"] == "video/mp4"
    assert headers["x-ms-meta-haulier_sha256"] == hashlib.sha256(content).hexdigest()
    assert headers["x-ms-meta-haulier_item"] == "a" * 64
    assert "x-ms-blob-content-md5" not in headers, "nobody but the service says what it computed"


def test_ids_of_all_blocks_of_a_key_are_equally_long(service):
    drive(service, MEDIA, nonce="n1").open().send_some(2)
    drive(service, MEDIA, nonce="another").open().send_some(2)
    assert len(service.blocks[KEY]) == 4
    assert len({len(each) for each in service.blocks[KEY]}) == 1


def test_a_small_object_costs_one_request(service):
    drive(service, SMALL).run()
    assert service.operations() == ["put"]


def test_an_object_of_blocks_costs_two_looks_more_than_its_writes(service):
    drive(service, MEDIA).run()
    assert sorted(service.operations()) == ["block"] * 4 + ["commit"] + ["look"] * 2


# -- checksums ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("content", [SMALL, MEDIA], ids=["one request", "blocks"])
@pytest.mark.parametrize(("checksum", "field"), [("md5", "content-md5"), ("crc64", "x-ms-content-crc64")])
def test_every_body_goes_with_its_checksum(service, content, checksum, field):
    drive(service, content, checksum=checksum).run()
    bodies = [each for each in service.asked if each.operation in {"block", "put"}]
    assert bodies
    assert all(each.headers.get(field) for each in bodies)
    assert service.blobs[KEY].content == content


def test_invariant_3_a_service_that_acknowledges_other_bytes_is_not_believed(service):
    other = {"Content-MD5": "AAAAAAAAAAAAAAAAAAAAAA=="}
    service.rule = lambda asked: (201, other, b"") if asked.operation == "block" else None
    with pytest.raises(IntegrityError, match="md5"):
        drive(service, MEDIA).open().send_some(1)


@pytest.mark.parametrize("checksum", ["md5", "crc64"])
def test_parts_are_found_again_with_their_checksums(service, checksum):
    one = drive(service, MEDIA, checksum=checksum).open().send_some(2)
    again = one.in_new_process(backend(service, checksum=checksum)).ask_held()
    name = {"md5": "md5", "crc64": "crc64nvme"}[checksum]
    assert sorted(again.held.parts[0]) == [1, 2]
    assert all(part.digests[name] for part in again.held.parts[0].values())
    again.finish()
    assert service.operations().count("block") == 4
    assert service.blobs[KEY].content == MEDIA


def test_a_session_goes_on_with_the_checksum_that_it_began_with(service):
    one = drive(service, MEDIA).open().send_some(2)
    again = one.in_new_process(backend(service, checksum="crc64"))
    again.ask_held().finish()
    assert service.blobs[KEY].content == MEDIA


# -- refusals ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("status", "code", "kind"),
    [
        (503, "ServerBusy", ThrottledError),
        (429, "", ThrottledError),
        (500, "InternalError", ServerError),
        (403, "AuthenticationFailed", AuthenticationError),
        (403, "AuthorizationFailure", PermissionDeniedError),
    ],
)
def test_a_refusal_is_told_once_and_nothing_is_tried_again(service, status, code, kind):
    one = drive(service, MEDIA).open()
    service.asked.clear()
    waits = {"Retry-After": "7"} if kind is ThrottledError else {}
    service.rule = lambda _: (status, code, waits)
    with pytest.raises(kind) as caught:
        one.send_some(1)
    assert len(service.asked) == 1
    if kind is ThrottledError:
        assert caught.value.retry_after == 7


def test_invariant_10_a_redirect_is_not_followed(service):
    service.rule = lambda _: (307, "", {"Location": f"{service.origin}/elsewhere"})
    one = drive(service, SMALL).open()
    with pytest.raises(Exception, match="redirect"):
        one.finish()
    assert len(service.asked) == 1


def test_another_session_s_commit_drops_our_blocks_and_ours_finds_a_conflict(service):
    ours = drive(service, MEDIA).open().send_some(3)
    theirs = make_upload([MEDIA[::-1]], item="b" * 64, nonce="n2")
    Drive(backend(service), theirs, [MEDIA[::-1]], part_size=UNIT).run()
    with pytest.raises(ConflictError):
        ours.finish()
    assert service.blobs[KEY].content == MEDIA[::-1]


def test_whoever_may_only_write_uploads_and_has_proof(service):
    service.rule = denied("look", "read", "blocks", "list", "delete")
    for content in (SMALL, MEDIA):
        service.blobs.clear()
        (stored,) = drive(service, content).run()
        assert service.blobs[KEY].content == content
        assert stored.compared


def test_whoever_may_only_write_starts_over_after_a_kill(service):
    one = drive(service, MEDIA).open().send_some(2)
    service.rule = denied("look", "read", "blocks", "list")
    with pytest.raises(SessionLostError):
        one.in_new_process(backend(service)).ask_held()


def test_whoever_may_not_look_cannot_tell_what_became_of_it(service):
    one = drive(service, SMALL).open()
    service.rule = denied("look", "read", "list")
    assert one.backend.settle(one.upload, one.the_token, RunContext()).outcome is Outcome.UNKNOWN


def test_expired_credentials_are_no_answer_to_what_became_of_it(service):
    one = drive(service, SMALL).open()
    service.rule = lambda _: (403, "AuthenticationFailed")
    with pytest.raises(AuthenticationError):
        one.backend.settle(one.upload, one.the_token, RunContext())


# -- check -------------------------------------------------------------------------------------------------------------


def test_all_rights_are_found_and_no_object_comes_into_being(service):
    report = backend(service).check(RunContext())
    assert {name: str(answer) for name, answer in report.rights.items()} == dict.fromkeys(
        ("reach", "list", "write", "resume", "read", "delete"), "yes"
    )
    assert service.blobs == {}


def test_credentials_that_may_only_write_pass_with_remarks(service):
    service.rule = denied("look", "read", "blocks", "list", "delete")
    report = backend(service).check(RunContext())
    assert report.rights["reach"] is report.rights["write"] is Answer.YES
    assert [report.rights[name] for name in ("list", "resume", "read", "delete")] == [Answer.NO] * 4
    assert any(each.startswith("read:") and "SAS" in each for each in report.remarks)


def test_nobody_there_is_told(service):
    made = backend(service)
    service.stop()
    report = made.check(RunContext())
    assert report.rights["reach"] is Answer.NO
    assert report.rights["write"] is Answer.UNTESTED
    service.stop = lambda: None
