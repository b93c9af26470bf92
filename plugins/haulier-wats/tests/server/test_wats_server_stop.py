"""How a server stops: nothing new, what runs may end, nobody is waited for beyond that, and nothing is lost."""

from __future__ import annotations

import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest

MIB = 1 << 20


def refuses(server):
    try:
        socket.create_connection(("127.0.0.1", server.port), timeout=30).close()
    except OSError:
        return True
    return False


def answer_on(connection):
    with connection.makefile("rb") as reader:
        status = int(reader.readline().split()[1])
        fields = dict(line.decode().strip().split(": ", 1) for line in iter(reader.readline, b"\r\n"))
    return status, {name.lower(): value for name, value in fields.items()}


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_stops_it_with_success(start_process, new_wire, tmp_path, number):
    server = start_process()
    wire = new_wire(server.url)
    wire.store()
    assert server.stop(number) == 0
    assert server.process.stdout.read() == ""
    first, *_, last = (tmp_path / "data" / ".server" / "audit.jsonl").read_text("ascii").splitlines()
    assert ('"startServer"' in first, '"stopServer"' in last) == (True, True)
    wire.session.close()


def test_a_request_that_runs_may_end(start_process, new_wire, until):
    server = start_process()
    wire = new_wire(server.url)
    session = wire.open(10)
    url = session["resumable"]["video_url"]
    with wire.begin_patch(url, b"01234", 0, 10, **{"Upload-Complete": "?1"}) as connection:
        wire.head(wire.open(1)["resumable"]["video_url"])
        server.process.send_signal(signal.SIGTERM)
        until(lambda: refuses(server))
        connection.sendall(b"56789")
        status, fields = answer_on(connection)
    assert (status, fields["upload-offset"], fields["upload-complete"]) == (204, "10", "?1")
    assert server.process.wait(timeout=30) == 0
    wire.session.close()
    start_process(server.port)
    assert wire.finalize(session).json()["size"] == 10
    wire.session.close()


@pytest.mark.parametrize(
    ("path", "kind"), [("create-session", "application/json"), ("{session_id}/file", "multipart/form-data; boundary=b")]
)
def test_a_client_that_stays_silent_is_told_before_it_is_cut_off(path, kind, start_process, new_wire, token, capfd):
    server = start_process(grace=0.2)
    wire = new_wire(server.url)
    url = "/uploads/" + path.format(**wire.create().json())
    asked = f"POST {url} HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer {token}\r\nContent-Type: {kind}\r\n"
    with socket.create_connection(("127.0.0.1", server.port), timeout=30) as connection:
        connection.sendall(f"{asked}Content-Length: 50\r\nExpect: 100-continue\r\n\r\n".encode())
        assert connection.recv(64).startswith(b"HTTP/1.1 100")  # it waits for the body now
        server.process.send_signal(signal.SIGTERM)
        status, fields = answer_on(connection)
    assert (status, fields["retry-after"]) == (503, "5")
    assert server.process.wait(timeout=30) == 0
    wire.session.close()
    assert capfd.readouterr().err == ""


def test_clients_that_neither_send_nor_read_hold_nothing_up(start_process, new_wire, tmp_path, until, token):
    server = start_process(grace=0.2)
    wire = new_wire(server.url)
    stored = wire.store(b"v" * (16 * MIB))
    url = wire.open(4 * MIB)["resumable"]["video_url"]
    assert wire.patch(url, b"x", 0).status_code == 204
    (copy,) = tmp_path.glob("data/.incoming/*/video-*")
    path = f"/recordings/{stored['file_id']}/content"
    reader, asker = (socket.create_connection(("127.0.0.1", server.port), timeout=30) for _ in range(2))
    fields = f"HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer {token}\r\n"
    with asker, wire.begin_patch(url, b"v" * (2 * MIB), 1, 4 * MIB - 1) as connection, reader:
        reader.sendall(f"GET {path} {fields}\r\n".encode())
        assert reader.recv(5) == b"HTTP/"
        asker.sendall(f"POST /uploads/create-session {fields}Content-Length: 50\r\n\r\n{{".encode())
        until(lambda: copy.stat().st_size > MIB)
        server.process.send_signal(signal.SIGTERM)
        status, fields = answer_on(connection)
        assert answer_on(asker)[0] == 503
        assert server.process.wait(timeout=30) == 0
    assert (status, fields["upload-offset"], fields["retry-after"]) == (503, str(2 * MIB + 1), "5")
    wire.session.close()
    start_process(server.port)
    assert wire.head(url).headers["Upload-Offset"] == str(2 * MIB + 1)
    assert len(wire("GET", path).content) == 16 * MIB
    wire.session.close()


def test_the_command_passes_its_options_on_and_ends_with_success(tmp_path, token, new_wire):
    (tmp_path / "tokens").write_text(f"{token} read")
    told = ["--data", str(tmp_path / "data"), "--token-file", str(tmp_path / "tokens"), "--port", "0"]
    options = ["--max-file-size", "1KiB", "--min-free", "2 KiB", "--audit-log", str(tmp_path / "who.jsonl")]
    program = Path(sys.executable).with_name("haulier")
    with subprocess.Popen(
        [program, "wats", "serve", *told, *options], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        wire = new_wire(process.stdout.readline().split()[4])
        assert wire("GET", "/health").json()["capabilities"]["max_file_size"] == 1024
        assert wire("GET", "/metrics").json()["disk"]["min_free_bytes"] == 2048
        assert wire.create().status_code == 403
        wire.session.close()
        process.send_signal(signal.SIGTERM)
        assert process.wait(timeout=30) == 0
    assert '"status":403' in (tmp_path / "who.jsonl").read_text("ascii")
