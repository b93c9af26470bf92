"""A small S3 service that does what the other servers leave out: it compares checksums, keeps conditions, and refuses
on demand. Answers follow the Amazon S3 API reference as far as the tests need it."""

from __future__ import annotations

import base64
import hashlib
import threading
import zlib
from collections import Counter
from dataclasses import dataclass, field
from email.utils import formatdate
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, unquote, urlsplit
from xml.etree import ElementTree as ET
from xml.sax.saxutils import escape

import pytest

from haulier.transfer.digests import new_digest

NAMES = {"CRC64NVME": "crc64nvme", "CRC32C": "crc32c", "SHA256": "sha256"}


def encoded(name, data):
    digest = new_digest(name)
    digest.update(data)
    return base64.b64encode(bytes.fromhex(digest.hexdigest())).decode()


@dataclass
class Object:
    content: bytes
    headers: dict
    etag: str
    checksums: dict = field(default_factory=dict)


@dataclass
class Pending:
    key: str
    headers: dict
    algorithm: str
    kind: str
    parts: dict = field(default_factory=dict)


@dataclass(frozen=True)
class Asked:
    """A request."""

    method: str
    key: str
    query: dict
    headers: dict
    body: bytes = field(repr=False)

    @property
    def operation(self):
        if self.method == "POST":
            return "create" if "uploads" in self.query else "complete"
        if "uploadId" in self.query:
            return {"PUT": "part", "GET": "parts", "DELETE": "abort"}[self.method]
        if not self.key:
            return (
                "bucket"
                if self.method == "HEAD"
                else next((n for n in ("versioning", "uploads") if n in self.query), "list")
            )
        return {"PUT": "put", "GET": "get", "HEAD": "head", "DELETE": "delete"}[self.method]


class Scripted:
    """The service. ``rule`` is given each request: an error ``(status, code)``, an answer, or None to do it properly.

    Attributes:
        knows: Checksum algorithms.
        refuses: Whether an unknown algorithm is refused; else it is ignored, as are its headers.
        conditions: ``kept``, ``ignored`` or ``refused``.
        page: Parts in one page.
        kms: Whether everything is encrypted with a managed key, so that ETags are no MD5.
    """

    def __init__(self):
        self.objects, self.pending, self.asked = {}, {}, []
        self.rule = lambda _: None
        self.knows = set(NAMES)
        self.refuses = False
        self.conditions = "kept"
        self.page = 2
        self.kms = False
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

    # -- what it does ------------------------------------------------------------------------------------------

    def answer(self, asked):
        with self.lock:
            self.asked.append(asked)
            told = self.rule(asked)
            if told is None:
                told = getattr(self, f"do_{asked.operation}")(asked)
            if isinstance(told[1], str):
                return told[0], dict(told[2]) if len(told) > 2 else {}, _error(told[1])
            return told

    def _wrong(self, asked):
        """What a write is refused for."""
        for algorithm, name in NAMES.items():
            given = asked.headers.get(f"x-amz-checksum-{algorithm.lower()}")
            if given is None or asked.operation == "complete":
                continue
            if algorithm not in self.knows:
                if self.refuses:
                    return 400, "InvalidRequest"
            elif given != encoded(name, asked.body):
                return 400, "BadDigest"
        md5 = asked.headers.get("content-md5")
        if md5 and md5 != encoded("md5", asked.body):
            return 400, "BadDigest"
        if asked.headers.get("if-none-match") and asked.operation in {"put", "complete"}:
            if self.conditions == "refused":
                return 501, "NotImplemented"
            if self.conditions == "kept" and asked.key in self.objects:
                return 412, "PreconditionFailed"
        return None

    def _told(self, data, algorithms):
        return {
            f"x-amz-checksum-{each.lower()}": encoded(NAMES[each], data) for each in algorithms if each in self.knows
        }

    def _given(self, asked):
        return [each for each in NAMES if f"x-amz-checksum-{each.lower()}" in asked.headers]

    def _sealed(self):
        return {"x-amz-server-side-encryption": "aws:kms"} if self.kms else {}

    def _tag(self, data):
        return f"{zlib.crc32(data):032x}" if self.kms else hashlib.md5(data).hexdigest()

    def do_create(self, asked):
        algorithm = asked.headers.get("x-amz-checksum-algorithm", "")
        if algorithm and algorithm not in self.knows and self.refuses:
            return 400, "InvalidRequest"
        upload_id = f"upload-{len(self.pending) + len(self.asked)}"
        kind = asked.headers.get("x-amz-checksum-type", "") if algorithm in self.knows else ""
        algorithm = algorithm if algorithm in self.knows else ""
        self.pending[upload_id] = Pending(asked.key, asked.headers, algorithm, kind)
        echo = {"x-amz-checksum-algorithm": algorithm, "x-amz-checksum-type": kind} if algorithm else {}
        body = f"<InitiateMultipartUploadResult><UploadId>{upload_id}</UploadId></InitiateMultipartUploadResult>"
        return 200, {**echo, **self._sealed()}, body.encode()

    def _of(self, asked):
        found = self.pending.get(asked.query["uploadId"])
        return found if found is not None and found.key == asked.key else None

    def do_part(self, asked):
        pending, wrong = self._of(asked), self._wrong(asked)
        if pending is None:
            return 404, "NoSuchUpload"
        if wrong:
            return wrong
        pending.parts[int(asked.query["partNumber"])] = asked.body
        told = self._told(asked.body, self._given(asked))
        return 200, {"ETag": f'"{self._tag(asked.body)}"', **told, **self._sealed()}, b""

    def do_parts(self, asked):
        pending = self._of(asked)
        if pending is None:
            return 404, "NoSuchUpload"
        after = int(asked.query.get("part-number-marker", 0))
        numbers = sorted(number for number in pending.parts if number > after)
        shown = numbers[: self.page]
        entries = "".join(
            f"<Part><PartNumber>{number}</PartNumber><ETag>&quot;{self._tag(pending.parts[number])}&quot;</ETag>"
            f"<Size>{len(pending.parts[number])}</Size>{self._element(pending, pending.parts[number])}</Part>"
            for number in shown
        )
        more = f"<NextPartNumberMarker>{shown[-1]}</NextPartNumberMarker>" if len(numbers) > len(shown) else ""
        truncated = "true" if more else "false"
        return (
            200,
            {},
            f"<ListPartsResult>{entries}{more}<IsTruncated>{truncated}</IsTruncated></ListPartsResult>".encode(),
        )

    def _element(self, pending, data):
        if not pending.algorithm:
            return ""
        name = f"Checksum{pending.algorithm}"
        return f"<{name}>{encoded(NAMES[pending.algorithm], data)}</{name}>"

    def do_complete(self, asked):
        pending, wrong = self._of(asked), self._wrong(asked)
        if pending is None:
            return 404, "NoSuchUpload"
        if wrong:
            return wrong
        listed = [int(each.text) for each in ET.fromstring(asked.body).iter() if each.tag.endswith("PartNumber")]
        if not set(listed) <= set(pending.parts):
            return 400, "InvalidPart"
        content = b"".join(pending.parts[number] for number in listed)
        checksums = {}
        if pending.algorithm:
            header, name = f"x-amz-checksum-{pending.algorithm.lower()}", NAMES[pending.algorithm]
            if pending.kind == "FULL_OBJECT":
                checksums = {header: encoded(name, content)}
                if asked.headers.get(header, checksums[header]) != checksums[header]:
                    return 400, "BadDigest"
            else:
                joined = b"".join(base64.b64decode(encoded(name, pending.parts[each])) for each in listed)
                checksums = {header: f"{encoded(name, joined)}-{len(listed)}"}
            checksums["x-amz-checksum-type"] = pending.kind
        tags = b"".join(bytes.fromhex(self._tag(pending.parts[number])) for number in listed)
        etag = f"{hashlib.md5(tags).hexdigest()}-{len(listed)}"
        self.objects[asked.key] = Object(content, pending.headers, etag, checksums)
        del self.pending[asked.query["uploadId"]]
        return (
            200,
            {},
            f"<CompleteMultipartUploadResult><ETag>&quot;{etag}&quot;</ETag></CompleteMultipartUploadResult>".encode(),
        )

    def do_abort(self, asked):
        if self._of(asked) is None:
            return 404, "NoSuchUpload"
        del self.pending[asked.query["uploadId"]]
        return 204, {}, b""

    def do_put(self, asked):
        wrong = self._wrong(asked)
        if wrong:
            return wrong
        checksums = self._told(asked.body, self._given(asked))
        self.objects[asked.key] = Object(asked.body, asked.headers, self._tag(asked.body), checksums)
        return 200, {"ETag": f'"{self._tag(asked.body)}"', **checksums, **self._sealed()}, b""

    def do_head(self, asked):
        found = self.objects.get(asked.key)
        if found is None:
            return 404, {}, b""
        kept = {name: value for name, value in found.headers.items() if name.startswith("x-amz-meta-")}
        told = {"ETag": f'"{found.etag}"', "Content-Length": str(len(found.content)), **kept, **self._sealed()}
        return 200, {**told, **(found.checksums if asked.headers.get("x-amz-checksum-mode") else {})}, b""

    def do_get(self, asked):
        found = self.objects.get(asked.key)
        return (404, "NoSuchKey") if found is None else (200, {"ETag": f'"{found.etag}"'}, found.content)

    def do_delete(self, asked):
        self.objects.pop(asked.key, None)
        return 204, {}, b""

    def do_list(self, asked):
        prefix = asked.query.get("prefix", "")
        entries = "".join(
            f"<Contents><Key>{escape(key)}</Key><Size>{len(self.objects[key].content)}</Size></Contents>"
            for key in sorted(self.objects)
            if key.startswith(prefix)
        )
        return 200, {}, f"<ListBucketResult>{entries}<IsTruncated>false</IsTruncated></ListBucketResult>".encode()

    def do_bucket(self, _):
        return 200, {}, b""

    def do_versioning(self, _):
        return 200, {}, b"<VersioningConfiguration></VersioningConfiguration>"

    def do_uploads(self, _):
        entries = "".join(
            f"<Upload><Key>{escape(each.key)}</Key><UploadId>{name}</UploadId><Initiated>2026-01-01T00:00:00Z</Initiated></Upload>"
            for name, each in self.pending.items()
        )
        return (
            200,
            {},
            f"<ListMultipartUploadsResult>{entries}<IsTruncated>false</IsTruncated></ListMultipartUploadsResult>".encode(),
        )


def _error(code):
    return f"<Error><Code>{code}</Code><Message>made up for a test</Message></Error>".encode()


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
        _, _, key = unquote(parts.path).removeprefix("/").partition("/")
        query = {name: values[0] for name, values in parse_qs(parts.query, keep_blank_values=True).items()}
        headers = {name.lower(): value for name, value in self.headers.items()}
        try:
            status, fields, content = self.owner.answer(Asked(self.command, key, query, headers, body))
        except ConnectionResetError:
            self.close_connection = True
            self.connection.close()
            return
        self.send_response_only(status)
        fields = {"Last-Modified": formatdate(0, usegmt=True), **fields}
        for name, value in fields.items():
            self.send_header(name, value)
        if "Content-Length" not in fields:
            self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(content)

    do_GET = do_HEAD = do_POST = do_PUT = do_DELETE = _handle  # noqa: N815


@pytest.fixture
def service():
    running = Scripted()
    yield running
    running.stop()
