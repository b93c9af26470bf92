"""A put-only backend over HTTP passes the suite with its error mapping, so that the planted ones below can fail it."""

from __future__ import annotations

import hashlib
import http.client
import threading
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import quote, unquote, urlsplit

import pytest

from haulier.backends.api import IfAbsent, PutBackend, Stored
from haulier.backends.http_errors import error_for_status, parse_retry_after
from haulier.backends.keys import split_key
from haulier.errors import NetworkError, ServerError, ValidationError
from haulier.models import Proof
from haulier.testing.backend_suite import BackendSuite, BackendWorld, Faults
from haulier.testing.backend_suite.errors import ErrorCases


class Shelves(BaseHTTPRequestHandler):
    """PUT if absent, HEAD; everything lies in memory."""

    protocol_version = "HTTP/1.1"
    objects: dict

    def log_message(self, *_):
        pass

    def do_PUT(self):
        content = self.rfile.read(int(self.headers["Content-Length"]))
        if len(content) < int(self.headers["Content-Length"]):
            self.close_connection = True
            return
        taken = self.objects.setdefault(unquote(self.path), content) is not content
        self._answer(412 if taken else 201, content)

    def do_HEAD(self):
        content = self.objects.get(unquote(self.path))
        self._answer(404 if content is None else 200, content or b"")

    def _answer(self, status, content):
        self.send_response_only(status)
        self.send_header("X-Size", str(len(content)))
        self.send_header("X-SHA256", hashlib.sha256(content).hexdigest())
        self.send_header("Content-Length", "0")
        self.end_headers()


@dataclass(frozen=True)
class HttpShelfOptions:
    url: str


class HttpShelf(PutBackend):
    """Some sixty lines are enough for a destination that tells its errors."""

    type = "http-shelf"
    options_type = HttpShelfOptions
    if_absent = IfAbsent.ATOMIC
    proof = Proof.CONTENT

    def probe(self, context):
        self._ask("HEAD", "", context, absent_is_fine=True)

    def put(self, upload, artifact, body, context):
        context.check_cancelled()
        self._ask("PUT", artifact.key, context, body)
        return self.stat(artifact.key, context)

    def stat(self, key, context):
        answer = self._ask("HEAD", key, context, absent_is_fine=True)
        if answer.status == 404:
            return None
        digests = {"sha256": answer.headers["X-SHA256"]}
        return Stored(key, f"shelf:{key}", int(answer.headers["X-Size"]), digests=digests)

    def _ask(self, method, key, context, body=None, *, absent_is_fine=False):
        path = _path(key) if key else "/"
        target = urlsplit(self.options.url)
        connection = http.client.HTTPConnection(target.hostname, target.port, timeout=context.silence)
        headers = {"Content-Length": str(body.size)} if body is not None else {}
        try:
            connection.request(method, path, body, headers)
            answer = connection.getresponse()
            answer.read()
        except http.client.HTTPException as error:
            raise ServerError("no HTTP", where=self.options.url) from error
        except OSError as error:
            reached = not isinstance(error, ConnectionRefusedError)
            raise NetworkError("the connection failed", where=self.options.url, reached=reached) from error
        finally:
            connection.close()
        if answer.status >= 300 and not (absent_is_fine and answer.status == 404):
            retry_after = parse_retry_after(answer.headers.get("Retry-After"), 0.0)
            raise error_for_status(answer.status, where=self.options.url, retry_after=retry_after)
        return answer


def _path(key):
    try:
        return "/" + quote("/".join(split_key(key, platform="linux")))
    except UnicodeEncodeError as error:
        raise ValidationError("the key holds half a character", where=repr(key)) from error


class HttpWorld(BackendWorld):
    in_this_process = True

    def __init__(self, backend_class, faults, objects):
        super().__init__(backend_class, {"url": faults.url})
        self._faults, self._objects = faults, objects

    @property
    def faults(self):
        return self._faults

    def visible(self):
        return sorted(path[1:] for path in self._objects)

    def content(self, key):
        return self._objects.get(f"/{key}")

    def put(self, key, content):
        self._objects[f"/{key}"] = content

    def remove(self, key):
        del self._objects[f"/{key}"]

    def leftovers(self):
        return []


@pytest.fixture(scope="module")
def served():
    objects = {}
    handler = type("OwnShelves", (Shelves,), {"objects": objects})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    server.daemon_threads = True
    server.handle_error = lambda *_: None
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
    with Faults(f"http://127.0.0.1:{server.server_port}") as faults:
        yield faults, objects
    server.shutdown()
    server.server_close()


@pytest.fixture
def http_world(served):
    faults, objects = served
    objects.clear()
    yield lambda backend_class: HttpWorld(backend_class, faults, objects)
    faults.clear()


class TestHttpShelf(BackendSuite):
    @pytest.fixture
    def world(self, http_world):
        return http_world(HttpShelf)


class Retries(HttpShelf):
    def _ask(self, *args, **options):
        try:
            return super()._ask(*args, **options)
        except (NetworkError, ServerError):
            return super()._ask(*args, **options)


class CallsOutagesAbsence(HttpShelf):
    def stat(self, key, context):
        try:
            return super().stat(key, context)
        except ServerError:
            return None


class DropsRetryAfter(HttpShelf):
    def _ask(self, *args, **options):
        try:
            return super()._ask(*args, **options)
        except Exception as error:
            if hasattr(error, "retry_after"):
                error.retry_after = None
            raise


class CallsEverythingTheServersFault(HttpShelf):
    def _ask(self, *args, **options):
        try:
            return super()._ask(*args, **options)
        except Exception as error:
            raise ServerError(str(error)) from error


class ClaimsNobodyWasReached(HttpShelf):
    def _ask(self, *args, **options):
        try:
            return super()._ask(*args, **options)
        except NetworkError as error:
            error.reached = False
            raise


PLANTED = [
    (Retries, "test_a_connection_that_is_reset", {"operation": "open"}),
    (Retries, "test_a_status_becomes_the_error_whose_consequence_fits", {"status": "500", "operation": "open"}),
    (CallsOutagesAbsence, "test_absence_needs_an_answer", {}),
    (
        DropsRetryAfter,
        "test_a_status_becomes_the_error_whose_consequence_fits",
        {"status": "429 with Retry-After", "operation": "open"},
    ),
    (
        CallsEverythingTheServersFault,
        "test_a_status_becomes_the_error_whose_consequence_fits",
        {"status": "401", "operation": "probe"},
    ),
    (ClaimsNobodyWasReached, "test_a_connection_that_is_reset", {"operation": "commit"}),
]


@pytest.mark.parametrize(("bad", "test", "arguments"), PLANTED, ids=lambda value: getattr(value, "__name__", None))
def test_a_planted_defect_of_errors_is_caught(http_world, bad, test, arguments):
    getattr(ErrorCases(), test)(world=http_world(HttpShelf), **arguments)
    http_world(HttpShelf).faults.clear()
    for key in (world := http_world(bad)).visible():
        world.remove(key)
    with pytest.raises((AssertionError, pytest.fail.Exception)):
        getattr(ErrorCases(), test)(world=world, **arguments)
