"""What a table may say, and what becomes of it."""

from __future__ import annotations

from pathlib import Path

import pytest

from haulier.backends.api import IfAbsent
from haulier.config.models import BackendConfig
from haulier.config.options import build_options
from haulier.errors import ConfigError
from haulier.testing.backend_suite.world import build_backend
from haulier_s3.backend import S3Backend
from haulier_s3.options import LEAST_PART


def made(**options):
    return build_backend(S3Backend, {"bucket": "recordings", **options})


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"bucket": ""}, "bucket is empty"),
        ({"checksum": "crc16"}, "checksum must be one of 'auto', 'crc64nvme', 'crc32c', 'sha256', 'md5'"),
        ({"if_absent": "never"}, "if_absent must be one of"),
        ({"addressing_style": "dns"}, "addressing_style must be one of"),
        ({"sse": "AES512"}, "sse must be one of"),
        ({"kms_key_id": "key"}, "kms_key_id needs sse"),
        ({"access_key_id": "key"}, "go together"),
        ({"session_token": "token"}, "session_token goes with"),
        ({"access_key_id": "key", "secret_access_key": "secret", "profile": "work"}, "exclude each other"),
        ({"endpoint_url": "s3.example"}, "endpoint_url is no http"),
        ({"endpoint_url": "https://user:hidden@s3.example"}, "endpoint_url holds credentials"),
        ({"proxy": "http://user:hidden@proxy:3128"}, "belong into proxy_credentials"),
        ({"object_lock_mode": "governance"}, "goes together with"),
        ({"object_lock_days": 3}, "goes together with"),
        ({"object_lock_mode": "compliance", "object_lock_until": "soon"}, "object_lock_until must be a day"),
        ({"object_lock_mode": "compliance", "object_lock_until": "2031-01-01", "object_lock_days": 1}, "exclude each"),
        ({"prefix": "../elsewhere"}, "prefix must be relative"),
        ({"min_part_size": 0}, "min_part_size"),
        ({"buckets": "x"}, "did you mean 'bucket'?"),
    ],
)
def test_a_wrong_option_is_refused_with_what_is_allowed(options, message):
    config = BackendConfig("archive", "s3", {"bucket": "recordings", **options})
    with pytest.raises(ConfigError) as caught:
        build_options(S3Backend, config, environ={}, base_dir=Path())
    assert message in str(caught.value) + caught.value.advice
    assert "hidden" not in str(caught.value)


def test_amazon_s_own_service_is_trusted_to_keep_conditions_and_others_are_not():
    assert made().abilities.if_absent is IfAbsent.ATOMIC
    assert made(endpoint_url="https://s3.example").abilities.if_absent is IfAbsent.CHECK_THEN_WRITE
    assert made(endpoint_url="https://s3.example", if_absent="atomic").abilities.if_absent is IfAbsent.ATOMIC
    assert made(if_absent="check_then_write").abilities.if_absent is IfAbsent.CHECK_THEN_WRITE


def test_digests_are_asked_for_as_the_service_needs_them():
    assert made().abilities.part_digests == {"crc64nvme", "sha256"}
    assert made(checksum="md5").abilities.whole_digests == {"md5"}
    assert made(checksum="sha256").abilities.part_digests == {"sha256"}
    assert "md5" in made(endpoint_url="https://s3.example").abilities.part_digests


def test_parts_are_as_large_as_the_service_wants_them():
    limits = made().limits
    assert (limits.min_part, limits.max_part, limits.max_parts) == (LEAST_PART, 5 * 2**30, 10_000)


@pytest.mark.parametrize(
    ("options", "location"),
    [
        ({}, "s3://recordings/a/b.mp4"),
        ({"prefix": "in"}, "s3://recordings/in/a/b.mp4"),
        ({"endpoint_url": "https://s3.example/"}, "https://s3.example/recordings/a/b.mp4"),
    ],
)
def test_locations_say_where_an_object_lies(options, location):
    assert made(**options).place.location("a/b.mp4") == location
