"""A scripted Blob service for what Azurite leaves out: it compares CRC64, keeps rights, and refuses on demand."""

from __future__ import annotations

import base64
import hashlib
import itertools
import threading
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, unquote, urlsplit
from xml.etree import ElementTree as ET

import pytest

from haulier.transfer.digests import new_digest

ACCOUNT = "recordings"
CONTAINER = "sessions"


def md5(data):
    return base64.b64encode(hashlib.md5(data, usedforsecurity=False).digest()).decode()


def crc64(data):
    digest = new_digest("crc64nvme")
    digest.update(data)
    return base64.b64encode(bytes.fromhex(digest.hexdigest())[::-1]).decode()


@dataclass
class Blob:
    content: bytes
    headers: dict
    md5: str = ""


@dataclass(frozen=True)
class Asked:
    """A request."""

    method: str
    path: str
    query: dict
    headers: dict
    body: bytes = field(repr=False)

    @property
    def operation(self):
        if "restype" in self.query:
            return "list"
        comp = self.query.get("comp", "")
        if comp:
            return {"PUTblock": "block", "PUTblocklist": "commit", "GETblocklist": "blocks"}[self.method + comp]
        return {"PUT": "put", "HEAD": "look", "GET": "read", "DELETE": "delete"}[self.method]

    @property
    def key(self):
        return unquote(self.path).split("/", 3)[3]


class Scripted:
    """A small Blob service. Answers follow the REST API's documentation as far as the tests need it.

    ``rule`` is given each request: ``(status, code)`` with headers perhaps, or None to do it properly.

    Attributes:
        blobs: Objects by key.
        blocks: Uncommitted ones by key and id.
        asked: All requests.
        told: Whether answers to writes tell the checksum.
    """

    def __init__(self):
        self.blobs, self.blocks, self.asked = {}, {}, []
        self.rule = lambda _: None
        self.told = True
        self.lock = threading.Lock()
        self.numbers = itertools.count(1)
        service = self

        class Handler(_Handler):
            owner = service

        self._server = _Quiet(("127.0.0.1", 0), Handler)
        self.origin = f"http://127.0.0.1:{self._server.server_address[1]}"
        threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()

    def secured(self, context):
        """The address at which it speaks TLS from now on."""
        self._server.socket = context.wrap_socket(self._server.socket, server_side=True)
        return self.origin.replace("http://", "https://")

    def stop(self):
        self._server.shutdown()
        self._server.server_close()

    def operations(self):
        return [each.operation for each in self.asked]

    def answer(self, asked):
        with self.lock:
            self.asked.append(asked)
            told = self.rule(asked)
            if told is None:
                told = getattr(self, f"do_{asked.operation}")(asked)
            if isinstance(told[1], str):
                status, code, *more = told
                headers = {"x-ms-error-code": code} if code else {}
                return status, {**headers, **(more[0] if more else {})}, b""
            return told

    # -- writing -----------------------------------------------------------------------------------------------

    def _wrong(self, asked):
        given = asked.headers.get("content-md5")
        if given and given != md5(asked.body):
            return 400, "Md5Mismatch"
        given = asked.headers.get("x-ms-content-crc64")
        if given and given != crc64(asked.body):
            return 400, "Crc64Mismatch"
        return None

    def _checksums(self, asked):
        if not self.told:
            return {}
        if "x-ms-content-crc64" in asked.headers:
            return {"x-ms-content-crc64": crc64(asked.body)}
        return {"Content-MD5": md5(asked.body)}

    def _taken(self, asked):
        return asked.headers.get("if-none-match") == "*" and asked.key in self.blobs

    def do_put(self, asked):
        if self._wrong(asked):
            return self._wrong(asked)
        if self._taken(asked):
            return 409, "BlobAlreadyExists"
        self.blobs[asked.key] = Blob(asked.body, asked.headers, md5(asked.body))
        self.blocks.pop(asked.key, None)
        return 201, {"ETag": '"0x1"', **self._checksums(asked)}, b""

    def do_block(self, asked):
        if self._wrong(asked):
            return self._wrong(asked)
        self.blocks.setdefault(asked.key, {})[asked.query["blockid"]] = asked.body
        return 201, self._checksums(asked), b""

    def do_commit(self, asked):
        if self._taken(asked):
            return 409, "BlobAlreadyExists"
        held = self.blocks.get(asked.key, {})
        names = [each.text for each in ET.fromstring(asked.body)]
        if any(name not in held for name in names):
            return 400, "InvalidBlockList"
        self.blobs[asked.key] = Blob(b"".join(held[name] for name in names), asked.headers)
        self.blocks.pop(asked.key, None)
        return 201, {"ETag": '"0x1"'}, b""

    # -- looking -----------------------------------------------------------------------------------------------

    def do_blocks(self, asked):
        if asked.key not in self.blobs and asked.key not in self.blocks:
            return 404, "BlobNotFound"
        listed = "".join(
            f"<Block><Name>{name}</Name><Size>{len(data)}</Size></Block>"
            for name, data in self.blocks.get(asked.key, {}).items()
        )
        return _xml(f"<BlockList><UncommittedBlocks>{listed}</UncommittedBlocks></BlockList>")

    def do_look(self, asked):
        found = self.blobs.get(asked.key)
        if found is None:
            return 404, "BlobNotFound"
        kept = {name: value for name, value in found.headers.items() if name.startswith("x-ms-meta-")}
        more = {"Content-MD5": found.md5} if found.md5 else {}
        return 200, {"Content-Length": str(len(found.content)), "x-ms-blob-type": "BlockBlob", **kept, **more}, b""

    def do_read(self, asked):
        found = self.blobs.get(asked.key)
        if found is None:
            return 404, "BlobNotFound"
        size = len(found.content)
        return 206, {"Content-Range": f"bytes 0-{size - 1}/{size}", "x-ms-blob-type": "BlockBlob"}, found.content

    def do_delete(self, asked):
        return (202, {}, b"") if self.blobs.pop(asked.key, None) else (404, "BlobNotFound")

    def do_list(self, _):
        return _xml("<EnumerationResults><Blobs/><NextMarker/></EnumerationResults>")


def _xml(text):
    body = f'<?xml version="1.0" encoding="utf-8"?>{text}'.encode()
    return 200, {"Content-Type": "application/xml"}, body


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
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        parts = urlsplit(self.path)
        query = {name: values[0] for name, values in parse_qs(parts.query, keep_blank_values=True).items()}
        headers = {name.lower(): value for name, value in self.headers.items()}
        status, fields, content = self.owner.answer(Asked(self.command, parts.path, query, headers, body))
        self.send_response_only(status, "Told")
        for name, value in {"Content-Length": str(len(content)), **fields}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(content)

    do_GET = do_HEAD = do_PUT = do_DELETE = _handle  # noqa: N815


@pytest.fixture
def service():
    running = Scripted()
    yield running
    running.stop()
