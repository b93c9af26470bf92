"""The program's callbacks: when, with what, and what they cannot break."""

from __future__ import annotations

import threading

import pytest


def test_all_four_are_told_in_order(face, program, server, recordings, until, proxy, fault):
    proxy.rule = lambda request: fault(400, body=b'{"detail": "bad one"}') if b"rdp_2_" in request.body else None
    manager = face(program(proxy.url, API_MAX_CONCURRENT_UPLOADS=1))
    told = []
    threads = set()

    def note(*what):
        told.append(what)
        threads.add(threading.current_thread())

    manager.on_upload_started = lambda task_id, filename: note("started", task_id, filename)
    manager.on_upload_progress = lambda task_id, percent: note("progress", task_id, percent)
    manager.on_upload_completed = lambda task_id, file_id: note("completed", task_id, file_id)
    manager.on_upload_failed = lambda task_id, error: note("failed", task_id, error)
    video, metadata = recordings.session(1, content=bytes(200_000))
    good = manager.upload_recording(video, metadata)
    until(lambda: told and told[-1][0] == "completed")
    assert told[0] == ("started", good, video.name)
    assert told[-2] == ("progress", good, 100)
    assert told[-1] == ("completed", good, manager.get_upload_status(good)["server_file_id"])
    bad = manager.upload_recording(*recordings.session(2))
    until(lambda: told[-1][0] == "failed")
    assert told[-1][1] == bad
    assert "bad one" in told[-1][2]
    assert threading.main_thread() not in threads
    assert all(thread.daemon for thread in threads)


def test_set_while_work_runs_they_are_called(face, program, old_server, recordings, until):
    old_server.gate.clear()
    manager = face(program(old_server.url))
    task_id = manager.upload_recording(*recordings.session(content=bytes(1 << 20)))
    until(lambda: old_server.count("/put/"))
    told = []
    manager.on_upload_completed = lambda *what: told.append(what)
    old_server.gate.set()
    until(lambda: told == [(task_id, "recording-1")])


def test_cancelling_is_told_as_a_failure(face, program, old_server, recordings, until):
    old_server.gate.clear()
    manager = face(program(old_server.url))
    told = []
    manager.on_upload_failed = lambda *what: told.append(what)
    task_id = manager.upload_recording(*recordings.session(content=bytes(1 << 20)))
    until(lambda: old_server.count("/put/"))
    manager.cancel_upload(task_id)
    until(lambda: told == [(task_id, "cancelled")])


@pytest.mark.parametrize("error", [RuntimeError("main thread is not in main loop"), KeyError("window")])
def test_what_they_raise_is_logged_and_costs_nothing(error, face, program, server, recordings, until, caplog):
    manager = face(program(server.url))
    completed = []

    def fail(*_):
        raise error

    manager.on_upload_started = manager.on_upload_progress = fail
    manager.on_upload_completed = lambda *what: completed.append(what)
    manager.upload_recording(*recordings.session())
    until(lambda: completed)
    assert "Error in upload_started callback" in caplog.text
    assert "Error in upload_progress callback" in caplog.text


def test_one_that_waits_for_the_thread_in_shutdown_does_not_lock_up(face, program, server, recordings, until):
    manager = face(program(server.url))
    main_is_free, entered = threading.Event(), threading.Event()

    def marshal(*_):
        entered.set()
        main_is_free.wait()  # as a window's after(0, ...) does while its loop is not running

    manager.on_upload_started = marshal
    manager.upload_recording(*recordings.session())
    assert entered.wait(20)
    manager.shutdown()  # would never return if it waited for the callback
    assert not main_is_free.is_set()
    main_is_free.set()


def test_nothing_is_told_after_shutdown(face, program, old_server, recordings, until):
    old_server.gate.clear()
    manager = face(program(old_server.url))
    manager.upload_recording(*recordings.session(content=bytes(1 << 20)))
    until(lambda: old_server.count("/put/"))
    told = []
    manager.on_upload_failed = manager.on_upload_completed = lambda *what: told.append(what)
    manager.shutdown()
    old_server.gate.set()
    until(lambda: all(not one.is_alive() for one in threading.enumerate() if one.name == "wats-upload-callbacks"))
    assert told == []


def test_shutdown_from_a_callback_returns(face, program, server, recordings, until):
    manager = face(program(server.url))
    done = []

    def end(*_):
        manager.shutdown()
        done.append(True)

    manager.on_upload_completed = end
    manager.upload_recording(*recordings.session())
    until(lambda: done)
    assert not manager.is_initialized
