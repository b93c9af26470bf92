"""*WATS in ten minutes*: both languages show the same, and every snippet runs as it stands there."""

from __future__ import annotations

import contextlib
import io
import json
import logging
import os
import random
import re
import shlex
import socket
import subprocess
import sys
import threading
import time
from collections import deque
from pathlib import Path
from types import ModuleType, SimpleNamespace

import pytest

from haulier.cli.program import run_program
from haulier_wats.compat import ApiConfig
from haulier_wats.compat.config import DEFAULTS
from haulier_wats.compat.settings import read_settings
from haulier_wats.server import ServerSettings, ServerThread, Tokens

FOLDER = Path(__file__).parents[4] / "docs" / "wats"
ENGLISH, PORTUGUESE = FOLDER / "wats-in-ten-minutes.md", FOLDER / "wats-em-dez-minutos.md"
TOKEN = "your_secure_api_token_here"
ADDRESS = "https://storage.company.com/api"
SESSION = "rdp_123_1729950022"
VIDEO = f"{SESSION}_Server_20241026_150022.mp4"


def snippets(page):
    """Marker, language and text of each fenced block, in order."""
    found = re.finditer(
        r"(?:^<!-- ([^\n]+) -->\n)?^```(\w+)\n(.*?)^```$", page.read_text("utf-8"), re.MULTILINE | re.DOTALL
    )
    return [(block[1] or "", block[2], block[3]) for block in found]


SNIPPETS = snippets(ENGLISH)


def marked(marker):
    return [text for each, _, text in SNIPPETS if each == marker]


def commands():
    """The commands of the blocks that are run, without the prompt."""
    return [line.removeprefix("$ ") for text in marked("run") for line in text.splitlines()]


def test_both_languages_hold_the_same_snippets_and_sections():
    assert snippets(PORTUGUESE) == SNIPPETS

    def shape(page):
        text = re.sub(r"```.*?```", "", page.read_text("utf-8"), flags=re.DOTALL)
        lines = [line for line in text.splitlines() if re.match(r"#|\| |- ", line)]
        return [re.match(r"#+ (\d+)?|\| `[^|]*|\| |- ", line)[0] for line in lines]

    assert shape(PORTUGUESE) == shape(ENGLISH)


def test_every_snippet_is_run_or_looked_at_by_a_test_here():
    known = {
        ("", "python"),
        ("file: wats/api/__init__.py", "python"),
        ("file: config.json", "json"),
        ("file: try_it.py", "python"),
        ("run", "console"),
        ("install", "console"),
        ("log", "text"),
        ("s3", "json"),
    }
    kinds = {(marker, language) for marker, language, _ in SNIPPETS}
    assert kinds == known | {("", "console")}
    installs = [text for marker, language, text in SNIPPETS if language == "console" and marker != "run"]
    assert all(re.fullmatch(r'\$ pip install "?haulier-wats(\[server\])?"?\n', text) for text in installs)


def test_the_settings_are_all_there_are_and_the_defaults_are_right():
    (text,) = marked("file: config.json")
    api = json.loads(text)["api"]
    assert set(api) == {*DEFAULTS, "backend"}
    ApiConfig(json.loads(text))
    for page in (ENGLISH, PORTUGUESE):
        rows = re.findall(r"^\| `(\w+)` \| `(.+?)` \| `(\w+)` \|", page.read_text("utf-8"), re.MULTILINE)
        told = {name: (json.loads(default), attribute) for name, default, attribute in rows}
        attributes = {name: f"API_{name.removeprefix('api_').upper()}" for name in (*DEFAULTS, "backend", "also")}
        assert told == {
            name: ({**DEFAULTS, "backend": "wats", "also": []}[name], attributes[name]) for name in attributes
        }


# -- running it ------------------------------------------------------------------------------------------------


@pytest.fixture
def machine(tmp_path, monkeypatch):
    """Nothing of this machine's settings; a working folder."""
    for name in [
        name for name in os.environ if name.startswith(("HAULIER_", "WATS_")) or name.lower().endswith("_proxy")
    ]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "platform"))
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "platform-config"))
    folder = tmp_path / "wats-program"
    folder.mkdir()
    monkeypatch.chdir(folder)
    return folder


@pytest.fixture
def server(tmp_path):
    with ServerThread(ServerSettings(tmp_path / "server", Tokens([TOKEN]))) as running:
        yield running


@pytest.fixture
def recording(machine):
    folder = machine / "recordings"
    folder.mkdir()
    video, metadata = folder / VIDEO, folder / f"{SESSION}_metadata.json"
    video.write_bytes(random.Random(1).randbytes(200_000))
    metadata.write_text(
        json.dumps({"session_id": SESSION, "connection_info": {}, "recorder_settings": {}, "start_time": "x"})
    )
    for path in (video, metadata):
        os.utime(path, (time.time() - 3600,) * 2)
    return video, metadata


@pytest.fixture
def config(machine, server, recording):
    """The page's ``config.json`` with this server and this folder in it."""
    (text,) = marked("file: config.json")
    text = text.replace(ADDRESS, f"{server.url}/api").replace("D:/WATS_Recordings", recording[0].parent.as_posix())
    path = machine / "config.json"
    path.write_text(text, "utf-8")
    return path


@pytest.fixture
def program(config, machine, recording, monkeypatch):
    """What WATS holds when the snippets begin: the package ``wats``, settings, a window."""
    (line,) = marked("file: wats/api/__init__.py")
    for name in ("wats", "wats.api"):
        monkeypatch.setitem(sys.modules, name, ModuleType(name))
    exec(compile(line, "wats/api/__init__.py", "exec"), vars(sys.modules["wats.api"]))
    read = ApiConfig(json.loads(config.read_text("utf-8")))
    settings = SimpleNamespace(
        **{f"API_{name}": value for name, value in vars(read).items() if name.isupper() and name != "API_TOKEN"},
        API_TOKEN=read.API_TOKEN,
        USER_DATA_DIR=str(machine),
        RECORDING_OUTPUT_DIR=str(recording[0].parent),
        validate_api_config=lambda: True,
    )
    names = {"settings": settings, "video_file": recording[0], "metadata_file": recording[1]}
    return names | {"recordings_dir": recording[0].parent, "root": Window(), "label": Label()}


class Window:
    """A Tk window as far as the page uses one; its main loop turns when the test says so."""

    def __init__(self):
        self.waiting = deque()
        self.handlers = {}
        self.open = True

    def after(self, milliseconds, call):
        assert threading.current_thread() is threading.main_thread()
        self.waiting.append(call)

    def protocol(self, name, handler):
        self.handlers[name] = handler

    def turn(self):
        for _ in range(len(self.waiting)):
            self.waiting.popleft()()

    def destroy(self):
        self.open = False


class Label:
    def __init__(self):
        self.texts = []

    def configure(self, *, text):
        self.texts.append(text)


def until(happened):
    end, pause = time.monotonic() + 20, threading.Event()
    while not happened():
        assert time.monotonic() < end, "it did not happen"
        pause.wait(0.02)


def test_the_calls_the_callbacks_and_the_log_lines(program, server, recording, tmp_path, caplog, capsys):
    caplog.set_level(logging.INFO, "wats_app.api")
    names = dict(program)
    try:
        for marker, language, text in SNIPPETS:
            if (marker, language) == ("", "python"):
                exec(compile(text, "snippet.py", "exec"), names)
        manager, root, label = names["api_manager"], names["root"], names["label"]

        def done():
            root.turn()
            return label.texts[-1:] == ["100 %"] or "completed" in manager.get_upload_status(names["task_id"])["status"]

        until(done)
        assert manager.get_upload_status(names["task_id"])["status"] == "completed"
        assert manager.upload_older_recordings(names["recordings_dir"]) == []
        (stored,) = (tmp_path / "server" / "recordings").rglob("*.mp4")
        assert stored.read_bytes() == recording[0].read_bytes()
        root.handlers["WM_DELETE_WINDOW"]()
        assert not root.open
        assert not manager.is_initialized
    finally:
        if "api_manager" in names:
            names["api_manager"].shutdown()
    assert "not queued" not in capsys.readouterr().out
    said = [
        f"{record.levelname} - {record.getMessage()}"
        for record in caplog.records
        if record.name.startswith("wats_app.api")
    ]
    assert TOKEN not in caplog.text
    (shown,) = marked("log")
    for line in shown.splitlines():
        expected = line.replace(ADDRESS, f"{server.url}/api")
        expected = re.sub(r"upload_\w+", names["task_id"], expected)
        assert expected in said


def test_the_commands_on_the_config_json(config, server, machine, tmp_path, monkeypatch):
    ran = [line for line in commands() if "config.json" in line]
    assert len(ran) == 5
    for line in ran:
        out, err = io.StringIO(), io.StringIO()
        monkeypatch.setattr(sys, "stdin", io.StringIO())
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            code = run_program(shlex.split(line)[1:])
        assert code == 0, (line, out.getvalue(), err.getvalue())
        assert TOKEN not in out.getvalue() + err.getvalue()
    assert TOKEN not in config.read_text("utf-8")
    assert "is encrypted in this file" in out.getvalue()


def test_the_program_to_try_it(config, machine, recording, tmp_path):
    (text,) = marked("file: try_it.py")
    (machine / "try_it.py").write_text(text, "utf-8")
    ran = subprocess.run(
        [sys.executable, "try_it.py", *recording], cwd=machine, capture_output=True, text=True, check=False
    )
    assert ran.returncode == 0, ran.stderr
    assert "'status': 'completed'" in ran.stdout, ran.stderr
    (stored,) = (tmp_path / "server" / "recordings").rglob("*.mp4")
    assert stored.read_bytes() == recording[0].read_bytes()


@pytest.mark.full
def test_the_demo_and_the_server(machine, recording):
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    lines = [line.replace("8080", str(port)) for line in commands() if "config.json" not in line]
    assert [re.match(r"haulier \w+|python", line)[0] for line in lines] == ["haulier demo", "python", "haulier wats"]
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    environ = {**os.environ, "PATH": path}
    for line in lines[:2]:
        ran = subprocess.run(line, shell=True, env=environ, capture_output=True, text=True, check=False)
        assert ran.returncode == 0, ran.stderr
    haulier = Path(sys.executable).with_name("haulier")
    with subprocess.Popen([haulier, *shlex.split(lines[2])[1:]], stderr=subprocess.DEVNULL) as serving:
        try:
            from wats_app.api import RecordingUploadClient

            client = RecordingUploadClient(f"http://127.0.0.1:{port}/api", (machine / "tokens").read_text().strip())
            until(client.test_connection)
            assert client.upload_recording(*recording)["file_id"]
            client.close()
        finally:
            serving.terminate()
            serving.wait(20)


def test_another_destination_for_the_same_host(machine, recording):
    (text,) = marked("s3")
    document = json.loads(text)
    face = read_settings(document, environ={})
    assert (face.enabled, face.problem, face.connection) == (True, "", None)
    assert face.config.backends["archive"].type == "s3"
    from haulier_wats.compat import ApiIntegrationManager

    store = machine / "archive"
    document["backends"]["archive"] = {"type": "filesystem", "url": str(store)}
    document["recording"]["output_dir"] = str(recording[0].parent)
    manager = ApiIntegrationManager(document)
    try:
        assert manager.upload_client is None
        task_id = manager.upload_recording(*recording)
        until(lambda: manager.get_upload_status(task_id)["status"] == "completed")
    finally:
        manager.shutdown()
    (stored,) = store.rglob("*.mp4")
    assert stored.read_bytes() == recording[0].read_bytes()
