"""The lines that the user's manual shows, word for word, below the logger that it names."""

from __future__ import annotations

import logging


def lines(caplog):
    return [
        f"{record.levelname} - {record.getMessage()}"
        for record in caplog.records
        if record.name == "wats_app.api" or record.name.startswith("wats_app.api.")
    ]


def test_each_line_of_the_manual_is_logged(face, program, server, recordings, ended, until, caplog):
    caplog.set_level(logging.INFO, "wats_app.api")
    manager = face(program(server.url))
    video, metadata = recordings.session()
    task_id = manager.upload_recording(video, metadata)
    ended(manager, task_id)
    for line in (
        f"INFO - RecordingUploadClient initialized for {server.url}/api",
        "INFO - API connection test successful",
        "INFO - UploadManager started with 2 workers",
        f"INFO - Recording queued for upload: {video.name} (task: {task_id})",
        f"INFO - Upload completed: {task_id}",
    ):
        until(lambda line=line: line in lines(caplog))
        assert lines(caplog).count(line) == 1


def test_what_is_taken_by_itself_is_logged_too(face, program, server, recordings, until, caplog):
    caplog.set_level(logging.INFO, "wats_app.api")
    video, _ = recordings.session()
    face(program(server.url, API_AUTO_UPLOAD=True))
    start = f"INFO - Recording queued for upload: {video.name} (task: upload_"
    until(lambda: any(line.startswith(start) for line in lines(caplog)), seconds=1.0)
    until(lambda: any(line.startswith("INFO - Upload completed: upload_") for line in lines(caplog)))


def test_failures_and_retries_are_logged_and_the_token_is_not(
    face, program, recordings, proxy, fault, ended, until, caplog, token
):
    caplog.set_level(logging.DEBUG)
    proxy.rule = lambda request: (
        fault(503, body=request.headers["Authorization"].encode()) if request.method == "POST" else None
    )
    manager = face(program(proxy.url, API_MAX_RETRIES=1))
    task_id = manager.upload_recording(*recordings.session())
    ended(manager, task_id, seconds=1.0)
    until(lambda: any(line.startswith(f"ERROR - Upload failed: {task_id}") for line in lines(caplog)))
    assert any(line.startswith(f"WARNING - Upload failed (attempt 1): {task_id}") for line in lines(caplog))
    assert token not in caplog.text
