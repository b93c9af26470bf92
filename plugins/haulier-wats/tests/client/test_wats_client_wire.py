"""The wire: silence, resets, cancellation, redirects and answers that are none."""

from __future__ import annotations

import gzip
import logging
import socket
import struct
import threading
import time
import tracemalloc

import pytest
import requests

from haulier.backends import http_wire
from haulier.backends.http_wire import send_all
from haulier.errors import (
    AuthenticationError,
    CancelledError,
    NetworkError,
    ServerError,
    SourceChangedError,
    ThrottledError,
    ValidationError,
)

MIB = 1024 * 1024


def reset(handler, request):
    """Cut the connection with a TCP reset."""
    handler.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    handler.connection.close()
    handler.close_connection = True
    handler.rfile.close()


@pytest.fixture
def hold():
    """An event for handlers to wait at; set at the end of the test."""
    event = threading.Event()
    yield event
    event.set()


def test_health_is_any_2xx(server, client, context):
    server.on("GET", "/api/health", (204, {}, b""))
    client.health(context)


def test_a_refused_connection_never_reached_the_server(new_backend, dead_origin, context):
    with pytest.raises(NetworkError, match="refused") as caught:
        new_backend(dead_origin).probe(context)
    assert not caught.value.reached


def test_an_unknown_host_never_was_reached(new_backend, context):
    with pytest.raises(NetworkError, match="cannot be resolved") as caught:
        new_backend("http://no-such-host.invalid/api").probe(context)
    assert not caught.value.reached


def test_a_failed_tls_handshake_never_reached_the_server(server, new_backend, context):
    with pytest.raises(NetworkError, match="TLS") as caught:
        new_backend(server.url.replace("http:", "https:")).probe(context)
    assert not caught.value.reached


def test_a_dead_proxy_never_reached_the_server(server, dead_origin, backend, context, monkeypatch):
    monkeypatch.setenv("http_proxy", dead_origin)
    with pytest.raises(NetworkError, match="refused") as caught:
        backend.probe(context)
    assert not caught.value.reached
    assert not server.received


def test_a_proxy_from_the_environment_is_used(start_server, new_backend, context, monkeypatch):
    proxy = start_server()
    proxy.on("GET", "http://storage.invalid/api/health", {})
    monkeypatch.setenv("http_proxy", proxy.origin)
    new_backend("http://storage.invalid/api").probe(context)
    assert proxy.received[0].path == "http://storage.invalid/api/health"


def test_a_missing_ca_bundle_charges_no_item(new_backend, context, tmp_path):
    with pytest.raises(NetworkError, match="certificate authorities cannot be read") as caught:
        new_backend("https://storage.invalid/api", ca_bundle=str(tmp_path / "none.pem")).probe(context)
    assert not caught.value.reached
    assert "ca_bundle" in str(caught.value)


def test_silence_instead_of_an_answer(server, client, new_context, hold):
    server.on("GET", "/api/health", lambda handler, request: hold.wait(30) and None)
    with pytest.raises(NetworkError, match="nothing moved") as caught:
        client.health(new_context(silence=0.2))
    assert caught.value.reached


def test_a_server_that_stops_reading_is_silence_too(server, client, body, new_context, hold):
    server.on("POST", "/up", lambda handler, request: hold.wait(30) and None, read_body=False)
    with pytest.raises(NetworkError, match="nothing moved") as caught:
        client.upload_file(f"{server.origin}/up", body(bytes(32 * MIB)), "a.mp4", new_context(silence=0.2))
    assert caught.value.reached


@pytest.fixture
def pipe():
    """Two ends of a connection that holds little."""
    ours, theirs = socket.socketpair()
    with ours, theirs:
        ours.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 32 * 1024)
        theirs.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 32 * 1024)
        yield ours, theirs


def test_a_slow_reader_is_no_silence(pipe):
    ours, theirs = pipe
    ours.settimeout(0.5)
    received = bytearray()

    def read_slowly():
        while len(received) < MIB:
            received.extend(theirs.recv(64 * 1024, socket.MSG_WAITALL))
            time.sleep(0.05)

    reader = threading.Thread(target=read_slowly, daemon=True)
    reader.start()
    data = bytes(range(256)) * (MIB // 256)
    send_all(ours, data)  # the block takes 0.8 s, none of its pieces 0.5 s
    reader.join()
    assert received == data


def test_a_reader_that_stops_is_silence(pipe):
    ours, _ = pipe
    ours.settimeout(0.2)
    with pytest.raises(TimeoutError):
        send_all(ours, bytes(MIB))


def test_a_reset_in_the_middle_of_the_body(server, client, body, context):
    def reset_soon(handler, request):
        handler.rfile.read(100_000)
        reset(handler, request)

    server.on("POST", "/up", reset_soon, read_body=False)
    with pytest.raises(NetworkError) as caught:
        client.upload_file(f"{server.origin}/up", body(bytes(32 * MIB)), "a.mp4", context)
    assert caught.value.reached


def test_a_reset_instead_of_an_answer(server, client, context):
    server.on("GET", "/api/health", reset)
    with pytest.raises(NetworkError) as caught:
        client.health(context)
    assert caught.value.reached


def test_an_answer_that_breaks_off(server, client, context):
    def half(handler, request):
        handler.wfile.write(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n{")
        handler.close_connection = True

    server.on("GET", "/api/recordings", half)
    with pytest.raises(NetworkError, match="broke off") as caught:
        client.recordings(context)
    assert caught.value.reached


def test_an_answer_that_is_no_http(server, client, context):
    def gibberish(handler, request):
        handler.wfile.write(b"hello\r\n\r\n")
        handler.close_connection = True

    server.on("GET", "/api/health", gibberish)
    with pytest.raises(NetworkError) as caught:
        client.health(context)
    assert caught.value.reached


def test_an_informational_answer_is_no_answer(server, client, context):
    def early(handler, request):
        handler.wfile.write(b"HTTP/1.1 104 Upload Resumption Supported\r\n\r\n")
        handler.close_connection = True

    server.on("GET", "/api/health", early)
    with pytest.raises(NetworkError, match="no final answer"):
        client.health(context)


def test_a_huge_answer_is_not_taken_into_memory(server, client, context):
    server.on("GET", "/api/recordings", (200, {}, b"[" + b" " * (2 * MIB) + b"]"))
    with pytest.raises(ServerError, match="longer than 1 MiB"):
        client.recordings(context)


def test_a_huge_refusal_is_still_a_refusal(server, client, context):
    server.on("GET", "/api/health", (400, {}, b"x" * (2 * MIB)))
    with pytest.raises(ValidationError) as caught:
        client.health(context)
    assert len(str(caught.value)) < 1000


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_a_redirect_is_refused_and_not_followed(server, client, body, context, status):
    server.on("POST", "/up", (status, {"Location": "/elsewhere"}, b""))
    with pytest.raises(ValidationError, match="redirects are refused"):
        client.upload_file(f"{server.origin}/up", body(b"bytes"), "a.mp4", context)
    assert server.paths() == [("POST", "/up")]


def test_an_early_refusal_is_heard_while_sending(server, client, body, context):
    def refuse(handler, request):
        handler.close_connection = True
        return (401, {"Connection": "close"}, b'{"detail": "no such token"}')

    server.on("POST", "/up", refuse, read_body=False)
    with pytest.raises((AuthenticationError, NetworkError)) as caught:
        client.upload_file(f"{server.origin}/up", body(bytes(32 * MIB)), "a.mp4", context)
    assert getattr(caught.value, "reached", True)


def test_retry_after_is_kept(server, client, context):
    server.on("GET", "/api/health", (429, {"Retry-After": "17"}, b""))
    with pytest.raises(ThrottledError) as caught:
        client.health(context)
    assert caught.value.retry_after == 17.0


def test_the_servers_reason_is_quoted_without_our_token(server, client, context, token):
    text = f'{{"error": "token {token} may not\\u0007 do this, see https://h.example/x?sig=1"}}'
    server.on("GET", "/api/health", (403, {}, text.encode()))
    with pytest.raises(Exception, match=r"token \*\*\* may not do this, see https://h.example/x[.] "):
        client.health(context)


def test_html_refusals_become_text(server, client, context):
    server.on("GET", "/api/health", (400, {"Content-Type": "text/html"}, b"<html><b>Bad\n gateway</b></html>"))
    with pytest.raises(ValidationError, match=r": Bad gateway[.] "):
        client.health(context)


def test_cancelling_ends_a_request_that_waits(server, client, new_context, hold):
    context = new_context(silence=60)
    waiting = threading.Event()

    def wait(handler, request):
        waiting.set()
        hold.wait(20)
        return {}

    server.on("GET", "/api/health", wait)
    threading.Thread(target=lambda: waiting.wait(20) and context.cancel(), daemon=True).start()
    with pytest.raises(CancelledError):
        client.health(context)


def test_cancelling_ends_a_body_that_nobody_reads(server, client, body, new_context, hold):
    context = new_context(silence=60)

    def wait(handler, request):
        threading.Timer(0.05, context.cancel).start()
        hold.wait(20)
        handler.connection.close()

    server.on("POST", "/up", wait, read_body=False)
    with pytest.raises(CancelledError):
        client.upload_file(f"{server.origin}/up", body(bytes(32 * MIB)), "a.mp4", context)


def test_a_cancelled_context_sends_nothing(server, client, context):
    context.cancel()
    with pytest.raises(CancelledError):
        client.health(context)
    assert not server.received


@pytest.mark.parametrize(
    "failure",
    [CancelledError("stop"), SourceChangedError("shorter"), ConnectionResetError("share"), OSError(5, "disk")],
)
def test_what_reading_the_source_raises_is_not_the_networks(server, client, body, context, failure):
    def fail():
        raise failure

    server.on("POST", "/up", {"file_id": "f1"})
    with pytest.raises(type(failure)) as caught:
        client.upload_file(f"{server.origin}/up", body(b"bytes", on_read=fail), "a.mp4", context)
    assert caught.value is failure


def test_a_connection_is_used_again(server, client, context):
    ports = set()

    def note(handler, request):
        ports.add(handler.client_address[1])
        return {}

    server.on("GET", "/api/health", note)
    for _ in range(5):
        client.health(context)
    assert len(ports) == 1


def test_the_same_client_serves_many_threads(server, client, body, context):
    server.on("POST", "/up", lambda handler, request: {"file_id": str(len(request.body))})
    names = []

    def upload(size):
        names.append(client.upload_file(f"{server.origin}/up", body(bytes(size)), "a.mp4", context))

    threads = [threading.Thread(target=upload, args=(size * 10_000,)) for size in range(1, 9)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(set(names)) == 8


def test_invariant_10_no_address_reaches_the_log(server, client, context, caplog):
    caplog.set_level(logging.DEBUG)
    server.on("HEAD", "/up", (204, {"Upload-Offset": "0"}, b""))
    from haulier_wats.resumable import progress

    progress(client.http, f"{server.origin}/up?sig=abc", context)
    assert server.received[0].path == "/up?sig=abc"
    assert "sig=abc" not in caplog.text


@pytest.mark.parametrize("status", [200, 500])
@pytest.mark.parametrize("kind", ["endless", "chunked", "gzip"])
def test_an_answer_without_end_is_not_taken_into_memory(server, client, context, kind, status):
    """100 MiB in chunks, without a length, or packed into 100 KiB: no more than the limit is ever held."""
    block = bytes(64 * 1024)
    packed = gzip.compress(bytes(100 * MIB), 1)

    def answer(handler, request):
        fields = {"endless": ("Connection", "close"), "chunked": ("Transfer-Encoding", "chunked")}
        handler.send_response(status)
        if kind == "gzip":
            handler.send_header("Content-Encoding", "gzip")
            handler.send_header("Content-Length", str(len(packed)))
            handler.end_headers()
            handler.wfile.write(packed)
            return
        handler.send_header(*fields[kind])
        handler.end_headers()
        for _ in range(1600):
            handler.wfile.write(b"10000\r\n" + block + b"\r\n" if kind == "chunked" else block)
        handler.close_connection = True

    server.on("GET", "/api/recordings", answer)
    tracemalloc.start()
    with pytest.raises(ServerError):
        client.recordings(context)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 8 * MIB


def test_a_proxy_that_failed_is_looked_up_anew(server, dead_origin, backend, context, monkeypatch):
    server.on("GET", "/api/health", {})
    monkeypatch.setenv("http_proxy", dead_origin)
    with pytest.raises(NetworkError):
        backend.probe(context)
    monkeypatch.delenv("http_proxy")
    backend.probe(context)
    assert server.received


def test_a_small_request_goes_out_in_one_piece(sent_pieces):
    head, body = b"POST /api/uploads/create-session ", b'{"small": true}'
    assert [piece.startswith(head) and piece.endswith(body) for piece in sent_pieces(body)] == [True]


def test_a_large_body_follows_its_head_uncopied(sent_pieces):
    body = bytes(1024 * 1024)
    assert [len(piece) == len(body) for piece in sent_pieces(body)] == [False, True]


@pytest.fixture
def sent_pieces(server, monkeypatch):
    """What one request hands to the socket, piece by piece."""
    server.on("POST", "/api/uploads/create-session", {})

    def pieces(body):
        found = []
        monkeypatch.setattr(http_wire, "send_all", lambda sock, data: (found.append(bytes(data)), send_all(sock, data)))
        with requests.Session() as session:
            session.mount("http://", http_wire.WireAdapter())
            session.post(f"{server.url}/uploads/create-session", data=body, timeout=10)
        return found

    return pieces
