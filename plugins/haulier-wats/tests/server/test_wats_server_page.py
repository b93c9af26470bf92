"""The reference page of the server says what the server does."""

from __future__ import annotations

import json
import re
from importlib.resources import files
from pathlib import Path

import pytest
from click.testing import CliRunner

from haulier_wats.commands import wats
from haulier_wats.server import ServerSettings, Tokens

PAGE = (Path(__file__).parents[4] / "docs" / "reference" / "wats-server.md").read_text("utf-8")
SERVE = wats.commands["serve"]


def test_every_operation_is_on_the_page_with_its_scope():
    document = json.loads(files("haulier_wats.server").joinpath("openapi.json").read_text("utf-8"))
    listed = dict(re.findall(r"^\| `([A-Z]+ /[^`]*)` \| (.+?) \|", PAGE, re.MULTILINE))
    known = {
        f"{method.upper()} {path}": [
            scope for each in operation.get("security", [{"token": []}]) for scope in each["token"]
        ]
        for path, item in document["paths"].items()
        for method, operation in item.items()
        if method != "parameters" and not (method == "head" and "get" in item)
    }
    assert set(listed) == set(known)
    for operation, scopes in known.items():
        if operation != "GET /recordings":
            assert re.findall(r"[a-z]+(?=`)", listed[operation]) == scopes, operation


@pytest.mark.parametrize("option", SERVE.params, ids=lambda option: option.name)
def test_every_option_is_on_the_page_with_its_default(option):
    default = re.search(rf"^\| `{option.opts[0]}` \| (.+?) \|", PAGE, re.MULTILINE)[1]
    if option.required:
        assert default == "required"
    elif option.name != "audit_log":  # which depends on the data folder
        assert default == f"`{option.default[0] if option.multiple else option.default}`"


def test_the_command_and_the_settings_have_the_same_defaults(tmp_path):
    (tmp_path / "tokens").write_text("t")
    told = ["--data", str(tmp_path), "--token-file", str(tmp_path / "tokens")]
    given = SERVE.make_context("serve", told).params
    settings = ServerSettings(tmp_path, Tokens(["t"]))
    for name in (
        "max_file_size",
        "max_metadata_size",
        "max_append_size",
        "min_free",
        "session_ttl",
        "audit_log",
        "prefix",
    ):
        assert given[name] == getattr(settings, name), name


@pytest.mark.parametrize(("text", "size"), [("5", 5), ("2KiB", 2048), ("3 mib", 3 << 20), ("1TiB", 1 << 40)])
def test_sizes_are_read(tmp_path, text, size):
    (tmp_path / "tokens").write_text("t")
    told = ["--data", str(tmp_path), "--token-file", str(tmp_path / "tokens"), "--max-file-size", text]
    assert SERVE.make_context("serve", told).params["max_file_size"] == size


@pytest.mark.parametrize("text", ["", "x", "-1", "1.5GiB", "5MB", "9" * 20])
def test_what_is_no_size_is_refused(tmp_path, text):
    (tmp_path / "tokens").write_text("t")
    told = ["--data", str(tmp_path), "--token-file", str(tmp_path / "tokens"), "--max-file-size", text]
    result = CliRunner().invoke(SERVE, told)
    assert (result.exit_code, "write bytes, or a text such as 64MiB" in result.output) == (2, True)


def test_the_metrics_on_the_page_have_the_members_there_are(shared):
    (shown,) = [json.loads(block) for block in re.findall(r"```json\n(\{\n.*?\n\})\n```", PAGE, re.DOTALL)]
    shared("GET", "/metrics")
    told = shared("GET", "/metrics").json()

    def shape(value):
        if isinstance(value, dict):
            return {name: shape(inner) for name, inner in value.items()}
        return [shape(value[0])] if isinstance(value, list) else None

    assert shape(shown) == shape(told)
