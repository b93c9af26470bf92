"""What a table may say, and what becomes of it."""

from __future__ import annotations

from pathlib import Path

import pytest

from haulier.backends.api import CommitMode, IfAbsent, PartsMode, ResumeMode
from haulier.config.models import BackendConfig
from haulier.config.options import build_options
from haulier.errors import ConfigError
from haulier.testing.backend_suite.world import build_backend
from haulier_gcs.backend import GcsBackend

UNIT = 256 * 1024


def made(**options):
    return build_backend(GcsBackend, {"bucket": "recordings", **options})


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"bucket": ""}, "bucket is empty"),
        ({"bucket": "gs://recordings"}, "give it alone, without gs://"),
        ({"bucket": "recordings/in"}, "without a folder"),
        ({"if_absent": "never"}, "if_absent must be one of 'auto', 'atomic', 'check_then_write'"),
        ({"retention_mode": "compliance"}, "retention_mode must be one of 'unlocked', 'locked'"),
        ({"retention_mode": "locked"}, "goes together with retention_days or retention_until"),
        ({"retention_days": 3}, "goes together with"),
        ({"retention_mode": "locked", "retention_until": "soon"}, "retention_until must be a day such as"),
        ({"retention_mode": "locked", "retention_until": "2031-01-01", "retention_days": 1}, "exclude each other"),
        ({"kms_key_name": "my-key"}, "projects/P/locations/L/keyRings/R/cryptoKeys/K"),
        ({"anonymous": True, "credentials_file": "key.json"}, "exclude each other"),
        ({"endpoint_url": "gcs.example"}, "endpoint_url is no http"),
        ({"endpoint_url": "https://user:hidden@gcs.example"}, "endpoint_url holds credentials"),
        ({"proxy": "http://user:hidden@proxy:3128"}, "belong into proxy_credentials"),
        ({"prefix": "../elsewhere"}, "prefix must be relative"),
        ({"prefix": "/absolute"}, "prefix must be relative"),
        ({"min_part_size": 0}, "min_part_size"),
        ({"min_part_size": "300KiB"}, "multiple of 256KiB"),
        ({"metadata": {"haulier-item": "x"}}, "Haulier's own"),
        ({"metadata": {"site": "a\nb"}}, "control characters"),
        ({"metadata": {"site": 3}}, "must be"),
        ({"buckets": "x"}, "did you mean 'bucket'?"),
    ],
)
def test_a_wrong_option_is_refused_with_what_is_allowed(options, message):
    config = BackendConfig("archive", "gcs", {"bucket": "recordings", **options})
    with pytest.raises(ConfigError) as caught:
        build_options(GcsBackend, config, environ={}, base_dir=Path())
    assert message in str(caught.value) + caught.value.advice
    assert "hidden" not in str(caught.value)


def test_a_credentials_file_is_looked_for_beside_the_configuration(tmp_path):
    config = BackendConfig("archive", "gcs", {"bucket": "recordings", "credentials_file": "key.json"})
    options, warnings = build_options(GcsBackend, config, environ={}, base_dir=tmp_path)
    assert options.credentials_file == tmp_path / "key.json"
    assert warnings == ()


def test_plain_http_to_another_host_is_warned_of():
    config = BackendConfig("archive", "gcs", {"bucket": "recordings", "endpoint_url": "http://gcs.example"})
    _, (warning,) = build_options(GcsBackend, config, environ={}, base_dir=Path())
    assert "not encrypted" in warning


def test_google_s_own_service_is_trusted_to_keep_conditions_and_others_are_not():
    assert made().abilities.if_absent is IfAbsent.ATOMIC
    assert made(endpoint_url="https://gcs.example").abilities.if_absent is IfAbsent.CHECK_THEN_WRITE
    assert made(endpoint_url="https://gcs.example", if_absent="atomic").abilities.if_absent is IfAbsent.ATOMIC
    assert made(if_absent="check_then_write").abilities.if_absent is IfAbsent.CHECK_THEN_WRITE


def test_the_last_part_of_the_media_file_commits():
    told = made().abilities
    assert (told.parts, told.resume, told.commit) == (PartsMode.SEQUENTIAL, ResumeMode.OFFSET, CommitMode.LAST_PART)
    assert told.sidecar_first
    assert not told.rewinds
    assert told.whole_digests == {"crc32c"}


@pytest.mark.parametrize("unit", [UNIT, 8 * UNIT, 3 * UNIT])
def test_parts_are_multiples_of_what_the_service_persists(unit):
    limits = made(min_part_size=unit).limits
    assert limits.min_part == limits.multiple_of == unit
    assert limits.max_part % unit == 0
    assert limits.max_object == 5 * 2**40


@pytest.mark.parametrize(
    ("options", "location"),
    [
        ({}, "gs://recordings/a/b.mp4"),
        ({"prefix": "in"}, "gs://recordings/in/a/b.mp4"),
        ({"endpoint_url": "https://gcs.example/"}, "https://gcs.example/recordings/a/b.mp4"),
    ],
)
def test_locations_say_where_an_object_lies(options, location):
    assert made(**options)._place.location("a/b.mp4") == location
