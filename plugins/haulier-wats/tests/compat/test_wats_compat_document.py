"""The user's manual: every example runs as it is written, the scenarios load, the test script passes."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from haulier_wats.compat import ApiConfig
from haulier_wats.compat.settings import read_settings

PLUGIN = Path(__file__).parent.parent.parent

INITIALIZE = """
from wats_app.api import ApiIntegrationManager

# Inicializar com settings do WATS
api_manager = ApiIntegrationManager(settings)

# Verificar se inicializou corretamente
if api_manager.is_initialized:
    print("✅ API upload system ready")
else:
    print("❌ API upload system failed to initialize")
"""

UPLOAD = """
from pathlib import Path

video_file = Path("session_123_ServerName_20241026_150000.mp4")
metadata_file = Path("session_123_metadata.json")

# Queue upload
task_id = api_manager.upload_recording(video_file, metadata_file)

if task_id:
    print(f"Upload queued: {task_id}")

    # Monitor status
    status = api_manager.get_upload_status(task_id)
    print(f"Status: {status['status']} - Progress: {status['progress']}%")
"""

OLDER = """
from pathlib import Path

recordings_dir = Path("C:/WATS_Recordings")

# Upload recordings up to 30 days old
task_ids = api_manager.upload_older_recordings(recordings_dir, max_age_days=30)

print(f"Queued {len(task_ids)} older recordings for upload")
"""

STATUS = """
# Get overall queue status
queue_status = api_manager.get_queue_status()

print(f"Queue size: {queue_status['queue_size']}")
print(f"Active uploads: {queue_status['active_uploads']}")
print(f"Completed: {queue_status['completed_uploads']}")
print(f"Failed: {queue_status['failed_uploads']}")
"""

CALLBACKS = """
def on_upload_started(task_id: str, filename: str):
    print(f"🚀 Upload started: {filename} ({task_id})")

def on_upload_progress(task_id: str, progress: int):
    print(f"📊 Upload progress: {task_id} - {progress}%")

def on_upload_completed(task_id: str, server_file_id: str):
    print(f"✅ Upload completed: {task_id} -> {server_file_id}")

def on_upload_failed(task_id: str, error: str):
    print(f"❌ Upload failed: {task_id} - {error}")

# Set callbacks
api_manager.on_upload_started = on_upload_started
api_manager.on_upload_progress = on_upload_progress
api_manager.on_upload_completed = on_upload_completed
api_manager.on_upload_failed = on_upload_failed
"""

ERRORS = """
try:
    task_id = api_manager.upload_recording(video_file, metadata_file)
except ApiError as e:
    if isinstance(e, AuthenticationError):
        print("❌ Authentication failed - check API token")
    elif isinstance(e, NetworkError):
        print("🌐 Network error - will retry automatically")
    else:
        print(f"💥 Upload error: {e.message}")
"""

DEBUG = """
# Habilitar logs detalhados
import logging
logging.getLogger('wats_app.api').setLevel(logging.DEBUG)

# Testar conexão
if api_manager.upload_client:
    connection_ok = api_manager.upload_client.test_connection()
    print(f"API connection: {'✅ OK' if connection_ok else '❌ FAILED'}")
"""

SCENARIOS = {
    "backup": """
{
  "api": {
    "enabled": true,
    "base_url": "https://backup.empresa.com/api",
    "auto_upload": true,
    "delete_after_upload": true,
    "max_concurrent_uploads": 3
  }
}
""",
    "compliance": """
{
  "api": {
    "enabled": true,
    "base_url": "https://compliance-storage.empresa.com/api",
    "auto_upload": true,
    "delete_after_upload": false,
    "upload_older_recordings": true,
    "max_file_age_days": 365
  }
}
""",
    "development": """
{
  "api": {
    "enabled": true,
    "base_url": "https://dev-storage.empresa.com/api",
    "auto_upload": false,
    "delete_after_upload": false,
    "upload_timeout": 30,
    "max_retries": 1
  }
}
""",
}


class Console:
    """Runs examples one after the other in one program."""

    def __init__(self, capsys, **names):
        self.names = names
        self._capsys = capsys

    def run(self, example):
        exec(compile(example, "example", "exec"), self.names)
        return self._capsys.readouterr().out


@pytest.fixture
def console(capsys, program, server, tmp_path, recordings):
    (tmp_path / "session_123_ServerName_20241026_150000.mp4").write_bytes(b"video")
    (tmp_path / "session_123_metadata.json").write_text('{"session_id": "session_123"}')
    recordings.folder = tmp_path / "C:" / "WATS_Recordings"
    recordings.folder.mkdir(parents=True)
    console = Console(capsys, settings=program(server.url))
    yield console
    if "api_manager" in console.names:
        console.names["api_manager"].shutdown()


def test_the_examples_run_in_their_order(console, recordings, until):
    assert console.run(INITIALIZE) == "✅ API upload system ready\n"
    queued, status = console.run(UPLOAD).splitlines()
    assert re.fullmatch(r"Upload queued: upload_\w+", queued)
    assert re.fullmatch(r"Status: (pending|in_progress|completed) - Progress: \d+%", status)
    recordings.session()
    assert console.run(OLDER) == "Queued 1 older recordings for upload\n"
    manager = console.names["api_manager"]
    until(lambda: manager.get_queue_status()["completed_uploads"] == 2)
    assert console.run(STATUS) == "Queue size: 0\nActive uploads: 0\nCompleted: 2\nFailed: 0\n"
    assert console.run(DEBUG) == "API connection: ✅ OK\n"


def test_the_callbacks_print_what_the_manual_shows(console, until, capsys):
    console.run(INITIALIZE)
    console.run(CALLBACKS)
    printed = [console.run(UPLOAD)]
    until(lambda: printed.append(capsys.readouterr().out) or "✅ Upload completed" in "".join(printed))
    text = "".join(printed)
    task_id = console.names["task_id"]
    assert f"🚀 Upload started: session_123_ServerName_20241026_150000.mp4 ({task_id})\n" in text
    assert f"📊 Upload progress: {task_id} - 100%\n" in text
    assert re.search(rf"✅ Upload completed: {task_id} -> \w+\n", text)


def test_the_error_example_catches_what_is_raised(console):
    console.run(INITIALIZE)
    console.run("from wats_app.api import ApiError, AuthenticationError, NetworkError")
    console.run(UPLOAD)
    assert console.run(ERRORS) == ""
    console.names["metadata_file"].write_text("[]")
    assert console.run(ERRORS).startswith("💥 Upload error: ")
    console.names["video_file"] = Path("missing.mp4")
    assert "there is no such video file" in console.run(ERRORS)


@pytest.mark.parametrize(
    ("error", "line"),
    [
        ('AuthenticationError("no")', "❌ Authentication failed - check API token\n"),
        ("NetworkError()", "🌐 Network error - will retry automatically\n"),
        ('ServerError("down", 503)', "💥 Upload error: down\n"),
    ],
)
def test_the_error_example_tells_the_classes_apart(error, line, console):
    console.run("from wats_app.api import ApiError, AuthenticationError, NetworkError, ServerError")
    console.run(
        f"""
class Raising:
    def upload_recording(self, video_file, metadata_file):
        raise {error}
api_manager, video_file, metadata_file = Raising(), None, None
Raising.shutdown = lambda self: None
"""
    )
    assert console.run(ERRORS) == line


@pytest.mark.parametrize("name", SCENARIOS)
def test_the_scenarios_load_as_they_are_written(name, face):
    document = json.loads(SCENARIOS[name])
    api = document["api"]
    assert ApiConfig(document).to_dict() == ApiConfig({}).to_dict() | api
    settings = read_settings(document, environ={})
    assert settings.problem == ""
    assert settings.connection == (api["base_url"], "")
    assert settings.config.upload.enabled
    for key, value in api.items():
        if key != "base_url":
            assert getattr(settings.config.upload, key) == value


def test_all_names_can_be_imported_from_their_modules():
    script = """
        import sys
        import wats_app.api
        heavy = {"requests", "pydantic", "apsw", "fsspec", "cryptography", "starlette"} & set(sys.modules)
        assert not heavy, heavy
        from wats_app.api import ApiIntegrationManager, RecordingUploadClient, UploadManager, UploadTask, UploadStatus
        from wats_app.api import ApiConfig, ApiError, AuthenticationError, NetworkError, ServerError, ValidationError
        from wats_app.api import UploadError, ProgressFileWrapper
        heavy = {"requests", "pydantic", "apsw", "fsspec", "cryptography", "starlette"} & set(sys.modules)
        assert not heavy, heavy
        from wats_app.api.api_integration import ApiIntegrationManager as again
        from wats_app.api.upload_client import RecordingUploadClient, ProgressFileWrapper
        from wats_app.api.upload_manager import UploadManager, UploadTask, UploadStatus
        from wats_app.api.config import ApiConfig
        from wats_app.api.exceptions import ApiError as error
        from haulier_wats.compat import *
        assert again is ApiIntegrationManager and error is ApiError
        assert getattr(wats_app, "__file__", None) is None
        print(sorted(wats_app.api.__all__) == sorted(dir(wats_app.api)))
    """
    source = "\n".join(line.removeprefix("        ") for line in script.splitlines())
    ran = subprocess.run([sys.executable, "-c", source], capture_output=True, text=True, check=False)
    assert (ran.stdout, ran.stderr) == ("True\n", "")


def test_another_package_shares_the_namespace_and_the_program_re_exports_in_one_line(tmp_path):
    (tmp_path / "wats_app" / "other").mkdir(parents=True)
    (tmp_path / "wats_app" / "other" / "__init__.py").write_text("here = True\n")
    (tmp_path / "wats" / "api").mkdir(parents=True)
    (tmp_path / "wats" / "__init__.py").write_text("")
    (tmp_path / "wats" / "api" / "__init__.py").write_text("from haulier_wats.compat import *\n")
    script = "import wats_app.api, wats_app.other, wats.api; print(wats.api.ApiIntegrationManager is wats_app.api.ApiIntegrationManager)"
    ran = subprocess.run([sys.executable, "-c", script], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert (ran.stdout, ran.stderr) == ("True\n", "")


def test_the_test_script_prints_what_the_manual_shows():
    environ = os.environ | {"PYTHONUTF8": "0", "PYTHONIOENCODING": "cp1252"}  # as a Windows console
    ran = subprocess.run(
        [sys.executable, "test_api_upload_system.py"], cwd=PLUGIN, capture_output=True, env=environ, check=False
    )
    printed = ran.stdout.decode("utf-8")
    assert ran.returncode == 0, printed + ran.stderr.decode()
    assert printed.startswith("🚀 WATS API Upload System - Test Suite\n" + "=" * 50 + "\n")
    for line in (
        "test_connection_test_success (test_api_upload_system.TestRecordingUploadClient) ... ok",
        "test_upload_recording_success (test_api_upload_system.TestRecordingUploadClient) ... ok",
        "test_queue_upload (test_api_upload_system.TestUploadManager) ... ok",
        "test_initialization_success (test_api_upload_system.TestApiIntegrationManager) ... ok",
        "📊 Test Results Summary:",
        "✅ Tests run: 12",
        "❌ Failures: 0",
        "💥 Errors: 0",
    ):
        assert line in printed.splitlines()
    assert re.search(r"-{50}\nRan 12 tests in \d+\.\d{3}s\n\nOK\n", printed)
    assert printed.endswith("🎉 ALL TESTS PASSED! API upload system is working correctly.\n")


def test_the_test_script_tells_of_a_failure(tmp_path):
    source = (PLUGIN / "test_api_upload_system.py").read_text("utf-8")
    (tmp_path / "test_api_upload_system.py").write_text(source.replace('"completed"', '"never"'), "utf-8")
    script = "import test_api_upload_system as t; raise SystemExit(t.main(['TestApiIntegrationManager']))"
    ran = subprocess.run([sys.executable, "-c", script], cwd=tmp_path, capture_output=True, check=False)
    assert ran.returncode == 1
    assert "ALL TESTS PASSED" not in ran.stdout.decode("utf-8")
