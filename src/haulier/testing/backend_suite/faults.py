"""A TCP relay between an HTTP client and its server that, on demand, answers, breaks off or falls silent itself."""

from __future__ import annotations

import socket
import struct
import threading
from contextlib import suppress
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import TYPE_CHECKING, Self
from urllib.parse import urlsplit

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from types import TracebackType

__all__ = ["Faults"]

_BLOCK = 1 << 16
_LONGEST_HEAD = 1 << 16


@dataclass(frozen=True)
class _Rule:
    """What happens to requests instead of being passed on."""

    status: int | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""
    reset: bool = False


class Faults:
    """Passes connections on to a server unless it was told otherwise. A context manager. Thread-safe.

    A rule holds for all requests until :meth:`clear`; none of them reaches the server.

    Args:
        upstream: Address of the real server, ``http://host:port``; a path in it is kept in :attr:`url`.

    Attributes:
        url: Where clients meet it.
        taken: Requests that met a rule since the rule was set.
    """

    def __init__(self, upstream: str) -> None:
        target = urlsplit(upstream)
        self._target = (target.hostname or "127.0.0.1", target.port or 80)
        self._lock = threading.Lock()
        self._rule: _Rule | None = None
        self._open: set[socket.socket] = set()
        self._cleared = threading.Event()
        self.taken = 0
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}{target.path}"
        self._thread = threading.Thread(target=self._accept, name="haulier-faults", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.clear()
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._thread.join()

    def answer_with(self, status: int, headers: Mapping[str, str] | None = None, body: bytes = b"") -> None:
        """Answer every request with this status, after its body was read."""
        self._set(_Rule(status, headers or {}, body))

    def reset(self) -> None:
        """Reset the connection of every request in the middle of its body."""
        self._set(_Rule(reset=True))

    def fall_silent(self) -> None:
        """Take every request's head, read no more and say nothing."""
        self._set(_Rule())

    def clear(self) -> None:
        """Pass everything on again."""
        self._set(None)

    def _set(self, rule: _Rule | None) -> None:
        """Set the rule; connections that stand are closed, so that no request slips past it."""
        with self._lock:
            self._rule, self.taken = rule, 0
            standing, self._open = self._open, set()
            self._cleared.set()
            self._cleared = threading.Event()
        for connection in standing:
            with suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)

    # -- connections -------------------------------------------------------------------------------------------

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(client,), name="haulier-faults", daemon=True).start()

    def _serve(self, client: socket.socket) -> None:
        with client, suppress(OSError):
            client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            with self._lock:
                rule, cleared = self._rule, self._cleared
                self._open.add(client)
            if rule is None:
                self._relay(client)
            else:
                self._strike(client, rule, cleared)
        with self._lock:
            self._open.discard(client)

    def _relay(self, client: socket.socket) -> None:
        with socket.create_connection(self._target, timeout=30) as server:
            server.settimeout(None)
            server.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            back = threading.Thread(target=_pump, args=(server, client), name="haulier-faults", daemon=True)
            back.start()
            _pump(client, server)
            back.join()

    def _strike(self, client: socket.socket, rule: _Rule, cleared: threading.Event) -> None:
        head, rest = _read_head(client)
        if not head:
            return
        with self._lock:
            self.taken += 1
        if rule.reset:
            _read_half(client, head, rest)
            client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        elif rule.status is None:
            cleared.wait()
        else:
            if "100-continue" not in _field(head, "expect"):
                _drain(client, head, rest)
            client.sendall(_answer(rule, has_body=not head.startswith(b"HEAD ")))


def _pump(source: socket.socket, target: socket.socket) -> None:
    with suppress(OSError):
        while block := source.recv(_BLOCK):
            target.sendall(block)
    for end in (source, target):
        with suppress(OSError):
            end.shutdown(socket.SHUT_RDWR)


def _read_head(client: socket.socket) -> tuple[bytes, bytes]:
    """The request line and header fields, and what came behind them; empty when the client left."""
    received = b""
    while b"\r\n\r\n" not in received and len(received) < _LONGEST_HEAD:
        block = client.recv(_BLOCK)
        if not block:
            return b"", b""
        received += block
    head, _, rest = received.partition(b"\r\n\r\n")
    return head, rest


def _field(head: bytes, name: str) -> str:
    lines = head.decode("latin-1").split("\r\n")[1:]
    fields = (line.partition(":") for line in lines)
    return next((value.strip().lower() for given, _, value in fields if given.lower() == name), "")


def _length(head: bytes) -> int:
    text = _field(head, "content-length")
    return int(text) if text.isdigit() else 0


def _drain(client: socket.socket, head: bytes, rest: bytes) -> None:
    if "chunked" in _field(head, "transfer-encoding"):
        _read_until(client, rest, lambda data, _: data.endswith(b"0\r\n\r\n"))
    else:
        _read_until(client, rest, lambda _, count: count >= _length(head))


def _read_half(client: socket.socket, head: bytes, rest: bytes) -> None:
    if "100-continue" in _field(head, "expect"):
        client.sendall(b"HTTP/1.1 100 Continue\r\n\r\n")
    chunked = "chunked" in _field(head, "transfer-encoding")
    wanted = 1 if chunked else _length(head) // 2
    _read_until(client, rest, lambda _, count: count >= wanted)


def _read_until(client: socket.socket, data: bytes, is_enough: Callable[[bytes, int], bool]) -> None:
    count, tail = len(data), data[-16:]
    while not is_enough(tail, count):
        block = client.recv(_BLOCK)
        if not block:
            return
        count += len(block)
        tail = (tail + block)[-16:]


def _answer(rule: _Rule, *, has_body: bool) -> bytes:
    status = rule.status or 500
    phrase = HTTPStatus(status).phrase
    fields = {**rule.headers, "Content-Length": str(len(rule.body)), "Connection": "close"}
    lines = [f"HTTP/1.1 {status} {phrase}", *(f"{name}: {value}" for name, value in fields.items()), "", ""]
    return "\r\n".join(lines).encode("latin-1") + (rule.body if has_body else b"")
