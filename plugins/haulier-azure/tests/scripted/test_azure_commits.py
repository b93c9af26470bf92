"""Commits that meet something: other blocks, other objects, half of themselves; and what a check finds."""

from __future__ import annotations

import pytest

from haulier.backends.api import Answer, Outcome
from haulier.errors import (
    ConflictError,
    IntegrityError,
    OffsetError,
    ServerError,
    SessionLostError,
    ValidationError,
)
from haulier.models import Proof
from haulier.testing.backend_suite.drive import Drive, make_upload, pattern
from haulier.testing.backend_suite.world import build_backend
from haulier.transfer.context import RunContext
from haulier.transfer.proof import prove
from haulier_azure.backend import AzureBackend
from haulier_azure.checksums import CRC64

UNIT = 512
MEDIA = pattern(3 * UNIT + 5)
SMALL = pattern(100)
SIDECAR = b'{"session": "clip"}'
KEY = "2026/11/clip.mp4"


def backend(service, **options):
    table = {
        "container": "sessions",
        "account_url": f"{service.origin}/recordings",
        "credential": "YS1rZXktZm9yLXRlc3Rz",
        "min_part_size": UNIT,
        **options,
    }
    return build_backend(AzureBackend, table)


def drive(service, *contents, nonce="n1", item="a" * 64, **options):
    upload = make_upload(contents, nonce=nonce, item=item)
    return Drive(backend(service, **options), upload, list(contents), part_size=UNIT)


def ran(one):
    """The same drive, at its end."""
    one.run()
    return one


def refuse(operation, *answer):
    return lambda asked: answer if asked.operation == operation else None


def proofs(done):
    return [entry.proof for entry in prove(done.upload.artifacts, done.stored, done.all_digests(), done.upload.item_id)]


# -- digests -----------------------------------------------------------------------------------------------------------


def test_the_crc64_is_written_as_the_service_writes_it():
    """The catalogue of parametrised CRC algorithms gives AE8B14860A799888 for the nine digits; lowest byte first here."""
    assert CRC64.header("ae8b14860a799888") == {"x-ms-content-crc64": "iJh5CoYUi64="}
    assert CRC64.told({"content_crc64": bytearray.fromhex("8898790a86148bae")}) == "ae8b14860a799888"


def test_an_object_with_another_sha256_than_was_written_is_refused(service):
    one = drive(service, MEDIA).open().send_some()
    other = {"Content-Length": str(len(MEDIA)), "x-ms-meta-haulier_sha256": "0" * 64}
    service.rule = refuse("look", 200, other, b"")
    with pytest.raises(IntegrityError, match="SHA-256"):
        one.commit()


def test_an_md5_that_others_gave_an_object_is_not_called_the_service_s(service):
    done = ran(drive(service, SMALL))
    assert set(done.backend.stat(KEY, RunContext()).digests) == {"md5"}
    service.blobs[KEY].headers = {}
    assert done.backend.stat(KEY, RunContext()).digests == {}


# -- blocks ------------------------------------------------------------------------------------------------------------


def test_invariant_4_a_part_that_lies_there_twice_with_different_bytes_is_sent_again(service):
    one = drive(service, MEDIA).open().send_some(2)
    other = one.copy(one.backend)
    other.contents[0] = MEDIA[::-1]
    other.send(one.sent[0])
    later = one.in_new_process(backend(service))
    assert [part.number for part in later.missing] == [1, 3, 4]
    later.finish()
    assert service.blobs[KEY].content == MEDIA


def test_blocks_that_expired_are_sent_again(service):
    """They were acknowledged and journalled; a week later the service has dropped them."""
    one = drive(service, MEDIA).open().send_some()
    service.blocks.clear()
    one.finish()
    assert service.blobs[KEY].content == MEDIA
    sent = service.operations().count("block")
    assert sent == 3 + 1 + 3, "the last one came with the commit that found the others gone"


def test_missing_blocks_send_back_to_where_the_service_stands(service):
    one = drive(service, MEDIA).open().send_some()
    service.rule = refuse("commit", 400, "InvalidBlockList")
    with pytest.raises(OffsetError):
        one.commit()


@pytest.mark.parametrize("code", ["InvalidBlobOrBlock", "InvalidBlockId"])
def test_blocks_of_another_program_with_ids_of_another_length_are_told(service, code):
    service.rule = refuse("block", 400, code)
    with pytest.raises(ValidationError) as caught:
        drive(service, MEDIA).open().send_some()
    assert "expire" in caught.value.advice


# -- what came in between ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("content", [SMALL, MEDIA], ids=["put", "blocks"])
def test_invariant_4_the_service_s_own_condition_keeps_what_came_first(service, content):
    one = drive(service, content).open().send_some()
    ran(drive(service, content[::-1], item="b" * 64, prefix="theirs"))
    service.blobs[KEY] = service.blobs.pop(f"theirs/{KEY}")
    with pytest.raises(ConflictError):
        one.commit()
    assert service.blobs[KEY].content == content[::-1]


@pytest.mark.parametrize(
    "answer", [(409, "BlobAlreadyExists"), (412, "ConditionNotMet"), (403, "UnauthorizedBlobOverwrite")]
)
@pytest.mark.parametrize(("content", "operation"), [(SMALL, "put"), (MEDIA, "commit")], ids=["put", "blocks"])
def test_invariant_4_equal_content_that_came_in_between_is_success_and_other_content_is_not(
    service, content, operation, answer
):
    one = drive(service, content).open().send_some()
    ran(drive(service, content, item="b" * 64))
    service.rule = refuse(operation, *answer)
    one.commit()
    assert proofs(one) == [Proof.CONTENT]
    assert one.stored[0].item_id == "", "it is somebody else's"
    service.blobs[KEY].content = content[::-1]
    with pytest.raises(ConflictError):
        one.commit()


def test_an_archived_object_of_ours_is_found_and_proves_its_size(service):
    """It cannot be read back before it was brought back from the archive."""
    done = ran(drive(service, MEDIA, tier="archive"))
    assert proofs(done) == [Proof.CONTENT]
    service.rule = refuse("read", 409, "BlobArchived")
    done.stored = done.checked.settle(done.upload, done.token).stored
    assert proofs(done) == [Proof.SIZE]


# -- half of an upload -------------------------------------------------------------------------------------------------


def half_done(service):
    """The media file is committed, and the sidecar's request failed."""
    one = drive(service, MEDIA, SIDECAR).open().send_some()
    service.rule = refuse("put", 500, "InternalError")
    with pytest.raises(ServerError):
        one.commit()
    service.rule = lambda _: None
    assert list(service.blobs) == [KEY]
    service.asked.clear()
    return one


def test_a_media_file_without_its_sidecar_is_not_sent_again(service):
    """Half a commit: the session is lost, and a new one finds what is there."""
    one = half_done(service)
    assert one.checked.settle(one.upload, one.token).outcome is Outcome.ABSENT
    with pytest.raises(SessionLostError):
        one.in_new_process(backend(service))
    again = ran(drive(service, MEDIA, SIDECAR, nonce="n2"))
    assert set(proofs(again)) == {Proof.CONTENT}
    assert len(service.blobs) == 2
    assert "block" not in service.operations()


def test_an_abort_takes_the_media_file_back_that_has_no_sidecar(service):
    half_done(service).abort()
    assert not service.blobs


def test_an_abort_leaves_a_media_file_that_may_not_be_removed(service):
    one = half_done(service)
    service.rule = refuse("delete", 409, "BlobImmutableDueToPolicy")
    one.abort()
    assert list(service.blobs) == [KEY]


# -- looking -----------------------------------------------------------------------------------------------------------


def test_listing_goes_from_page_to_page(service):
    pages = {"": (["in/a", "in/b"], "second"), "second": (["in/c"], "")}

    def rule(asked):
        if asked.operation != "list":
            return None
        names, marker = pages[asked.query.get("marker", "")]
        told = "".join(
            f"<Blob><Name>{name}</Name><Properties><Content-Length>7</Content-Length><BlobType>BlockBlob</BlobType></Properties></Blob>"
            for name in names
        )
        body = f"<EnumerationResults><Blobs>{told}</Blobs><NextMarker>{marker}</NextMarker></EnumerationResults>"
        return 200, {"Content-Type": "application/xml"}, body.encode()

    service.rule = rule
    listed = list(backend(service, prefix="in").list("", RunContext()))
    assert [(each.key, each.size) for each in listed] == [("a", 7), ("b", 7), ("c", 7)]


@pytest.mark.parametrize(
    ("missing", "right"),
    [("list", "list"), ("block", "write"), ("blocks", "resume"), ("look", "read"), ("delete", "delete")],
)
def test_a_check_names_the_right_that_is_missing(service, missing, right):
    service.rule = refuse(missing, 403, "AuthorizationPermissionMismatch")
    report = backend(service).check(RunContext())
    assert [name for name, answer in report.rights.items() if answer is Answer.NO] == [right]
    assert any(remark.startswith(f"{right}: ") for remark in report.remarks)
    assert not service.blobs


def test_a_check_makes_no_object_where_what_is_kept_cannot_be_removed(service):
    made = backend(service, immutability_mode="locked", immutability_days=30)
    for _ in range(2):
        report = made.check(RunContext())
    assert report.rights["write"] is Answer.YES
    assert any(remark.startswith("immutability: not tried") for remark in report.remarks)
    assert not service.blobs
    assert len(service.blocks["haulier-check"]) == 1, "one block, however often it is tried"
