"""A ``config.json`` with a token in clear, the command line, a key store, the reference server."""

from __future__ import annotations

import contextlib
import io
import json
import os
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

from haulier.cli.program import run_program
from haulier_wats.server import ServerSettings, ServerThread, Tokens

CLEAR = "clear-token-0123456789"

KEYRING = '''
"""A key store in memory that a test looks into."""

stored = {}
priority = 5


def get_keyring():
    import keyring

    return keyring


def get_password(service, name):
    return stored.get((service, name))


def set_password(service, name, text):
    stored[service, name] = text
'''


@dataclass
class Ran:
    code: int
    out: str
    err: str

    @property
    def document(self):
        return json.loads(self.out)


class Desk:
    """The machine of one user."""

    def __init__(self, folder: Path):
        self.folder = folder
        self.config = folder / "config.json"
        self.said = ""

    def write(self, token=CLEAR, url="https://storage.example/api", **api):
        document = {
            "database": {"server": "192.0.2.10", "password": "another"},
            "api": {"enabled": True, "base_url": url, "api_token": token, **api},
            "recording": {"output_dir": str(self.folder / "recordings")},
        }
        self.config.write_text(json.dumps(document, indent=2), "utf-8")
        return self.config

    @property
    def token(self):
        return json.loads(self.config.read_text("utf-8-sig"))["api"]["api_token"]

    def run(self, *arguments, stdin=""):
        out, err, before = io.StringIO(), io.StringIO(), sys.stdin
        sys.stdin = io.StringIO(stdin)
        try:
            with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
                code = run_program([str(argument) for argument in arguments])
        finally:
            sys.stdin = before
        self.said += out.getvalue() + err.getvalue()
        return Ran(int(code), out.getvalue(), err.getvalue())

    def token_set(self, *options, stdin=""):
        return self.run("wats", "token", "set", "--config", self.config, *options, stdin=stdin)

    def token_show(self, *options):
        return self.run("wats", "token", "show", "--config", self.config, *options)

    def holding(self, text):
        """Files that hold a text in clear."""
        found = [path for path in self.folder.rglob("*") if path.is_file() and text.encode() in path.read_bytes()]
        return [path.relative_to(self.folder).as_posix() for path in found]


@pytest.fixture
def clear():
    return CLEAR


@pytest.fixture
def desk(tmp_path, monkeypatch, caplog):
    for name in [name for name in os.environ if name.startswith(("HAULIER_", "WATS_"))]:
        monkeypatch.delenv(name)
    for name in ("http_proxy", "https_proxy", "all_proxy", "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "home" / "state"))
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "home" / "config"))
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    made = Desk(tmp_path)
    made.write()
    yield made
    assert CLEAR not in made.said
    assert CLEAR not in caplog.text


@pytest.fixture
def key_store(tmp_path_factory, monkeypatch):
    """A package ``keyring``; what it holds."""
    folder = tmp_path_factory.mktemp("packages")
    (folder / "keyring.py").write_text(KEYRING, "utf-8")
    monkeypatch.syspath_prepend(folder)
    monkeypatch.delitem(sys.modules, "keyring", raising=False)
    import keyring

    yield keyring.stored
    sys.modules.pop("keyring", None)


@pytest.fixture(scope="session")
def server(tmp_path_factory):
    with ServerThread(ServerSettings(tmp_path_factory.mktemp("server"), Tokens([CLEAR]))) as running:
        yield running
