"""The configuration as text: shown, described, and written for the first time."""

from __future__ import annotations

import dataclasses
import json
import tomllib
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from haulier.config.layers import load_config
from haulier.config.models import setting
from haulier.config.schema import config_schema, describe_settings
from haulier.config.secrets import Secret
from haulier.config.settings import SECTIONS, settings_of
from haulier.config.show import config_document, show_config
from haulier.config.toml_text import key_text, value_text
from haulier.config.write import starter_config
from haulier.errors import InputError

SECRET = "correct-horse-battery"


@dataclasses.dataclass(frozen=True)
class CloudOptions:
    bucket: str = setting("", text="Bucket to write to.")
    access_token: Secret | None = None
    keyspace: str = "main"
    endpoint_url: str = "https://cloud.example"
    extra: dict[str, Any] = dataclasses.field(default_factory=dict)
    ca_bundle: Path | None = None


@dataclasses.dataclass(frozen=True)
class NeedyOptions:
    place: str = dataclasses.field(metadata={"help": "Where to."})


TYPES = {"cloud": CloudOptions, "needy": NeedyOptions}


def load(document, tmp_path):
    return load_config(document, environ={}, cwd=tmp_path)


# -- show ----------------------------------------------------------------------------------------------------------


def test_what_is_shown_is_toml_that_loads_to_the_same_configuration(tmp_path):
    document = {
        "upload": {"max_retries": 9, "state_dir": "it's here"},
        "watch": {"paths": ['D:\\rec "x"', "ümläut"]},
        "backends": {
            "my.cloud": {"type": "cloud", "bucket": "b", "access_token": "env:T", "extra": {"a b": [1, 2.5, True]}}
        },
    }
    config = load(document, tmp_path)

    again = load(tomllib.loads(show_config(config, TYPES, origins=True)), tmp_path)

    assert (again.upload, again.watch, again.plugins) == (config.upload, config.watch, config.plugins)
    assert again.backends["my.cloud"].options == config.backends["my.cloud"].options


def test_origins_stand_beside_the_values(tmp_path):
    file = tmp_path / "haulier.toml"
    file.write_text("[upload]\nmax_retries = 9\n[backends.memory]\n")
    config = load_config(file, environ={"HAULIER_UPLOAD__PART_SIZE": "1MiB"})

    lines = show_config(config, origins=True).splitlines()

    assert f"max_retries = 9  # {file}" in lines
    assert "part_size = 1048576  # environment HAULIER_UPLOAD__PART_SIZE" in lines
    assert "max_concurrent_uploads = 2  # default" in lines
    assert "max_concurrent_uploads = 2" in show_config(config).splitlines()


@pytest.mark.parametrize(
    "options",
    [
        {"access_token": SECRET},
        {"access_token": Secret(SECRET)},
        {"extra": {"deep": {"Password": SECRET}}},
        {"extra": {"secrets": [SECRET]}},
        {"endpoint_url": f"https://me:{SECRET}@cloud.example/x"},
        {"endpoint_url": f"https://cloud.example/x?sig={SECRET}"},
        {"endpoint_url": f"filecache::sftp://me:{SECRET}@cloud.example"},
    ],
)
@pytest.mark.parametrize("types", [TYPES, {}])
def test_no_secret_is_shown_whether_the_type_is_known_or_not(tmp_path, options, types):
    config = load({"backends": {"c": {"type": "cloud", **options}}}, tmp_path)

    assert SECRET not in show_config(config, types, origins=True)
    assert SECRET not in json.dumps(config_document(config, types), default=str)
    assert "***" in show_config(config, types)


def test_references_and_harmless_options_are_shown(tmp_path):
    options = {"access_token": "keyring:a/b", "keyspace": "other", "endpoint_url": "https://cloud.example/x"}
    config = load({"backends": {"c": {"type": "cloud", **options}}}, tmp_path)

    assert config_document(config, TYPES)["backends"]["c"] == {"type": "cloud", **options}


# -- TOML ----------------------------------------------------------------------------------------------------------

VALUES = st.recursive(
    st.booleans() | st.integers(-(2**63), 2**63 - 1) | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=6,
)


@settings(deadline=None, database=None, suppress_health_check=[HealthCheck.too_slow])
@given(key=st.text(), value=VALUES)
def test_what_is_written_reads_back(key, value):
    assert tomllib.loads(f"{key_text(key)} = {value_text(value)}") == {key: value}


def test_toml_has_no_nothing():
    with pytest.raises(TypeError, match="NoneType"):
        value_text(None)


# -- schema --------------------------------------------------------------------------------------------------------


def test_every_setting_of_the_core_has_help_and_a_default():
    described = describe_settings()

    assert len(described) == sum(len(settings_of(owner)) for owner in SECTIONS.values())
    for line in described:
        assert line.help.endswith("."), line.path
        assert line.default, line.path
        assert line.allowed, line.path


def test_options_of_backends_are_described_under_their_type():
    described = {line.path: line for line in describe_settings(TYPES)}

    assert described["backends.cloud.bucket"].help == "Bucket to write to."
    assert described["backends.cloud.access_token"].secret
    assert described["backends.needy.place"].required
    assert described["backends.needy.place"].default == ""
    assert described["backends.cloud.ca_bundle"].default == "none"


def test_the_schema_knows_every_key_its_range_and_its_default():
    schema = config_schema(TYPES)
    upload = schema["properties"]["upload"]

    assert json.loads(json.dumps(schema)) == schema
    assert list(upload["properties"]) == list(settings_of(SECTIONS["upload"]))
    assert upload["additionalProperties"] is False
    retries = upload["properties"]["max_retries"]
    assert (retries["type"], retries["minimum"], retries["maximum"], retries["default"]) == ("integer", 0, 1000, 3)
    assert {"type", "pattern"} <= upload["properties"]["part_size"]["anyOf"][1].keys()
    assert "default" not in upload["properties"]["state_dir"]


def test_the_schema_selects_a_backends_options_by_type_or_name():
    schema = config_schema(TYPES)
    definitions, backends = schema["$defs"], schema["properties"]["backends"]

    assert definitions["backend needy"]["required"] == ["place"]
    assert definitions["backend cloud"]["properties"]["access_token"]["anyOf"][0] == {"type": "string"}
    assert backends["properties"]["cloud"]["else"] == {"$ref": "#/$defs/backend%20cloud"}
    consts = [choice["if"]["properties"]["type"]["const"] for choice in definitions["backend"]["allOf"]]
    assert consts == ["cloud", "needy"]


# -- starter file --------------------------------------------------------------------------------------------------


def starter(**more):
    options = {"bucket": "recordings", "access_token": "env:CLOUD_TOKEN"}
    return starter_config("cloud", options, name="archive", options_type=CloudOptions, **more)


def test_the_starter_file_loads_without_a_warning_to_what_was_asked_for(tmp_path):
    file = tmp_path / "haulier.toml"
    file.write_text(starter(watch_paths=[Path("/rec"), "D:\\rec"], upload={"delete_after_upload": True}))

    config = load_config(file, environ={})

    assert config.upload.backend == "archive"
    assert config.upload.delete_after_upload
    assert config.backends["archive"].type == "cloud"
    assert dict(config.backends["archive"].options) == {"bucket": "recordings", "access_token": "env:CLOUD_TOKEN"}
    assert config.watch.paths == (Path("/rec"), tmp_path / "D:\\rec")
    assert config.warnings == ()


def test_every_default_in_the_starter_file_can_be_uncommented(tmp_path):
    commented = starter()
    plain = "\n".join(line.removeprefix("# ") if " = " in line else line for line in commented.splitlines())

    before, after = load(tomllib.loads(commented), tmp_path), load(tomllib.loads(plain), tmp_path)

    assert (after.upload, after.watch, after.plugins) == (before.upload, before.watch, before.plugins)
    assert after.backends["archive"].options["keyspace"] == "main"
    assert plain != commented


def test_the_starter_file_tells_of_every_setting():
    text = starter()

    for owner in (*SECTIONS.values(), CloudOptions):
        for name in settings_of(owner):
            assert name in text


def test_the_starter_file_says_what_is_still_required():
    assert "place is required: a text" in starter_config("needy", {}, options_type=NeedyOptions)


def test_the_starter_file_holds_no_secret_in_clear():
    with pytest.raises(InputError, match="access_token"):
        starter_config("cloud", {"access_token": Secret(SECRET)}, options_type=CloudOptions)


def test_a_backend_named_like_its_type_needs_no_type(tmp_path):
    text = starter_config("memory", {})

    assert "type =" not in text
    assert load(tomllib.loads(text), tmp_path).backends["memory"].type == "memory"
