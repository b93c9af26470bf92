"""Storage class, encryption, object lock and the commands, on a real server."""

from __future__ import annotations

import datetime as dt
import json

import pytest

from haulier.backends.api import Answer
from haulier.cli import main
from haulier.testing.backend_suite.drive import Drive, make_upload, pattern
from haulier.testing.backend_suite.world import build_backend
from haulier.transfer.context import RunContext
from haulier_s3.backend import S3Backend

ACCESS, SECRET = "an-access-key", "a-secret-key-for-tests"
PART = 512
MEDIA, SIDECAR = pattern(3 * PART + 7), b'{"host": "server"}'
KEYS = ("2026/11/clip.mp4", "2026/11/clip.json")


def table(url, bucket, **options):
    return {
        "bucket": bucket,
        "endpoint_url": url,
        "addressing_style": "path",
        "access_key_id": ACCESS,
        "secret_access_key": SECRET,
        "min_part_size": PART,
        **options,
    }


def drive(backend):
    return Drive(backend, make_upload([MEDIA, SIDECAR]), [MEDIA, SIDECAR], part_size=PART)


def heads(server, bucket):
    return [server.client.head_object(Bucket=bucket, Key=key) for key in KEYS]


def test_storage_class_and_encryption_are_those_that_were_asked_for(moto):
    bucket = moto.bucket()
    options = {"storage_class": "STANDARD_IA", "sse": "aws:kms", "kms_key_id": "alias/archive"}
    drive(build_backend(S3Backend, table(moto.url, bucket, **options))).run()
    for head in heads(moto, bucket):
        assert head["StorageClass"] == "STANDARD_IA"
        assert head["ServerSideEncryption"] == "aws:kms"
        assert head["SSEKMSKeyId"] == "alias/archive"


def test_objects_are_locked_as_was_asked_for(moto):
    """In one request: this server ignores a lock that a multipart upload begins with; the scripted one tells."""
    bucket = moto.bucket(ObjectLockEnabledForBucket=True)
    options = {"object_lock_mode": "governance", "object_lock_days": 30, "object_lock_legal_hold": True}
    made = build_backend(S3Backend, table(moto.url, bucket, **options))
    Drive(made, make_upload([SIDECAR]), [SIDECAR], part_size=PART).run()
    soon = dt.datetime.now(dt.UTC) + dt.timedelta(days=30)
    head = moto.client.head_object(Bucket=bucket, Key=KEYS[0])
    assert head["ObjectLockMode"] == "GOVERNANCE"
    assert head["ObjectLockLegalHoldStatus"] == "ON"
    assert abs(head["ObjectLockRetainUntilDate"] - soon) < dt.timedelta(minutes=5)
    assert head["VersionId"]


def test_doctor_tries_a_locked_bucket_and_leaves_nothing_in_it(moto):
    bucket = moto.bucket(ObjectLockEnabledForBucket=True)
    options = {"object_lock_mode": "compliance", "object_lock_until": "2099-12-31"}
    report = build_backend(S3Backend, table(moto.url, bucket, **options)).check(RunContext())
    assert Answer.NO not in report.rights.values(), report.remarks
    assert report.rights["lock"] is Answer.YES
    versions = moto.client.list_object_versions(Bucket=bucket)
    assert "Versions" not in versions
    assert "DeleteMarkers" not in versions
    assert "Uploads" not in moto.client.list_multipart_uploads(Bucket=bucket)


def test_the_receipt_names_the_version(moto):
    bucket = moto.bucket()
    moto.client.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Enabled"})
    one = drive(build_backend(S3Backend, table(moto.url, bucket)))
    one.run()
    assert [entry.version for entry in one.stored] == [head["VersionId"] for head in heads(moto, bucket)]


@pytest.fixture
def haulier(moto, tmp_path, capsys, monkeypatch):
    """The command line on a bucket with two unfinished uploads, one of them of a task in the journal."""
    bucket = moto.bucket()
    monkeypatch.setenv("TEST_SECRET", SECRET)
    options = table(moto.url, bucket, secret_access_key="env:TEST_SECRET")
    document = {
        "upload": {"backend": "archive", "state_dir": str(tmp_path / "state")},
        "backends": {"archive": {"type": "s3", **options}},
    }
    (tmp_path / "haulier.json").write_text(json.dumps(document))
    moto.client.create_multipart_upload(Bucket=bucket, Key="left/behind.mp4")

    def run(*words):
        with pytest.raises(SystemExit) as ended:
            main([*words, "--config", str(tmp_path / "haulier.json"), "--json"])
        assert not ended.value.code, capsys.readouterr().err
        return json.loads(capsys.readouterr().out)

    run.pending = lambda: moto.client.list_multipart_uploads(Bucket=bucket).get("Uploads", [])
    return run


def test_cleanup_lists_first_and_drops_when_told(haulier):
    # This server says of every upload that it began in 2010.
    assert haulier("s3", "cleanup", "--older-than", "9999d")["uploads"] == []
    listed = haulier("s3", "cleanup", "--older-than", "0s")
    assert [each["key"] for each in listed["uploads"]] == ["left/behind.mp4"]
    assert listed["dropped"] == 0
    assert len(haulier.pending()) == 1
    assert haulier("s3", "cleanup", "--older-than", "0s", "--yes")["dropped"] == 1
    assert haulier.pending() == []


def test_presign_prints_an_address(haulier):
    told = haulier("s3", "presign", "left/behind.mp4", "--expires", "15m")
    assert "X-Amz-Expires=900" in told["url"]
    assert SECRET not in json.dumps(told)
