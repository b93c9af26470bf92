"""A program with settings, recordings as it makes them, the reference server, a proxy that breaks things, an old server."""

from __future__ import annotations

import json
import os
import socket
import threading
import time
from collections import Counter
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import SimpleNamespace

import pytest

from haulier.service.parts import Pace, Ports
from haulier.testing.clock import FakeClock
from haulier.testing.http_faults import Fault, FaultyProxy
from haulier_wats.compat import ApiIntegrationManager
from haulier_wats.server import ServerSettings, ServerThread, Tokens

TOKEN = "a-token-for-tests"
PATIENCE = 60.0
HOUR = 3600.0


@pytest.fixture(autouse=True)
def own_machine(tmp_path, monkeypatch):
    """No proxy, settings or state of the machine that runs the tests."""
    for name in [name for name in os.environ if name.upper().startswith("HAULIER_") and "__" in name]:
        monkeypatch.delenv(name)
    for name in ("http_proxy", "https_proxy", "all_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "platform"))
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "platform-config"))
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def token():
    return TOKEN


@pytest.fixture
def start_server(tmp_path):
    running = []

    def start(port=0, folder="server"):
        running.append(ServerThread(ServerSettings(tmp_path / folder, Tokens([TOKEN])), port=port))
        return running[-1]

    yield start
    for server in running:
        server.stop()


@pytest.fixture(scope="session")
def server(tmp_path_factory):
    """One for all tests; ``listed`` empties it first."""
    with ServerThread(ServerSettings(tmp_path_factory.mktemp("server"), Tokens([TOKEN]))) as running:
        yield running


@pytest.fixture
def proxy(server):
    with FaultyProxy(server.url) as running:
        yield running


@pytest.fixture
def fault():
    return Fault


class Recordings:
    """Files as the recorder leaves them."""

    def __init__(self, folder):
        self.folder = folder
        folder.mkdir(exist_ok=True)

    def write(self, name, content=b"video", age=HOUR):
        path = self.folder / name
        path.write_bytes(content)
        self.age(path, age)
        return path

    def age(self, path, seconds):
        then = time.time() - seconds
        os.utime(path, (then, then))

    def sidecar(self, session, age=HOUR, **members):
        document = {
            "session_id": session,
            "connection_info": {"con_codigo": 123, "name": "Production Server"},
            "start_time": "2024-10-26T15:00:22.123456",
            "recorder_settings": {"fps": 10},
        }
        return self.write(f"{session}_metadata.json", json.dumps(document | members).encode(), age)

    def session(self, number=1, content=b"video", age=HOUR):
        """A video with its sidecar."""
        session = f"rdp_{number}_1729950022"
        video = self.write(f"{session}_Srv_20241026_150022.mp4", content, age)
        return video, self.sidecar(session, age)


@pytest.fixture
def recordings(tmp_path):
    return Recordings(tmp_path / "recordings")


@pytest.fixture
def program(tmp_path, recordings):
    """Makes settings objects; None leaves an attribute out."""

    def make(url, **changes):
        members = {
            "API_ENABLED": True,
            "API_BASE_URL": f"{url}/api",
            "API_TOKEN": TOKEN,
            "USER_DATA_DIR": str(tmp_path / "user"),
            "RECORDING_OUTPUT_DIR": str(recordings.folder),
            "validate_api_config": lambda: True,
        } | changes
        return SimpleNamespace(**{name: value for name, value in members.items() if value is not None})

    return make


@pytest.fixture
def clock():
    return FakeClock(time.time())


@pytest.fixture
def ports(clock):
    """Time that the test moves, and threads that look often."""
    return Ports(clock=clock, pace=Pace(upkeep=0.02, idle=0.02))


@pytest.fixture
def face(ports):
    """Makes integration managers and ends them."""
    made = []

    def make(settings, **options):
        made.append(ApiIntegrationManager(settings, **{"ports": ports} | options))
        return made[-1]

    yield make
    for one in made:
        one.shutdown()


@pytest.fixture
def until(clock):
    """Waits for something, moving the clock."""

    def wait(happened, *, seconds=0.0):
        end = time.monotonic() + PATIENCE
        pause = threading.Event()
        while not (result := happened()):
            assert time.monotonic() < end, "it did not happen"
            clock.advance(seconds)
            pause.wait(0.02)
        return result

    return wait


@pytest.fixture
def ended(until):
    """Waits until an upload has ended; its status."""

    def wait(manager, task_id, *, seconds=0.0):
        def status():
            found = manager.get_upload_status(task_id)
            return found if found and found["status"] in {"completed", "failed"} else None

        return until(status, seconds=seconds)

    return wait


@pytest.fixture
def listed(server):
    """What the server has stored."""
    from haulier_wats.compat import RecordingUploadClient

    client = RecordingUploadClient(f"{server.url}/api", TOKEN)
    for recording in client.list_recordings(limit=1000)["recordings"]:
        client.delete_recording(recording["file_id"])
    yield lambda: client.list_recordings()["recordings"]
    client.close()


class OldServer(ThreadingHTTPServer):
    """Speaks the first protocol: forms, no digests; answers as told."""

    daemon_threads = True

    def __init__(self):
        super().__init__(("127.0.0.1", 0), OldHandler)
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65536)  # little is sent that nobody reads
        self.url = f"http://127.0.0.1:{self.server_port}"
        self.lock = threading.Lock()
        self.seen = []
        self.files = {}
        self.video_url = f"{self.url}/put/video"
        self.metadata_url = f"{self.url}/put/metadata"
        self.answers = {}
        self.pauses = []  # seconds to wait after each of the first blocks of 64 KiB
        self.gate = threading.Event()
        self.gate.set()
        self.on_body = lambda path: None
        threading.Thread(target=self.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()

    def handle_error(self, request, client_address):
        pass

    def count(self, part):
        return Counter(part in path for _, path, _ in self.seen)[True]


class OldHandler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *args):
        pass

    def do_GET(self):
        self.server.seen.append(("GET", self.path, dict(self.headers)))
        self.reply(200, b"[]" if "recordings" in self.path else b"{}")

    def do_POST(self):
        server = self.server
        server.seen.append(("POST", self.path, dict(self.headers)))
        body = self.body()
        server.on_body(self.path)
        status, headers, content = server.answers.get(self.path, (200, {}, None))
        if content is None:
            content = self.usual(body)
        self.reply(status, content, headers)

    def body(self):
        left, blocks = int(self.headers.get("Content-Length") or 0), []
        pause = threading.Event()
        while left:
            if "/put/" in self.path:
                self.server.gate.wait()
            blocks.append(self.rfile.read(min(65536, left)))
            left -= len(blocks[-1])
            if not blocks[-1]:
                raise ConnectionResetError
            if self.server.pauses:
                pause.wait(self.server.pauses.pop())
        return b"".join(blocks)

    def usual(self, body):
        server = self.server
        if self.path.endswith("create-session"):
            return json.dumps(
                {
                    "session_id": "old-1",
                    "metadata_upload_url": server.metadata_url,
                    "video_upload_url": server.video_url,
                    "expires_at": "2031-10-26T16:00:22.123456Z",
                }
            ).encode()
        if "/put/" in self.path:
            with server.lock:
                server.files[self.path.rpartition("/")[2]] = body.split(b"\r\n\r\n", 1)[1].rpartition(b"\r\n--")[0]
            return b'{"file_id": "part"}'
        return b'{"file_id": "recording-1"}'

    def reply(self, status, content, headers=()):
        self.send_response(status)
        for name, value in dict(headers).items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)


@pytest.fixture
def start_old_server():
    running = []

    def start():
        running.append(OldServer())
        return running[-1]

    yield start
    for server in running:
        server.gate.set()
        server.shutdown()
        server.server_close()


@pytest.fixture
def old_server(start_old_server):
    return start_old_server()
