"""Upload sessions: what creates them, what they remember, when they end."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor

import pytest

HOUR = 3600.0


def test_the_same_key_gives_the_same_session(wire):
    first, again, other = wire.create("k1", item_id="i"), wire.create("k1", item_id="i"), wire.create("k2", item_id="i")
    assert (first.status_code, again.status_code) == (201, 201)
    assert first.json() == again.json()
    assert other.json()["session_id"] != first.json()["session_id"]


def test_the_same_key_gives_the_same_session_to_all_who_ask_at_once(wire):
    with ThreadPoolExecutor(6) as pool:
        ids = set(pool.map(lambda _: wire.create("k1").json()["session_id"], range(6)))
    assert len(ids) == 1


def test_the_order_of_members_does_not_make_another_payload(shared):
    headers = {"Idempotency-Key": '"k"', "Content-Type": "application/json"}
    bodies = ['{"session_id": "a", "item_id": "b"}', '{ "item_id":"b", "session_id":"a" }']
    answers = [shared("POST", "/uploads/create-session", data=body, headers=headers).json() for body in bodies]
    assert answers[0]["session_id"] == answers[1]["session_id"]


def test_a_key_with_another_payload_is_refused(wire):
    wire.create("k1", item_id="i")
    answer = wire.create("k1", item_id="j")
    assert (answer.status_code, "another payload" in answer.json()["detail"]) == (422, True)


def test_a_completed_session_still_answers_to_its_key(wire):
    files = {"video": {"name": "v.mp4", "size": 3}}
    session = wire.create("k", files=files).json()
    wire.patch(session["resumable"]["video_url"], b"abc", 0, complete=True)
    wire.finalize(session)
    assert wire.create("k", files=files).json()["session_id"] == session["session_id"]


@pytest.mark.parametrize("end", ["cancelled", "expired", "recording deleted"])
def test_a_key_is_free_again_when_its_session_is_over(wire, clock, end):
    files = {"video": {"name": "v.mp4", "size": 0}}
    session = wire.create("k", files=files).json()
    if end == "cancelled":
        wire("DELETE", f"/uploads/{session['session_id']}")
    elif end == "expired":
        clock.now += 25 * HOUR
    else:
        wire.patch(session["resumable"]["video_url"], b"", 0, complete=True)
        wire("DELETE", f"/recordings/{wire.finalize(session).json()['file_id']}")
    answer = wire.create("k", files=files)
    assert (answer.status_code, answer.json()["session_id"] != session["session_id"]) == (201, True)


def test_a_key_never_gives_a_session_whose_time_is_up(start, clock):
    wire = start(session_ttl=10)
    first = wire.create("k").json()
    clock.now += 11
    second = wire.create("k").json()
    assert (wire.status(first)["status"], wire.status(second)["status"]) == ("expired", "open")


@pytest.mark.parametrize("key", ["bare", '"', '""', '"a\\b"', f'"{"k" * 256}"', "'single'"])
def test_a_malformed_key_is_refused(shared, key):
    answer = shared("POST", "/uploads/create-session", json={"session_id": "a"}, headers={"Idempotency-Key": key})
    assert (answer.status_code, "double quotes" in answer.json()["detail"]) == (400, True)


def test_an_item_that_is_stored_is_answered_with_its_recording(wire):
    stored = wire.store(b"abc", b"{}", item_id="item 1")
    answer = wire.create(item_id="item 1", files={"video": {"name": "v.mp4", "size": 3}})
    session = answer.json()
    assert answer.status_code == 200
    assert session["recording"] == wire("GET", f"/recordings/{stored['file_id']}").json()
    assert wire.status(session)["status"] == "completed"
    assert wire.finalize(session).json()["file_id"] == stored["file_id"]
    assert wire.patch(session["resumable"]["video_url"], b"abc", 0).status_code == 409
    wire("DELETE", f"/recordings/{stored['file_id']}")
    assert wire.create(item_id="item 1").status_code == 201


def test_the_status_tells_what_is_held(wire):
    session = wire.open(10, 2, item_id="i")
    wire.patch(session["resumable"]["video_url"], b"0123", 0)
    wire.patch(session["resumable"]["metadata_url"], b"{}", 0, complete=True)
    assert wire.status(session) == {
        "session_id": session["session_id"],
        "status": "open",
        "expires_at": session["expires_at"],
        "item_id": "i",
        "files": {
            "video": {"offset": 4, "size": 10, "complete": False},
            "metadata": {"offset": 2, "size": 2, "complete": True},
        },
    }
    assert wire("GET", "/uploads/unknown/status").status_code == 404


def test_the_status_names_the_recording(wire):
    stored = wire.store()
    assert wire.status(stored)["file_id"] == stored["file_id"]


def test_a_dropped_session_takes_its_bytes_along(wire, data_dir, files_in):
    session = wire.open(10)
    wire.patch(session["resumable"]["video_url"], b"0123", 0)
    address = f"/uploads/{session['session_id']}"
    assert wire("DELETE", address).status_code == 204
    assert wire("DELETE", address).status_code == 204
    assert files_in(data_dir) == []
    assert wire.status(session)["status"] == "cancelled"
    assert wire.patch(session["resumable"]["video_url"], b"4", 4).status_code == 410
    assert wire.finalize(session).status_code == 410
    assert wire("DELETE", "/uploads/unknown").status_code == 404


def test_dropping_a_session_ends_its_upload(wire):
    session = wire.open(10)
    with wire.begin_patch(session["resumable"]["video_url"], b"0123", 0, 10) as upload:
        assert wire("DELETE", f"/uploads/{session['session_id']}").status_code == 204
        assert upload.recv(100).startswith((b"HTTP/1.1 409 ", b"HTTP/1.1 410 "))


def test_dropping_a_completed_session_keeps_the_recording(wire):
    stored = wire.store()
    assert wire("DELETE", f"/uploads/{stored['session_id']}").status_code == 204
    assert wire("GET", f"/recordings/{stored['file_id']}").status_code == 200


def test_a_session_expires_and_its_bytes_go(wire, clock, data_dir, files_in):
    session = wire.open(10)
    url = session["resumable"]["video_url"]
    wire.patch(url, b"0123", 0)
    clock.now += 24 * HOUR
    assert wire.status(session)["status"] == "expired"
    assert wire.patch(url, b"4", 4).status_code == 410
    assert wire.head(url).status_code == 410
    assert wire.finalize(session).status_code == 410
    assert wire.send_file(session["video_upload_url"], b"x").status_code == 410
    assert files_in(data_dir) == []


def test_bytes_extend_a_session(wire, clock):
    session = wire.open(10)
    clock.now += 23 * HOUR
    wire.patch(session["resumable"]["video_url"], b"0123", 0)
    clock.now += 23 * HOUR
    assert wire.status(session)["status"] == "open"
    assert wire.patch(session["resumable"]["video_url"], b"456789", 4, complete=True).status_code == 204
    assert wire.finalize(session).status_code == 200


def test_a_new_session_sweeps_the_overdue_ones(wire, clock, data_dir, files_in):
    session = wire.open(10)
    wire.patch(session["resumable"]["video_url"], b"0123", 0)
    clock.now += 25 * HOUR
    wire.open(10)
    assert files_in(data_dir) == []


def test_a_start_sweeps_the_overdue_ones(start, clock, data_dir, files_in):
    wire = start()
    session = wire.open(10)
    wire.patch(session["resumable"]["video_url"], b"0123", 0)
    clock.now += 25 * HOUR
    assert start().status(session)["status"] == "expired"
    assert files_in(data_dir) == []


@pytest.mark.parametrize("size", [10, 200_000])
def test_a_session_in_use_does_not_expire(wire, clock, until, size):
    session = wire.open(size)
    before = wire("GET", "/metrics").json()["bytes_received"]
    with wire.begin_patch(session["resumable"]["video_url"], b"0123", 0, size) as upload:
        until(lambda: wire("GET", "/metrics").json()["bytes_received"] == before + 4)
        clock.now += 25 * HOUR
        wire.open(10)
        upload.sendall(b"x" * (size - 4))
        assert upload.recv(100).startswith(b"HTTP/1.1 204 ")


def test_ended_sessions_are_forgotten_in_the_end(wire, clock):
    session = wire.open(10)
    clock.now += 25 * HOUR
    wire.open(10)
    assert wire.status(session)["status"] == "expired"
    clock.now += 8 * 24 * HOUR
    wire.open(10)
    assert wire("GET", f"/uploads/{session['session_id']}/status").status_code == 404


@pytest.mark.parametrize(
    "body",
    [
        [],
        "text",
        {},
        {"session_id": ""},
        {"session_id": 7},
        {"session_id": "x" * 1025},
        {"session_id": "\ud800"},
        {"session_id": "a", "item_id": 5},
        {"session_id": "a", "connection_info": "text"},
        {"session_id": "a", "metadata": [1]},
        {"session_id": "a", "file_size": -1},
        {"session_id": "a", "file_size": 1.5},
        {"session_id": "a", "file_size": True},
        {"session_id": "a", "files": []},
        {"session_id": "a", "files": {}},
        {"session_id": "a", "files": {"metadata": {"name": "m", "size": 1}}},
        {"session_id": "a", "files": {"video": {"name": "v"}}},
        {"session_id": "a", "files": {"video": {"size": 1}}},
        {"session_id": "a", "files": {"video": {"name": "v", "size": "1"}}},
        {"session_id": "a", "files": {"video": {"name": "v", "size": 1}, "sound": {"name": "s", "size": 1}}},
        {"session_id": "a", "file_size": 2, "files": {"video": {"name": "v", "size": 1}}},
    ],
)
def test_a_request_that_makes_no_sense_is_told_why(shared, body):
    answer = shared("POST", "/uploads/create-session", data=json.dumps(body))
    assert answer.status_code == 422
    assert set(answer.json()) == {"type", "title", "status", "detail"}


def test_whatever_json_connection_info_holds_comes_back(shared):
    info = {"name": "\ud800 half a pair", "n": 10**400, "deep": [[[{"a": None}]]], "é": "\u0000"}
    stored = shared.store(connection_info=info)
    assert shared("GET", f"/recordings/{stored['file_id']}").json()["connection_info"] == info
