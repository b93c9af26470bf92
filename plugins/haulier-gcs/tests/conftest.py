"""A real server, one per session, and a scripted one for what it leaves out; met through backends made of tables."""

from __future__ import annotations

import base64
import itertools
import json
import os
import re
import threading
from collections import Counter
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, quote, unquote, urlsplit

import pytest
import requests

from haulier.testing.servers import ServerProcess, beside_python, free_port
from haulier.transfer.digests import new_digest

UNIT = 512
_NUMBERS = itertools.count(1)


class Server:
    """A server that runs, and how the tests look into it themselves."""

    def __init__(self, name, url):
        self.name, self.url = name, url
        self.session = requests.Session()
        self.session.trust_env = False

    def bucket(self):
        """A new, empty bucket."""
        name = f"bucket-{next(_NUMBERS)}-{os.getpid()}"
        self.session.post(f"{self.url}/storage/v1/b", json={"name": name}).raise_for_status()
        return name

    def _object(self, bucket, key):
        return f"{self.url}/storage/v1/b/{bucket}/o/{quote(key, safe='')}"

    def objects(self, bucket):
        """Resources by key."""
        items = self.session.get(f"{self.url}/storage/v1/b/{bucket}/o").json().get("items", [])
        return {item["name"]: item for item in items}

    def content(self, bucket, key):
        answer = self.session.get(f"{self._object(bucket, key)}?alt=media")
        return answer.content if answer.ok else None

    def put(self, bucket, key, content):
        begun = self.session.post(f"{self.url}/upload/storage/v1/b/{bucket}/o?uploadType=resumable", json={"name": key})
        span = f"bytes 0-{len(content) - 1}/{len(content)}" if content else "bytes */0"
        address = begun.headers["Location"]
        self.session.put(address, headers={"Content-Range": span}, data=content).raise_for_status()

    def remove(self, bucket, key):
        self.session.delete(self._object(bucket, key))


def table(url, bucket, **more):
    """The options of a backend that meets this server."""
    return {"bucket": bucket, "endpoint_url": url, "anonymous": True, "min_part_size": UNIT, **more}


@pytest.fixture(scope="session")
def emulator():
    port = free_port()
    command = [beside_python("gcp-storage-emulator"), "start", "--host=127.0.0.1", f"--port={port}", "--in-memory"]
    with ServerProcess(command, port) as process:
        yield Server("emulator", process.url)


@pytest.fixture(autouse=True)
def own_credentials(monkeypatch, tmp_path):
    """Whatever credentials the machine has stay out of it."""
    for name in ("GOOGLE_APPLICATION_CREDENTIALS", "GOOGLE_CLOUD_PROJECT", "STORAGE_EMULATOR_HOST"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("CLOUDSDK_CONFIG", str(tmp_path / "gcloud"))
    monkeypatch.setenv("NO_GCE_CHECK", "true")


# -- the scripted service ----------------------------------------------------------------------------------------------


def crc32c(data):
    digest = new_digest("crc32c")
    digest.update(data)
    return base64.b64encode(bytes.fromhex(digest.hexdigest())).decode()


@dataclass
class Object:
    content: bytes
    document: dict
    generation: int


@dataclass
class Pending:
    key: str
    document: dict
    condition: str
    content: bytes = b""
    made: Object | None = None


@dataclass(frozen=True)
class Asked:
    """A request."""

    method: str
    path: str
    query: dict
    headers: dict
    body: bytes = field(repr=False)
    whole: bool = True

    @property
    def operation(self):
        if "upload_id" in self.query:
            if self.method == "DELETE":
                return "cancel"
            return "ask" if self.headers.get("content-range") == "bytes */*" else "append"
        if self.path.startswith("/upload/"):
            return {"resumable": "create", "multipart": "put", "media": "media"}[self.query["uploadType"]]
        if not self.key:
            return "list" if self.path.endswith("/o") else "bucket"
        return {"GET": "read" if "alt" in self.query else "look", "DELETE": "delete", "PATCH": "note"}[self.method]

    @property
    def key(self):
        return unquote(self.path.partition("/o/")[2])

    @property
    def authorization(self):
        return self.headers.get("authorization", "")


class Scripted:
    """A small Cloud Storage that does what the emulator leaves out: it keeps conditions, compares CRC32C, persists
    whole units alone, cancels and forgets sessions, pages, and refuses on demand.

    Answers follow the JSON API's documentation as far as the tests need it. ``rule`` is given each request: an error
    ``(status, reason)`` with headers perhaps, a whole answer ``(status, headers, body)``, or None to do it properly.

    Attributes:
        unit: What is persisted of an unfinished upload is a multiple of it.
        most: Bytes persisted of one request at most, or None.
        conditions: Whether ``ifGenerationMatch`` is kept.
        compares: Whether CRC32C is compared.
        page: Objects in one page.
        hidden: Whether resources tell no digest, as of objects with a customer's own key.
    """

    def __init__(self):
        self.objects, self.pending, self.asked, self.cancelled = {}, {}, [], []
        self.rule = lambda _: None
        self.unit, self.most = UNIT, None
        self.conditions = self.compares = True
        self.page = 5
        self.hidden = False
        self.numbers = itertools.count(1_700_000_000_000_001)
        self.lock = threading.RLock()
        service = self

        class Handler(_Handler):
            owner = service

        self._server = _Quiet(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"
        threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()

    def secured(self, context):
        """The address at which it speaks TLS from now on."""
        self._server.socket = context.wrap_socket(self._server.socket, server_side=True)
        return self.url.replace("http://", "https://")

    def stop(self):
        self._server.shutdown()
        self._server.server_close()

    def count(self):
        return Counter(each.operation for each in self.asked)

    def answer(self, asked):
        with self.lock:
            self.asked.append(asked)
            told = self.rule(asked)
            if told is None:
                told = getattr(self, f"do_{asked.operation}")(asked)
            if isinstance(told[1], str):
                return told[0], dict(told[2]) if len(told) > 2 else {}, error_body(told[0], told[1])
            return told

    # -- objects -----------------------------------------------------------------------------------------------

    def make(self, key, content, document):
        made = self.objects[key] = Object(content, document, next(self.numbers))
        return made

    def resource(self, key, found):
        told = {} if self.hidden else {"crc32c": crc32c(found.content)}
        document = {name: value for name, value in found.document.items() if name not in {"name", "crc32c"}}
        size = {"size": str(len(found.content)), "generation": str(found.generation)}
        return {"kind": "storage#object", "name": key, **document, **size, **told}

    def _json(self, document, status=200):
        return status, {"Content-Type": "application/json"}, json.dumps(document).encode()

    def _taken(self, condition, key):
        return self.conditions and condition == "0" and key in self.objects

    def _wrong(self, key, given, content):
        return self.compares and given and given != crc32c(content)

    def do_bucket(self, _):
        return self._json({})

    def do_look(self, asked):
        found = self.objects.get(asked.key)
        return self._json(self.resource(asked.key, found)) if found else (404, "notFound")

    def do_read(self, asked):
        found = self.objects.get(asked.key)
        return (200, {"Content-Type": "video/mp4"}, found.content) if found else (404, "notFound")

    def do_delete(self, asked):
        found = self.objects.get(asked.key)
        if found is None:
            return 404, "notFound"
        if asked.query.get("ifGenerationMatch", str(found.generation)) != str(found.generation):
            return 412, "conditionNotMet"
        del self.objects[asked.key]
        return 204, {}, b""

    def do_note(self, asked):
        found = self.objects[asked.key]
        found.document["metadata"] = {**found.document.get("metadata", {}), **json.loads(asked.body)["metadata"]}
        return self._json(self.resource(asked.key, found))

    def do_list(self, asked):
        names = sorted(key for key in self.objects if key.startswith(asked.query.get("prefix", "")))
        start = int(asked.query.get("pageToken", "0"))
        most = min(self.page, int(asked.query.get("maxResults", "1000")))
        items = [self.resource(name, self.objects[name]) for name in names[start : start + most]]
        more = {"nextPageToken": str(start + most)} if start + most < len(names) else {}
        return self._json({"kind": "storage#objects", "items": items, **more})

    # -- writing -----------------------------------------------------------------------------------------------

    def do_media(self, asked):
        key = asked.query["name"]
        return self._json(self.resource(key, self.make(key, asked.body, {})))

    def do_put(self, asked):
        boundary = re.search(r'boundary="([^"]+)"', asked.headers["content-type"])[1].encode()
        _, head, tail = asked.body.split(b"--" + boundary, 2)
        document = json.loads(head.partition(b"\r\n\r\n")[2])
        content = tail.rpartition(b"\r\n--" + boundary + b"--")[0].partition(b"\r\n\r\n")[2]
        if not asked.whole:
            return 400, "badRequest"
        if self._taken(asked.query.get("ifGenerationMatch"), document["name"]):
            return 412, "conditionNotMet"
        if self._wrong(document["name"], document.get("crc32c"), content):
            return 400, {}, error_body(400, "invalid", "Provided CRC32C does not match calculated CRC32C")
        return self._json(self.resource(document["name"], self.make(document["name"], content, document)))

    def do_create(self, asked):
        document = json.loads(asked.body)
        condition = asked.query.get("ifGenerationMatch", "")
        if self._taken(condition, document["name"]):
            return 412, "conditionNotMet"
        name = f"session-{next(self.numbers)}-secret"
        self.pending[name] = Pending(document["name"], document, condition)
        address = f"{self.told_url(asked)}{asked.path}?uploadType=resumable&upload_id={name}"
        return 200, {"Location": address}, b""

    def told_url(self, asked):
        return f"http://{asked.headers['host']}"

    def do_ask(self, asked):
        found = self.pending.get(asked.query["upload_id"])
        if found is None:
            return (410, "gone") if asked.query["upload_id"] in self.cancelled else (404, "notFound")
        if found.made is not None:
            return self._json(self.resource(found.key, found.made))
        return self._stands(found)

    def _stands(self, found):
        return 308, {"Range": f"bytes=0-{len(found.content) - 1}"} if found.content else {}, b""

    def do_append(self, asked):
        found = self.pending.get(asked.query["upload_id"])
        if found is None or found.made is not None:
            return self.do_ask(asked)
        match = re.fullmatch(r"bytes (?:(\d+)-(\d+)|\*)/(\d+|\*)", asked.headers["content-range"])
        start = int(match[1]) if match[1] else len(found.content)
        if start > len(found.content):
            return 400, "invalid"
        held = len(found.content)
        arrived = asked.body[held - start :]  # what is persisted is never replaced
        total = None if match[3] == "*" else int(match[3])
        if total is None and asked.whole and len(asked.body) % self.unit:
            return 400, "invalid"
        whole = found.content + arrived
        if total is not None and len(whole) == total and self.most is None:
            return self._finish(found, whole, asked)
        kept = arrived[: self.most] if self.most is not None else arrived
        end = (held + len(kept)) // self.unit * self.unit
        if total is not None and held + len(kept) == total and len(kept) == len(arrived):
            return self._finish(found, whole, asked)
        found.content = whole[: max(held, end)]
        return self._stands(found)

    def _finish(self, found, whole, asked):
        given = asked.headers.get("x-goog-hash", "").removeprefix("crc32c=")
        if self._wrong(found.key, given, whole):
            return 400, {}, error_body(400, "invalid", "Provided CRC32C does not match calculated CRC32C")
        if self._taken(found.condition, found.key):
            return 412, "conditionNotMet"
        found.made = self.make(found.key, whole, found.document)
        return self._json(self.resource(found.key, found.made))

    def do_cancel(self, asked):
        if self.pending.pop(asked.query["upload_id"], None) is None:
            return 404, "notFound"
        self.cancelled.append(asked.query["upload_id"])
        return 499, {}, b""

    def open_sessions(self):
        return [name for name, each in self.pending.items() if each.made is None]


def error_body(status, reason, message="made up for a test"):
    errors = [{"domain": "global", "reason": reason, "message": message}]
    return json.dumps({"error": {"code": status, "message": message, "errors": errors}}).encode()


class _Quiet(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, request, client_address):
        """Clients may leave; a handshake may fail."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    owner = None

    def log_message(self, *_):
        pass

    def _handle(self):
        announced = int(self.headers.get("Content-Length") or 0)
        body = self.rfile.read(announced)
        parts = urlsplit(self.path)
        query = {name: values[0] for name, values in parse_qs(parts.query, keep_blank_values=True).items()}
        headers = {name.lower(): value for name, value in self.headers.items()}
        whole = len(body) == announced
        try:
            told = self.owner.answer(Asked(self.command, parts.path, query, headers, body, whole))
        except ConnectionResetError:
            self.close_connection = True
            self.connection.close()
            return
        status, fields, content = told
        self.send_response_only(status, "Told")
        for name, value in fields.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    do_GET = do_POST = do_PUT = do_DELETE = do_PATCH = _handle  # noqa: N815


@pytest.fixture
def service():
    running = Scripted()
    yield running
    running.stop()
