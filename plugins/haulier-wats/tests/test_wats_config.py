"""WATS's own config.json is a configuration as it is."""

import json
from pathlib import Path

import pytest

from haulier.config.layers import load_config
from haulier.errors import ConfigError
from haulier_wats.config import read_wats_config

READERS = {"api": read_wats_config}

DOCUMENT = {
    "database": {"type": "sqlserver", "server": "192.0.2.10", "password": "other"},
    "recording": {"enabled": True, "output_dir": "recordings", "fps": 15},
    "api": {
        "enabled": True,
        "base_url": "https://storage.example/api",
        "api_token": "env:WATS_TOKEN",
        "auto_upload": True,
        "upload_timeout": 90,
        "max_retries": 4,
        "max_concurrent_uploads": 5,
        "delete_after_upload": True,
        "upload_older_recordings": False,
        "max_file_age_days": 7,
    },
}


@pytest.fixture
def load(tmp_path):
    def call(document, **options):
        path = tmp_path / "config.json"
        path.write_text(json.dumps(document))
        return load_config(path, **{"environ": {}, "readers": READERS, **options})

    return call


def test_all_ten_keys_and_the_recordings_folder_are_taken_over(load, tmp_path):
    config = load(DOCUMENT)

    upload = config.upload
    assert (upload.enabled, upload.auto_upload, upload.backend) == (True, True, "wats")
    assert (upload.upload_timeout, upload.max_retries, upload.max_concurrent_uploads) == (90, 4, 5)
    assert (upload.delete_after_upload, upload.upload_older_recordings, upload.max_file_age_days) == (True, False, 7)
    backend = config.backends["wats"]
    assert (backend.type, dict(backend.options)) == (
        "wats",
        {"base_url": "https://storage.example/api", "api_token": "env:WATS_TOKEN"},
    )
    assert config.watch.paths == (tmp_path / "recordings",)
    assert config.warnings == ()
    assert config.origins["upload.max_retries"] == str(tmp_path / "config.json")


def test_without_keys_the_defaults_of_wats_hold(load):
    config = load({"api": {}, "recording": {"output_dir": "rec"}})

    upload = config.upload
    assert (upload.enabled, upload.auto_upload, upload.backend) == (False, False, "wats")
    assert (upload.upload_timeout, upload.max_retries, upload.max_concurrent_uploads) == (60, 3, 2)
    assert (upload.delete_after_upload, upload.upload_older_recordings, upload.max_file_age_days) == (False, True, 30)


def test_texts_stand_for_numbers_and_truth_values(load):
    config = load({"api": {"enabled": "true", "auto_upload": "0", "max_retries": "6", "upload_timeout": None}})

    assert (config.upload.enabled, config.upload.auto_upload, config.upload.max_retries) == (True, False, 6)
    assert config.upload.upload_timeout == 60


def test_a_text_that_is_no_number_is_refused_by_its_name_in_that_file_or_lenient_the_default_with_one_warning(load):
    document = {"api": {"max_retries": "three"}}

    with pytest.raises(ConfigError, match=r"config\.json: api\.max_retries: must be a whole number"):
        load(document)
    config = load(document, lenient=True)
    assert config.upload.max_retries == 3
    (warning,) = config.warnings
    assert "api.max_retries" in warning


def test_an_unknown_key_of_api_is_refused_with_the_nearest(load):
    with pytest.raises(ConfigError, match=r"api\.max_retry: unknown key 'max_retry'; did you mean 'max_retries'"):
        load({"api": {"max_retry": 1}})


def test_other_backends_stand_beside_and_can_be_chosen(load):
    document = {
        "api": {"backend": "archive", "base_url": "https://storage.example"},
        "backends": {"archive": {"type": "s3", "bucket": "b"}, "wats": {"ca_bundle": "ca.pem"}},
    }

    config = load(document)
    assert config.upload.backend == "archive"
    assert dict(config.backends["archive"].options) == {"bucket": "b"}
    assert dict(config.backends["wats"].options) == {"base_url": "https://storage.example", "ca_bundle": "ca.pem"}


def test_a_file_without_a_connection_and_with_another_backend_has_no_wats_backend(load):
    config = load({"api": {"backend": "archive"}, "backends": {"archive": {"type": "s3"}}})

    assert list(config.backends) == ["archive"]


def test_layers_above_reach_the_translated_settings(load):
    config = load(
        DOCUMENT,
        environ={"HAULIER_BACKENDS__WATS__BASE_URL": "https://other.example", "HAULIER_UPLOAD__MAX_RETRIES": "8"},
        arguments={"upload": {"max_file_age_days": 2}},
    )

    assert config.backends["wats"].options["base_url"] == "https://other.example"
    assert (config.upload.max_retries, config.upload.max_file_age_days) == (8, 2)


@pytest.mark.parametrize("api", [None, [], "on"])
def test_a_section_that_is_no_object_is_refused_or_lenient_warned_of(load, api):
    with pytest.raises(ConfigError, match=r"config\.json: api: must be an object"):
        load({"api": api})
    assert len(load({"api": api}, lenient=True).warnings) == 1


def test_an_odd_recording_section_watches_nothing_and_says_so(load):
    config = load({"api": {}, "recording": []})

    assert config.watch.paths == ()
    assert "recording" in config.warnings[0]


def test_a_wrong_output_dir_or_backends_section_is_refused(load):
    with pytest.raises(ConfigError, match=r"watch\.paths: must be"):
        load({"api": {}, "recording": {"output_dir": 5}})
    with pytest.raises(ConfigError, match="backends: must be a table"):
        load({"api": {}, "backends": []})


def test_an_absolute_folder_stays(load):
    assert load({"api": {}, "recording": {"output_dir": "/srv/rec"}}).watch.paths == (Path("/srv/rec"),)


def test_a_file_of_our_own_shape_is_not_translated_and_readers_are_not_even_provided(load):
    def readers():
        raise AssertionError

    config = load({"upload": {"max_retries": 9}}, readers=readers)

    assert config.upload.max_retries == 9
    assert load(DOCUMENT, readers=lambda: READERS).upload.backend == "wats"


def test_without_the_reader_the_file_is_refused(load):
    with pytest.raises(ConfigError, match="unknown table"):
        load(DOCUMENT, readers={})
