"""What the plugin registers, and what it does not load to do so."""

from __future__ import annotations

import dataclasses
import subprocess
import sys

import pydantic
import pytest
from click.testing import CliRunner

from haulier import Secret
from haulier.errors import ConfigError
from haulier_wats.backend import WatsBackend
from haulier_wats.commands import wats
from haulier_wats.options import WatsOptions
from haulier_wats.plugin import register_backends, register_commands


def test_what_is_registered():
    assert register_backends() == [WatsBackend]
    assert "wats" in {command.name for command in register_commands()}


def test_registering_loads_no_http_library():
    script = (
        "import sys; from haulier_wats import plugin; plugin.register_backends(); plugin.register_commands();"
        "sys.exit(bool({'requests', 'urllib3', 'ssl', 'starlette', 'uvicorn', 'pydantic'} & sys.modules.keys()))"
    )
    assert subprocess.run([sys.executable, "-c", script], check=False).returncode == 0


def test_the_options_are_those_of_a_table():
    options = pydantic.TypeAdapter(WatsOptions).validate_python({"base_url": "https://h/api", "api_token": "x"})
    assert options == WatsOptions("https://h/api", Secret("x"))
    assert "'x'" not in repr(options)
    assert all(field.metadata["help"] for field in dataclasses.fields(WatsOptions))


def test_serve_says_what_it_needs(tmp_path):
    runner = CliRunner()
    result = runner.invoke(wats, ["serve", "--help"])
    assert result.exit_code == 0
    for option in ("--host", "--port", "--data", "--token-file", "--prefix"):
        assert option in result.output
    assert runner.invoke(wats, ["serve", "--data", str(tmp_path)]).exit_code == 2


def test_serve_tells_what_keeps_it_from_starting(tmp_path):
    tokens = tmp_path / "tokens"
    tokens.write_text("# none yet\n")
    command = ["serve", "--data", str(tmp_path / "data"), "--token-file", str(tokens)]
    result = CliRunner().invoke(wats, command)
    assert isinstance(result.exception, ConfigError)
    assert "there is no token" in str(result.exception)


@pytest.mark.parametrize("arguments", [["--port", "70000"], ["--token-file", "no-such-file"]])
def test_serve_refuses_what_cannot_be(tmp_path, arguments):
    tokens = tmp_path / "tokens"
    tokens.write_text("secret\n")
    command = ["serve", "--data", str(tmp_path / "data"), "--token-file", str(tokens), *arguments]
    assert CliRunner().invoke(wats, command).exit_code == 2
