"""What the tests of the reference server share: real servers on loopback, and a client that speaks the protocol raw."""

from __future__ import annotations

import base64
import hashlib
import json
import signal
import socket
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from urllib.parse import urlsplit

import pytest
import requests

from haulier_wats.server import ServerSettings, ServerThread, Tokens

TOKEN = "t0ken-of-the-tests"
START = 1_729_950_022.123456


class Clock:
    """Seconds since the epoch, moved by hand."""

    def __init__(self, now=START):
        self.now = now

    def __call__(self):
        return self.now


def digest_of(data):
    return f"sha-256=:{base64.b64encode(hashlib.sha256(data).digest()).decode()}:"


class Wire:
    """Requests with the token, below one base address."""

    def __init__(self, url, prefix="/api"):
        self.base = url + prefix
        self.session = requests.Session()
        self.session.trust_env = False
        self.session.headers["Authorization"] = f"Bearer {TOKEN}"

    def __call__(self, method, url, **options):
        if not url.startswith("http"):
            url = self.base + url
        return self.session.request(method, url, timeout=30, **options)

    def create(self, key=None, **members):
        headers = {"Idempotency-Key": f'"{key}"'} if key else {}
        body = {"session_id": "rdp_123_1729950022"} | members
        return self("POST", "/uploads/create-session", json=body, headers=headers)

    def open(self, video=10, metadata=None, **members):
        """A session with upload resources for files of these sizes."""
        files = {"video": {"name": "Production Server.mp4", "size": video}}
        if metadata is not None:
            files["metadata"] = {"name": "rdp_123_metadata.json", "size": metadata}
        answer = self.create(files=files, **members)
        assert answer.status_code == 201, answer.text
        return answer.json()

    def head(self, url):
        return self("HEAD", url)

    def patch(self, url, data, offset, complete=False, **headers):
        fields = {
            "Content-Type": "application/partial-upload",
            "Upload-Offset": str(offset),
            "Upload-Complete": "?1" if complete else "?0",
        }
        sent = {name: value for name, value in (fields | headers).items() if value is not None}
        return self("PATCH", url, data=data, headers=sent)

    def send_file(self, url, content, name="video.mp4", **fields):
        return self("POST", url, data=fields, files={"file": (name, content, "application/octet-stream")})

    def finalize(self, session, **files):
        sid = session if isinstance(session, str) else session["session_id"]
        return self("POST", f"/uploads/{sid}/finalize", **({"json": {"files": files}} if files else {}))

    def status(self, session):
        return self("GET", f"/uploads/{session['session_id']}/status").json()

    def store(self, content=b"0123456789", metadata=None, **members):
        """A whole recording; the answer to finalize."""
        session = self.open(len(content), None if metadata is None else len(metadata), **members)
        offer = session["resumable"]
        assert self.patch(offer["video_url"], content, 0, complete=True).status_code == 204
        if metadata is not None:
            assert self.patch(offer["metadata_url"], metadata, 0, complete=True).status_code == 204
        answer = self.finalize(session)
        assert answer.status_code == 200, answer.text
        return answer.json()

    def begin_patch(self, url, data, offset, length, **headers):
        """An append of which only ``data`` is sent; the socket, with the rest of ``length`` bytes outstanding."""
        parts = urlsplit(url)
        fields = {
            "Host": parts.netloc,
            "Authorization": f"Bearer {TOKEN}",
            "Content-Type": "application/partial-upload",
            "Content-Length": str(length),
            "Upload-Offset": str(offset),
            "Upload-Complete": "?0",
        } | headers
        head = "".join(f"{name}: {value}\r\n" for name, value in fields.items())
        connection = socket.create_connection((parts.hostname, parts.port), timeout=30)
        connection.sendall(f"PATCH {parts.path} HTTP/1.1\r\n{head}\r\n".encode() + data)
        return connection


class ServerProcess:
    """``serve`` in a process of its own, as operators run it."""

    def __init__(self, data_dir, token_file, port=0, **options):
        program = (
            "import json, sys; from pathlib import Path; from haulier_wats.server import serve; "
            "serve('127.0.0.1', int(sys.argv[3]), Path(sys.argv[1]), Path(sys.argv[2]), **json.loads(sys.argv[4]))"
        )
        self.process = subprocess.Popen(
            [sys.executable, "-c", program, str(data_dir), str(token_file), str(port), json.dumps(options)],
            stdout=subprocess.PIPE,
            text=True,
        )
        self.line = self.process.stdout.readline()
        self.url = self.line.split()[4]
        self.port = int(self.url.rsplit(":", 1)[1])

    def peak_memory(self):
        """Most bytes that were resident so far; 0 where the platform has no /proc to tell."""
        status = Path(f"/proc/{self.process.pid}/status")
        lines = status.read_text().splitlines() if status.exists() else []
        return sum(int(line.split()[1]) << 10 for line in lines if line.startswith("VmHWM:"))

    def kill(self):
        self.process.kill()
        self.process.wait()
        self.process.stdout.close()

    def stop(self, number=signal.SIGTERM):
        """Ask it to stop; its exit code, once it has."""
        self.process.send_signal(number)
        return self.process.wait(timeout=30)


def wait_until(condition, seconds=30):
    """For what happens in another process or thread."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not happen"
        time.sleep(0.005)


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def settings(tmp_path, clock):
    return ServerSettings(tmp_path / "data", Tokens([TOKEN]), clock=clock)


@pytest.fixture(scope="session")
def stop_later():
    """Stops servers in the background: each takes its fifth of a second."""
    with ThreadPoolExecutor(4) as pool:
        stopping = []
        yield lambda server: stopping.append(pool.submit(server.stop))
        for stopped in stopping:
            stopped.result()


@pytest.fixture
def start(settings, stop_later):
    """Starts servers on the same folder, one after the other."""
    running = []

    def start(**changes):
        start.stop()
        running.append(ServerThread(replace(settings, **changes)))
        return Wire(running[-1].url)

    def stop():
        for server in running:
            server.stop()

    start.stop = stop
    yield start
    for server in running:
        stop_later(server)


@pytest.fixture
def wire(start):
    return start()


@pytest.fixture(scope="session")
def shared(tmp_path_factory):
    """A server for all tests that neither look at its folder nor count what is in it."""
    with ServerThread(ServerSettings(tmp_path_factory.mktemp("shared"), Tokens([TOKEN]))) as server:
        wire = Wire(server.url)
        yield wire
        wire.session.close()


@pytest.fixture
def start_process(tmp_path):
    token_file = tmp_path / "tokens"
    token_file.write_text(TOKEN + "\n")
    running = []

    def start(port=0, **options):
        running.append(ServerProcess(tmp_path / "data", token_file, port, **options))
        return running[-1]

    yield start
    for server in running:
        server.kill()


@pytest.fixture(scope="session")
def new_wire():
    return Wire


@pytest.fixture(scope="session")
def new_clock():
    return Clock


@pytest.fixture
def files_in():
    """The files below a folder, as names relative to it, without the database."""

    def files_in(folder):
        paths = (path.relative_to(folder) for path in folder.rglob("*") if path.is_file())
        return sorted(path.as_posix() for path in paths if path.parts[0] != ".server")

    return files_in


@pytest.fixture
def data_dir(settings):
    return settings.data_dir


@pytest.fixture
def content_digest():
    return digest_of


@pytest.fixture
def until():
    return wait_until


@pytest.fixture
def token():
    return TOKEN
