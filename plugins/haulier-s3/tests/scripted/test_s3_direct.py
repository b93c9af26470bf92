"""Bodies go out without boto3's machinery, and nothing of what that gave is lost."""

from __future__ import annotations

import re

import pytest

from haulier.testing.backend_suite.drive import Drive, make_upload, pattern
from haulier.testing.backend_suite.world import build_backend
from haulier_s3.backend import S3Backend

PART = 512
SMALL, MEDIA = pattern(100), pattern(2 * PART + 5)
KEY = "2026/11/clip.mp4"
OF_ONE_REQUEST = {"authorization", "x-amz-date", "user-agent", "accept-encoding", "expect", "connection"}
ASKED_FOR = {
    "storage_class": "STANDARD_IA",
    "sse": "aws:kms",
    "kms_key_id": "a-key",
    "object_lock_mode": "governance",
    "object_lock_until": "2031-01-01",
    "object_lock_legal_hold": True,
}


def drive(service, content, **options):
    table = {
        "bucket": "recordings",
        "endpoint_url": service.url,
        "addressing_style": "path",
        "access_key_id": "a-key-for-tests",
        "secret_access_key": "a-secret-key-for-tests",
        "min_part_size": PART,
        **options,
    }
    backend = build_backend(S3Backend, table)
    return Drive(backend, make_upload([content]), [content], part_size=PART)


def bodies(service):
    """Header fields of the requests that carry bodies, without those that differ each time."""
    carrying = [each for each in service.asked if each.operation in {"put", "part"}]
    return [
        (each.operation, each.body, {name: text for name, text in each.headers.items() if _stays(name)})
        for each in carrying
    ]


def _stays(name):
    return name not in OF_ONE_REQUEST and not name.startswith("amz-sdk-")


@pytest.mark.parametrize("options", [{}, ASKED_FOR], ids=["plain", "with all that can be asked for"])
@pytest.mark.parametrize("checksum", ["auto", "crc32c", "sha256", "md5"])
@pytest.mark.parametrize("content", [SMALL, MEDIA], ids=["put", "parts"])
def test_a_body_goes_with_the_same_fields_as_boto3_sends(service, content, checksum, options, monkeypatch):
    drive(service, content, checksum=checksum, **options).run()
    ours = bodies(service)
    assert all(each.headers["user-agent"].startswith("haulier ") for each in service.asked if each.operation == "put")
    service.asked.clear()
    service.objects.clear()
    by_boto3 = drive(service, content, checksum=checksum, **options)
    monkeypatch.setattr(by_boto3.backend.place.client, "_is_direct", False)
    by_boto3.run()
    assert sorted(ours, key=str) == sorted(bodies(service), key=str)


def test_a_bucket_in_another_region_is_found_there(service):
    def elsewhere(asked):
        if asked.operation == "put" and "/eu-west-1/s3/" not in asked.headers["authorization"]:
            return 301, "PermanentRedirect", {"x-amz-bucket-region": "eu-west-1"}
        return None

    service.rule = elsewhere
    drive(service, SMALL, region="us-east-1").run()
    assert service.objects[KEY].content == SMALL
    regions = [re.search(r"/([a-z0-9-]+)/s3/", each.headers["authorization"])[1] for each in service.asked]
    assert regions[-1] == "eu-west-1"
