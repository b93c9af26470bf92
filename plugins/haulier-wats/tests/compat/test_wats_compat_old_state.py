"""The first uploader's ``upload_state.json``, read once and carried over."""

from __future__ import annotations

import json
import time
from datetime import datetime

import pytest

from haulier_wats.compat import RecordingUploadClient, UploadManager
from haulier_wats.compat.old_state import read_old_state


def entry(video, metadata, status, created=None):
    when = datetime.fromtimestamp(time.time() - 60 if created is None else created)  # noqa: DTZ006  as it was written
    return {
        "id": f"upload_1729950022_{video.stem}",
        "video_file": str(video),
        "metadata_file": str(metadata),
        "created_at": when.isoformat(),
        "status": status,
        "retry_count": 3,
        "last_error": None,
        "progress": 100,
        "server_file_id": "file_7",
    }


@pytest.fixture
def old_file(tmp_path):
    def write(completed=(), failed=()):
        path = tmp_path / "user" / "upload_state.json"
        path.parent.mkdir(exist_ok=True)
        document = {
            "completed_uploads": {one["id"]: one for one in completed},
            "failed_uploads": {one["id"]: one for one in failed},
            "saved_at": datetime.now().isoformat(),  # noqa: DTZ005  as it was written
        }
        path.write_text(json.dumps(document, indent=2), "utf-8")
        return path

    return write


def test_failed_ones_are_sent_and_completed_ones_are_not(face, program, server, recordings, old_file, until, listed):
    done, failed, gone = (recordings.session(number) for number in (1, 2, 3))
    path = old_file([entry(*done, "completed")], [entry(*failed, "failed"), entry(*gone, "failed")])
    gone[0].unlink()
    manager = face(program(server.url, API_AUTO_UPLOAD=True))
    until(lambda: [one["session_id"] for one in listed()] == ["rdp_2_1729950022"])
    assert not path.exists()
    assert path.with_name("upload_state.json.carried_over").exists()
    assert manager.upload_older_recordings(recordings.folder) == []
    manager.shutdown()

    again = face(program(server.url, API_AUTO_UPLOAD=True))  # a later start still knows
    assert again.upload_older_recordings(recordings.folder) == []
    until(lambda: again.get_queue_status()["is_running"])
    assert again.get_queue_status()["completed_uploads"] == 1
    assert len(listed()) == 1


def test_what_changed_since_it_was_uploaded_is_sent_again(face, program, server, recordings, old_file, until, listed):
    video, metadata = recordings.session()
    old_file([entry(video, metadata, "completed", created=time.time() - 7200)])  # compressed after that
    face(program(server.url))
    until(lambda: len(listed()) == 1)


def test_an_explicit_wish_goes_before_the_old_file(face, program, server, recordings, old_file, ended):
    session = recordings.session()
    old_file([entry(*session, "completed")])
    manager = face(program(server.url))
    assert ended(manager, manager.upload_recording(*session))["status"] == "completed"


def test_the_upload_manager_on_its_own_reads_its_state_file(server, token, recordings, old_file, until, ports):
    session = recordings.session()
    path = old_file(failed=[entry(*session, "failed")])
    client = RecordingUploadClient(f"{server.url}/api", token)
    manager = UploadManager(client, state_file=path, ports=ports)
    assert manager.get_queue_status()["queue_size"] == 1
    assert not path.exists()
    manager.stop()
    client.close()


@pytest.mark.parametrize(
    "content",
    [
        b"{}",
        b'{"completed_uploads": [], "failed_uploads": null}',
        b'{"failed_uploads": {"a": 1, "b": {"video_file": 7}, "c": {"video_file": ""}}}',
    ],
)
def test_odd_files_hold_no_tasks(content):
    assert read_old_state(content) == []


@pytest.mark.parametrize("content", [b"", b"[1]", b'{"completed_uploads": {', b"\xff\xfe", b"[" * 100_000])
def test_hostile_files_are_refused_and_kept(content, face, program, server, recordings, tmp_path, until):
    path = tmp_path / "user" / "upload_state.json"
    path.parent.mkdir()
    path.write_bytes(content)
    manager = face(program(server.url))
    until(lambda: manager.get_queue_status()["is_running"])
    assert path.with_name("upload_state.json.unreadable").read_bytes() == content
