"""Several WATS processes on one state folder: each recording is uploaded once, and everybody is told of their own."""

from __future__ import annotations

import json
import subprocess
import sys
import textwrap

import pytest

from haulier_wats.compat import RecordingUploadClient, UploadManager, UploadStatus, relay

PROGRAM = """
    import json, sys, threading
    from types import SimpleNamespace
    from haulier.service.parts import Pace, Ports
    from wats_app.api import ApiIntegrationManager

    settings = SimpleNamespace(**json.loads(sys.argv[1]))
    wanted = int(sys.argv[2])
    manager = ApiIntegrationManager(settings, ports=Ports(pace=Pace(upkeep=0.05, idle=0.05)))
    completed = set()
    manager.on_upload_completed = lambda task_id, file_id: completed.add(task_id)
    print("ready", flush=True)
    sys.stdin.readline()
    queued = manager.upload_older_recordings(settings.RECORDING_OUTPUT_DIR)
    pause = threading.Event()
    while manager.get_queue_status()["completed_uploads"] < wanted or not set(queued) <= completed:
        pause.wait(0.05)
    manager.shutdown()
    print(json.dumps(queued), flush=True)
"""


def test_two_processes_upload_each_recording_once(proxy, recordings, program, listed):
    wanted = 16
    for number in range(wanted):
        recordings.session(number, content=bytes(50_000))
    settings = program(proxy.url, API_AUTO_UPLOAD=True, validate_api_config=None)
    arguments = [sys.executable, "-c", textwrap.dedent(PROGRAM), json.dumps(vars(settings)), str(wanted)]
    running = [subprocess.Popen(arguments, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) for _ in range(2)]
    try:
        assert [one.stdout.readline() for one in running] == ["ready\n"] * 2
        for one in running:
            one.stdin.write("\n")
            one.stdin.flush()
        told = [json.loads(one.communicate(timeout=60)[0]) for one in running]
    finally:
        for one in running:
            one.kill()
            one.communicate()
    assert not set(told[0]) & set(told[1])
    assert [one.returncode for one in running] == [0, 0]
    stored = listed()
    assert len(stored) == wanted
    assert len({one["session_id"] for one in stored}) == wanted
    assert proxy.count("POST", "create-session") == wanted
    assert proxy.bytes_seen["PATCH"] < wanted * 60_000


def test_an_upload_that_another_one_carried_out_is_told_where_it_was_queued(
    server, token, recordings, tmp_path, until, ports
):
    client = RecordingUploadClient(f"{server.url}/api", token)
    state = tmp_path / "data" / "upload_state.json"
    queues, uploads = (UploadManager(client, state_file=state, ports=ports) for _ in range(2))
    told = []
    queues.on_upload_completed = told.append  # it is never started
    task_ids = [queues.queue_upload(*recordings.session(number)) for number in range(3)]
    uploads.start()
    until(lambda: len(told) == 3)
    assert {task.id for task in told} == set(task_ids)
    assert {task.status for task in told} == {UploadStatus.COMPLETED}
    assert all(task.server_file_id for task in told)
    for one in (queues, uploads):
        one.stop()
    client.close()


@pytest.fixture
def two_faces(server, token, tmp_path, ports, monkeypatch):
    monkeypatch.setattr(relay, "GLANCE", 0.02)
    client = RecordingUploadClient(f"{server.url}/api", token)
    state = tmp_path / "data" / "upload_state.json"
    faces = [UploadManager(client, state_file=state, ports=ports) for _ in range(2)]
    yield faces
    for one in faces:
        one.stop()
    client.close()


def test_who_queues_what_another_one_queued_is_told_of_its_end_too(two_faces, recordings, until):
    mine, other = two_faces
    told = []
    mine.on_upload_completed = told.append
    recording = recordings.session(1)
    task_id = other.queue_upload(*recording)
    assert mine.queue_upload(*recording) == task_id
    other.start()
    until(lambda: told)
    assert [task.id for task in told] == [task_id]


def test_an_end_is_told_once_however_often_the_recording_is_queued(two_faces, recordings, until):
    mine, _ = two_faces
    told = []
    mine.on_upload_completed = told.append
    first, second = recordings.session(1), recordings.session(2)
    mine.start()
    wanted = [mine.queue_upload(*first)]
    until(lambda: len(told) == 1)
    assert mine.queue_upload(*first) == wanted[0]
    mine._relay.expect(wanted[0])  # as if it had ended between learning its id and this
    wanted.append(mine.queue_upload(*second))
    until(lambda: len(told) >= 2 and not mine._relay._awaited)
    assert [task.id for task in told] == wanted
