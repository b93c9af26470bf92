"""The settings object: complete, partial, of wrong kinds, a mock; and the state folder."""

from __future__ import annotations

import json
import threading
from types import SimpleNamespace
from unittest.mock import MagicMock, Mock

import pytest

from haulier_wats.compat import ApiConfig
from haulier_wats.compat.config import get_default_api_config
from haulier_wats.compat.settings import read_settings

NOBODY = "http://127.0.0.1:9"
DEFAULTS = {
    "enabled": False,
    "auto_upload": False,
    "upload_timeout": 60,
    "max_retries": 3,
    "max_concurrent_uploads": 2,
    "delete_after_upload": False,
    "upload_older_recordings": True,
    "max_file_age_days": 30,
}


def upload_of(settings):
    upload = read_settings(settings, environ={}).config.upload
    return {name: getattr(upload, name) for name in DEFAULTS}


@pytest.mark.parametrize(
    "settings", [object(), SimpleNamespace(), Mock(), MagicMock(), {}, None], ids=lambda given: type(given).__name__
)
def test_an_object_without_settings_gives_the_defaults(settings, face):
    assert upload_of(settings) == DEFAULTS
    manager = face(settings)
    assert manager.is_initialized
    assert manager.upload_manager is None


def test_every_setting_is_read(tmp_path, program, recordings):
    settings = program(
        NOBODY,
        API_AUTO_UPLOAD=True,
        API_UPLOAD_TIMEOUT=30,
        API_MAX_RETRIES=1,
        API_MAX_CONCURRENT_UPLOADS=4,
        API_DELETE_AFTER_UPLOAD=True,
        API_UPLOAD_OLDER_RECORDINGS=False,
        API_MAX_FILE_AGE_DAYS=365,
    )
    assert list(upload_of(settings).values()) == [True, True, 30, 1, 4, True, False, 365]
    face = read_settings(settings, environ={})
    assert face.connection == (f"{NOBODY}/api", settings.API_TOKEN)
    assert face.config.watch.paths == (recordings.folder,)
    assert face.folders[0] == tmp_path / "user" / "uploads"


def test_a_mock_answers_everything_and_only_the_right_types_count(face, recordings, tmp_path, caplog):
    settings = MagicMock()
    settings.API_ENABLED = True
    settings.API_BASE_URL = f"{NOBODY}/api"
    settings.API_TOKEN = "token"
    settings.API_MAX_RETRIES = 5
    manager = face(settings)
    assert manager.is_initialized
    assert manager.upload_manager.max_retries == 5
    assert manager.upload_manager.max_concurrent_uploads == 2
    assert manager.upload_recording(*recordings.session())
    assert (tmp_path / "platform" / "haulier").is_dir()  # USER_DATA_DIR was a mock
    assert not [record for record in caplog.records if record.name == "wats_app.api.config"]


def test_texts_stand_for_values_and_a_wrong_one_gives_the_default_with_one_warning(program, caplog):
    settings = program(NOBODY, API_ENABLED="true", API_MAX_RETRIES="7", API_AUTO_UPLOAD="No", API_UPLOAD_TIMEOUT=" 45 ")
    assert list(upload_of(settings).values()) == [True, False, 45, 7, 2, False, True, 30]
    assert caplog.text == ""
    settings = program(
        NOBODY, API_MAX_RETRIES="many", API_AUTO_UPLOAD="perhaps", API_MAX_CONCURRENT_UPLOADS=0, API_ENABLED="?"
    )
    assert upload_of(settings) == DEFAULTS
    for name in ("max_retries", "auto_upload", "max_concurrent_uploads", "enabled"):
        assert caplog.text.count(name) == 1


def test_settings_that_raise_are_missing(face):
    class Settings:
        API_ENABLED = True

        @property
        def API_BASE_URL(self):  # noqa: N802  the name that WATS gave it
            raise RuntimeError("not ready")

        def validate_api_config(self):
            raise RuntimeError("not ready either")

    manager = face(Settings())
    assert not manager.is_initialized
    assert manager.upload_recording("a.mp4", "a.json") is None


@pytest.mark.parametrize(
    "changes", [{"API_BASE_URL": ""}, {"API_BASE_URL": "ftp://host"}, {"validate_api_config": lambda: False}]
)
def test_incomplete_settings_leave_it_uninitialized_and_say_why(changes, face, program, caplog):
    manager = face(program(NOBODY, **changes))
    assert not manager.is_initialized
    assert manager.upload_client is None
    assert manager.upload_manager is None
    assert manager.get_queue_status()["is_running"] is False
    assert "API configuration is not complete" in caplog.text


def test_without_a_token_it_works_and_warns(face, program, recordings, old_server, ended, caplog):
    manager = face(program(old_server.url, API_TOKEN=None))
    assert manager.is_initialized
    assert ended(manager, manager.upload_recording(*recordings.session()))["status"] == "completed"
    assert "api_token is empty" in caplog.text
    assert all("Authorization" not in headers for _, _, headers in old_server.seen)


def test_a_state_folder_that_cannot_be_used_is_said_and_replaced(face, program, recordings, tmp_path, caplog):
    (tmp_path / "user").write_text("a file where the folder should be")
    manager = face(program(NOBODY))
    task_id = manager.upload_recording(*recordings.session())
    assert manager.get_upload_status(task_id)["status"] in {"pending", "in_progress"}
    errors = [record.getMessage() for record in caplog.records if record.levelname == "ERROR"]
    assert any(str(tmp_path / "user" / "uploads") in text and str(tmp_path / "platform") in text for text in errors)
    assert manager.is_initialized


def test_no_usable_state_folder_at_all_is_no_crash(face, program, recordings, tmp_path, until, caplog):
    (tmp_path / "user").write_text("a file")
    (tmp_path / "platform").write_text("another one")
    manager = face(program(NOBODY))
    until(lambda: not manager.is_initialized)
    assert manager.get_queue_status()["is_running"] is False
    assert manager.get_upload_status("upload_1") is None
    assert "uploads cannot start" in caplog.text


def test_construction_does_not_wait_for_the_disk(face, program, recordings, ports, until):
    from dataclasses import replace

    from haulier.service.state import open_journal

    may_open = threading.Event()

    def slowly(folder, files):
        may_open.wait()
        return open_journal(folder, files)

    manager = face(program(NOBODY), ports=replace(ports, journal=slowly))
    assert manager.is_initialized
    may_open.set()
    assert manager.upload_recording(*recordings.session())


def test_shutdown_while_it_is_still_opening(face, program, ports, until):
    from dataclasses import replace

    from haulier.service.state import open_journal

    before = set(threading.enumerate())
    may_open, opened = threading.Event(), threading.Event()

    def slowly(folder, files):
        opened.set()
        may_open.wait()
        return open_journal(folder, files)

    manager = face(program(NOBODY), ports=replace(ports, journal=slowly))
    assert opened.wait(20)
    manager.shutdown()
    may_open.set()
    until(lambda: set(threading.enumerate()) <= before)


# -- ApiConfig -------------------------------------------------------------------------------------------------


def test_api_config_has_the_ten_settings_and_their_defaults():
    config = ApiConfig({})
    assert config.to_dict() == get_default_api_config()["api"]
    assert not config.is_enabled()
    assert (config.UPLOAD_TIMEOUT, config.MAX_RETRIES, config.MAX_FILE_AGE_DAYS) == (60, 3, 30)


def test_api_config_reads_a_document_and_hides_the_token():
    config = ApiConfig({"api": {"enabled": True, "base_url": NOBODY, "api_token": "secret", "max_retries": "5"}})
    assert config.is_enabled()
    assert (config.ENABLED, config.BASE_URL, config.API_TOKEN, config.MAX_RETRIES) == (True, NOBODY, "secret", 5)
    assert "secret" not in json.dumps(config.to_dict())


def test_api_config_is_lenient_but_for_the_address(caplog):
    config = ApiConfig({"api": {"max_retries": "many", "enabled": "perhaps", "base_url": 7, "upload_timeout": 2.5}})
    assert (config.MAX_RETRIES, config.ENABLED, config.BASE_URL, config.UPLOAD_TIMEOUT) == (3, False, "", 60)
    assert len(caplog.records) == 4
    with pytest.raises(ValueError, match="base_url"):
        ApiConfig({"api": {"enabled": True}})
    assert ApiConfig({"api": ["no object"]}).to_dict() == get_default_api_config()["api"]
