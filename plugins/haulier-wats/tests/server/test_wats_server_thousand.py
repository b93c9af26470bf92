"""A thousand clients at once: each is served, nothing is lost, memory stays bounded; what the system's limits do."""

from __future__ import annotations

import asyncio
import hashlib
import json
import random
import socket
import subprocess
import sys

import pytest

MIB = 1 << 20
SIZE = 256 << 10


class Caller:
    """One connection, kept for all that one client asks."""

    def __init__(self, number, port, token):
        self.number = number
        self.content = random.Random(number).randbytes(SIZE)
        self._address = "127.0.0.1", port
        self._token = token

    async def connect(self):
        self._reader, self._writer = await asyncio.open_connection(*self._address)

    async def close(self):
        self._writer.close()
        await self._writer.wait_closed()

    async def upload(self, everybody_is_half_done):
        files = {"video": {"name": f"{self.number}.mp4", "size": SIZE}}
        session = await self._ask(
            201,
            "POST",
            "/uploads/create-session",
            json.dumps({"session_id": "rdp_123_1729950022", "item_id": f"item {self.number}", "files": files}).encode(),
        )
        sid, half = session["session_id"], SIZE // 2
        path = f"/uploads/{sid}/resources/video"
        self._begin("PATCH", path, SIZE, "Upload-Offset: 0\r\nUpload-Complete: ?1\r\n", "application/partial-upload")
        self._writer.write(self.content[:half])
        await self._writer.drain()
        await everybody_is_half_done()
        self._writer.write(self.content[half:])
        await self._answer(204)
        claim = {"files": {"video": {"sha256": hashlib.sha256(self.content).hexdigest()}}}
        return await self._ask(200, "POST", f"/uploads/{sid}/finalize", json.dumps(claim).encode())

    async def _ask(self, status, method, path, body):
        self._begin(method, path, len(body), "", "application/json")
        self._writer.write(body)
        return json.loads(await self._answer(status))

    def _begin(self, method, path, length, fields, kind):
        head = f"{method} /api{path} HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer {self._token}\r\n"
        self._writer.write(f"{head}Content-Type: {kind}\r\nContent-Length: {length}\r\n{fields}\r\n".encode())

    async def _answer(self, status):
        head = await self._reader.readuntil(b"\r\n\r\n")
        lines = head.decode().lower().splitlines()
        length = next((int(line.split(":")[1]) for line in lines if line.startswith("content-length:")), 0)
        body = await self._reader.readexactly(length)
        assert int(lines[0].split()[1]) == status, body
        return body


async def upload_all(count, port, token):
    """All are connected, then all are in the middle of their append, then all end."""
    callers = [Caller(number, port, token) for number in range(count)]
    await asyncio.gather(*(caller.connect() for caller in callers))
    half_done = asyncio.Barrier(count)
    stored = await asyncio.gather(*(caller.upload(half_done.wait) for caller in callers))
    await asyncio.gather(*(caller.close() for caller in callers))
    return {answer["file_id"]: answer["sha256"] for answer in stored}, callers


def uploads(count, server, token):
    with asyncio.Runner() as runner:
        stored, callers = runner.run(upload_all(count, server.port, token))
    assert sorted(stored.values()) == sorted(hashlib.sha256(caller.content).hexdigest() for caller in callers)
    return stored


def on_disk(tmp_path):
    return {
        path.parent.name: hashlib.sha256(path.read_bytes()).hexdigest()
        for path in tmp_path.glob("data/recordings/**/*.mp4")
    }


def test_sixty_clients_in_the_middle_of_an_append_at_once(start_process, tmp_path, token):
    server = start_process()
    assert uploads(60, server, token) == on_disk(tmp_path)


@pytest.mark.full
def test_a_thousand_clients_in_the_middle_of_an_append_at_once(start_process, new_wire, tmp_path, token):
    server = start_process()
    assert uploads(1000, server, token) == on_disk(tmp_path)
    wire = new_wire(server.url)
    metrics = wire("GET", "/metrics").json()
    wire.session.close()
    assert (metrics["sessions"]["open"], metrics["recordings"]["stored"]) == (0, 1000)
    assert [each for each in metrics["requests"] if each["status"] >= 400] == []
    print(server.peak_memory() // MIB, "MiB")
    assert server.peak_memory() < 250 * MIB
    assert server.stop() == 0


@pytest.mark.full
def test_with_too_few_open_files_clients_wait_and_are_told_why(start_process, new_wire, until, capfd):
    server = start_process()
    wire = new_wire(server.url)
    session = wire.open(10)
    resource = pytest.importorskip("resource", reason="only POSIX limits the number of open files")
    resource.prlimit(server.process.pid, resource.RLIMIT_NOFILE, (60, 60))
    idle = [socket.create_connection(("127.0.0.1", server.port), timeout=30) for _ in range(100)]
    send = lambda: wire.patch(session["resumable"]["video_url"], b"0123456789", 0, complete=True)  # noqa: E731
    until(lambda: "too many open files: clients that come now wait" in capfd.readouterr().err)
    refused = send()
    assert (refused.status_code, refused.headers["Retry-After"]) == (503, "5")
    for connection in idle:
        connection.close()
    until(lambda: send().status_code == 204)
    assert wire.finalize(session).json()["size"] == 10
    wire.session.close()
    assert server.stop() == 0


def test_a_file_that_cannot_be_opened_for_want_of_others_is_asked_for_again(wire, monkeypatch):
    from haulier_wats.server import sink

    def refuse(_path):
        raise OSError(24, "Too many open files")

    session = wire.open(10)
    with monkeypatch.context() as patches:
        patches.setattr(sink, "_open", refuse)
        answer = wire.patch(session["resumable"]["video_url"], b"0123456789", 0, complete=True)
    assert (answer.status_code, answer.headers["Retry-After"]) == (503, "5")
    assert wire.patch(session["resumable"]["video_url"], b"0123456789", 0, complete=True).status_code == 204


@pytest.mark.parametrize(("most", "told"), [(4096, ""), (300, "only 300 files may be open")])
def test_the_limit_of_open_files_is_raised_as_far_as_it_may_be(most, told):
    program = (
        f"import resource; resource.setrlimit(resource.RLIMIT_NOFILE, (256, {most}));"
        "from haulier_wats.server.open_files import allow_many_files; allow_many_files();"
        "print(resource.getrlimit(resource.RLIMIT_NOFILE)[0])"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert int(done.stdout) == most
    assert told in done.stderr
    assert bool(told) == bool(done.stderr)
