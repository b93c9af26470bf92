"""Where values come from, and which one holds."""

import json
import os
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from haulier.config.layers import load_config
from haulier.config.overlay import Given, flatten, merge, nested
from haulier.errors import ConfigError

calm = settings(deadline=None, database=None, suppress_health_check=[HealthCheck.too_slow])


@pytest.fixture
def load(tmp_path):
    """Load with nothing around: no environment, no user folder."""

    def call(source=None, **options):
        options = {"environ": {}, "cwd": tmp_path, "user_folder": tmp_path / "user", **options}
        return load_config(source, **options)

    return call


def write(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    return path


def test_without_any_source_the_defaults_of_the_manual_hold(load):
    config = load()

    upload = config.upload
    assert (upload.enabled, upload.backend, upload.auto_upload) == (True, "", False)
    assert (upload.upload_timeout, upload.commit_timeout, upload.sidecar_grace) == (60, 600, 86400)
    assert (upload.max_retries, upload.max_concurrent_uploads, upload.max_file_age_days) == (3, 2, 30)
    assert (upload.delete_after_upload, upload.delete_proof, upload.upload_older_recordings) == (False, "", True)
    assert (upload.memory_budget, upload.part_size) == (64 * 1024**2, 8 * 1024**2)
    assert upload.key_template == "{mtime:%Y/%m/%d}/{id16}/{name}"
    assert upload.state_dir.is_absolute()
    assert (config.watch.paths, config.watch.settle_seconds, config.watch.interval_seconds) == ((), 10, 30)
    assert (config.backends, config.path, config.warnings) == ({}, None, ())
    assert set(config.origins.values()) == {"default"}


def test_each_layer_wins_over_the_one_below(load, tmp_path):
    file = write(tmp_path / "c.toml", "[upload]\nmax_retries = 4\nmax_concurrent_uploads = 4\nmax_file_age_days = 4\n")

    config = load(
        file,
        environ={"HAULIER_UPLOAD__MAX_CONCURRENT_UPLOADS": "5", "HAULIER_UPLOAD__MAX_FILE_AGE_DAYS": "5"},
        arguments={"upload": {"max_file_age_days": 6}},
    )

    assert (config.upload.max_retries, config.upload.max_concurrent_uploads, config.upload.max_file_age_days) == (
        4,
        5,
        6,
    )
    assert config.origins["upload.max_retries"] == str(file)
    assert config.origins["upload.max_concurrent_uploads"] == "environment HAULIER_UPLOAD__MAX_CONCURRENT_UPLOADS"
    assert config.origins["upload.max_file_age_days"] == "argument"
    assert config.origins["upload.part_size"] == "default"


NUMBERS = st.integers(min_value=1, max_value=60)
KEYS = st.sampled_from(["max_retries", "max_concurrent_uploads", "max_file_age_days"])
TABLE = st.dictionaries(KEYS, NUMBERS)


@calm
@given(file=TABLE, environment=TABLE, arguments=TABLE)
def test_the_highest_layer_that_gives_a_key_always_holds(file, environment, arguments):
    config = load_config(
        {"upload": file},
        environ={f"HAULIER_UPLOAD__{key.upper()}": str(value) for key, value in environment.items()},
        cwd=Path("/nowhere"),
        arguments={"upload": arguments},
    )

    defaults = {"max_retries": 3, "max_concurrent_uploads": 2, "max_file_age_days": 30}
    for key, value in {**defaults, **file, **environment, **arguments}.items():
        assert getattr(config.upload, key) == value


NAMES = st.sampled_from(["a", "b", "c"])
LEAVES = st.one_of(st.integers(), st.text("xyz", max_size=3), st.lists(st.integers(), max_size=2))
DOCUMENTS = st.recursive(
    st.dictionaries(NAMES, LEAVES, max_size=3),
    lambda inner: st.dictionaries(NAMES, st.one_of(LEAVES, inner), max_size=3),
    max_leaves=8,
)


def overlaid(below, above):
    """What laying one document over another means, written the obvious way."""
    result = dict(below)
    for key, value in above.items():
        if isinstance(value, dict) and isinstance(result.get(key), dict):
            result[key] = overlaid(result[key], value)
        else:
            result[key] = value
    return result


@calm
@given(st.lists(DOCUMENTS, max_size=4))
def test_tables_are_merged_key_by_key_and_everything_else_is_replaced_whole(documents):
    def layer(document):
        return flatten(document, lambda path, value: Given(value, "", ".".join(path), Path()))

    merged = merge(layer(document) for document in documents)

    expected = {}
    for document in documents:
        expected = overlaid(expected, document)
    assert nested({path: given.value for path, given in merged.items()}) == expected


def test_none_is_not_given(load):
    config = load({"upload": {"max_retries": 7}}, arguments={"upload": {"max_retries": None, "state_dir": None}})

    assert config.upload.max_retries == 7


def test_a_single_backend_is_the_one_that_is_used(load):
    assert load({"backends": {"disk": {"type": "filesystem"}}}).upload.backend == "disk"
    assert load({"backends": {"disk": {}, "cloud": {}}}).upload.backend == ""


def test_a_backend_table_has_its_own_name_for_type(load):
    backends = load({"backends": {"memory": {}, "archive": {"type": "s3", "bucket": "b"}}}).backends

    assert (backends["memory"].type, dict(backends["memory"].options)) == ("memory", {})
    assert (backends["archive"].type, dict(backends["archive"].options)) == ("s3", {"bucket": "b"})


def test_watching_folders_means_taking_what_appears_in_them_unless_said_otherwise(load):
    assert load({"watch": {"paths": ["x"]}}).upload.auto_upload
    assert not load({"watch": {"paths": ["x"]}, "upload": {"auto_upload": False}}).upload.auto_upload
    assert not load({"watch": {"paths": []}}).upload.auto_upload


def test_relative_paths_in_a_file_refer_to_its_folder_and_others_to_the_working_folder(load, tmp_path):
    file = write(tmp_path / "conf" / "c.toml", '[upload]\nstate_dir = "state"\n[watch]\npaths = ["in", "."]\n')

    config = load(file, environ={"HAULIER_PLUGINS__FILES": "p.py"})
    assert config.upload.state_dir == tmp_path / "conf" / "state"
    assert config.watch.paths == (tmp_path / "conf" / "in", tmp_path / "conf")
    assert config.plugins.files == (tmp_path / "p.py",)
    assert load(arguments={"upload": {"state_dir": Path("s")}}).upload.state_dir == tmp_path / "s"


def test_a_tilde_is_the_home_folder(load, monkeypatch, tmp_path):
    monkeypatch.setenv("HOME", str(tmp_path / "home"))

    assert load({"watch": {"paths": ["~/rec"]}}).watch.paths == (tmp_path / "home" / "rec",)


# -- environment ---------------------------------------------------------------------------------------------------


def test_environment_values_are_texts_for_any_type(load):
    config = load(
        environ={
            "HAULIER_UPLOAD__DELETE_AFTER_UPLOAD": "true",
            "HAULIER_UPLOAD__UPLOAD_OLDER_RECORDINGS": "0",
            "HAULIER_UPLOAD__UPLOAD_TIMEOUT": " 2.5 ",
            "HAULIER_UPLOAD__PART_SIZE": "16MiB",
            "HAULIER_UPLOAD__MEMORY_BUDGET": "1000000",
            "HAULIER_WATCH__PATHS": os.pathsep.join(["/rec/one", "/rec/two"]),
            "HAULIER_PLUGINS__DENY": "one, two",
            "HAULIER_PLUGINS__ALLOW": '["three"]',
        }
    )

    assert (config.upload.delete_after_upload, config.upload.upload_older_recordings) == (True, False)
    assert (config.upload.upload_timeout, config.upload.part_size, config.upload.memory_budget) == (
        2.5,
        16 * 1024**2,
        10**6,
    )
    assert config.watch.paths == (Path("/rec/one"), Path("/rec/two"))
    assert (config.plugins.deny, config.plugins.allow) == (("one", "two"), ("three",))


def test_environment_reaches_a_backend_however_the_file_spells_its_name(load):
    document = {"backends": {"My-Archive": {"type": "s3", "bucket": "b", "storage": {"Key-Id": 1}}}}

    config = load(
        document,
        environ={"HAULIER_BACKENDS__MY_ARCHIVE__BUCKET": "c", "HAULIER_BACKENDS__MY_ARCHIVE__STORAGE__KEY_ID": "2"},
    )

    assert dict(config.backends["My-Archive"].options) == {"bucket": "c", "storage": {"Key-Id": "2"}}
    assert list(config.backends) == ["My-Archive"]


def test_a_backend_can_come_from_the_environment_alone(load):
    config = load(environ={"HAULIER_BACKENDS__ARCHIVE__TYPE": "s3", "HAULIER_BACKENDS__ARCHIVE__BUCKET": "x"})

    assert (config.upload.backend, config.backends["archive"].type) == ("archive", "s3")


def test_variables_that_are_no_settings_are_left_alone(load, tmp_path):
    write(tmp_path / "c.toml", "")
    config = load(environ={"HAULIER_CONFIG": "c.toml", "HAULIER_TOKEN": "s3cret", "PATH": "/bin"})

    assert config.warnings == ()


def test_a_setting_with_a_single_underscore_is_told_its_right_name(load):
    (warning,) = load(environ={"HAULIER_UPLOAD_MAX_RETRIES": "9"}).warnings

    assert "HAULIER_UPLOAD__MAX_RETRIES" in warning


# -- the file ------------------------------------------------------------------------------------------------------


def test_json_of_the_same_shape_is_read_by_suffix_or_content(load, tmp_path):
    text = json.dumps({"upload": {"max_retries": 8}, "watch": None})

    assert load(write(tmp_path / "a.json", text)).upload.max_retries == 8
    assert load(write(tmp_path / "settings", text)).upload.max_retries == 8
    assert load(write(tmp_path / "settings2", "[upload]\nmax_retries = 9")).upload.max_retries == 9


def test_a_byte_order_mark_is_no_obstacle(load, tmp_path):
    (tmp_path / "c.toml").write_bytes("\ufeff[upload]\nmax_retries = 8".encode())

    assert load(tmp_path / "c.toml").upload.max_retries == 8


@pytest.mark.parametrize(
    ("name", "text", "tells"),
    [
        ("c.toml", "[upload]\nx = \n", "line 2"),
        ("c.json", '{"upload": \n nope}', "line 2"),
        ("c.json", "[]", "must be a JSON object"),
        ("c.toml", '[watch]\npaths = ["D:\\Users"]\n', "forward slashes"),
        ("c.toml", '[watch]\npaths = ["D:\\WATS"]\n', "forward slashes"),
        ("c.json", '{"watch": {"paths": ["D:\\WATS"]}}', "forward slashes"),
    ],
)
def test_a_file_that_cannot_be_parsed_is_named_with_the_line(load, tmp_path, name, text, tells):
    with pytest.raises(ConfigError) as caught:
        load(write(tmp_path / name, text))

    assert str(tmp_path / name) in str(caught.value)
    assert tells in str(caught.value)


def test_a_file_in_another_encoding_is_refused_by_name(load, tmp_path):
    (tmp_path / "c.toml").write_bytes(b'[watch]\npaths = ["\xe1"]')

    with pytest.raises(ConfigError, match=r"c\.toml: is not UTF-8"):
        load(tmp_path / "c.toml")
