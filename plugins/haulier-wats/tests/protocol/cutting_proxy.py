"""A TCP proxy that counts what a client sends and does something at given numbers of bytes, in the middle of anything."""

from __future__ import annotations

import contextlib
import socket
import struct
import threading

BLOCK = 64 * 1024


class CuttingProxy:
    """Passes connections on to a port of loopback. A context manager.

    Args:
        port: Where the server listens.
        events: By number of bytes that crossed from clients to the server, what to call there. The connection is reset
            after exactly so many bytes; new ones wait until the call returns.

    Attributes:
        crossed: Bytes that crossed from clients to the server.
    """

    def __init__(self, port, events):
        self.crossed = 0
        self._upstream = port
        self._events = sorted(events.items())
        self._lock = threading.Lock()
        self._threads = []
        self._sockets = []
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}"

    @property
    def events_left(self):
        return len(self._events)

    def __enter__(self):
        self._start(self._accept)
        return self

    def __exit__(self, *_):
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        _close(*self._sockets)
        for thread in self._threads:
            thread.join(10)

    def _start(self, target, *arguments):
        thread = threading.Thread(target=target, args=arguments, daemon=True)
        self._threads.append(thread)
        thread.start()

    def _accept(self):
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            with self._lock:
                try:
                    server = socket.create_connection(("127.0.0.1", self._upstream), timeout=30)
                except OSError:
                    _reset(client)
                    continue
            self._sockets += (client, server)
            self._start(self._up, client, server)
            self._start(_pump, server, client)

    def _up(self, client, server):
        """Pass on what the client sends, up to the byte of the next event."""
        with contextlib.suppress(OSError):
            while data := client.recv(BLOCK):
                with self._lock:
                    due = self._events and self.crossed + len(data) >= self._events[0][0]
                    passed = data[: self._events[0][0] - self.crossed] if due else data
                    self.crossed += len(passed)
                    server.sendall(passed)
                    if due:
                        _reset(client, server)
                        self._events.pop(0)[1]()
                        return
            server.shutdown(socket.SHUT_WR)


def _pump(source, target):
    with contextlib.suppress(OSError):
        while data := source.recv(BLOCK):
            target.sendall(data)
    _close(source, target)


def _close(*sockets):
    for each in sockets:
        with contextlib.suppress(OSError):
            each.shutdown(socket.SHUT_RDWR)
        each.close()


def _reset(*sockets):
    """Break connections off with a reset."""
    for each in sockets:
        with contextlib.suppress(OSError):
            each.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            each.shutdown(socket.SHUT_RD)
        each.close()
