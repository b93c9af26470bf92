"""Requests over kept connections, against a server whose every byte is written down."""

from __future__ import annotations

import socket
import threading
from contextlib import suppress

import pytest

from haulier_s3.connections import (
    AnswerTimeoutError,
    BrokenError,
    Connections,
    ConnectTimeoutError,
    UnreachableError,
    head_of,
)

OK = b"HTTP/1.1 200 OK\r\nETag: one\r\nContent-Length: 0\r\n\r\n"


class Scripted:
    """Answers the requests of each connection with the texts of one list, then ends it, or waits."""

    def __init__(self, *scripts, stays=False):
        self.scripts = list(scripts)
        self.stays = stays
        self.asked = []
        self.over = threading.Event()
        self.ended = threading.Semaphore(0)
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.origin = f"http://127.0.0.1:{self._listener.getsockname()[1]}"
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    def _serve(self):
        for script in self.scripts:
            connection, _ = self._listener.accept()
            with connection, connection.makefile("rb") as incoming, suppress(OSError):
                for answer in script:
                    self.asked.append(self._request(incoming))
                    connection.sendall(answer)
                if self.stays:
                    self.over.wait(10)
            self.ended.release()

    def _request(self, incoming):
        head = b""
        while not head.endswith(b"\r\n\r\n"):
            head += incoming.readline()
        length = int(head.lower().split(b"content-length: ")[1].split(b"\r\n")[0])
        return incoming.read(length)

    def close(self):
        self.over.set()
        self._thread.join(10)
        self._listener.close()


@pytest.fixture
def serve():
    made = []

    def start(*scripts, **options):
        server = Scripted(*scripts, **options)
        connections = Connections(server.origin, None)
        made.append((server, connections))
        return server, connections

    yield start
    for server, connections in made:
        connections.close()
        server.close()


def put(connections, body=b"body", patience=10.0):
    size = len(body) if isinstance(body, bytes) else sum(map(len, body))
    head = head_of("PUT", "/key", {"Host": "there", "Content-Length": str(size)})
    return connections.exchange(head, body if isinstance(body, bytes) else map(memoryview, body), 10.0, patience)


def test_one_connection_serves_many_requests(serve):
    server, connections = serve([OK, OK, OK], stays=True)
    answers = [put(connections), put(connections, [b"in ", b"blocks"]), put(connections, b"")]
    assert [(one.status, one.headers["etag"], one.body) for one in answers] == [(200, "one", b"")] * 3
    assert server.asked == [b"body", b"in blocks", b""]


@pytest.mark.parametrize(
    "first",
    [
        pytest.param(OK, id="closed without a word"),
        pytest.param(OK.replace(b"ETag", b"Connection: close\r\nETag"), id="closed as announced"),
        pytest.param(OK.replace(b"HTTP/1.1", b"HTTP/1.0"), id="of an old server"),
        pytest.param(b"HTTP/1.1 200 OK\r\nETag: one\r\n\r\n", id="its end is the answer's"),
    ],
)
def test_a_connection_that_ended_is_not_used_again(serve, first):
    server, connections = serve([first], [OK], stays=False)
    assert put(connections).headers["etag"] == "one"
    assert server.ended.acquire(timeout=10)
    assert put(connections, b"again").status == 200
    assert server.asked == [b"body", b"again"]


def test_what_comes_behind_an_answer_belongs_to_no_other(serve):
    """Else the next request would be told what this one's server had left to say."""
    server, connections = serve([OK + b"HTTP/1.1 200 OK\r\nETag: smuggled\r\nContent-Length: 0\r\n\r\n"], [OK])
    assert put(connections).headers["etag"] == "one"
    assert put(connections, b"again").headers["etag"] == "one"
    assert server.asked == [b"body", b"again"]


def test_what_is_said_in_advance_is_not_the_answer(serve):
    _, connections = serve([b"HTTP/1.1 103 Early Hints\r\nETag: no\r\nLink: x\r\n\r\n" + OK])
    answer = put(connections)
    assert (answer.status, answer.headers) == (200, {"etag": "one", "content-length": "0"})


def test_a_server_may_offer_other_protocols(serve):
    """As Apache does in its answers."""
    offer = OK.replace(b"ETag", b"Upgrade: h2,h2c\r\nConnection: Upgrade, Keep-Alive\r\nETag")
    _, connections = serve([offer, OK])
    assert [put(connections).status, put(connections).status] == [200, 200]


def test_bodies_in_chunks_and_repeated_fields(serve):
    _, connections = serve(
        [
            b"HTTP/1.1 503 Slow Down\r\nVia: a\r\nvia: b\r\nTransfer-Encoding: chunked\r\n\r\n3\r\n<a>\r\n4\r\n</a>\r\n0\r\n\r\n"
        ]
    )
    answer = put(connections)
    assert (answer.status, answer.headers["via"], answer.body) == (503, "a, b", b"<a></a>")


@pytest.mark.parametrize(
    "told",
    [
        pytest.param(b"", id="nothing"),
        pytest.param(b"HTTP/1.1 200 OK\r\nETag: on", id="half a head"),
        pytest.param(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhalf", id="half a body"),
        pytest.param(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n", id="no last chunk"),
        pytest.param(b"220 smtp.example ready\r\n", id="another protocol"),
        pytest.param(b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab", id="two lengths"),
        pytest.param(b"HTTP/1.1 200 OK\r\nX: " + b"x" * 70_000, id="a head without an end"),
        pytest.param(
            b"HTTP/1.1 101 Other\r\nUpgrade: h2c\r\nConnection: upgrade\r\n\r\nPRI", id="another protocol from now on"
        ),
    ],
)
def test_what_is_no_whole_answer_is_told_as_such(serve, told):
    _, connections = serve([told])
    with pytest.raises(BrokenError):
        put(connections)


def test_a_body_of_an_answer_has_an_end(serve):
    _, connections = serve([b"HTTP/1.1 400 Bad\r\nContent-Length: 3000000\r\n\r\n" + b"x" * 2_000_000])
    with pytest.raises(BrokenError, match="no end"):
        put(connections)


def test_a_server_that_says_nothing_is_given_up(serve):
    _, connections = serve([b""], stays=True)
    with pytest.raises(AnswerTimeoutError):
        put(connections, patience=0.05)


def test_a_refusal_that_comes_before_all_was_sent_is_heard():
    """The server reads the head, refuses, and closes: what it said counts, not that it stopped listening."""
    listener = socket.create_server(("127.0.0.1", 0))

    def refuse():
        connection, _ = listener.accept()
        with connection:
            connection.recv(1024)
            connection.sendall(b"HTTP/1.1 403 Forbidden\r\nContent-Length: 6\r\nConnection: close\r\n\r\n<why/>")
            connection.shutdown(socket.SHUT_WR)
            while connection.recv(1 << 16):
                pass

    thread = threading.Thread(target=refuse, daemon=True)
    thread.start()
    connections = Connections(f"http://127.0.0.1:{listener.getsockname()[1]}", None)
    answer = put(connections, [bytes(1 << 16)] * 64)
    thread.join(10)
    listener.close()
    assert (answer.status, answer.body) == (403, b"<why/>")


def test_nobody_there_means_that_nothing_was_sent():
    closed = socket.create_server(("127.0.0.1", 0))
    port = closed.getsockname()[1]
    closed.close()
    with pytest.raises(UnreachableError) as caught:
        put(Connections(f"http://127.0.0.1:{port}", None))
    assert not isinstance(caught.value, ConnectTimeoutError)


def test_a_body_that_cannot_be_read_ends_the_request(serve):
    _, connections = serve([OK], [OK])

    def breaks():
        yield memoryview(b"half")
        raise RuntimeError("the source is gone")

    with pytest.raises(RuntimeError, match="source is gone"):
        connections.exchange(head_of("PUT", "/", {"Content-Length": "9"}), breaks(), 10.0, 10.0)
    assert put(connections).status == 200, "and its connection is not used again"


@pytest.mark.parametrize("value", ["a\r\nX-Evil: 1", "a\nb", "a\rb", "a\0b"])
def test_a_field_holds_no_other_field(value):
    with pytest.raises(ValueError, match="line break"):
        head_of("PUT", "/", {"X-Amz-Meta-Name": value})
