"""Reading stored files: whole, in ranges, and only if they are what the reader thinks (RFC 9110)."""

from __future__ import annotations

import base64
import hashlib

import pytest

CONTENT = bytes(range(256)) * 40
SIZE = len(CONTENT)
TAG = f'"{hashlib.sha256(CONTENT).hexdigest()}"'
OTHER = f'"{"0" * 64}"'


@pytest.fixture(scope="module")
def recording(shared):
    return "/recordings/" + shared.store(CONTENT, b'{"a": 1}', session_id="download")["file_id"]


@pytest.fixture
def read(shared, recording):
    return lambda method="GET", **headers: shared(
        method, f"{recording}/content", headers={name.replace("_", "-"): value for name, value in headers.items()}
    )


def test_the_whole_file_comes_with_its_digest(read):
    answer = read()
    assert (answer.status_code, answer.content) == (200, CONTENT)
    assert answer.headers["ETag"] == TAG
    assert answer.headers["Accept-Ranges"] == "bytes"
    digest = base64.b64encode(hashlib.sha256(CONTENT).digest()).decode()
    assert answer.headers["Repr-Digest"] == f"sha-256=:{digest}:"


@pytest.mark.parametrize(
    ("wanted", "first", "last"),
    [
        ("bytes=0-0", 0, 0),
        ("bytes=5-9", 5, 9),
        (f"bytes={SIZE - 1}-", SIZE - 1, SIZE - 1),
        ("bytes=100-", 100, SIZE - 1),
        ("bytes=-7", SIZE - 7, SIZE - 1),
        (f"bytes=-{SIZE * 2}", 0, SIZE - 1),
        (f"bytes=0-{SIZE * 2}", 0, SIZE - 1),
        ("BYTES=1-2", 1, 2),
        ("bytes = 1-2", 1, 2),
    ],
)
def test_a_range_comes_alone(read, wanted, first, last):
    answer = read(Range=wanted)
    assert (answer.status_code, answer.content) == (206, CONTENT[first : last + 1])
    assert answer.headers["Content-Range"] == f"bytes {first}-{last}/{SIZE}"
    assert answer.headers["Content-Length"] == str(last - first + 1)
    assert answer.headers["ETag"] == TAG


def test_several_ranges_come_in_parts(read):
    answer = read(Range="bytes=0-1,10-11")
    assert answer.status_code == 206
    assert answer.headers["Content-Type"].startswith("multipart/byteranges; boundary=")
    assert [part in answer.content for part in (b"\r\n\r\n\x00\x01\r\n", b"\r\n\r\n\x0a\x0b\r\n")] == [True, True]


@pytest.mark.parametrize("wanted", [f"bytes={SIZE}-", f"bytes={SIZE}-{SIZE + 5}", "bytes=-0"])
def test_a_range_outside_is_refused_with_the_size(read, wanted):
    answer = read(Range=wanted)
    assert (answer.status_code, answer.headers["Content-Type"]) == (416, "application/problem+json")
    assert answer.headers["Content-Range"] == f"bytes */{SIZE}"


@pytest.mark.parametrize("wanted", ["seconds=1-2", "bytes", "", "lines=0-"])
def test_a_range_in_another_unit_is_ignored(read, wanted):
    answer = read(Range=wanted)
    assert (answer.status_code, answer.content) == (200, CONTENT)


@pytest.mark.parametrize(
    ("condition", "status"),
    [(TAG, 206), (OTHER, 200), (f"W/{TAG}", 200), ("Sat, 26 Oct 2024 13:40:22 GMT", 200), ("nonsense", 200)],
)
def test_if_range_asks_for_the_rest_of_the_same_file_only(read, condition, status):
    answer = read(Range="bytes=5-9", If_Range=condition)
    assert (answer.status_code, len(answer.content)) == (status, 5 if status == 206 else SIZE)


def test_if_range_takes_the_time_of_the_file_too(read):
    assert read(Range="bytes=5-9", If_Range=read().headers["Last-Modified"]).status_code == 206


@pytest.mark.parametrize(
    ("condition", "status"),
    [(TAG, 304), (f"W/{TAG}", 304), (f"{OTHER}, {TAG}", 304), ("*", 304), (OTHER, 200), ("nonsense", 200)],
)
@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_if_none_match_saves_what_the_reader_has(read, method, condition, status):
    answer = read(method, If_None_Match=condition)
    assert (answer.status_code, answer.headers["ETag"]) == (status, TAG)
    assert answer.content == (CONTENT if (method, status) == ("GET", 200) else b"")


@pytest.mark.parametrize(
    ("condition", "status"), [(TAG, 200), (f"{OTHER},{TAG}", 200), ("*", 200), (f"W/{TAG}", 412), (OTHER, 412)]
)
def test_if_match_refuses_another_file(read, condition, status):
    assert read(If_Match=condition).status_code == status


def test_head_tells_all_but_the_content(read):
    whole, head = read(), read("HEAD", Range="bytes=0-1")
    assert (head.status_code, head.content) == (200, b"")
    same = ("Content-Length", "Content-Type", "ETag", "Repr-Digest", "Last-Modified", "Content-Disposition")
    assert {name: head.headers[name] for name in same} == {name: whole.headers[name] for name in same}


def test_every_listing_can_be_asked_for_its_head(shared, recording):
    for path in ("/health", "/openapi.json", "/metrics", "/recordings", recording):
        answer = shared("HEAD", path)
        assert (answer.status_code, answer.content) == (200, b"")


def test_metadata_can_be_read_back(shared, recording):
    answer = shared("GET", f"{recording}/metadata")
    assert (answer.status_code, answer.content) == (200, b'{"a": 1}')
    assert answer.headers["Content-Disposition"] == 'attachment; filename="rdp_123_metadata.json"'
    assert shared("GET", f"{recording}/metadata", headers={"Range": "bytes=1-3"}).content == b'"a"'
    without = "/recordings/" + shared.store(session_id="download")["file_id"]
    answer = shared("GET", f"{without}/metadata")
    assert (answer.status_code, "without a metadata file" in answer.json()["detail"]) == (404, True)


def test_an_empty_file_has_no_ranges(shared):
    address = f"/recordings/{shared.store(b'', session_id='download')['file_id']}/content"
    assert shared("GET", address).content == b""
    assert shared("GET", address, headers={"Range": "bytes=0-"}).status_code == 416
