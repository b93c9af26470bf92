"""Stored recordings: listing, paging, reading, deleting."""

from __future__ import annotations

import hashlib

import pytest


def ids(answer):
    return [entry["file_id"] for entry in answer.json()["recordings"]]


@pytest.fixture
def stored(wire, clock):
    """File ids of five recordings, newest first; the second and third of the same moment."""
    made = []
    for number, seconds in enumerate([0, 10, 0, 10, 10]):
        clock.now += seconds
        made.append(wire.store(b"%d" % number, item_id=f"item {number}", session_id=f"rdp_{number % 2}")["file_id"])
    return made[::-1]


def test_newest_come_first(wire, stored):
    answer = wire("GET", "/recordings")
    assert ids(answer) == stored
    assert {name: answer.json()[name] for name in ("total", "limit", "offset")} == {
        "total": 5,
        "limit": 50,
        "offset": 0,
    }


def test_pages_hold_each_recording_once(wire, stored):
    pages = [wire("GET", f"/recordings?limit=2&offset={offset}") for offset in (0, 2, 4, 6)]
    assert [len(ids(page)) for page in pages] == [2, 2, 1, 0]
    assert [file_id for page in pages for file_id in ids(page)] == stored
    assert {page.json()["total"] for page in pages} == {5}


@pytest.mark.parametrize(
    "query",
    [
        "limit=0",
        "limit=-1",
        "limit=1001",
        "limit=ten",
        "limit=",
        "limit=1.0",
        "offset=-1",
        "offset=1e3",
        "offset=9999999999999999",
    ],
)
def test_bounds_are_told(shared, query):
    answer = shared("GET", f"/recordings?{query}")
    assert answer.status_code == 400
    assert query.split("=", 1)[0] in answer.json()["detail"]


def test_filters_find_by_item_digest_and_recording_session(wire, stored):
    assert ids(wire("GET", "/recordings?item_id=item 3")) == [stored[1]]
    assert ids(wire("GET", f"/recordings?sha256={hashlib.sha256(b'4').hexdigest().upper()}")) == [stored[0]]
    assert ids(wire("GET", "/recordings?session_id=rdp_1")) == [stored[1], stored[3]]
    assert wire("GET", "/recordings?session_id=rdp_1&limit=1").json()["total"] == 2
    assert ids(wire("GET", "/recordings?session_id=rdp_1&item_id=item 1")) == [stored[3]]
    assert ids(wire("GET", "/recordings?item_id=' OR 1=1 --")) == []


def test_an_entry_tells_all_about_a_recording(wire):
    info = {"con_codigo": 123, "name": "Produção"}
    stored = wire.store(b"video", b"{}", item_id="i", connection_info=info)
    entry = {
        "file_id": stored["file_id"],
        "session_id": "rdp_123_1729950022",
        "file_name": "Production Server.mp4",
        "size": 5,
        "sha256": hashlib.sha256(b"video").hexdigest(),
        "item_id": "i",
        "created_at": "2024-10-26T13:40:22.123456Z",
        "connection_info": info,
        "video": {"name": "Production Server.mp4", "size": 5, "sha256": hashlib.sha256(b"video").hexdigest()},
        "metadata": {"name": "rdp_123_metadata.json", "size": 2, "sha256": hashlib.sha256(b"{}").hexdigest()},
    }
    assert wire("GET", "/recordings").json()["recordings"] == [entry]
    assert wire("GET", f"/recordings/{stored['file_id']}").json() == entry


def test_content_comes_whole_and_in_ranges(shared):
    content = bytes(range(256)) * 10_000
    url = f"/recordings/{shared.store(content)['file_id']}/content"
    whole = shared("GET", url)
    assert whole.content == content
    assert whole.headers["Content-Disposition"].startswith("attachment; ")
    part = shared("GET", url, headers={"Range": "bytes=1000000-1000009"})
    assert (part.status_code, part.content) == (206, content[1_000_000:1_000_010])
    beyond = shared("GET", url, headers={"Range": "bytes=9999999-"})
    assert (beyond.status_code, beyond.headers["Content-Type"]) == (416, "application/problem+json")
    assert beyond.headers["Content-Range"].endswith(f"*/{len(content)}")
    assert shared("GET", url, headers={"Range": "bytes=a"}).json()["status"] == 400
    assert shared("HEAD", url).headers["Content-Length"] == str(len(content))


@pytest.mark.parametrize(
    ("declared", "served"), [("video/mp4", "video/mp4"), ("text/html\r\nX: y", "application/octet-stream")]
)
def test_a_declared_type_is_served_if_it_is_one(shared, declared, served):
    files = {"video": {"name": "Aufnahme “1”.mp4", "size": 1, "content_type": declared}}
    session = shared.create(files=files).json()
    shared.patch(session["resumable"]["video_url"], b"v", 0, complete=True)
    answer = shared("GET", f"/recordings/{shared.finalize(session).json()['file_id']}/content")
    assert (answer.status_code, answer.headers["Content-Type"]) == (200, served)


def test_a_lost_file_is_said_to_be_lost(wire, data_dir):
    stored = wire.store()
    next(data_dir.glob("recordings/**/*.mp4")).unlink()
    answer = wire("GET", f"/recordings/{stored['file_id']}/content")
    assert (answer.status_code, "missing" in answer.json()["detail"]) == (500, True)


def test_a_deleted_recording_is_gone_with_its_folders(wire, data_dir):
    stored = wire.store(b"video", b"{}")
    address = f"/recordings/{stored['file_id']}"
    assert wire("DELETE", address).json() == {"deleted": True, "file_id": stored["file_id"]}
    for method, url in [("DELETE", address), ("GET", address), ("GET", address + "/content")]:
        assert wire(method, url).status_code == 404
    assert wire("GET", "/recordings").json()["total"] == 0
    assert wire.finalize(stored).status_code == 404
    assert list((data_dir / "recordings").iterdir()) == []


def test_recordings_survive_a_restart(start):
    stored = start().store(b"video", b"{}")
    wire = start()
    assert ids(wire("GET", "/recordings")) == [stored["file_id"]]
    assert wire("GET", f"/recordings/{stored['file_id']}/content").content == b"video"
