"""A disk that is nearly full: what does not fit is refused before and while it comes, and nothing is lost."""

from __future__ import annotations

import hashlib

import pytest

MIB = 1 << 20
MIN_FREE = 100 * MIB


class Disk:
    """Free bytes, as the test has them; fewer at each look."""

    def __init__(self):
        self.free = 1 << 40
        self.less = 0

    def __call__(self, folder):
        assert folder.is_dir()
        self.free -= self.less
        return self.free


@pytest.fixture
def disk():
    return Disk()


@pytest.fixture
def wire(start, disk):
    return start(min_free=MIN_FREE, free_space=disk)


def is_full(answer):
    assert answer.status_code == 507
    assert answer.headers["Content-Type"] == "application/problem+json"
    assert int(answer.headers["Retry-After"]) > 0
    return "nearly full" in answer.json()["detail"]


def test_a_session_for_more_than_fits_is_refused(wire, disk):
    disk.free = MIN_FREE + 10
    assert is_full(wire.create(files={"video": {"name": "v", "size": 9}, "metadata": {"name": "m", "size": 2}}))
    assert is_full(wire.create(file_size=11))
    assert wire.create(file_size=10).status_code == 201
    assert wire.create().status_code == 201


def test_an_item_that_is_stored_needs_no_room(wire, disk):
    wire.store(item_id="i")
    disk.free = 0
    assert wire.create(item_id="i", files={"video": {"name": "v", "size": 10}}).status_code == 200


def test_an_append_that_does_not_fit_is_refused_and_goes_on_later(wire, disk):
    session = wire.open(10)
    url = session["resumable"]["video_url"]
    assert wire.patch(url, b"01234", 0).status_code == 204
    disk.free = MIN_FREE + 4
    assert is_full(wire.patch(url, b"56789", 5, complete=True))
    assert wire.head(url).headers["Upload-Offset"] == "5"
    disk.free = MIN_FREE + 5
    assert wire.patch(url, b"56789", 5, complete=True).status_code == 204
    assert wire.finalize(session).json()["sha256"] == hashlib.sha256(b"0123456789").hexdigest()


def test_a_form_that_does_not_fit_is_refused(wire, disk, data_dir, files_in):
    session = wire.create().json()
    disk.free = MIN_FREE + 50
    assert is_full(wire.send_file(session["video_upload_url"], b"x" * 60))
    assert files_in(data_dir) == []


@pytest.mark.parametrize("with_digest", [False, True])
def test_a_disk_that_fills_during_an_append_keeps_what_came(wire, disk, content_digest, with_digest):
    content = bytes(range(256)) * (8 * MIB // 256)
    session = wire.open(len(content))
    url = session["resumable"]["video_url"]
    disk.free, disk.less = MIN_FREE + 5 * MIB, MIB
    fields = {"Content-Digest": content_digest(content)} if with_digest else {}
    answer = wire.patch(url, (content[at : at + MIB] for at in range(0, len(content), MIB)), 0, complete=True, **fields)
    assert is_full(answer)
    held = int(answer.headers["Upload-Offset"])
    assert held == 0 if with_digest else MIB <= held < len(content)
    assert wire.head(url).headers["Upload-Offset"] == str(held)
    disk.free, disk.less = 1 << 40, 0
    assert wire.patch(url, content[held:], held, complete=True).status_code == 204
    assert wire.finalize(session).json()["sha256"] == hashlib.sha256(content).hexdigest()


def test_a_disk_that_fills_during_a_form_keeps_nothing_of_it(wire, disk, data_dir, files_in):
    session = wire.create().json()
    assert wire.send_file(session["video_upload_url"], b"first").status_code == 200
    disk.free, disk.less = MIN_FREE + 5 * MIB, MIB
    form = [b'--b\r\nContent-Disposition: form-data; name="file"\r\n\r\n', *[b"v" * MIB] * 8, b"\r\n--b--\r\n"]
    headers = {"Content-Type": "multipart/form-data; boundary=b"}
    assert is_full(wire("POST", session["video_upload_url"], data=iter(form), headers=headers))
    assert len(files_in(data_dir)) == 1
    assert wire.finalize(session).json()["size"] == 5


def test_what_needs_no_room_is_done_on_a_full_disk(wire, disk):
    session, stored = wire.open(2), wire.store()
    wire.patch(session["resumable"]["video_url"], b"ab", 0, complete=True)
    disk.free = 0
    assert wire.finalize(session).status_code == 200
    assert wire("GET", f"/recordings/{stored['file_id']}/content").status_code == 200
    assert wire("DELETE", f"/recordings/{stored['file_id']}").status_code == 200
    assert wire("GET", "/metrics").json()["disk"] == {"free_bytes": 0, "min_free_bytes": MIN_FREE}
