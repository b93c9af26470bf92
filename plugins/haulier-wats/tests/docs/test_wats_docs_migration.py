"""*Migration from the first uploader*: the state file of the page is carried over as the page says."""

from __future__ import annotations

import json
import logging
import os
import re
import threading
import time
from pathlib import Path
from types import SimpleNamespace

import pytest

from haulier_wats.compat import ApiIntegrationManager
from haulier_wats.server import ServerSettings, ServerThread, Tokens

PAGE = Path(__file__).parents[4] / "docs" / "wats" / "migration.md"
TOKEN = "a-token-for-the-migration"
FOLDER = "D:/WATS_Recordings"


@pytest.fixture
def server(tmp_path):
    with ServerThread(ServerSettings(tmp_path / "server", Tokens([TOKEN]))) as running:
        yield running


@pytest.fixture
def settings(tmp_path, server, monkeypatch):
    for name in [name for name in os.environ if name.startswith("HAULIER_") or name.lower().endswith("_proxy")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "platform"))
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "platform-config"))
    return SimpleNamespace(
        API_ENABLED=True,
        API_BASE_URL=f"{server.url}/api",
        API_TOKEN=TOKEN,
        USER_DATA_DIR=str(tmp_path / "user"),
        RECORDING_OUTPUT_DIR=str(tmp_path / "recordings"),
    )


def test_the_state_file_of_the_page_is_carried_over(settings, tmp_path, caplog):
    caplog.set_level(logging.INFO, "wats_app.api")
    text = re.search(
        r"<!-- file: upload_state.json -->\n```json\n(.*?)^```$", PAGE.read_text(), re.MULTILINE | re.DOTALL
    )[1]
    folder = tmp_path / "recordings"
    folder.mkdir()
    for number, second in ((1, "1729950022"), (2, "1729953622")):
        session = f"rdp_{number}_{second}"
        (folder / f"{session}_metadata.json").write_text(json.dumps({"session_id": session}))
        (folder / f"{session}_Server_20241026_1{number + 4}0022.mp4").write_bytes(b"video %d" % number)
    (tmp_path / "user").mkdir()
    state = tmp_path / "user" / "upload_state.json"
    made = re.sub("2024-10-26", time.strftime("%Y-%m-%d"), text.replace(FOLDER, folder.as_posix()))
    state.write_text(re.sub(r'T\d\d:\d\d:\d\d"', 'T00:00:00"', made))
    long_ago = time.time() - 3 * 24 * 3600
    for path in folder.iterdir():
        os.utime(path, (long_ago, long_ago))

    manager = ApiIntegrationManager(settings)
    try:
        until(lambda: manager.get_queue_status()["completed_uploads"] == 1)
        assert manager.upload_older_recordings(folder) == []
        assert manager.get_upload_status("upload_1729950022_session_1") is None
    finally:
        manager.shutdown()
    assert [path.name for path in (tmp_path / "server" / "recordings").rglob("*.mp4")] == [
        "rdp_2_1729953622_Server_20241026_160022.mp4"
    ]
    assert sorted(path.name for path in (tmp_path / "user").glob("upload_state*")) == ["upload_state.json.carried_over"]
    assert "Upload state carried over: 1 completed, 1 queued again" in caplog.text


def until(happened):
    end, pause = time.monotonic() + 20, threading.Event()
    while not happened():
        assert time.monotonic() < end, "it did not happen"
        pause.wait(0.02)
