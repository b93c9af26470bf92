"""What the tests of client and backend share: a body in memory, a context, and a server that does as it is told."""

from __future__ import annotations

import base64
import hashlib
import json
import socket
import threading
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from haulier import Secret
from haulier.backends.api import Artifact, Upload
from haulier.errors import CancelledError
from haulier.models import Role
from haulier_wats.backend import WatsBackend
from haulier_wats.options import WatsOptions

TOKEN = "t0p-s3cret-token"


class MemoryBody:
    """A part whose bytes lie in memory; ``on_read`` is called before each block."""

    def __init__(self, data, on_read=lambda: None):
        self._data = memoryview(data)
        self._position = 0
        self._on_read = on_read
        self.digests_asked = 0

    @property
    def size(self):
        return len(self._data)

    def readinto(self, buffer, /):
        self._on_read()
        view = memoryview(buffer)
        count = min(len(view), self.size - self._position)
        view[:count] = self._data[self._position : self._position + count]
        self._position += count
        return count

    def read(self, size=-1, /):
        buffer = bytearray(self.size if size < 0 else size)
        return bytes(buffer[: self.readinto(buffer)])

    def rewind(self):
        self._position = 0

    def digest(self, name):
        self.digests_asked += 1
        return hashlib.new(name, self._data).hexdigest()

    def whole(self, name):
        return self.digest(name)


class FakeContext:
    """A context that can be cancelled by hand."""

    def __init__(self, silence=10.0, commit_timeout=10.0):
        self.silence = silence
        self.commit_timeout = commit_timeout
        self._cancelled = threading.Event()
        self._callbacks = []

    def cancelled(self):
        return self._cancelled.is_set()

    def check_cancelled(self):
        if self.cancelled():
            raise CancelledError("the task was cancelled")

    def on_cancel(self, callback):
        self._callbacks.append(callback)
        return lambda: self._callbacks.remove(callback)

    def cancel(self):
        self._cancelled.set()
        for callback in list(self._callbacks):
            callback()


@dataclass
class Received:
    """One request as it arrived."""

    method: str
    path: str
    headers: dict[str, str]
    body: bytes = field(repr=False)

    def json(self):
        return json.loads(self.body)


class ScriptedServer:
    """Answers as scripted, by method and path without query; remembers what came.

    A reply is a status, a JSON value, a tuple (status, headers, body), or a callable that takes the handler and the
    request (None if ``read_body`` is False) and returns one of these, or None when it did everything itself.
    """

    def __init__(self):
        self.received = []
        self._replies = {}
        self._raw = set()
        owner = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def handle_one_request(self):
                try:
                    super().handle_one_request()
                except ConnectionError:
                    self.close_connection = True

            def log_message(self, *args):
                pass

            def __getattr__(self, name):
                if name.startswith("do_"):
                    return lambda: owner._answer(self)
                raise AttributeError(name)

        class Server(ThreadingHTTPServer):
            daemon_threads = True

            def handle_error(self, request, client_address):
                pass

        self.httpd = Server(("127.0.0.1", 0), Handler)
        self._thread = threading.Thread(target=self.httpd.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
        self._thread.start()

    @property
    def origin(self):
        return f"http://127.0.0.1:{self.httpd.server_port}"

    @property
    def url(self):
        return f"{self.origin}/api"

    def on(self, method, path, reply, *, read_body=True):
        self._replies[method, path] = reply
        if not read_body:
            self._raw.add((method, path))

    def paths(self):
        return [(request.method, request.path) for request in self.received]

    def close(self):
        self.httpd.shutdown()
        self.httpd.server_close()
        self._thread.join()

    def _answer(self, handler):
        key = (handler.command, handler.path.split("?", 1)[0])
        body = b""
        if key not in self._raw:
            body = handler.rfile.read(int(handler.headers.get("Content-Length", 0)))
        request = Received(handler.command, handler.path, {k.lower(): v for k, v in handler.headers.items()}, body)
        self.received.append(request)
        reply = self._replies.get(key, 404)
        if callable(reply):
            reply = reply(handler, request)
        if reply is not None:
            _write(handler, reply)


def _write(handler, reply):
    if isinstance(reply, int):
        reply = (reply, {}, b"")
    if not isinstance(reply, tuple):
        reply = (200, {"Content-Type": "application/json"}, json.dumps(reply).encode())
    status, headers, body = reply
    handler.send_response(status)
    for name, value in headers.items():
        handler.send_header(name, value)
    if status != 204:
        handler.send_header("Content-Length", str(len(body)))
    handler.end_headers()
    if handler.command != "HEAD":
        handler.wfile.write(body)


class UploadResource:
    """An upload resource: takes PATCH at its offset and answers HEAD, as a resumable server does."""

    def __init__(self, size, *, takes=None):
        self.data = bytearray()
        self.size = size
        self.complete = False
        self.appends = []
        self._takes = takes

    def install(self, server, path):
        server.on("HEAD", path, lambda handler, request: (204, self._fields(), b""))
        server.on("PATCH", path, self._append)

    def _fields(self):
        return {
            "Upload-Offset": str(len(self.data)),
            "Upload-Complete": "?1" if self.complete else "?0",
            "Upload-Length": str(self.size),
        }

    def _append(self, handler, request):
        if int(request.headers["upload-offset"]) != len(self.data) or self.complete:
            return 409, self._fields(), b"{}"
        digest = base64.b64encode(hashlib.sha256(request.body).digest()).decode()
        assert request.headers.get("content-digest", digest) in {digest, f"sha-256=:{digest}:"}
        assert request.headers["content-type"] == "application/partial-upload"
        self.appends.append(len(request.body))
        self.data += request.body[: self._takes]
        self.complete = request.headers["upload-complete"] == "?1" and len(self.data) == self.size
        return 204, self._fields(), b""


class LegacyServer:
    """A server as the first client expects it: forms, no digests, no item ids, filters ignored."""

    def __init__(self, server):
        self.server = server
        self.files = {}
        self.recordings = []
        self.finalized = 0
        self.status = {"status": "open"}
        for path, name in (("/up/metadata", "metadata"), ("/up/video", "video")):
            server.on("POST", path, lambda handler, request, name=name: self._file(name, request))
        server.on(
            "POST",
            "/api/uploads/create-session",
            {
                "session_id": "legacy 1",
                "metadata_upload_url": "/up/metadata",
                "video_upload_url": f"{server.origin}/up/video",
                "expires_at": "2031-10-26T16:00:22.123456",
            },
        )
        server.on("POST", "/api/uploads/legacy%201/finalize", self._finalize)
        server.on("GET", "/api/uploads/legacy%201/status", lambda handler, request: self.status)
        server.on("GET", "/api/recordings", self._list)

    def _file(self, name, request):
        kind, boundary = request.headers["content-type"].split("; boundary=")
        assert kind == "multipart/form-data"
        head, content = request.body.split(b"\r\n\r\n", 1)
        assert head.startswith(f'--{boundary}\r\nContent-Disposition: form-data; name="file"; filename='.encode())
        end = f"\r\n--{boundary}--\r\n".encode()
        assert content.endswith(end)
        self.files[name] = content.removesuffix(end)
        return {"file_id": f"file-{name}"}

    def _finalize(self, handler, request):
        self.finalized += 1
        if not self.recordings:
            self.recordings.append({"file_id": "rec-1", "session_id": "legacy 1", "size": len(self.files["video"])})
        return self.recordings[0]

    def _list(self, handler, request):
        query = dict(pair.split("=") for pair in request.path.split("?")[1].split("&"))
        start = int(query["offset"])
        return {"recordings": self.recordings[start : start + int(query["limit"])]}


def make_upload(video=b"video bytes", sidecar=b'{"session_id": "rdp_1_1729950022"}', **changes):
    """An upload of a recording; ``sidecar`` None for none."""
    artifacts = [
        Artifact(0, Role.MEDIA, "rdp_1_1729950022_Srv_20241026_150022.mp4", "k/v.mp4", len(video), "video/mp4")
    ]
    if sidecar is not None:
        artifacts.append(
            Artifact(1, Role.SIDECAR, "rdp_1_metadata.json", "k/v.json", len(sidecar), "application/json", sidecar)
        )
    return Upload(**{"task": "upload_1", "item_id": "ab" * 32, "nonce": "n1", "artifacts": tuple(artifacts)} | changes)


@pytest.fixture(autouse=True)
def no_proxy(monkeypatch):
    """No proxy of the machine that runs the tests."""
    for name in ("http_proxy", "https_proxy", "all_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)
    monkeypatch.setenv("no_proxy", "")


@pytest.fixture
def dead_origin():
    """An address where nobody listens, and nobody will."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        yield f"http://127.0.0.1:{taken.getsockname()[1]}"


@pytest.fixture
def body():
    return MemoryBody


@pytest.fixture
def new_context():
    return FakeContext


@pytest.fixture
def context():
    return FakeContext()


@pytest.fixture
def token():
    return TOKEN


@pytest.fixture
def upload():
    return make_upload()


@pytest.fixture
def new_upload():
    return make_upload


@pytest.fixture
def start_server():
    servers = []

    def start():
        servers.append(ScriptedServer())
        return servers[-1]

    yield start
    for server in servers:
        server.close()


@pytest.fixture
def server(start_server):
    return start_server()


@pytest.fixture
def new_backend():
    backends = []

    def make(base_url, **options):
        backends.append(WatsBackend("archive", WatsOptions(base_url, Secret(TOKEN), **options)))
        return backends[-1]

    yield make
    for backend in backends:
        backend.close()


@pytest.fixture
def upload_resource():
    return UploadResource


@pytest.fixture
def legacy(server):
    return LegacyServer(server)


@pytest.fixture
def backend(new_backend, server):
    return new_backend(server.url)


@pytest.fixture
def client(backend):
    return backend._client
