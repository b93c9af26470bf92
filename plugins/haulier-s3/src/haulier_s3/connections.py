"""Requests with bodies over connections that are kept: HTTP/1.1 without what a general client does around each.

What a request costs here is the sending of it; answers are read by llhttp, through httptools. Nothing is followed,
repeated or kept in cookies. Source: RFC 9112.
"""

from __future__ import annotations

import socket
import ssl
import weakref
from collections import deque
from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import urlsplit

from httptools import HttpParserError, HttpParserUpgrade, HttpResponseParser

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

__all__ = [
    "Answer",
    "AnswerTimeoutError",
    "BrokenError",
    "ConnectTimeoutError",
    "Connections",
    "UnreachableError",
    "head_of",
    "trusting",
]

_BLOCK = 64 << 10  # bytes read with each call of the system
_LONGEST_HEAD = 64 << 10
_LONGEST_BODY = 1 << 20
_FINAL = 200  # what is below is said in advance (RFC 9110, section 15.2)
_PORTS = {"http": 80, "https": 443}


class UnreachableError(Exception):
    """No connection could be made."""


class ConnectTimeoutError(UnreachableError):
    """None in time."""


class BrokenError(Exception):
    """The connection ended before the answer was whole, or what came is no answer."""


class AnswerTimeoutError(BrokenError):
    """Nothing came in time."""


class Answer(NamedTuple):
    """What a server said; names of header fields in lower case, the values of repeated ones joined by commas."""

    status: int
    headers: Mapping[str, str]
    body: bytes


class Connections:
    """Connections to one server. Thread-safe.

    Args:
        origin: Scheme, host and port.
        trust: What certificates are checked by; None over plain HTTP.
        most: Idle connections that are kept.
    """

    def __init__(self, origin: str, trust: ssl.SSLContext | None, most: int = 64) -> None:
        parts = urlsplit(origin)
        self._host = parts.hostname or ""
        self._port = parts.port or _PORTS[parts.scheme]
        self._trust = trust
        self._most = most
        self._idle: deque[socket.socket] = deque()
        # With new credentials come new connections, while these may still be in use.
        weakref.finalize(self, _close_all, self._idle)

    def close(self) -> None:
        """Close those that are idle."""
        _close_all(self._idle)

    def exchange(self, head: bytes, body: bytes | Iterable[memoryview], silence: float, patience: float) -> Answer:
        """Send a request and read its answer.

        Args:
            head: Request line and header fields, with the empty line; ``Content-Length`` is among them.
            body: Small ones whole; an iterable is sent as it comes.
            silence: Seconds to wait for a connection, and for a block to be taken.
            patience: Seconds without a byte of the answer.

        Raises:
            UnreachableError: There is no connection: nothing was sent.
            BrokenError: There is no answer, whatever became of the request.
            Exception: What reading the body raised.
        """
        connection = self._kept() or self._made(silence)
        try:
            answer, lasting = _exchanged(connection, head, body, silence, patience)
        except BaseException:
            connection.close()
            raise
        self._give_back(connection, lasting=lasting)
        return answer

    def _kept(self) -> socket.socket | None:
        """The connection that was used last, unless its other end closed it meanwhile."""
        from urllib3.util import wait_for_read

        while True:
            try:
                connection = self._idle.pop()
            except IndexError:
                return None
            if not wait_for_read(connection, timeout=0.0):  # there is nothing to be read between two requests
                return connection
            connection.close()

    def _made(self, silence: float) -> socket.socket:
        made: socket.socket | None = None
        try:
            made = socket.create_connection((self._host, self._port), timeout=silence)
            made.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            return made if self._trust is None else self._trust.wrap_socket(made, server_hostname=self._host)
        except OSError as error:
            if made is not None:
                made.close()
            kind = ConnectTimeoutError if isinstance(error, TimeoutError) else UnreachableError
            raise kind(str(error)) from error

    def _give_back(self, connection: socket.socket, *, lasting: bool) -> None:
        if lasting and len(self._idle) < self._most:
            self._idle.append(connection)
        else:
            connection.close()


def _close_all(idle: deque[socket.socket]) -> None:
    while True:
        try:
            connection = idle.pop()
        except IndexError:
            return
        connection.close()


def head_of(method: str, target: str, fields: Mapping[str, str]) -> bytes:
    """Request line and header fields.

    Raises:
        ValueError: A line break is in them.
    """
    lines = [f"{method} {target} HTTP/1.1", *(f"{name}: {value}" for name, value in fields.items())]
    text = "\r\n".join(lines)
    if text.count("\n") != len(lines) - 1 or text.count("\r") != len(lines) - 1 or "\0" in text:
        raise ValueError("a header field has a line break in it")
    return f"{text}\r\n\r\n".encode("latin-1")


def _exchanged(
    connection: socket.socket, head: bytes, body: bytes | Iterable[memoryview], silence: float, patience: float
) -> tuple[Answer, bool]:
    """The answer, and whether the connection can be used again."""
    connection.settimeout(silence)
    sent = _send(connection, head, body)
    connection.settimeout(patience)
    reading = _Reading()
    try:
        while not reading.done:
            reading.feed(connection.recv(_BLOCK))
    except TimeoutError as error:
        raise AnswerTimeoutError(str(error)) from error
    except OSError as error:
        raise BrokenError(str(error)) from error
    finally:
        reading.end()
    return reading.answer(), sent and reading.lasting


def _send(connection: socket.socket, head: bytes, body: bytes | Iterable[memoryview]) -> bool:
    """False when the other end stopped listening: it may have said why."""
    if isinstance(body, bytes):
        return _sent(connection, head + body)
    return _sent(connection, head) and all(_sent(connection, block) for block in body)


def _sent(connection: socket.socket, block: bytes | memoryview) -> bool:
    try:
        connection.sendall(block)
    except (BrokenPipeError, ConnectionResetError):
        return False
    except OSError as error:
        raise BrokenError(str(error)) from error
    return True


class _Reading:
    """One answer, as llhttp tells of it."""

    def __init__(self) -> None:
        self.done = False
        self.lasting = False  # whether another request may follow on the same connection
        self._parser: Any = HttpResponseParser(self)
        self._status = 0
        self._headers: dict[str, str] = {}
        self._body = bytearray()
        self._fed = 0

    def answer(self) -> Answer:
        """What was said."""
        return Answer(self._status, self._headers, bytes(self._body))

    def feed(self, data: bytes) -> None:
        """Take what came; nothing is the end of the connection.

        Raises:
            BrokenError: It is no answer, or not a whole one.
        """
        if not data:
            if not self._status or {"content-length", "transfer-encoding"} & self._headers.keys():
                raise BrokenError("the connection was closed before the answer was whole")
            self.done = True  # RFC 9112, section 6.3: its length is what came
            return
        self._fed += len(data)
        try:
            self._parser.feed_data(data)
        except (HttpParserError, HttpParserUpgrade) as error:  # no other protocol was asked for
            raise BrokenError(f"what came is no answer ({error})") from error
        if self._fed > _LONGEST_HEAD + (_LONGEST_BODY if self._status else 0):
            raise BrokenError("the answer has no end")

    def end(self) -> None:
        """Let go of the parser, which holds this object."""
        self._parser = None

    # -- called by the parser ----------------------------------------------------------------------------------

    def on_message_begin(self) -> None:
        """An answer begins; behind the one that was awaited none is in order."""
        self.lasting = False

    def on_header(self, name: bytes, value: bytes) -> None:
        """A header field."""
        if not self.done:
            key, text = name.decode("latin-1").lower(), value.decode("latin-1")
            self._headers[key] = f"{self._headers[key]}, {text}" if key in self._headers else text

    def on_headers_complete(self) -> None:
        """The body is next; what is said in advance is forgotten."""
        status = self._parser.get_status_code()
        if status < _FINAL:
            self._headers.clear()
        elif not self.done:
            self._status = status

    def on_body(self, data: bytes) -> None:
        """Some of it."""
        if not self.done:
            self._body += data

    def on_message_complete(self) -> None:
        """The end."""
        if self._status and not self.done:
            self.done = True
            self.lasting = bool(self._parser.should_keep_alive())


def trusting(authorities: str) -> ssl.SSLContext:
    """What certificates are checked by: as urllib3 makes it, which requests and botocore use.

    Args:
        authorities: A file of certificates.
    """
    from urllib3.util.ssl_ import create_urllib3_context

    context = create_urllib3_context(cert_reqs=ssl.CERT_REQUIRED)
    context.load_verify_locations(authorities)
    return context
