"""An HTTP server that stands between client and server and, on demand, answers, breaks off or loses answers itself."""

from __future__ import annotations

import http.client
import socket
import struct
import sys
import threading
from collections import Counter
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any, Self
from urllib.parse import urlsplit

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from types import TracebackType

__all__ = ["Fault", "FaultyProxy", "Request"]

_HOP_BY_HOP = {"connection", "keep-alive", "transfer-encoding", "te", "upgrade"}


@dataclass(frozen=True)
class Request:
    """What the proxy saw."""

    method: str
    path: str
    headers: Mapping[str, str]
    body: bytes = field(repr=False)

    @property
    def announced(self) -> int:
        """Bytes that the body was said to have; it has fewer when the client left."""
        return int(_header(self.headers, "Content-Length") or 0)

    @property
    def content_size(self) -> int:
        """Bytes of content in the body: of a form those of its files, else all of them."""
        kind, _, parameters = _header(self.headers, "Content-Type").partition(";")
        if kind.strip().lower() != "multipart/form-data":
            return len(self.body)
        boundary = parameters.partition("boundary=")[2].strip().strip('"').encode("latin-1")
        parts = (part.partition(b"\r\n\r\n") for part in (b"\r\n" + self.body).split(b"\r\n--" + boundary))
        return sum(len(content) for head, _, content in parts if b"filename=" in head)


@dataclass(frozen=True)
class Fault:
    """What the proxy does instead of passing a request on.

    Attributes:
        status: Answer with this status; None for none.
        headers: Of that answer.
        body: Of that answer.
        forward: Pass the request on first, so that its effect stands.
        reset: Reset the connection instead of answering.
    """

    status: int | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""
    forward: bool = False
    reset: bool = False


class FaultyProxy:
    """Passes requests on to ``upstream`` unless ``rule`` says otherwise. A context manager.

    Args:
        upstream: Address of the real server, may be changed while running.
        rule: Given each request, a fault or None. May be changed while running.

    Attributes:
        url: Where the proxy answers.
        seen: Requests by method and path.
        bytes_seen: Bytes of bodies by method.
    """

    def __init__(self, upstream: str, rule: Callable[[Request], Fault | None] = lambda _: None) -> None:
        self.upstream = upstream
        self.rule = rule
        self.seen: list[Request] = []
        self.bytes_seen: Counter[str] = Counter()
        proxy = self

        class Handler(_Handler):
            owner = proxy

        self._server = _Server(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def forget(self) -> None:
        """Count from 0 again."""
        self.seen.clear()
        self.bytes_seen.clear()

    def count(self, method: str, path_part: str = "") -> int:
        """How many requests of this method had this in their path."""
        return sum(request.method == method and path_part in request.path for request in self.seen)


def _header(headers: Mapping[str, str], name: str) -> str:
    return next((value for each, value in headers.items() if each.lower() == name.lower()), "")


class _Server(ThreadingHTTPServer):
    def handle_error(self, request: Any, client_address: Any) -> None:
        """Say nothing of clients that left; they may have been killed."""
        if not isinstance(sys.exc_info()[1], ConnectionError):
            super().handle_error(request, client_address)


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True  # an answer is two writes: the second would wait for the client's acknowledgement
    owner: FaultyProxy

    def log_message(self, *_: object) -> None:
        """Keep quiet."""

    def _handle(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        request = Request(self.command, self.path, dict(self.headers.items()), body)
        self.owner.seen.append(request)
        self.owner.bytes_seen[self.command] += len(body)
        fault = self.owner.rule(request)
        if fault is None or fault.forward:
            answer = self._forward(request)
        if fault is None:
            self._answer(*answer)
        elif fault.reset:
            self._reset()
        else:
            self._answer(fault.status or 500, {**fault.headers}, fault.body)

    do_GET = do_HEAD = do_POST = do_PATCH = do_DELETE = do_PUT = do_OPTIONS = _handle  # noqa: N815

    def _forward(self, request: Request) -> tuple[int, Mapping[str, str], bytes]:
        target = urlsplit(self.owner.upstream)
        connection = http.client.HTTPConnection(target.hostname or "", target.port, timeout=30)
        try:
            headers = {name: value for name, value in request.headers.items() if name.lower() not in _HOP_BY_HOP}
            connection.request(request.method, request.path, request.body or None, headers)
            if len(request.body) < request.announced:
                return 400, {}, b""  # the client left in the middle, and so does this connection
            answer = connection.getresponse()
            content = answer.read()
            return answer.status, dict(answer.getheaders()), content
        except OSError:
            return 502, {}, b""
        finally:
            connection.close()

    def _answer(self, status: int, headers: Mapping[str, str], body: bytes) -> None:
        self.send_response_only(status)
        for name, value in headers.items():
            if name.lower() not in _HOP_BY_HOP | {"content-length"}:
                self.send_header(name, value)
        # Of an answer without a body the length is that of the body there would be.
        length = _header(headers, "Content-Length") if self.command == "HEAD" else ""
        self.send_header("Content-Length", length or str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def _reset(self) -> None:
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.connection.close()
        self.close_connection = True
        self.rfile.close()
        self.wfile.close()
