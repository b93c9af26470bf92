"""Every call that WATS makes, with what it gives back."""

from __future__ import annotations

import threading
import time

import pytest

from haulier_wats.compat import (
    ApiError,
    ApiIntegrationManager,
    RecordingUploadClient,
    UploadManager,
    UploadStatus,
    UploadTask,
    ValidationError,
)

STATUS_KEYS = {
    "task_id",
    "status",
    "progress",
    "video_file",
    "created_at",
    "retry_count",
    "last_error",
    "server_file_id",
}
QUEUE_KEYS = {"queue_size", "active_uploads", "completed_uploads", "failed_uploads", "is_running"}
NOTHING = {"queue_size": 0, "active_uploads": 0, "completed_uploads": 0, "failed_uploads": 0, "is_running": False}


def test_disabled_it_is_initialized_and_every_call_answers_nothing(face, program, server, recordings):
    manager = face(program(server.url, API_ENABLED=False))
    assert manager.is_initialized
    assert manager.upload_client is None
    assert manager.upload_manager is None
    assert manager.upload_recording(*recordings.session()) is None
    assert manager.upload_older_recordings(recordings.folder) == []
    assert manager.get_upload_status("upload_1") is None
    assert manager.get_queue_status() == NOTHING
    assert manager.retry_failed_upload("upload_1") is False
    assert manager.cancel_upload("upload_1") is False
    assert manager.cleanup_uploaded_files() == 0
    manager.shutdown()


def test_status_of_a_completed_upload(face, program, server, recordings, ended, listed):
    manager = face(program(server.url))
    video, metadata = recordings.session()
    task_id = manager.upload_recording(video, metadata)
    status = ended(manager, task_id)
    assert set(status) == STATUS_KEYS
    assert status["task_id"] == task_id
    assert status["status"] == "completed"
    assert status["progress"] == 100
    assert status["video_file"] == str(video)
    assert status["created_at"].startswith(time.strftime("%Y-"))
    assert status["retry_count"] == 0
    assert status["last_error"] is None
    assert status["server_file_id"] == listed()[0]["file_id"]
    assert manager.get_upload_status("upload_nobody") is None


def test_queue_status_counts_each_state(face, program, server, recordings, ended, until, proxy, fault):
    proxy.rule = lambda request: fault(400) if b"rdp_2_" in request.body else None
    manager = face(program(proxy.url))
    good = manager.upload_recording(*recordings.session(1))
    bad = manager.upload_recording(*recordings.session(2))
    assert ended(manager, good)["status"] == "completed"
    assert ended(manager, bad)["status"] == "failed"
    status = manager.get_queue_status()
    assert set(status) == QUEUE_KEYS
    assert status == {
        "queue_size": 0,
        "active_uploads": 0,
        "completed_uploads": 1,
        "failed_uploads": 1,
        "is_running": True,
    }


def test_the_six_metrics_can_be_read(face, program, old_server, recordings, until):
    old_server.gate.clear()
    manager = face(program(old_server.url, API_MAX_CONCURRENT_UPLOADS=1))
    first = manager.upload_recording(*recordings.session(1, content=bytes(300_000)))
    manager.upload_recording(*recordings.session(2))
    until(lambda: manager.get_queue_status()["active_uploads"] == 1)
    queue, one = manager.get_queue_status(), manager.get_upload_status(first)
    assert [queue[name] for name in ("queue_size", "active_uploads", "completed_uploads", "failed_uploads")] == [
        1,
        1,
        0,
        0,
    ]
    assert [one[name] for name in ("status", "progress", "retry_count")] == ["in_progress", 0, 0]


def test_a_failed_upload_is_retried_on_request(face, program, recordings, proxy, fault, ended, until):
    proxy.rule = lambda request: fault(400) if "create-session" in request.path else None
    manager = face(program(proxy.url))
    task_id = manager.upload_recording(*recordings.session())
    assert ended(manager, task_id)["status"] == "failed"
    proxy.rule = lambda request: None
    assert manager.retry_failed_upload(task_id) is True
    until(lambda: manager.get_upload_status(task_id)["status"] == "completed")
    assert manager.retry_failed_upload(task_id) is False
    assert manager.retry_failed_upload("upload_nobody") is False


def test_a_running_upload_is_cancelled(face, program, recordings, old_server, ended, until):
    old_server.gate.clear()
    manager = face(program(old_server.url))
    video, metadata = recordings.session(content=bytes(1 << 20))
    task_id = manager.upload_recording(video, metadata)
    until(lambda: old_server.count("/put/"))
    assert manager.cancel_upload(task_id) is True
    status = ended(manager, task_id)
    assert (status["status"], status["last_error"]) == ("failed", "cancelled")
    assert video.exists()
    assert metadata.exists()
    assert manager.cancel_upload("upload_nobody") is False


def test_a_waiting_upload_is_cancelled(face, program, recordings, proxy, fault, ended, until):
    proxy.rule = lambda request: fault(503) if "create-session" in request.path else None
    manager = face(program(proxy.url))
    task_id = manager.upload_recording(*recordings.session())
    until(lambda: manager.get_upload_status(task_id)["status"] == "retrying")
    assert manager.cancel_upload(task_id) is True
    assert ended(manager, task_id)["last_error"] == "cancelled"
    assert manager.get_queue_status()["failed_uploads"] == 1


def test_the_same_recording_is_the_same_task(face, program, server, recordings, ended, listed):
    manager = face(program(server.url))
    video, metadata = recordings.session()
    task_id = manager.upload_recording(video, metadata)
    ended(manager, task_id)
    assert manager.upload_recording(video, metadata) == task_id
    assert len(listed()) == 1


def test_older_recordings_within_their_age(face, program, server, recordings, ended):
    recordings.session(1, age=2 * 86400)
    recordings.session(2, age=10 * 86400)
    recordings.session(3, age=40 * 86400)
    manager = face(program(server.url))
    assert len(manager.upload_older_recordings(recordings.folder, max_age_days=5)) == 1
    assert len(manager.upload_older_recordings(recordings.folder)) == 1  # 30 days by the settings
    assert len(manager.upload_older_recordings(recordings.folder, max_age_days=365)) == 1


def test_older_recordings_can_be_switched_off_and_a_missing_folder_is_none(face, program, server, recordings, caplog):
    recordings.session()
    manager = face(program(server.url, API_UPLOAD_OLDER_RECORDINGS=False))
    assert manager.upload_older_recordings(recordings.folder) == []
    manager.shutdown()
    manager = face(program(server.url))
    assert manager.upload_older_recordings(recordings.folder / "nowhere") == []
    assert "nowhere" in caplog.text


def test_after_shutdown_calls_answer_nothing_and_it_can_begin_again(face, program, server, recordings, ended):
    manager = face(program(server.url))
    task_id = manager.upload_recording(*recordings.session(1))
    manager.shutdown()
    manager.shutdown()
    assert not manager.is_initialized
    assert manager.upload_recording(*recordings.session(2)) is None
    assert manager.get_queue_status() == NOTHING
    assert manager.initialize()
    assert ended(manager, task_id, seconds=1.0)["status"] == "completed"


def test_calls_from_many_threads_at_once(face, program, server, recordings, until):
    manager = face(program(server.url, API_MAX_CONCURRENT_UPLOADS=4))
    sessions = [recordings.session(number) for number in range(12)]
    task_ids = []
    threads = [
        threading.Thread(target=lambda one=one: task_ids.append(manager.upload_recording(*one))) for one in sessions
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(set(task_ids)) == 12
    until(lambda: manager.get_queue_status()["completed_uploads"] == 12)


def test_auto_upload_takes_what_appears_without_a_call(face, program, server, recordings, until, listed):
    recordings.session(1)
    face(program(server.url, API_AUTO_UPLOAD="true"))
    until(lambda: len(listed()) == 1, seconds=1.0)
    recordings.session(2)
    until(lambda: len(listed()) == 2, seconds=1.0)


def test_without_auto_upload_nothing_is_taken_and_without_older_ones_only_new(
    face, program, server, recordings, until, listed, clock
):
    recordings.session(1)
    quiet = face(program(server.url))
    until(lambda: quiet.get_queue_status()["is_running"])
    quiet.shutdown()
    manager = face(program(server.url, API_AUTO_UPLOAD=True, API_UPLOAD_OLDER_RECORDINGS=False))
    until(lambda: manager.get_queue_status()["is_running"])
    recordings.session(2, age=-5)
    until(lambda: len(listed()) == 1, seconds=1.0)
    assert listed()[0]["session_id"].startswith("rdp_2_")


def test_the_upload_manager_on_its_own(server, token, recordings, tmp_path, until, ports):
    client = RecordingUploadClient(f"{server.url}/api", token)
    manager = UploadManager(client, 3, 2, tmp_path / "data" / "upload_state.json", ports=ports)
    told = []
    manager.on_upload_completed = told.append
    task_id = manager.queue_upload(*recordings.session())
    assert task_id.startswith("upload_")
    task = manager.get_task_status(task_id)
    assert isinstance(task, UploadTask)
    assert (task.id, task.status, task.progress) == (task_id, UploadStatus.PENDING, 0)
    assert manager.get_queue_status() == NOTHING | {"queue_size": 1}
    assert not manager.running
    manager.start()
    manager.start()
    until(lambda: told)
    assert told[0].status is UploadStatus.COMPLETED
    assert told[0].server_file_id
    assert told[0].to_dict()["status"] == "completed"
    assert manager.cleanup_old_tasks(days_to_keep=7) == 0
    assert manager.get_task_status("upload_nobody") is None
    manager.stop(timeout=1.0)
    assert not manager.running
    assert manager.get_task_status(task_id).status is UploadStatus.COMPLETED  # the queue is opened again to be asked
    manager.stop()
    client.close()
    assert (tmp_path / "data" / "uploads").is_dir()


def test_an_upload_manager_needs_a_client_with_an_address():
    with pytest.raises(TypeError, match="RecordingUploadClient"):
        UploadManager(None)


@pytest.mark.parametrize("backend", ["filesystem", "memory"])
def test_another_backend_serves_the_same_program(backend, face, program, recordings, ended, tmp_path):
    tables = {"filesystem": {"url": (tmp_path / "archive").as_uri()}} if backend == "filesystem" else None
    settings = program("", API_BASE_URL="", API_BACKEND=backend, API_BACKENDS=tables, validate_api_config=lambda: False)
    manager = face(settings)
    assert manager.is_initialized
    assert manager.upload_client is None
    status = ended(manager, manager.upload_recording(*recordings.session()))
    assert status["status"] == "completed"
    assert status["server_file_id"].endswith(".mp4")


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"no json", "no JSON"),
        (b'["a list"]', "no JSON object"),
        (b'{"connection_info": {}}', "session_id"),
        (b'{"session_id": 7}', "session_id"),
        (b"", "empty"),
        (b" " * (2 << 20), "at most"),
    ],
)
def test_bad_metadata_is_refused_before_anything_is_queued(content, says, face, program, server, recordings):
    manager = face(program(server.url))
    video, metadata = recordings.session()
    metadata.write_bytes(content)
    with pytest.raises(ValidationError, match=says) as caught:
        manager.upload_recording(video, metadata)
    assert caught.value.status_code == (413 if "most" in says else 400)
    assert manager.get_queue_status()["queue_size"] == 0


def test_odd_metadata_is_only_warned_of(face, program, server, recordings, ended, caplog):
    manager = face(program(server.url))
    video, metadata = recordings.session()
    metadata.write_text(
        '{"session_id": "s", "start_time": 7, "connection_info": {"ip": "[PROTECTED_BY_SESSION_SECURITY]"}}'
    )
    assert ended(manager, manager.upload_recording(video, metadata))["status"] == "completed"
    assert "start_time" in caplog.text
    assert "recorder_settings" in caplog.text
    assert "connection_info" not in caplog.text


def test_sizes_are_checked_before_anything_is_queued(face, program, server, recordings):
    from haulier_wats.compat.validation import Limits

    manager = face(program(server.url), limits=Limits(video=10))
    with pytest.raises(ValidationError, match="11 bytes; at most 10") as caught:
        manager.upload_recording(*recordings.session(content=bytes(11)))
    assert caught.value.status_code == 413
    with pytest.raises(ValidationError, match="empty"):
        manager.upload_recording(*recordings.session(2, content=b""))
    with pytest.raises(FileNotFoundError):
        manager.upload_recording(recordings.folder / "missing.mp4", recordings.folder / "missing.json")
    with pytest.raises(ApiError):
        manager.upload_recording(recordings.folder, None)


def test_a_recording_without_metadata_is_taken(face, program, server, recordings, ended, listed):
    video = recordings.write("SRV-APP01_seg001_20251105_091500.avi")
    manager = face(program(server.url))
    assert ended(manager, manager.upload_recording(video, None))["status"] == "completed"
    assert listed()[0]["session_id"] == "SRV-APP01_seg001_20251105_091500"


def test_the_manager_takes_a_configuration_document_too(server, token, recordings, ended, tmp_path, monkeypatch, ports):
    api = {"enabled": True, "base_url": f"{server.url}/api", "api_token": token, "state_dir": str(tmp_path / "state")}
    manager = ApiIntegrationManager({"api": api, "recording": {"output_dir": str(recordings.folder)}}, ports=ports)
    assert ended(manager, manager.upload_recording(*recordings.session()))["status"] == "completed"
    manager.shutdown()
    assert (tmp_path / "state").is_dir()
