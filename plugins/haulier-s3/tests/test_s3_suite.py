"""The backend passes the conformance suite on both real servers."""

from __future__ import annotations

import pytest
from botocore.exceptions import ClientError

from haulier.testing.backend_suite import BackendSuite, BackendWorld, Faults
from haulier.testing.backend_suite.commit import CommitCases
from haulier.testing.backend_suite.continuing import ContinueCases
from haulier.testing.backend_suite.existing import ExistingCases
from haulier.testing.backend_suite.isolation import IsolationCases
from haulier.testing.backend_suite.settling import SettleCases
from haulier_s3.backend import S3Backend

ACCESS, SECRET = "an-access-key", "a-secret-key-for-tests"


class BucketWorld(BackendWorld):
    """A bucket of its own, with a relay before the server."""

    large = 16 << 20
    listing = 23
    part_size = 512

    def __init__(self, server, faults):
        self._client = server.client
        self._session, self._settings = server.session, server.settings
        self._bucket = server.bucket()
        self._faults = faults
        super().__init__(
            S3Backend,
            {
                "bucket": self._bucket,
                "prefix": "below",
                "endpoint_url": faults.url,
                "region": "us-east-1",
                "addressing_style": "path",
                "access_key_id": ACCESS,
                "secret_access_key": SECRET,
                "min_part_size": 512,
            },
            secrets=[SECRET],
        )

    def backend(self):
        """Another instance; only what takes long and is the same for all of them is shared."""
        made = super().backend()
        made.place.client._session, made.place.client._settings = self._session, self._settings
        return made

    def _keys(self):
        pages = self._client.get_paginator("list_objects_v2").paginate(Bucket=self._bucket)
        return [entry["Key"] for page in pages for entry in page.get("Contents", ())]

    def visible(self):
        return sorted(key.removeprefix("below/") for key in self._keys() if key.startswith("below/"))

    def strays(self):
        return [key for key in self._keys() if not key.startswith("below/")]

    def content(self, key):
        try:
            return self._client.get_object(Bucket=self._bucket, Key=f"below/{key}")["Body"].read()
        except ClientError:
            return None

    def put(self, key, content):
        self._client.put_object(Bucket=self._bucket, Key=f"below/{key}", Body=content)

    def remove(self, key):
        self._client.delete_object(Bucket=self._bucket, Key=f"below/{key}")

    def _uploads(self):
        return self._client.list_multipart_uploads(Bucket=self._bucket).get("Uploads", [])

    def leftovers(self):
        return [f"{each['Key']} {each['UploadId']}" for each in self._uploads()]

    def forget(self):
        for each in self._uploads():
            self._client.abort_multipart_upload(Bucket=self._bucket, Key=each["Key"], UploadId=each["UploadId"])

    @property
    def faults(self):
        return self._faults


class _Suite:
    server = ""

    @pytest.fixture
    def world(self, request):
        server = request.getfixturevalue(self.server)
        with Faults(server.url) as faults:
            yield BucketWorld(server, faults)

    # Neither server compares what arrives with a part's checksum; test_s3_refusals.py asks a scripted one.
    test_a_wrong_digest_of_a_part_is_refused = None


class _Moto(_Suite):
    server = "moto"
    # It answers 500 for an upload it does not know, and not NoSuchUpload; rclone and the scripted server do.
    test_a_session_that_was_forgotten_is_lost = None


class _Rclone(_Suite):
    server = "rclone"
    # Its keys are paths of files: it answers 500 where a folder has the name, as Amazon's service never would.
    test_a_key_that_is_another_s_folder = None


@pytest.mark.full
class TestS3OnMotoWholly(_Moto, BackendSuite):
    pass


@pytest.mark.full
class TestS3OnRcloneWholly(_Rclone, BackendSuite):
    pass


class TestS3OnMoto(_Moto, ContinueCases, IsolationCases, CommitCases, ExistingCases):
    """What depends on the server most."""


class TestS3OnRclone(_Rclone, CommitCases, SettleCases):
    """Where the two servers differ most."""
