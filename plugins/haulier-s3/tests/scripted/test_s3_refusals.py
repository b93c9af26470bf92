"""What the real servers leave out: refused checksums, conditions, and answers that say one thing and mean another."""

from __future__ import annotations

import pytest

from haulier.backends.api import Answer, IfAbsent, Outcome
from haulier.errors import (
    AuthenticationError,
    ConflictError,
    IntegrityError,
    NetworkError,
    OffsetError,
    PermissionDeniedError,
    QuotaError,
    ServerError,
    SessionLostError,
    ThrottledError,
    ValidationError,
)
from haulier.models import Proof
from haulier.testing.backend_suite.drive import Drive, make_upload, pattern
from haulier.testing.backend_suite.world import build_backend
from haulier.transfer.context import RunContext
from haulier.transfer.proof import prove
from haulier_s3.backend import S3Backend

PART = 512
PATIENCE = 9
MEDIA = pattern(3 * PART + 5)
SMALL = pattern(100)
SIDECAR = b'{"session": "clip"}'
KEY = "2026/11/clip.mp4"


def backend(service, **options):
    table = {
        "bucket": "recordings",
        "endpoint_url": service.url,
        "addressing_style": "path",
        "access_key_id": "an-access-key",
        "secret_access_key": "a-secret-key-for-tests",
        "min_part_size": PART,
        **options,
    }
    return build_backend(S3Backend, table)


def drive(service, *contents, **options):
    return Drive(backend(service, **options), make_upload(contents), contents, part_size=PART)


def ran(one):
    """The same drive, at its end."""
    one.run()
    return one


def refuse(operation, *answer):
    return lambda asked: answer if asked.operation == operation else None


def proofs(done):
    return [entry.proof for entry in prove(done.upload.artifacts, done.stored, done.all_digests(), done.upload.item_id)]


# -- checksums -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("checksum", ["auto", "crc64nvme", "crc32c", "sha256", "md5"])
@pytest.mark.parametrize("contents", [(MEDIA,), (MEDIA, SIDECAR), (SMALL,), (b"",), (SMALL, SIDECAR)], ids=len)
def test_every_checksum_proves_content(service, checksum, contents):
    done = ran(drive(service, *contents, checksum=checksum))
    assert set(proofs(done)) == {Proof.CONTENT}
    assert [service.objects[artifact.key].content for artifact in done.upload.artifacts] == list(contents)
    assert not service.pending


@pytest.mark.parametrize("contents", [(MEDIA,), (SMALL,)], ids=["parts", "one request"])
@pytest.mark.parametrize(("knows", "used"), [({"SHA256"}, "sha256"), (set(), "md5")], ids=["sha256", "md5"])
@pytest.mark.parametrize("refuses", [True, False], ids=["refused", "ignored"])
def test_auto_takes_the_best_that_the_service_knows(service, contents, knows, used, refuses):
    service.knows, service.refuses = knows, refuses
    if knows and not refuses:
        used = "md5"  # it says nothing of the first one: such a service is taken to know none
    done = ran(drive(service, *contents))
    assert set(proofs(done)) == {Proof.CONTENT}
    digests = {name.removesuffix("-composite") for name in done.stored[0].digests}
    assert used in digests


@pytest.mark.parametrize("checksum", ["crc64nvme", "sha256", "md5"])
@pytest.mark.parametrize("operation", ["part", "put"])
def test_bytes_that_arrive_changed_are_sent_again(service, checksum, operation):
    """The service compares; a flipped bit on the way costs an attempt, and nothing of it is held."""
    one = drive(service, MEDIA if operation == "part" else SMALL, checksum=checksum).open()
    service.rule = refuse(operation, 400, "BadDigest")
    with pytest.raises(ServerError):
        one.finish()
    service.rule = lambda _: None
    later = one.in_new_process(backend(service, checksum=checksum))
    later.finish()
    assert set(proofs(later)) == {Proof.CONTENT}


@pytest.mark.parametrize("checksum", ["crc64nvme", "sha256", "md5"])
def test_a_service_that_holds_other_bytes_than_it_was_sent_is_found_out(service, checksum):
    """Whatever it answered to the parts."""
    one = drive(service, MEDIA, checksum=checksum).open().send_some()
    for pending in service.pending.values():
        pending.parts[1] = pending.parts[1][::-1]
    with pytest.raises((IntegrityError, ServerError)):
        one.commit()


def test_a_part_that_is_acknowledged_with_another_digest_is_refused(service):
    one = drive(service, MEDIA, checksum="md5").open()
    service.rule = refuse("part", 200, {"ETag": '"' + "0" * 32 + '"'}, b"")
    with pytest.raises(IntegrityError):
        one.send_some(1)


def test_etags_of_what_is_encrypted_with_a_managed_key_are_not_compared(service):
    """They are no MD5; then no more than the size is claimed."""
    service.kms = True
    done = ran(drive(service, MEDIA, checksum="md5"))
    assert proofs(done) == [Proof.SIZE]


def test_a_settled_upload_without_a_digest_of_the_whole_is_read_back(service):
    done = ran(drive(service, MEDIA, checksum="sha256"))
    settled = backend(service, checksum="sha256").settle(done.upload, done.token, RunContext())
    assert settled.outcome is Outcome.PRESENT
    done.stored = settled.stored
    assert proofs(done) == [Proof.CONTENT]


def test_parts_are_listed_page_by_page(service):
    content = pattern(7 * PART + 1)
    one = drive(service, content).open().send_some(6)
    later = one.in_new_process(backend(service))
    assert [part.number for part in later.missing] == [7, 8]
    later.finish()
    assert service.count()["parts"] == 3


# -- conditions ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("content", [MEDIA, SMALL], ids=["parts", "one request"])
def test_the_service_s_own_condition_keeps_what_came_first(service, content):
    one = drive(service, content, if_absent="atomic").open().send_some()
    theirs = drive(service, content[::-1], if_absent="atomic")
    theirs.upload = make_upload([content[::-1]], item="b" * 64)
    theirs.run()
    with pytest.raises(ConflictError):
        one.commit()
    assert service.objects[KEY].content == content[::-1]


@pytest.mark.parametrize("content", [MEDIA, SMALL], ids=["parts", "one request"])
def test_a_service_that_refuses_conditions_is_asked_first(service, content):
    service.conditions = "refused"
    one = drive(service, content)
    assert one.backend.abilities.if_absent is IfAbsent.CHECK_THEN_WRITE
    one.run()
    assert service.objects[KEY].content == content
    service.objects[KEY].content = b"theirs"
    other = Drive(one.backend, make_upload([content], item="b" * 64, nonce="n2"), [content], part_size=PART)
    with pytest.raises(ConflictError):
        other.run()


def test_atomic_means_atomic(service):
    service.conditions = "refused"
    with pytest.raises(ServerError):
        drive(service, SMALL, if_absent="atomic").run()
    assert not service.objects


def test_a_write_that_came_in_between_begins_the_upload_anew(service):
    one = drive(service, MEDIA).open().send_some()
    service.rule = refuse("complete", 409, "ConditionalRequestConflict")
    with pytest.raises(SessionLostError):
        one.commit()
    assert not service.pending
    service.rule = lambda _: None
    drive(service, MEDIA).run()
    assert list(service.objects) == [KEY]


# -- answers ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("code", "error"), [("InternalError", ServerError), ("SlowDown", ThrottledError)])
def test_an_error_within_a_success_is_an_error(service, code, error):
    """CompleteMultipartUpload may answer 200 and then fail."""
    one = drive(service, MEDIA).open().send_some()
    service.rule = refuse("complete", 200, {}, f"<Error><Code>{code}</Code><Message>late</Message></Error>".encode())
    with pytest.raises(error):
        one.commit()
    assert one.checked.settle(one.upload, one.token).outcome is Outcome.ABSENT
    service.rule = lambda _: None
    one.in_new_process(backend(service)).finish()
    assert service.objects[KEY].content == MEDIA


@pytest.mark.parametrize(
    ("answer", "error"),
    [
        ((400, "ExpiredToken"), AuthenticationError),
        ((403, "InvalidAccessKeyId"), AuthenticationError),
        ((403, "SignatureDoesNotMatch"), AuthenticationError),
        ((403, "RequestTimeTooSkewed"), AuthenticationError),
        ((403, "AccessDenied"), PermissionDeniedError),
        ((503, "SlowDown"), ThrottledError),
        ((503, "ServiceUnavailable", {"Retry-After": str(PATIENCE)}), ThrottledError),
        ((500, "InternalError"), ServerError),
        ((400, "RequestTimeout"), ServerError),
        ((400, "EntityTooLarge"), QuotaError),
        ((507, "InsufficientStorage"), QuotaError),
        ((507, "XMinioStorageFull"), QuotaError),
        ((404, "NoSuchUpload"), SessionLostError),
        ((404, "NoSuchBucket"), ValidationError),
        ((301, "PermanentRedirect"), ValidationError),
        ((400, "AuthorizationHeaderMalformed"), ValidationError),
        ((400, "InvalidPart"), OffsetError),
    ],
    ids=lambda value: str(value[1]) if isinstance(value, tuple) else None,
)
def test_each_code_becomes_the_error_whose_consequence_fits(service, answer, error):
    one = drive(service, MEDIA).open()
    service.rule = refuse("part", *answer)
    with pytest.raises(error) as caught:
        one.send_some(1)
    assert "a-secret-key-for-tests" not in f"{caught.value} {caught.value!r}"
    assert service.count()["part"] == 1
    if isinstance(caught.value, ThrottledError) and len(answer) > 2:
        assert caught.value.retry_after == PATIENCE


def test_a_lost_answer_is_settled_by_looking(service):
    one = drive(service, MEDIA, SIDECAR).open().send_some()

    def lose(asked):
        if asked.operation == "put":
            service.do_put(asked)
            raise ConnectionResetError

    service.rule = lose
    with pytest.raises(NetworkError):
        one.commit()
    service.rule = lambda _: None
    settled = one.checked.settle(one.upload, one.token)
    assert settled.outcome is Outcome.PRESENT
    one.stored = settled.stored
    assert set(proofs(one)) == {Proof.CONTENT}


# -- half of an upload -----------------------------------------------------------------------------------------


def half_done(service):
    """The media file is complete, and the sidecar's request failed."""
    one = drive(service, MEDIA, SIDECAR).open().send_some()
    service.rule = refuse("put", 500, "InternalError")
    with pytest.raises(ServerError):
        one.commit()
    service.rule = lambda _: None
    assert list(service.objects) == [KEY]
    service.asked.clear()
    return one


def test_a_media_file_without_its_sidecar_is_not_sent_again(service):
    """Half a commit: the session is gone, and a new one finds what is there."""
    one = half_done(service)
    assert one.checked.settle(one.upload, one.token).outcome is Outcome.ABSENT
    with pytest.raises(SessionLostError):
        one.in_new_process(backend(service))
    again = Drive(backend(service), make_upload([MEDIA, SIDECAR], nonce="n2"), [MEDIA, SIDECAR], part_size=PART)
    again.run()
    assert set(proofs(again)) == {Proof.CONTENT}
    assert len(service.objects) == 2
    assert service.count()["part"] == 0
    assert not service.pending


def test_an_abort_takes_the_media_file_back_that_has_no_sidecar(service):
    one = half_done(service)
    one.abort()
    assert not service.objects
    assert not service.pending


# -- rights ----------------------------------------------------------------------------------------------------


def only(*operations):
    return lambda asked: (
        None if asked.operation in operations else (403, {}, b"") if asked.method == "HEAD" else (403, "AccessDenied")
    )


WRITE_ONLY = ("create", "part", "complete", "put", "abort", "parts")


@pytest.mark.parametrize("contents", [(MEDIA, SIDECAR), (SMALL,)], ids=["parts", "one request"])
def test_credentials_that_may_only_write_are_enough(service, contents):
    """The service's answers to the writes themselves prove the content of what goes in one request."""
    service.rule = only(*WRITE_ONLY)
    done = ran(drive(service, *contents))
    assert proofs(done)[-1] is Proof.CONTENT
    assert not service.pending
    backend(service).probe(RunContext())


def test_credentials_that_may_only_write_go_on_with_a_small_file_after_a_restart(service):
    one = drive(service, SMALL).open()
    service.rule = only(*WRITE_ONLY)
    done = ran(one.in_new_process(backend(service)))
    assert proofs(done)[-1] is Proof.CONTENT


def test_credentials_that_may_not_list_parts_start_over(service):
    """What is held cannot be learnt: it is dropped and sent again."""
    one = drive(service, MEDIA).open().send_some(2)
    service.rule = refuse("parts", 403, "AccessDenied")
    with pytest.raises(SessionLostError):
        one.in_new_process(backend(service))
    assert not service.pending
    ran(drive(service, MEDIA))
    assert service.objects[KEY].content == MEDIA


def test_credentials_that_may_only_write_need_a_service_that_keeps_conditions(service):
    service.rule = only(*WRITE_ONLY)
    with pytest.raises(PermissionDeniedError, match="key is free"):
        drive(service, SMALL, if_absent="check_then_write").run()
    assert not service.objects


def test_credentials_that_may_only_write_cannot_tell_what_became_of_a_commit(service):
    one = drive(service, SMALL).open()
    service.rule = only(*WRITE_ONLY)
    assert one.checked.settle(one.upload, one.token).outcome is Outcome.UNKNOWN


def test_expired_credentials_are_no_answer_to_what_became_of_a_commit(service):
    one = drive(service, SMALL).open()
    service.rule = lambda asked: (400, {}, b"") if asked.method == "HEAD" else (400, "ExpiredToken")
    with pytest.raises(AuthenticationError):
        one.checked.settle(one.upload, one.token)


@pytest.mark.parametrize(
    ("missing", "right"),
    [
        ("list", "list"),
        ("create", "write"),
        ("parts", "resume"),
        ("abort", "abort"),
        ("head", "read"),
        ("delete", "delete"),
    ],
)
def test_doctor_names_the_right_that_is_missing(service, missing, right):
    refused = (403, {}, b"") if missing == "head" else (403, "AccessDenied")
    service.rule = refuse(missing, *refused)
    report = backend(service).check(RunContext())
    assert [name for name, answer in report.rights.items() if answer is Answer.NO] == [right]
    assert any(remark.startswith(f"{right}: ") for remark in report.remarks)
    assert not service.objects


def test_doctor_is_content_with_credentials_that_may_only_write(service):
    service.rule = only(*WRITE_ONLY)
    report = backend(service).check(RunContext())
    assert {report.rights[name] for name in ("reach", "write", "resume", "abort")} == {Answer.YES}
    assert report.rights["list"] is Answer.NO
    assert report.rights["read"] is Answer.UNTESTED


def test_doctor_leaves_no_delete_marker_where_versions_are_kept(service):
    enabled = b"<VersioningConfiguration><Status>Enabled</Status></VersioningConfiguration>"
    service.rule = refuse("versioning", 200, {}, enabled)
    report = backend(service).check(RunContext())
    assert report.rights["delete"] is Answer.UNTESTED
    assert service.count()["delete"] == 0


def test_doctor_tells_that_a_lock_is_refused(service):
    def rule(asked):
        locks = "x-amz-object-lock-mode" in asked.headers
        return (400, "InvalidRequest") if asked.operation == "create" and locks else None

    service.rule = rule
    report = backend(service, object_lock_mode="governance", object_lock_days=30).check(RunContext())
    assert (report.rights["lock"], report.rights["write"]) == (Answer.NO, Answer.NO)
    assert not service.pending


def test_a_multipart_upload_begins_with_all_that_was_asked_for(service):
    lock = {"object_lock_mode": "compliance", "object_lock_until": "2099-12-31", "object_lock_legal_hold": True}
    drive(service, MEDIA, SIDECAR, storage_class="GLACIER_IR", sse="AES256", **lock).run()
    for asked in service.asked:
        if asked.operation in {"create", "put"}:
            assert asked.headers["x-amz-object-lock-mode"] == "COMPLIANCE"
            assert asked.headers["x-amz-object-lock-retain-until-date"].startswith("2099-12-31")
            assert asked.headers["x-amz-object-lock-legal-hold"] == "ON"
            assert asked.headers["x-amz-storage-class"] == "GLACIER_IR"
            assert asked.headers["x-amz-server-side-encryption"] == "AES256"
    assert service.count()["create"] == service.count()["put"] == 1


@pytest.mark.parametrize(
    ("contents", "requests"),
    [
        ((SMALL,), {"put": 1, "head": 1}),
        ((MEDIA,), {"create": 1, "part": 4, "complete": 1, "head": 3}),
        ((MEDIA, SIDECAR), {"create": 1, "part": 4, "complete": 1, "put": 1, "head": 4}),
    ],
    ids=["small", "large", "with sidecar"],
)
def test_what_an_upload_asks_for_is_as_the_page_says(service, contents, requests):
    drive(service, *contents).run()
    assert service.count() == requests
