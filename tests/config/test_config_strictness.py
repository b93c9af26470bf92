"""What is said about wrong settings: refused when strict, a warning and the default when lenient."""

import contextlib
import json
import subprocess
import sys
from unittest import mock

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from haulier.config.layers import load_config
from haulier.config.models import UploadConfig
from haulier.config.settings import SECTIONS, settings_of
from haulier.errors import ConfigError, UnknownBackendError


def load(document, tmp_path, **options):
    return load_config(document, **{"environ": {}, "cwd": tmp_path, **options})


WRONG = [
    ("upload", "enabled", "true", "true or false"),
    ("upload", "enabled", 1, "true or false"),
    ("upload", "max_retries", "5", "a whole number from 0 to 1000"),
    ("upload", "max_retries", -1, "a whole number from 0 to 1000"),
    ("upload", "max_retries", 2.5, "a whole number from 0 to 1000"),
    ("upload", "max_retries", True, "a whole number from 0 to 1000"),
    ("upload", "max_concurrent_uploads", 0, "a whole number from 1 to 64"),
    ("upload", "max_file_age_days", 0, "a whole number from 1 to 36500"),
    ("upload", "upload_timeout", 0, "a number from 0.1 to 86400"),
    ("upload", "upload_timeout", float("nan"), "a number from 0.1 to 86400"),
    ("upload", "commit_timeout", "soon", "a number from 0.1 to 86400"),
    ("upload", "sidecar_grace", -1, "a number from 0 to"),
    ("upload", "delete_proof", "sise", '"acknowledged", "size", "content"'),
    ("upload", "memory_budget", "3 parsecs", 'a text such as "64MiB"'),
    ("upload", "part_size", 5, "from 1024"),
    ("upload", "part_size", [], "from 1024"),
    ("upload", "state_dir", "", "a path"),
    ("upload", "backend", 3, "a text"),
    ("upload", "key_template", "{name", "a template such as"),
    ("upload", "key_template", "constant", "a template such as"),
    ("watch", "paths", "D:/rec", "a list, each entry a path"),
    ("watch", "paths", [1], "a list, each entry a path"),
    ("watch", "paths", [""], "a list, each entry a path"),
    ("watch", "settle_seconds", -1, "a number from 0 to"),
    ("watch", "interval_seconds", 0, "a number from 0.1 to"),
    ("plugins", "strict", "no", "true or false"),
    ("plugins", "deny", [{}], "a list, each entry a text"),
]


@pytest.mark.parametrize(("section", "key", "value", "allowed"), WRONG)
def test_strict_names_file_key_and_what_is_allowed(tmp_path, section, key, value, allowed):
    file = tmp_path / "haulier.json"
    file.write_text(json.dumps({"upload": {}, section: {key: value}}))

    with pytest.raises(ConfigError) as caught:
        load(file, tmp_path)

    assert caught.value.where == f"{file}: {section}.{key}"
    assert caught.value.what.startswith("must be ")
    assert allowed in caught.value.what


@pytest.mark.parametrize(
    ("section", "key", "value"),
    [
        (section, key, value)
        for section, key, value, _ in WRONG
        if value not in ("true", "5", "no", "D:/rec") and value != 1
    ],
)
def test_lenient_gives_the_default_and_one_warning(tmp_path, section, key, value):
    config = load({section: {key: value}}, tmp_path, lenient=True)

    default = settings_of(SECTIONS[section])[key].make_default()
    assert getattr(getattr(config, section), key) == default
    (warning,) = config.warnings
    assert f"{section}.{key}" in warning
    assert "default" in warning
    assert config.origins[f"{section}.{key}"] == "default"


def test_lenient_takes_texts_for_numbers_and_truth_values_in_silence(tmp_path):
    document = {
        "enabled": "false",
        "auto_upload": "1",
        "delete_after_upload": 1,
        "max_retries": "7",
        "upload_timeout": "90",
    }

    config = load({"upload": document}, tmp_path, lenient=True)

    upload = config.upload
    assert (upload.enabled, upload.auto_upload, upload.delete_after_upload) == (False, True, True)
    assert (upload.max_retries, upload.upload_timeout, config.warnings) == (7, 90, ())


def test_lenient_text_that_is_no_number_gives_the_default_with_one_warning(tmp_path):
    config = load({"upload": {"max_retries": "three", "upload_timeout": "90"}}, tmp_path, lenient=True)

    assert (config.upload.max_retries, config.upload.upload_timeout) == (3, 90)
    (warning,) = config.warnings
    assert "upload.max_retries" in warning
    assert "'three'" in warning


def test_lenient_counts_only_values_of_the_right_type(tmp_path):
    document = {name: mock.MagicMock() for name in settings_of(UploadConfig)}

    config = load({"upload": document}, tmp_path, lenient=True)

    assert config.upload == UploadConfig()
    assert len(config.warnings) == len(document)


@pytest.mark.parametrize(
    ("document", "key", "nearest"),
    [
        ({"upload": {"max_retrys": 1}}, "max_retrys", "max_retries"),
        ({"upload": {"Delete_After_Uploads": 1}}, "Delete_After_Uploads", "delete_after_upload"),
        ({"watch": {"path": ["x"]}}, "path", "paths"),
        ({"plugins": {"file": []}}, "file", "files"),
        ({"uploads": {"enabled": True}}, "uploads", "upload"),
        ({"backend": {"s3": {}}}, "backend", "backends"),
    ],
)
def test_an_unknown_key_is_refused_with_the_nearest_and_all_allowed_ones(tmp_path, document, key, nearest):
    with pytest.raises(ConfigError) as caught:
        load(document, tmp_path)

    assert repr(key) in caught.value.what
    assert f"did you mean {nearest!r}?" in caught.value.what
    assert nearest in caught.value.advice

    config = load(document, tmp_path, lenient=True)
    (warning,) = config.warnings
    assert repr(key) in warning


def test_an_unknown_key_like_no_other_still_lists_what_is_allowed(tmp_path):
    with pytest.raises(ConfigError) as caught:
        load({"watch": {"zzz": 1}}, tmp_path)

    assert "did you mean" not in str(caught.value)
    assert "interval_seconds, paths, settle_seconds" in str(caught.value)


def test_an_error_from_the_environment_names_the_variable(tmp_path):
    with pytest.raises(ConfigError, match=r"environment HAULIER_UPLOAD__MAX_RETRIES: upload\.max_retries: must be"):
        load(None, tmp_path, environ={"HAULIER_UPLOAD__MAX_RETRIES": "many"}, user_folder=tmp_path)
    with pytest.raises(ConfigError, match=r"HAULIER_UPLOAD__RETRIES.*did you mean 'max_retries'"):
        load(None, tmp_path, environ={"HAULIER_UPLOAD__RETRIES": "1"}, user_folder=tmp_path)


@pytest.mark.parametrize(
    "document", [{"upload": 5}, {"backends": []}, {"backends": {"a": "s3"}}, {"watch": {"paths": {"x": 1}}}]
)
def test_a_table_must_be_a_table_and_a_value_none(tmp_path, document):
    with pytest.raises(ConfigError, match="must be"):
        load(document, tmp_path)

    assert len(load(document, tmp_path, lenient=True).warnings) == 1


@pytest.mark.parametrize("name", ["", "a b", "a/b", "ümläut!"])
def test_a_backend_name_is_letters_digits_and_few_signs(tmp_path, name):
    with pytest.raises(ConfigError, match="is no name for a backend"):
        load({"backends": {name: {"type": "memory"}}}, tmp_path)


def test_a_backend_type_is_a_name(tmp_path):
    with pytest.raises(ConfigError, match="must be the name of a backend type"):
        load({"backends": {"a": {"type": 3}}}, tmp_path)


def test_a_backend_that_is_not_configured_is_refused_with_the_nearest(tmp_path):
    document = {"upload": {"backend": "archiv"}, "backends": {"archive": {}, "other": {}}}

    with pytest.raises(UnknownBackendError, match="did you mean 'archive'") as caught:
        load(document, tmp_path)

    assert "archive, other" in caught.value.advice
    config = load(document, tmp_path, lenient=True)
    assert config.upload.backend == ""
    assert len(config.warnings) == 1


def test_a_backend_without_any_table_says_which_table_to_add(tmp_path):
    with pytest.raises(UnknownBackendError, match=r"\[backends\.s3\]"):
        load({"upload": {"backend": "s3"}}, tmp_path)


calm = settings(deadline=None, database=None, suppress_health_check=[HealthCheck.too_slow])

ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)
SOME_KEYS = st.sampled_from(["upload", "watch", "plugins", "backends", "x"])


@calm
@given(
    st.dictionaries(
        SOME_KEYS,
        st.dictionaries(st.sampled_from(sorted(settings_of(UploadConfig))) | st.text(max_size=3), ANYTHING) | ANYTHING,
    )
)
def test_whatever_the_document_lenient_loads_and_strict_loads_or_refuses(tmp_path_factory, document):
    folder = tmp_path_factory.getbasetemp()

    assert load(document, folder, lenient=True).upload.max_concurrent_uploads >= 1
    with contextlib.suppress(ConfigError):
        load(document, folder)


def test_nothing_heavy_is_imported_before_a_configuration_is_loaded():
    code = (
        "import sys, haulier, haulier.config.models, haulier.config.layers, haulier.config.options;"
        "sys.exit(', '.join({'pydantic', 'platformdirs', 'keyring'} & set(sys.modules)) or 0)"
    )

    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)

    assert done.returncode == 0, done.stderr
