"""Our way to botocore's signer gives what botocore gives."""

from __future__ import annotations

import datetime as dt

import botocore.auth
import pytest
from botocore.awsrequest import AWSRequest
from botocore.config import Config
from botocore.credentials import ReadOnlyCredentials
from hypothesis import given
from hypothesis import strategies as st

from haulier_s3.signing import Signer

NOW = dt.datetime(2026, 11, 23, 1, 2, 3, tzinfo=dt.UTC)
PLAIN = st.text(st.characters(min_codepoint=33, max_codepoint=126, exclude_characters=":"), min_size=1, max_size=12)
VALUES = st.text(st.characters(min_codepoint=32, max_codepoint=126), max_size=30)
NAMES = st.sampled_from(
    ["Content-MD5", "Content-Type", "If-None-Match", "User-Agent", "Expect", "Content-Length", "x-amz-checksum-sha256"]
) | PLAIN.map(lambda text: "x-amz-meta-" + "".join(filter(str.isalnum, text)))
TARGETS = st.sampled_from(
    [
        "/bucket/key",
        "/bucket/a%20b/%C3%A9.mp4",
        "/k?partNumber=7&uploadId=b%2Fa",
        "/k?uploadId=z&partNumber=1",
        "/a//b/./c",
    ]
)
SECRETS = [ReadOnlyCredentials("AKID", "secret", None), ReadOnlyCredentials("AKID", "secret", "a-token")]


def by_botocore(origin, target, fields, credentials):
    request = AWSRequest(method="PUT", url=origin + target, headers=fields)
    request.context["client_config"] = Config(s3={"payload_signing_enabled": False})
    botocore.auth.S3SigV4Auth(credentials, "s3", "eu-west-1").add_auth(request)
    return dict(request.headers.items())


@pytest.fixture(autouse=True, scope="module")
def at_one_moment():
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(botocore.auth, "get_current_datetime", lambda *_: NOW)
        yield


@given(TARGETS, st.dictionaries(NAMES, VALUES, max_size=6), st.sampled_from(SECRETS))
def test_a_request_is_signed_as_botocore_signs_it(target, given_fields, credentials):
    fields = {"Host": "s3.example", **{name: value.strip() for name, value in given_fields.items()}}
    ours = Signer("https://s3.example", "eu-west-1").signed("PUT", target, fields, credentials)
    assert ours == by_botocore("https://s3.example", target, fields, credentials)
    assert "Signature=" in ours["Authorization"]
