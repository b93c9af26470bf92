"""Requests in one connection: long bodies disturb neither what they carry nor what follows."""

from __future__ import annotations

import random
import socket
from urllib.parse import urlsplit

import pytest

KIB = 1 << 10


@pytest.fixture
def line(shared):
    parts = urlsplit(shared.base)
    with socket.create_connection((parts.hostname, parts.port), timeout=30) as connection:
        yield connection


@pytest.fixture
def request_of(token):
    def request_of(method, path, body=b"", **fields):
        head = f"{method} /api{path} HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer {token}\r\n"
        more = "".join(f"{name.replace('_', '-')}: {value}\r\n" for name, value in fields.items())
        return f"{head}Content-Length: {len(body)}\r\n{more}\r\n".encode() + body

    return request_of


def append(request_of, session, data, offset=0, complete="?1", **fields):
    path = f"/uploads/{session['session_id']}/resources/video"
    told = {"Upload_Offset": offset, "Upload_Complete": complete, "Content_Type": "application/partial-upload"}
    return request_of("PATCH", path, data, **told, **fields)


def statuses(line, count):
    """The statuses of so many answers."""
    with line.makefile("rb") as reader:
        return [status(reader) for _ in range(count)]


def status(reader):
    number = int(reader.readline().split()[1])
    fields = dict(field.decode().lower().strip().split(": ", 1) for field in iter(reader.readline, b"\r\n"))
    reader.read(int(fields.get("content-length", 0)))
    return status(reader) if number < 200 else number


def content(shared, session):
    file_id = shared.finalize(session).json()["file_id"]
    return shared("GET", f"/recordings/{file_id}/content").content


@pytest.mark.parametrize("size", [100 * KIB, 200 * KIB, 3000 * KIB])
def test_requests_that_follow_a_long_body_at_once_are_answered_in_order(shared, line, request_of, size):
    data = random.Random(size).randbytes(size)
    session = shared.open(2 * size)
    half = append(request_of, session, data, complete="?0")
    rest = append(request_of, session, data, size)
    line.sendall(half + rest + request_of("GET", "/health") + request_of("GET", "/unknown"))
    assert statuses(line, 4) == [204, 204, 200, 404]
    assert content(shared, session) == 2 * data


def test_in_small_pieces(shared, line, request_of):
    data = random.Random(1).randbytes(300 * KIB)
    session = shared.open(len(data))
    sent = append(request_of, session, data) + request_of("GET", "/health")
    for at in range(0, len(sent), 7919):
        line.sendall(sent[at : at + 7919])
    assert statuses(line, 2) == [204, 200]
    assert content(shared, session) == data


def test_the_rest_of_a_refused_body_is_read_and_dropped(shared, line, request_of):
    session = shared.open(10)
    refused = append(request_of, session, b"x" * (700 * KIB))
    line.sendall(refused[: -300 * KIB])
    assert statuses(line, 1) == [400]
    line.sendall(refused[-300 * KIB :] + request_of("GET", "/health"))
    assert statuses(line, 1) == [200]
    line.sendall(append(request_of, session, b"0123456789"))
    assert statuses(line, 1) == [204]


def test_who_asks_whether_to_send_is_told(shared, line, request_of):
    data = b"v" * (500 * KIB)
    session = shared.open(len(data))
    sent = append(request_of, session, data, Expect="100-continue")
    line.sendall(sent[: -len(data)])
    told = b""
    while not told.endswith(b"\r\n\r\n"):
        told += line.recv(1)
    assert told.startswith(b"HTTP/1.1 100 ")
    line.sendall(data)
    assert statuses(line, 1) == [204]
    assert content(shared, session) == data


def test_what_follows_the_end_of_a_connection_is_not_done(shared, line, request_of):
    data = b"v" * (500 * KIB)
    session, other = shared.open(len(data)), shared.open(10)
    last = append(request_of, session, data, Connection="close")
    line.sendall(last + append(request_of, other, b"0123456789"))
    assert statuses(line, 1) == [204]
    assert shared.head(other["resumable"]["video_url"]).headers["Upload-Offset"] == "0"


def test_a_connection_that_is_to_be_closed_is(shared, line, request_of):
    data = b"v" * (500 * KIB)
    session = shared.open(len(data))
    line.sendall(append(request_of, session, data, Connection="close"))
    assert statuses(line, 1) == [204]
    assert line.recv(1) == b""


def test_what_came_before_the_client_left_is_kept(shared, line, request_of, until):
    data = b"v" * (2000 * KIB)
    session = shared.open(len(data))
    received = lambda: shared("GET", "/metrics").json()["bytes_received"]  # noqa: E731
    before = received()
    line.sendall(append(request_of, session, data)[:-1])
    line.close()
    url = session["resumable"]["video_url"]
    until(lambda: received() == before + len(data) - 1)
    assert shared.head(url).headers["Upload-Offset"] == str(len(data) - 1)
    assert shared.patch(url, b"v", len(data) - 1, complete=True).status_code == 204
    assert content(shared, session) == data
