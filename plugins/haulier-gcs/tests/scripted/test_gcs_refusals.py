"""What the emulator leaves out: conditions, partial persistence, digests that are compared, sessions that end, and answers
that say one thing and mean another."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from haulier.backends.api import Answer, Artifact, IfAbsent, LastPart, Outcome, Token
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
from haulier.models import Proof, Role
from haulier.testing.backend_suite.drive import Drive, make_upload, pattern
from haulier.testing.backend_suite.world import build_backend
from haulier.transfer.context import RunContext
from haulier.transfer.proof import prove
from haulier_gcs.backend import GcsBackend

UNIT = 512
PART = 2 * UNIT
PATIENCE = 9
MEDIA = pattern(3 * PART + 5)
SMALL = pattern(100)
SIDECAR = b'{"session": "clip"}'
KEY, SIDE = "2026/11/clip.mp4", "2026/11/clip.json"


def backend(service, **options):
    table = {"bucket": "recordings", "endpoint_url": service.url, "anonymous": True, "min_part_size": UNIT, **options}
    return build_backend(GcsBackend, table)


def drive(service, *contents, **options):
    return Drive(backend(service, **options), make_upload(contents), contents, part_size=PART)


def ran(one):
    """The same drive, at its end."""
    one.run()
    return one


def refuse(operation, *answer):
    return lambda asked: answer if asked.operation == operation else None


def once(operation, act):
    """A rule that acts at one request once."""
    struck = []

    def rule(asked):
        if asked.operation == operation and not struck:
            struck.append(asked)
            return act(asked)
        return None

    return rule


def proofs(done):
    return [entry.proof for entry in prove(done.upload.artifacts, done.stored, done.all_digests(), done.upload.item_id)]


def chunks(service):
    return [asked.headers["content-range"] for asked in service.asked if asked.operation == "append"]


# -- what is kept ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "contents", [(MEDIA,), (MEDIA, SIDECAR), (SMALL,), (b"",), (SMALL, SIDECAR), (MEDIA, b"")], ids=len
)
@pytest.mark.parametrize("if_absent", ["auto", "atomic", "check_then_write"])
def test_content_is_proven_and_our_digest_is_kept_with_it(service, contents, if_absent):
    done = ran(drive(service, *contents, if_absent=if_absent))
    assert set(proofs(done)) == {Proof.CONTENT}
    for artifact, content in zip(done.upload.artifacts, contents, strict=True):
        found = service.objects[artifact.key]
        assert found.content == content
        assert found.document["metadata"]["haulier-sha256"] == done.all_digests()[artifact.index]["sha256"]
        assert found.document["metadata"]["haulier-item"] == done.upload.item_id
    assert [entry.version for entry in done.stored] == [
        str(service.objects[artifact.key].generation) for artifact in done.upload.artifacts
    ]
    assert not service.open_sessions()


def test_an_object_is_made_with_all_that_was_asked_for(service):
    options = {
        "storage_class": "NEARLINE",
        "kms_key_name": "projects/p/locations/l/keyRings/r/cryptoKeys/k",
        "temporary_hold": True,
        "event_based_hold": True,
        "retention_mode": "locked",
        "retention_until": "2099-12-31",
        "metadata": {"site": "north"},
        "project": "billed",
    }
    drive(service, MEDIA, SIDECAR, **options).run()
    for key in (KEY, SIDE):
        document = service.objects[key].document
        assert document["storageClass"] == "NEARLINE"
        assert document["kmsKeyName"].endswith("/k")
        assert document["temporaryHold"] is document["eventBasedHold"] is True
        assert document["retention"] == {"mode": "Locked", "retainUntilTime": "2099-12-31T00:00:00Z"}
        assert document["metadata"]["site"] == "north"
    assert document["contentType"] == "application/json"
    assert {asked.query.get("userProject") for asked in service.asked if "upload_id" not in asked.query} == {"billed"}


def test_retention_counts_from_the_upload(service):
    table = {"retention_mode": "unlocked", "retention_days": 30}
    made = backend(service, **table)
    one = GcsBackend("archive", made.options, clock=lambda: 1_900_000_000.7)
    Drive(one, make_upload([SMALL]), [SMALL], part_size=PART).run()
    assert service.objects[KEY].document["retention"] == {
        "mode": "Unlocked",
        "retainUntilTime": "2030-04-16T17:46:40Z",
    }


def test_the_media_file_becomes_visible_before_its_sidecar(service):
    drive(service, MEDIA, SIDECAR).run()
    assert service.objects[KEY].generation < service.objects[SIDE].generation


def test_a_sidecar_that_no_journal_holds_goes_up_first(service):
    """It is longer than what the journal copies; then the media file is the mark that all is there."""
    sidecar = pattern(PART + 100)
    upload = make_upload([MEDIA, sidecar])
    large = Artifact(1, Role.SIDECAR, "clip.json", SIDE, len(sidecar), "application/json")
    one = Drive(backend(service), replace(upload, artifacts=(upload.media, large)), [MEDIA, sidecar], part_size=PART)
    one.open().send_some(3)
    assert list(service.objects) == [SIDE]
    later = one.in_new_process(backend(service))
    later.finish()
    assert set(proofs(later)) == {Proof.CONTENT}
    assert service.objects[SIDE].content == sidecar
    again = Drive(backend(service), replace(later.upload, nonce="n2"), [MEDIA, sidecar], part_size=PART)
    again.run()
    assert set(proofs(again)) == {Proof.CONTENT}


# -- resumable sessions ----------------------------------------------------------------------------------------


def test_what_was_not_persisted_of_a_part_is_sent_on_at_once(service):
    """308 names less than was sent: the rest follows from there, and the part is acknowledged as one."""
    content = pattern(8 * UNIT)
    service.most = UNIT + 100
    one = Drive(backend(service), make_upload([content]), [content], part_size=4 * UNIT)
    one.open().send_some()
    assert chunks(service) == ["bytes 0-2047/*", "bytes 512-2047/*", "bytes 1024-2047/*", "bytes 1536-2047/*"]
    service.most = None
    one.finish()
    assert service.objects[KEY].content == content
    assert set(proofs(one)) == {Proof.CONTENT}


def test_a_last_part_of_which_some_is_persisted_is_finished(service):
    one = drive(service, MEDIA).open().send_some(2)
    service.most = UNIT
    one.finish()
    assert service.objects[KEY].content == MEDIA


def test_a_part_of_which_nothing_is_persisted_costs_an_attempt(service):
    """308 without Range."""
    one = drive(service, MEDIA).open()
    service.rule = refuse("append", 308, {}, b"")
    with pytest.raises(ServerError, match="kept nothing"):
        one.send_some(1)
    assert service.count()["append"] == 1


def test_a_session_that_lost_what_it_held_is_sent_it_again(service):
    one = drive(service, MEDIA).open().send_some(2)
    next(iter(service.pending.values())).content = b""
    with pytest.raises(OffsetError) as caught:
        one.send_some(1)
    assert caught.value.held.prefixes == {0: 0}
    one.ask_held().finish()
    assert service.objects[KEY].content == MEDIA


def test_after_a_kill_the_offset_decides_what_is_sent(service):
    """It may lie within a part: a multiple of what the service persists."""
    one = drive(service, MEDIA).open().send_some(2)
    session = next(iter(service.pending.values()))
    session.content = session.content[: 3 * UNIT]
    service.asked.clear()
    later = one.in_new_process(backend(service))
    later.finish()
    assert [asked.headers["content-range"] for asked in service.asked if "content-range" in asked.headers] == [
        "bytes */*",
        f"bytes {3 * UNIT}-{2 * PART - 1}/*",
        f"bytes {2 * PART}-{3 * PART - 1}/*",
        f"bytes {3 * PART}-{3 * PART + 4}/{len(MEDIA)}",
    ]
    assert service.objects[KEY].content == MEDIA


def test_an_emulator_that_calls_an_empty_session_one_byte_long_is_understood(service):
    one = drive(service, MEDIA).open()
    service.rule = refuse("ask", 308, {"Range": "bytes=0-0"}, b"")
    later = one.in_new_process(backend(service))
    assert later.missing[0].offset == 0


@pytest.mark.parametrize("told", ["bytes=1-5", "bytes=0-", "0-99", "bytes=0--1", "bytes=0-9999999999999999999999"])
def test_a_range_that_says_nothing_is_no_offset(service, told):
    one = drive(service, MEDIA).open()
    service.rule = refuse("ask", 308, {"Range": told}, b"")
    with pytest.raises(ServerError, match="how much"):
        one.in_new_process(backend(service))


@pytest.mark.parametrize("status", [404, 410])
@pytest.mark.parametrize("operation", ["ask", "append"])
def test_a_session_that_is_gone_is_lost(service, status, operation):
    one = drive(service, MEDIA).open().send_some(1)
    service.rule = refuse(operation, status, "gone")
    with pytest.raises(SessionLostError):
        one.in_new_process(backend(service)).send_some(1)


def test_all_bytes_without_an_object_are_closed(service):
    """The answer to the last part was lost, and so was what it should have made."""
    content = pattern(4 * PART)
    one = drive(service, content).open().send_some()
    next(iter(service.pending.values())).content = content
    later = one.in_new_process(backend(service))
    assert [part.size for part in later.missing] == [0]
    later.finish()
    assert chunks(service)[-1] == f"bytes */{len(content)}"
    assert service.objects[KEY].content == content


def test_a_commit_whose_answer_was_lost_is_known_by_its_session(service):
    one = drive(service, MEDIA).open().send_some()

    def lose(asked):
        service.do_append(asked)
        raise ConnectionResetError

    service.rule = once("append", lose)
    with pytest.raises(NetworkError):
        one.commit()
    settled = one.checked.settle(one.upload, one.token)
    assert settled.outcome is Outcome.PRESENT
    one.stored = settled.stored
    assert proofs(one) == [Proof.CONTENT]
    later = one.copy(backend(service)).ask_held()
    assert later.stored[0].version == one.stored[0].version


def test_a_session_expires_after_a_week_and_its_token_says_so(service):
    made = backend(service)
    one = GcsBackend("archive", made.options, clock=lambda: 1_900_000_000.0)
    token, _ = one.open(make_upload([MEDIA]), RunContext())
    assert token.expires_at == 1_900_000_000.0 + 7 * 86400
    assert token.public["resumable"] == [0]
    assert "secret" not in json.dumps(token.public) + repr(token)


def test_at_google_parts_are_multiples_of_256_kib(service):
    service.unit = 256 * 1024
    content = pattern(700_000)
    one = build_backend(GcsBackend, {"bucket": "recordings", "endpoint_url": service.url, "anonymous": True})
    Drive(one, make_upload([content]), [content], part_size=1000).run()
    assert chunks(service) == ["bytes 0-262143/*", "bytes 262144-524287/*", "bytes 524288-699999/700000"]
    assert service.objects[KEY].content == content


# -- where a session may be ------------------------------------------------------------------------------------


@pytest.mark.parametrize("elsewhere", ["http://elsewhere.example", "https://127.0.0.1", "http://user@{host}"])
def test_invariant_10_a_session_on_another_origin_is_not_used(service, elsewhere):
    service.told_url = lambda asked: elsewhere.format(host=asked.headers["host"])
    with pytest.raises(ValidationError, match="another origin") as caught:
        drive(service, MEDIA).open()
    assert "upload_id" not in f"{caught.value}"
    assert service.count() == {"create": 1}


def test_a_token_that_leads_elsewhere_is_a_lost_session(service):
    one = drive(service, MEDIA).open()
    other = replace(one.the_token, secret={"0": "http://elsewhere.example/upload?upload_id=x"})
    with pytest.raises(SessionLostError, match="another service"):
        one.backend.held(one.upload, other, RunContext())
    without = Token(one.the_token.public, {})
    with pytest.raises(SessionLostError):
        one.backend.held(one.upload, without, RunContext())


@pytest.mark.parametrize("address", ["", "x" * 9000])
def test_a_session_without_an_address_is_the_service_s_failure(service, address):
    service.rule = refuse("create", 200, {"Location": address}, b"")
    with pytest.raises((ServerError, ValidationError)):
        drive(service, MEDIA).open()


# -- digests ---------------------------------------------------------------------------------------------------


def test_the_digest_goes_with_the_last_bytes(service):
    drive(service, MEDIA).run()
    *before, last = [asked for asked in service.asked if asked.operation == "append"]
    assert last.headers["x-goog-hash"].startswith("crc32c=")
    assert not any("x-goog-hash" in asked.headers for asked in before)


def test_invariant_3_bytes_that_arrived_damaged_are_not_made_an_object(service):
    """The service compares; what it persisted cannot be replaced, so the upload begins anew."""
    one = drive(service, MEDIA).open().send_some()
    session = next(iter(service.pending.values()))
    session.content = b"X" + session.content[1:]
    with pytest.raises(SessionLostError, match="damaged"):
        one.commit()
    assert not service.objects
    assert not service.pending
    ran(drive(service, MEDIA))
    assert service.objects[KEY].content == MEDIA


def test_invariant_2_a_service_that_compares_nothing_is_found_out(service):
    """The wrong object that it made is taken back, if that is allowed."""
    service.compares = False
    one = drive(service, MEDIA).open().send_some()
    session = next(iter(service.pending.values()))
    session.content = b"X" + session.content[1:]
    with pytest.raises(IntegrityError, match="crc32c"):
        one.commit()
    assert not service.objects


def test_a_small_object_that_arrived_damaged_is_sent_again(service):
    one = drive(service, SMALL, SIDECAR).open().send_some()
    damaged = json.dumps({"error": {"message": "Provided CRC32C ... doesn't match", "errors": [{"reason": "invalid"}]}})
    service.rule = once("put", lambda _: (400, {}, damaged.encode()))
    with pytest.raises(ServerError, match="damaged"):
        one.commit()
    one.commit()
    assert set(proofs(one)) == {Proof.CONTENT}


def test_an_object_without_a_digest_proves_its_size(service):
    """As one with a customer's own key."""
    service.hidden = True
    assert proofs(ran(drive(service, MEDIA))) == [Proof.SIZE]


def test_a_settled_object_without_a_digest_is_read_back(service):
    service.hidden = True
    done = ran(drive(service, MEDIA))
    settled = backend(service).settle(done.upload, done.token, RunContext())
    assert settled.outcome is Outcome.PRESENT
    done.stored = settled.stored
    assert proofs(done) == [Proof.CONTENT]


def test_equal_digests_of_somebody_else_s_object_are_not_enough(service, monkeypatch):
    """A CRC is made to fit easily: whether another's content is ours is told by reading it."""
    service.make(KEY, MEDIA[::-1], {})
    monkeypatch.setattr(
        "haulier_gcs.place.digests_of", lambda _: {"crc32c": drive(service, MEDIA).all_digests()[0]["crc32c"]}
    )
    with pytest.raises(ConflictError):
        drive(service, MEDIA).run()
    assert service.objects[KEY].content == MEDIA[::-1]


# -- conditions ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("content", [MEDIA, SMALL], ids=["parts", "one request"])
def test_invariant_4_the_service_s_own_condition_keeps_what_came_first(service, content):
    one = drive(service, content, if_absent="atomic").open().send_some()
    service.make(KEY, content[::-1], {})
    with pytest.raises(ConflictError):
        one.commit()
    assert service.objects[KEY].content == content[::-1]


@pytest.mark.parametrize("content", [MEDIA, SMALL], ids=["parts", "one request"])
def test_a_service_that_ignores_conditions_is_asked_first(service, content):
    service.conditions = False
    one = drive(service, content)
    assert one.backend.abilities.if_absent is IfAbsent.CHECK_THEN_WRITE
    one.open().send_some()
    service.make(KEY, b"theirs", {})
    with pytest.raises(ConflictError):
        one.commit()
    assert service.objects[KEY].content == b"theirs"


def test_our_own_object_of_a_try_whose_answer_was_lost_is_success(service):
    """The condition refuses the second try; looking tells that it was the first."""
    first = ran(drive(service, SMALL, if_absent="atomic"))
    again = ran(drive(service, SMALL, if_absent="atomic"))
    assert again.stored == first.stored


def test_what_lies_there_already_is_not_sent(service):
    ran(drive(service, MEDIA, if_absent="atomic"))
    service.asked.clear()
    again = Drive(backend(service, if_absent="atomic"), make_upload([MEDIA], nonce="n2"), [MEDIA], part_size=PART)
    again.run()
    assert service.count()["append"] == 0
    assert proofs(again) == [Proof.CONTENT]


# -- answers ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("answer", "error"),
    [
        ((401, "authError"), AuthenticationError),
        ((401, "required"), AuthenticationError),
        ((403, "forbidden"), PermissionDeniedError),
        ((403, "insufficientPermissions"), PermissionDeniedError),
        ((403, "retentionPolicyNotMet"), PermissionDeniedError),
        ((403, "rateLimitExceeded"), ThrottledError),
        ((403, "userRateLimitExceeded"), ThrottledError),
        ((404, "notFound"), SessionLostError),
        ((408, "uploadBrokenConnection"), ServerError),
        ((409, "conflict"), ConflictError),
        ((410, "gone"), SessionLostError),
        ((412, "conditionNotMet"), ConflictError),
        ((412, "orgPolicyConstraintFailed"), PermissionDeniedError),
        ((413, "uploadTooLarge"), QuotaError),
        ((429, "rateLimitExceeded"), ThrottledError),
        ((429, "rateLimitExceeded", {"Retry-After": str(PATIENCE)}), ThrottledError),
        ((500, "internalError"), ServerError),
        ((502, "badGateway"), ServerError),
        ((503, "backendError"), ServerError),
        ((503, "backendError", {"Retry-After": str(PATIENCE)}), ThrottledError),
        ((504, "gatewayTimeout"), ServerError),
        ((301, {"Location": "http://elsewhere.example/"}, b""), ValidationError),
    ],
    ids=lambda value: f"{value[0]} {value[1]}" if isinstance(value, tuple) else None,
)
def test_each_reason_becomes_the_error_whose_consequence_fits(service, answer, error):
    one = drive(service, MEDIA).open()
    service.rule = refuse("append", *answer)
    with pytest.raises(error) as caught:
        one.send_some(1)
    assert "secret" not in f"{caught.value} {caught.value!r}"
    assert service.count()["append"] == 1
    if isinstance(caught.value, ThrottledError) and len(answer) > 2:
        assert caught.value.retry_after == PATIENCE


def test_a_bucket_that_is_not_there_is_named(service):
    service.rule = lambda _: (404, "notFound")
    with pytest.raises(ValidationError, match="recordings") as caught:
        backend(service).probe(RunContext())
    assert "Create the bucket" in caught.value.advice
    with pytest.raises(ValidationError):
        backend(service).stat(KEY, RunContext())


@pytest.mark.parametrize("body", [b"[" * 100_000, b'{"items": 3}', b'{"items": [3, {"name": 4}]}', b""])
def test_what_the_service_says_is_read_with_care(service, body):
    service.rule = lambda _: (200, {"Content-Type": "application/json"}, body)
    assert list(backend(service).list("", RunContext())) == []


def test_what_the_service_says_is_bounded(service):
    service.rule = lambda _: (200, {"Content-Type": "application/json"}, b"x" * (9 << 20))
    with pytest.raises(ServerError, match="longer than"):
        list(backend(service).list("", RunContext()))


def test_a_page_that_leads_to_itself_is_the_last(service):
    service.rule = lambda _: (200, {}, json.dumps({"items": [{"name": "a"}], "nextPageToken": "again"}).encode())
    assert len(list(backend(service).list("", RunContext()))) == 2


def test_a_refusal_s_own_words_are_shown_without_what_could_grant_rights(service):
    words = "Failed at https://host/upload?upload_id=hidden-session for user:hidden@host"
    service.rule = lambda _: (403, {}, json.dumps({"error": {"code": 403, "message": words}}).encode())
    with pytest.raises(PermissionDeniedError) as caught:
        drive(service, MEDIA).open()
    assert "hidden-session" not in str(caught.value)


# -- half of an upload -----------------------------------------------------------------------------------------


def half_done(service):
    """The media file is there, and the sidecar's request failed."""
    one = drive(service, MEDIA, SIDECAR).open().send_some()
    service.rule = refuse("put", 500, "internalError")
    with pytest.raises(ServerError):
        one.commit()
    service.rule = lambda _: None
    assert list(service.objects) == [KEY]
    service.asked.clear()
    return one


def test_a_media_file_without_its_sidecar_is_not_sent_again(service):
    """Half a commit: the session tells that it became an object."""
    one = half_done(service)
    assert one.checked.settle(one.upload, one.token).outcome is Outcome.ABSENT
    later = one.in_new_process(backend(service))
    later.finish()
    assert set(proofs(later)) == {Proof.CONTENT}
    assert len(service.objects) == 2
    assert service.count()["append"] == 0


def test_a_media_file_whose_session_is_forgotten_is_not_sent_again_either(service):
    one = half_done(service)
    service.pending.clear()
    later = one.in_new_process(backend(service))
    later.finish()
    assert set(proofs(later)) == {Proof.CONTENT}
    assert service.count()["append"] == 0


def test_an_abort_takes_the_media_file_back_that_has_no_sidecar(service):
    one = half_done(service)
    one.abort()
    assert not service.objects


def test_an_abort_that_may_not_delete_leaves_it(service):
    one = half_done(service)
    service.rule = refuse("delete", 403, "retentionPolicyNotMet")
    one.abort()
    assert list(service.objects) == [KEY]


def test_an_abort_is_carried_out_although_the_upload_was_told_to_stop(service):
    one = drive(service, MEDIA).open().send_some(1)
    one.context.stop("cancel")
    one.abort()
    assert not service.pending


# -- rights ----------------------------------------------------------------------------------------------------


def only(*operations):
    return lambda asked: None if asked.operation in operations else (403, "forbidden")


CREATE_ONLY = ("create", "append", "ask", "cancel", "put")


@pytest.mark.parametrize("contents", [(MEDIA, SIDECAR), (SMALL,)], ids=["parts", "one request"])
def test_credentials_that_may_only_create_are_enough(service, contents):
    """The service's answers to the writes themselves prove the content."""
    service.rule = only(*CREATE_ONLY)
    done = ran(drive(service, *contents))
    assert set(proofs(done)) == {Proof.CONTENT}
    assert not service.open_sessions()
    backend(service).probe(RunContext())


def test_credentials_that_may_only_create_go_on_after_a_kill(service):
    service.rule = only(*CREATE_ONLY)
    one = drive(service, MEDIA, SIDECAR).open().send_some(3)
    later = one.in_new_process(backend(service))
    later.finish()
    assert set(proofs(later)) == {Proof.CONTENT}
    small = drive(service, SMALL).open()
    assert small.in_new_process(backend(service)).stored == ()


def test_credentials_that_may_only_create_need_a_service_that_keeps_conditions(service):
    service.rule = only(*CREATE_ONLY)
    with pytest.raises(PermissionDeniedError, match="key is free"):
        drive(service, SMALL, if_absent="check_then_write").run()
    assert not service.objects


def test_credentials_that_may_only_create_cannot_tell_what_became_of_a_commit(service):
    one = drive(service, SMALL).open()
    service.rule = only(*CREATE_ONLY)
    assert one.checked.settle(one.upload, one.token).outcome is Outcome.UNKNOWN


@pytest.mark.parametrize("committed", [True, False])
def test_credentials_that_may_only_create_are_told_by_the_session(service, committed):
    """Its address is enough to ask what became of it."""
    service.rule = only(*CREATE_ONLY)
    one = drive(service, MEDIA).open().send_some()
    if committed:
        one.commit()
    settled = one.copy(backend(service)).checked.settle(one.upload, one.the_token)
    assert settled.outcome is (Outcome.PRESENT if committed else Outcome.ABSENT)
    assert settled.stored == one.stored


def test_expired_credentials_are_no_answer_to_what_became_of_a_commit(service):
    one = drive(service, SMALL).open()
    service.rule = lambda asked: (403, "forbidden") if asked.operation == "look" else (401, "authError")
    with pytest.raises(AuthenticationError):
        one.checked.settle(one.upload, one.token)


def test_credentials_that_may_not_change_objects_are_asked_once(service):
    """Our digest cannot be kept with what was streamed; that is tried once, not for every file."""
    service.rule = refuse("note", 403, "forbidden")
    made = backend(service)
    for number in range(2):
        upload = make_upload([MEDIA], item=f"{number}" * 64, keys=(f"2026/{number}.mp4",))
        done = Drive(made, upload, [MEDIA], part_size=PART)
        done.run()
        assert proofs(done) == [Proof.CONTENT]
    assert service.count()["note"] == 1


@pytest.mark.parametrize(
    ("missing", "right"),
    [
        ("list", "list"),
        ("create", "write"),
        ("ask", "resume"),
        ("cancel", "abort"),
        ("look", "read"),
        ("delete", "delete"),
    ],
)
def test_doctor_names_the_right_that_is_missing(service, missing, right):
    service.rule = refuse(missing, 403, "forbidden")
    report = backend(service).check(RunContext())
    assert [name for name, answer in report.rights.items() if answer is Answer.NO] == [right]
    assert any(remark.startswith(f"{right}: ") for remark in report.remarks)
    assert not service.objects


def test_doctor_is_content_with_credentials_that_may_only_create(service):
    service.rule = only(*CREATE_ONLY)
    report = backend(service).check(RunContext())
    assert {report.rights[name] for name in ("reach", "write", "resume", "abort")} == {Answer.YES}
    assert report.rights["list"] is Answer.NO
    assert report.rights["read"] is report.rights["delete"] is Answer.UNTESTED
    assert not service.pending


def test_doctor_leaves_nothing_in_a_bucket_that_retains(service):
    report = backend(service, retention_mode="locked", retention_days=30, temporary_hold=True).check(RunContext())
    assert Answer.NO not in report.rights.values()
    assert not service.objects
    assert not service.pending


def test_doctor_tells_that_retention_is_refused(service):
    service.rule = lambda asked: (403, "forbidden") if b"retainUntilTime" in asked.body else None
    report = backend(service, retention_mode="locked", retention_days=30).check(RunContext())
    assert report.rights["write"] is Answer.NO
    assert "setRetention" in " ".join(report.remarks)


# -- what it costs ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("contents", "requests"),
    [
        ((SMALL,), {"put": 1}),
        ((MEDIA,), {"create": 1, "append": 4, "note": 1}),
        ((MEDIA, SIDECAR), {"create": 1, "append": 4, "note": 1, "put": 1, "look": 2}),
        ((SMALL, SIDECAR), {"put": 2, "look": 2}),
    ],
    ids=["small", "large", "with sidecar", "small with sidecar"],
)
def test_what_an_upload_asks_for_is_as_the_page_says(service, contents, requests):
    drive(service, *contents, if_absent="atomic").run()
    assert service.count() == requests


def test_a_last_part_that_does_not_come_whole_is_refused(service):
    one = drive(service, SMALL).open()
    (part,) = one.missing
    half = replace(part, size=50)
    with pytest.raises(ValidationError, match="comes whole"):
        one.backend.commit(one.upload, one.the_token, one.held, {}, RunContext(), LastPart(half, one.body(half)))
