"""A token that is named or encrypted is used by the face, by ``haulier run`` and by the doctor, and shown by none."""

from __future__ import annotations

import json
import logging
import os
import threading
import time
from types import SimpleNamespace

import pytest

from haulier_wats.compat import ApiIntegrationManager, RecordingUploadClient

STORES = ["encrypted", "keyring", "file", "env"]
SESSION = "rdp_1_1729950022"
VIDEO = f"{SESSION}_Srv_20241026_150022.mp4"


@pytest.fixture
def stored(desk, server, key_store, monkeypatch, clear, caplog):
    """Brings the token of a ``config.json`` that leads to the server into a store."""
    caplog.set_level(logging.DEBUG)
    recordings = desk.folder / "recordings"
    recordings.mkdir()
    (recordings / VIDEO).write_bytes(b"video")
    (recordings / f"{SESSION}_metadata.json").write_text(json.dumps({"session_id": SESSION}))
    for path in recordings.iterdir():
        os.utime(path, (path.stat().st_mtime - 3600,) * 2)

    def bring(store):
        monkeypatch.setenv("WATS_API_TOKEN", clear)
        desk.write(url=f"{server.url}/api", auto_upload=True, state_dir=str(desk.folder / "state"))
        assert desk.token_set("--store", store).code == 0
        return recordings

    yield bring
    client = RecordingUploadClient(f"{server.url}/api", clear)
    for recording in client.list_recordings()["recordings"]:
        client.delete_recording(recording["file_id"])
    client.close()


def settings_of(desk, document):
    api = document["api"]
    return SimpleNamespace(
        API_ENABLED=True,
        API_BASE_URL=api["base_url"],
        API_TOKEN=api["api_token"],
        USER_DATA_DIR=str(desk.folder / "user"),
        RECORDING_OUTPUT_DIR=document["recording"]["output_dir"],
        validate_api_config=lambda: True,
    )


@pytest.mark.parametrize("store", STORES)
def test_the_face_uploads_with_it(stored, desk, store, clear, caplog):
    recordings = stored(store)
    done = []
    manager = ApiIntegrationManager(settings_of(desk, json.loads(desk.config.read_text())))
    try:
        manager.on_upload_completed = lambda task_id, file_id: done.append(file_id)
        assert manager.upload_client.test_connection()
        task_id = manager.upload_recording(recordings / VIDEO, recordings / f"{SESSION}_metadata.json")
        _until(lambda: manager.get_upload_status(task_id)["status"] == "completed")
    finally:
        manager.shutdown()
    kept = ["home/config/haulier/wats-token"] if store == "file" else []
    assert desk.holding(clear) == kept
    assert clear not in caplog.text


@pytest.mark.parametrize("store", STORES)
def test_run_and_doctor_use_it(stored, desk, store, clear):
    stored(store)
    assert desk.run("--config", desk.config, "doctor").code == 0
    ran = desk.run("--config", desk.config, "run", "--once", "--json")
    assert ran.code == 0, ran.err
    (task,) = ran.document["tasks"]
    assert (task["status"], task["receipt"]["proof"]) == ("completed", "content")
    desk.run("--config", desk.config, "config", "show", "-vv")
    desk.run("--config", desk.config, "receipts", "--json")
    assert desk.holding(clear) == (["home/config/haulier/wats-token"] if store == "file" else [])


def test_the_whole_of_config_json_may_be_passed_to_the_face(stored, desk):
    recordings = stored("encrypted")
    manager = ApiIntegrationManager(json.loads(desk.config.read_text()))
    try:
        assert manager.upload_client.test_connection()
        task_id = manager.upload_recording(recordings / VIDEO, None)
        _until(lambda: manager.get_upload_status(task_id)["status"] == "completed")
    finally:
        manager.shutdown()


def test_a_file_is_looked_for_beside_config_json_not_in_the_working_folder(stored, desk, clear):
    stored("encrypted")
    user = desk.folder / "user"
    user.mkdir()
    (user / "token.txt").write_text(clear + "\n")
    (user / "token.txt").chmod(0o600)
    settings = settings_of(desk, json.loads(desk.config.read_text()))
    settings.API_TOKEN = "file:token.txt"
    manager = ApiIntegrationManager(settings)
    try:
        assert manager.upload_client.test_connection()
        assert manager.upload_client.api_token == f"file:{user / 'token.txt'}"
    finally:
        manager.shutdown()


def test_copied_to_another_machine_the_face_keeps_the_work_and_says_what_to_do(
    stored, desk, monkeypatch, tmp_path, caplog, clear
):
    recordings = stored("encrypted")
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "another machine"))
    manager = ApiIntegrationManager(settings_of(desk, json.loads(desk.config.read_text())))
    try:
        assert manager.is_initialized
        assert not manager.upload_client.test_connection()
        task_id = manager.upload_recording(recordings / VIDEO, recordings / f"{SESSION}_metadata.json")
        assert manager.get_upload_status(task_id)["status"] in {"pending", "in_progress"}
    finally:
        manager.shutdown()
    assert "recordings are queued and wait" in caplog.text
    assert "another user or on another machine" in caplog.text
    assert "haulier wats token set --new" in caplog.text
    ran = desk.run("--config", desk.config, "doctor")
    assert ran.code == 4
    assert "haulier wats token set --new" in ran.out
    assert desk.token_set("--new", stdin=clear).code == 0
    manager = ApiIntegrationManager(settings_of(desk, json.loads(desk.config.read_text())))
    try:
        _until(lambda: (manager.get_upload_status(task_id) or {}).get("status") == "completed")
    finally:
        manager.shutdown()


def _until(happened):
    end = time.monotonic() + 20
    pause = threading.Event()
    while not happened():
        assert time.monotonic() < end, "it did not happen"
        pause.wait(0.02)
