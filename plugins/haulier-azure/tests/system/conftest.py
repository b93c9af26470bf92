"""A relay between SDK and server that counts bodies, breaks them off, answers itself, or falls silent."""

from __future__ import annotations

import base64
import socket
import struct
import threading
from contextlib import suppress
from dataclasses import dataclass
from urllib.parse import parse_qs, urlsplit

import pytest


@dataclass
class Passed:
    """A request; ``received`` counts the bytes of its body that came, ``forwarded`` says whether the server got it."""

    method: str
    path: str
    query: dict
    size: int
    received: int = 0
    forwarded: bool = False

    @property
    def is_part(self):
        return self.query.get("comp") == "block"

    @property
    def is_commit(self):
        """A request that makes something visible."""
        return self.method == "PUT" and self.query.get("comp") != "block"

    @property
    def number(self):
        """Of the part: it stands in the block's id."""
        return int(base64.b64decode(self.query["blockid"])[26:31])


class Relay:
    """One request per connection, passed on whole. ``rule`` says of a request what happens instead:

    ``("answer", status, headers, body)``, ``("reset", bytes)`` after so many bytes of the body, ``("silence",)``,
    ``("lose",)`` to pass it on and reset instead of answering; None to pass it on.
    """

    def __init__(self, upstream):
        target = urlsplit(upstream)
        self._target = (target.hostname, target.port)
        self.rule = lambda _: None
        self.passed = []
        self.changed = threading.Condition()
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}"
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self):
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()

    def parts(self, *, forwarded=True):
        return [each for each in self.passed if each.is_part and each.forwarded is forwarded]

    def wait_for(self, condition, seconds=60):
        with self.changed:
            assert self.changed.wait_for(condition, seconds), "it did not come to that"

    def _accept(self):
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(client,), daemon=True).start()

    def _serve(self, client):
        with client, suppress(OSError):
            client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            head, rest = _head(client)
            if not head:
                return
            method, target, _ = head.split(b"\r\n")[0].decode().split(" ")
            parts = urlsplit(target)
            query = {name: values[0] for name, values in parse_qs(parts.query, keep_blank_values=True).items()}
            request = Passed(method, parts.path, query, _length(head))
            with self.changed:
                told = self.rule(request)
                self.passed.append(request)
                self.changed.notify_all()
            if b"100-continue" in head.lower():
                client.sendall(b"HTTP/1.1 100 Continue\r\n\r\n")
            self._handle(client, head, rest, request, told)

    def _handle(self, client, head, rest, request, told):
        kind = told[0] if told else "pass"
        if kind == "silence":
            with suppress(OSError):
                while client.recv(1 << 16):
                    pass
            return
        wanted = min(request.size, told[1]) if kind == "reset" else request.size
        body = rest + _exactly(client, wanted - len(rest))
        request.received = len(body)
        if kind == "answer":
            _, status, headers, content = told
            fields = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
            shown = b"" if request.method == "HEAD" else content
            client.sendall(
                f"HTTP/1.1 {status} Told\r\n{fields}Connection: close\r\nContent-Length: {len(content)}\r\n\r\n".encode()
                + shown
            )
            return
        if kind in {"pass", "lose"}:
            answer = self._forward(head, body)
            with self.changed:
                request.forwarded = True
                self.changed.notify_all()
            if kind == "pass":
                client.sendall(answer)
                return
        client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))

    def _forward(self, head, body):
        first, *lines = head.split(b"\r\n")
        kept = [line for line in lines if not line.lower().startswith((b"expect:", b"connection:"))]
        with socket.create_connection(self._target, timeout=30) as server:
            server.sendall(b"\r\n".join([first, *kept, b"Connection: close", b"", b""]) + body)
            answer = b""
            while block := server.recv(1 << 16):
                answer += block
        return answer


def _head(client):
    data = b""
    while b"\r\n\r\n" not in data:
        block = client.recv(1 << 16)
        if not block:
            return b"", b""
        data += block
    head, _, rest = data.partition(b"\r\n\r\n")
    return head, rest


def _length(head):
    for line in head.split(b"\r\n")[1:]:
        name, _, value = line.partition(b":")
        if name.strip().lower() == b"content-length":
            return int(value)
    return 0


def _exactly(client, count):
    data = b""
    while len(data) < count:
        block = client.recv(min(1 << 16, count - len(data)))
        if not block:
            break
        data += block
    return data


@pytest.fixture
def relay(server):
    running = Relay(server.url)
    yield running
    running.close()
