"""The thirteen faults of the first uploader, each shown to be gone at the face."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import textwrap
import tracemalloc

import pytest

from haulier_wats.compat import RecordingUploadClient

MIB = 1024 * 1024


def free_port():
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return taken.getsockname()[1]


def callbacks(manager):
    """Everything that the callbacks are told."""
    told = []
    for what in ("started", "progress", "completed", "failed"):
        setattr(manager, f"on_upload_{what}", lambda *told_now, what=what: told.append((what, *told_now)))
    return told


def test_fault_01_offline_at_start_costs_no_upload(face, program, recordings, start_server, ended, until):
    port = free_port()
    manager = face(program(f"http://127.0.0.1:{port}"))
    assert manager.is_initialized
    task_id = manager.upload_recording(*recordings.session())
    assert manager.get_upload_status(task_id)["status"] in {"pending", "in_progress"}
    start_server(port)
    assert ended(manager, task_id, seconds=1.0)["status"] == "completed"
    assert manager.get_upload_status(task_id)["retry_count"] == 0


def test_fault_01_a_server_that_never_answers_holds_nothing_up(face, program, recordings):
    with socket.socket() as silent:  # connections are made, and nobody speaks
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        manager = face(program(f"http://127.0.0.1:{silent.getsockname()[1]}"))
        assert manager.is_initialized
        assert manager.upload_recording(*recordings.session())
        manager.shutdown()


def test_fault_02_every_segment_is_paired_and_taken_once(face, program, recordings, server, listed, ended):
    session = "rdp_77_1729950022"
    recordings.sidecar(session)
    for stamp in ("150022", "150722", "151422_resized"):
        recordings.write(f"{session}_Conexão_São.Paulo_20241026_{stamp}.mp4", stamp.encode())
    recordings.write("Srv App_seg001_20251105_091500.avi", b"current generation")
    recordings.write(f"{session}_Srv_20241026_152022.tmp.mp4", b"in the making")
    recordings.write(f"{session}_Conexão_São.Paulo_20241026_150022.bak.mp4", b"the original of the first")
    recordings.write("test_h264.mp4", b"codec")
    recordings.write("cleanup_stats.json", b"{}")

    manager = face(program(server.url))
    queued = manager.upload_older_recordings(recordings.folder)
    assert len(queued) == 4
    assert {ended(manager, task_id)["status"] for task_id in queued} == {"completed"}
    assert manager.upload_older_recordings(recordings.folder) == []
    stored = listed()
    assert sorted(one["size"] for one in stored) == sorted(
        map(len, ("150022", "150722", "151422_resized", "current generation"))
    )
    assert [one["session_id"] for one in stored].count(session) == 3

    manager.shutdown()
    again = face(program(server.url))
    assert again.upload_older_recordings(recordings.folder) == []
    assert len(listed()) == 4


def test_fault_03_five_queued_one_done_none_lost(face, program, recordings, old_server, server, ended, until):
    manager = face(program(old_server.url, API_MAX_CONCURRENT_UPLOADS=1))
    done = []

    def hold(path):
        if path.endswith("finalize"):
            done.append(path)
            old_server.gate.clear()  # the second one gets stuck in its first body

    old_server.on_body = hold
    task_ids = [manager.upload_recording(*recordings.session(number)) for number in range(5)]
    until(lambda: manager.get_queue_status()["completed_uploads"] == 1)
    manager.shutdown()
    old_server.gate.set()

    again = face(program(server.url))
    assert [ended(again, task_id, seconds=1.0)["status"] for task_id in task_ids] == ["completed"] * 5


def test_fault_03_a_program_that_just_ends_loses_nothing(face, program, recordings, server, ended, tmp_path):
    video, metadata = recordings.session()
    script = f"""
        import os
        from types import SimpleNamespace
        from wats_app.api import ApiIntegrationManager
        settings = SimpleNamespace(API_ENABLED=True, API_BASE_URL="http://127.0.0.1:{free_port()}", API_TOKEN="t",
                                   USER_DATA_DIR={str(tmp_path / "user")!r})
        print(ApiIntegrationManager(settings).upload_recording({str(video)!r}, {str(metadata)!r}), flush=True)
        os._exit(0)
    """
    ran = subprocess.run([sys.executable, "-c", textwrap.dedent(script)], capture_output=True, text=True, check=True)
    manager = face(program(server.url))
    assert ended(manager, ran.stdout.strip(), seconds=1.0)["status"] == "completed"


def test_fault_03_a_cut_state_file_forgets_nothing(face, program, recordings, server, tmp_path, caplog, until):
    video, metadata = recordings.session()
    old = tmp_path / "user" / "upload_state.json"
    old.parent.mkdir()
    old.write_text('{"completed_uploads": {"upload_1": {"video_fi')
    manager = face(program(server.url))
    assert manager.upload_older_recordings(recordings.folder)
    assert old.with_name("upload_state.json.unreadable").exists()
    assert "cannot be read" in caplog.text
    assert video.exists()
    assert metadata.exists()


def test_fault_04_stopping_waits_for_no_upload(face, program, recordings, old_server, until):
    old_server.gate.clear()
    manager = face(program(old_server.url))
    task_id = manager.upload_recording(*recordings.session(content=bytes(MIB)))
    until(lambda: manager.get_upload_status(task_id)["status"] == "in_progress" and old_server.count("create-session"))
    manager.shutdown()  # the server still holds the body back
    assert not old_server.gate.is_set()
    assert not manager.is_initialized


def test_fault_05_ids_are_unique_and_a_queued_upload_can_be_seen_and_cancelled(face, program, recordings, until):
    manager = face(program(f"http://127.0.0.1:{free_port()}"))
    task_ids = [manager.upload_recording(*recordings.session(number)) for number in range(20)]
    assert len(set(task_ids)) == 20
    assert all(task_id.startswith("upload_") for task_id in task_ids)
    until(lambda: manager.get_upload_status(task_ids[-1])["status"] == "pending")
    assert manager.cancel_upload(task_ids[-1])
    status = until(lambda: (s := manager.get_upload_status(task_ids[-1]))["status"] == "failed" and s)
    assert status["last_error"] == "cancelled"


@pytest.mark.parametrize(("status", "answer"), [(400, b'{"detail": "no"}'), (401, b"")])
def test_fault_06_what_cannot_pass_is_not_repeated(
    status, answer, face, program, recordings, proxy, fault, until, ended
):
    proxy.rule = lambda request: fault(status, body=answer) if "create-session" in request.path else None
    manager = face(program(proxy.url))
    task_id = manager.upload_recording(*recordings.session())
    if status == 400:
        assert "no" in ended(manager, task_id)["last_error"]
    else:  # the credentials' fault, not the recording's: it waits until they are mended
        until(lambda: (manager.get_upload_status(task_id)["last_error"] or "").count("401"))
        assert manager.get_upload_status(task_id)["status"] == "pending"
    assert proxy.count("POST", "create-session") == 1
    assert manager.get_upload_status(task_id)["retry_count"] == 0


def test_fault_06_a_missing_file_is_not_repeated(face, program, recordings, proxy, fault, ended, until):
    proxy.rule = lambda request: fault(503)
    manager = face(program(proxy.url))
    video, metadata = recordings.session()
    task_id = manager.upload_recording(video, metadata)
    video.unlink()
    proxy.rule = lambda request: None
    status = ended(manager, task_id, seconds=1.0)
    assert (status["status"], status["retry_count"]) == ("failed", min(status["retry_count"], 1))
    assert "gone" in status["last_error"]


def test_fault_06_retries_do_not_multiply(face, program, recordings, proxy, fault, ended):
    proxy.rule = lambda request: fault(503) if "create-session" in request.path else None
    manager = face(program(proxy.url, API_MAX_RETRIES=3))
    task_id = manager.upload_recording(*recordings.session())
    status = ended(manager, task_id, seconds=1.0)
    assert (status["status"], status["retry_count"]) == ("failed", 4)
    assert proxy.count("POST", "create-session") == 4


def test_fault_06_a_failing_finalize_sends_no_video_again(face, program, recordings, proxy, fault, ended):
    failures = [fault(503)] * 3
    proxy.rule = lambda request: failures.pop() if request.path.endswith("/finalize") and failures else None
    manager = face(program(proxy.url))
    task_id = manager.upload_recording(*recordings.session(content=bytes(100_000)))
    assert ended(manager, task_id, seconds=1.0)["status"] == "completed"
    assert proxy.bytes_seen["PATCH"] < 150_000
    assert proxy.count("POST", "create-session") == 1


def test_fault_07_progress_follows_the_server_and_ends_with_it(face, program, recordings, server, ended):
    manager = face(program(server.url, API_MAX_CONCURRENT_UPLOADS=1))
    told = callbacks(manager)
    video, metadata = recordings.session(content=os.urandom(32 * MIB))
    task_id = manager.upload_recording(video, metadata)
    ended(manager, task_id)
    percents = [one[2] for one in told if one[0] == "progress"]
    assert len(percents) >= 4
    assert percents == sorted(percents)
    assert 100 not in percents[:-1]


def test_fault_07_memory_does_not_grow_with_the_file(recordings, server, token):
    video, metadata = recordings.session()
    with video.open("wb") as file:
        file.truncate(40 * MIB)
    client = RecordingUploadClient(f"{server.url}/api", token)
    told = []
    tracemalloc.start()
    try:
        client.upload_recording(video, metadata, lambda sent, total: told.append((sent, total)))
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
        client.close()
    assert peak < 16 * MIB
    assert told[-1][0] == told[-1][1]
    assert all(sent < total for sent, total in told[:-1])


def test_fault_08_the_timeout_bounds_silence_and_not_size(face, program, recordings, old_server, ended):
    old_server.pauses = [0.1] * 15  # together longer than the timeout, each one shorter
    manager = face(program(old_server.url, API_UPLOAD_TIMEOUT=1))
    task_id = manager.upload_recording(*recordings.session(content=bytes(12 * MIB)))
    status = ended(manager, task_id)
    assert (status["status"], status["retry_count"]) == ("completed", 0)


def test_fault_09_a_lost_answer_makes_no_second_session(face, program, recordings, proxy, fault, ended, listed):
    lost = ["create-session", "/finalize"]

    def lose(request):
        part = next((part for part in lost if request.method == "POST" and part in request.path), None)
        if part is None:
            return None
        lost.remove(part)
        return fault(forward=True, reset=True)

    proxy.rule = lose
    manager = face(program(proxy.url))
    task_id = manager.upload_recording(*recordings.session())
    assert ended(manager, task_id, seconds=1.0)["status"] == "completed"
    creates = [request for request in proxy.seen if "create-session" in request.path]
    keys = {request.headers["Idempotency-Key"] for request in creates}
    assert (len(creates), len(keys)) == (2, 1)
    assert len(listed()) == 1


def test_fault_09_an_upload_goes_on_where_it_was(face, program, recordings, proxy, fault, ended):
    content = os.urandom(16 * MIB)
    breaks = [fault(reset=True)]
    proxy.rule = lambda request: (
        breaks.pop() if breaks and request.method == "PATCH" and proxy.bytes_seen["PATCH"] > 9 * MIB else None
    )
    manager = face(program(proxy.url))
    task_id = manager.upload_recording(*recordings.session(content=content))
    assert ended(manager, task_id, seconds=1.0)["status"] == "completed"
    assert proxy.bytes_seen["PATCH"] <= len(content) + 9 * MIB


def test_fault_10_the_token_goes_to_its_own_server_alone(
    face, program, recordings, old_server, start_old_server, ended, tmp_path, monkeypatch
):
    other = start_old_server()
    old_server.video_url = f"{other.url}/put/video"
    netrc = tmp_path / "netrc"
    netrc.write_text("machine 127.0.0.1 login somebody password else\n")
    monkeypatch.setenv("NETRC", str(netrc))
    manager = face(program(old_server.url))
    ended(manager, manager.upload_recording(*recordings.session()), seconds=1.0)
    assert all("Authorization" not in headers for _, _, headers in other.seen)
    assert all(headers["Authorization"].startswith("Bearer ") for _, _, headers in old_server.seen)


def test_fault_10_a_redirect_is_no_success(face, program, recordings, old_server, ended):
    old_server.answers["/put/video"] = (302, {"Location": f"{old_server.url}/health"}, b"")
    manager = face(program(old_server.url))
    status = ended(manager, manager.upload_recording(*recordings.session()), seconds=1.0)
    assert status["status"] == "failed"
    assert "redirect" in status["last_error"]
    assert not old_server.count("finalize")


def test_fault_11_an_empty_answer_and_relative_addresses_do(face, program, recordings, old_server, ended):
    old_server.video_url, old_server.metadata_url = "/put/video", "/put/metadata"
    old_server.answers["/put/video"] = (200, {}, b"")
    old_server.answers["/put/metadata"] = (204, {}, b"")
    old_server.answers["/api/uploads/old-1/finalize"] = (200, {}, b"<html>thank you</html>")
    manager = face(program(old_server.url))
    status = ended(manager, manager.upload_recording(*recordings.session()))
    assert status["status"] == "completed"
    assert (old_server.count("/put/video"), old_server.count("finalize")) == (1, 1)


def test_fault_12_a_video_that_was_replaced_is_sent_as_it_is_now(
    face, program, recordings, start_old_server, listed, server, ended, until
):
    manager = face(program(f"http://127.0.0.1:{free_port()}"))
    video, metadata = recordings.session(content=bytes(500_000))
    task_id = manager.upload_recording(video, metadata)
    manager.shutdown()
    recordings.write("new.tmp.mp4", b"compressed" * 100).replace(video)
    again = face(program(server.url))
    ended(again, task_id, seconds=1.0)
    until(lambda: [one["size"] for one in listed()] == [1000], seconds=1.0)


def test_fault_12_a_video_replaced_while_it_is_sent_is_never_reported_half(
    face, program, recordings, old_server, ended, until
):
    video, metadata = recordings.session(content=bytes(500_000))
    swapped = []

    def swap(path):
        if path == "/put/metadata" and not swapped:
            swapped.append(recordings.write("new.tmp.mp4", b"compressed" * 100).replace(video))

    old_server.on_body = swap
    manager = face(program(old_server.url))
    manager.upload_recording(video, metadata)
    until(lambda: manager.get_queue_status()["completed_uploads"], seconds=1.0)
    assert swapped
    assert old_server.files["video"] == b"compressed" * 100


def test_fault_13_uploaded_files_go_by_themselves_and_only_they(face, program, recordings, server, ended, until):
    session = "rdp_9_1729950022"
    sidecar = recordings.sidecar(session)
    first = recordings.write(f"{session}_Srv_20241026_150022.mp4", b"first")
    second = recordings.write(f"{session}_Srv_20241026_150722.mp4", b"second")
    manager = face(program(server.url, API_DELETE_AFTER_UPLOAD="true"))
    assert ended(manager, manager.upload_recording(first, sidecar))["status"] == "completed"
    until(lambda: not first.exists(), seconds=1.0)
    assert second.exists()
    assert sidecar.exists()  # the second segment still needs it


def test_fault_13_cleanup_keeps_what_changed_after_its_upload(face, program, recordings, server, ended):
    kept = program(server.url)
    manager = face(kept)
    same, same_sidecar = recordings.session(1)
    changed, changed_sidecar = recordings.session(2)
    for video, sidecar in ((same, same_sidecar), (changed, changed_sidecar)):
        assert ended(manager, manager.upload_recording(video, sidecar))["status"] == "completed"
    assert manager.cleanup_uploaded_files() == 0  # nobody asked for deletion
    manager.shutdown()
    changed.write_bytes(b"another content")
    again = face(program(server.url, API_DELETE_AFTER_UPLOAD=True))
    assert again.cleanup_uploaded_files() == 1
    assert not same.exists()
    assert changed.read_bytes() == b"another content"
    assert same_sidecar.exists()
