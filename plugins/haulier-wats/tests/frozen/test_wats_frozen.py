"""A host and the command line, frozen by the spec of ``docs/wats/freezing.md``, without any Python around them."""

from __future__ import annotations

import hashlib
import json
import os
import random
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from haulier_wats.server import ServerSettings, ServerThread, Tokens

HERE = Path(__file__).parent
PAGE = HERE.parents[3] / "docs" / "wats" / "freezing.md"
TOKEN = "a-token-for-the-frozen-host"
SESSION = "rdp_7_1729950022"
VIDEO = f"{SESSION}_Produção_01_20241026_150022.mp4"
SUFFIX = ".exe" if sys.platform == "win32" else ""

pytestmark = pytest.mark.full


def block(marker):
    found = re.search(rf"<!-- {marker} -->\n```python\n(.*?)^```$", PAGE.read_text("utf-8"), re.MULTILINE | re.DOTALL)
    return found[1]


@pytest.fixture(scope="module")
def programs(tmp_path_factory):
    """The folder with both programs."""
    folder = tmp_path_factory.mktemp("frozen")
    (folder / "wats.spec").write_text(block("spec"), "utf-8")
    shutil.copy(HERE / "wats_program.py", folder)
    (folder / "haulier_program.py").write_text(block("program"), "utf-8")
    command = [sys.executable, "-m", "PyInstaller", "--noconfirm", "--log-level", "WARN", "wats.spec"]
    environ = {**os.environ, "PYINSTALLER_CONFIG_DIR": str(folder / "cache")}
    built = subprocess.run(command, cwd=folder, env=environ, capture_output=True, text=True, check=False)
    assert built.returncode == 0, built.stderr
    yield folder / "dist" / "wats"
    shutil.rmtree(folder)


@pytest.fixture
def run(programs, tmp_path):
    """Starts one of them in an empty folder, with nothing of this Python's in its environment."""
    strange = re.compile(r"PYTHON|VIRTUAL_ENV|PATH$|HAULIER_|WATS_|XDG_|LD_|.*_proxy$", re.IGNORECASE)
    environ = {name: value for name, value in os.environ.items() if not strange.match(name)}
    environ |= {"HOME": str(tmp_path / "home"), "LOCALAPPDATA": str(tmp_path / "home"), "NO_COLOR": "1"}
    empty = tmp_path / "empty"
    empty.mkdir()

    def start(program, *arguments, stdin=""):
        command = [str(programs / f"{program}{SUFFIX}"), *map(str, arguments)]
        ran = subprocess.run(
            command,
            cwd=empty,
            env=environ,
            input=stdin,
            capture_output=True,
            encoding="utf-8",
            timeout=120,
            check=False,
        )
        assert list(empty.iterdir()) == []
        return ran

    return start


@pytest.fixture
def server(tmp_path):
    with ServerThread(ServerSettings(tmp_path / "server", Tokens([TOKEN]))) as running:
        yield running


@pytest.fixture
def config(tmp_path, server):
    folder = tmp_path / "Gravações e dados"
    folder.mkdir()
    path = folder / "config.json"
    path.write_text(
        json.dumps({"api": {"enabled": True, "base_url": f"{server.url}/api", "api_token": TOKEN}}), "utf-8"
    )
    return path


@pytest.fixture
def recording(config):
    video = config.parent / VIDEO
    video.write_bytes(random.Random(4).randbytes(3 << 20))
    metadata = config.parent / f"{SESSION}_metadata.json"
    metadata.write_text(json.dumps({"session_id": SESSION, "connection_info": {}, "start_time": "2024-10-26T15:00:22"}))
    return video, metadata


def stored(folder):
    """Digests of the recordings in the server's store, by name."""
    files = [path for path in (folder / "recordings").rglob("*") if path.is_file()]
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def test_a_frozen_host_uploads_a_recording_with_an_encrypted_token(run, config, recording, tmp_path):
    changed = run("haulier", "wats", "token", "set", "--config", config, "--json")
    assert json.loads(changed.stdout)["store"] == "encrypted", changed.stderr
    assert TOKEN not in config.read_text("utf-8")
    video, metadata = recording
    ran = run("wats", config, video, metadata)
    assert ran.returncode == 0, ran.stderr
    told = json.loads(ran.stdout)
    assert told["frozen"]
    assert (told["status"]["status"], told["status"]["last_error"]) == ("completed", None)
    sha256 = hashlib.sha256(video.read_bytes()).hexdigest()
    assert stored(tmp_path / "server") == {
        VIDEO: sha256,
        metadata.name: hashlib.sha256(metadata.read_bytes()).hexdigest(),
    }
    shown = run("haulier", "--config", config, "--state-dir", config.parent / "uploads", "receipts", "--json")
    (receipt,) = json.loads(shown.stdout)["receipts"]
    assert (receipt["sha256"], receipt["proof"], receipt["backend"]) == (sha256, "content", "wats")
    assert (receipt["task"], receipt["key"]) == (told["status"]["task_id"], told["status"]["server_file_id"])


def test_the_frozen_command_line_knows_its_plugins(run):
    shown = run("haulier", "--help")
    assert shown.returncode == 0, shown.stderr
    assert re.search(r"From plugins:\n.*\bwats\b", shown.stdout, re.DOTALL)
    found = json.loads(run("haulier", "plugins", "--json").stdout)["plugins"]
    (wats,) = [plugin for plugin in found if plugin["name"] == "wats"]
    assert (wats["source"], wats["backends"], wats["error"]) == ("entry point", ["wats"], None)


def test_the_frozen_command_line_uploads_and_checks(run, config, recording, tmp_path):
    assert run("haulier", "--config", config, "doctor").returncode == 0
    sent = run("haulier", "--config", config, "send", recording[0], "--sidecar", recording[1], "--json")
    assert json.loads(sent.stdout)["tasks"][0]["receipt"]["proof"] == "content", sent.stderr
    assert VIDEO in stored(tmp_path / "server")
