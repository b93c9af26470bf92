"""A TCP link of limited bandwidth: a proxy on loopback that lets so many bytes a second pass towards the server."""

from __future__ import annotations

import contextlib
import socket
import threading
import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

BLOCK = 256 * 1024
BURST_SECONDS = 0.01


class Bucket:
    """Tokens for bytes, shared by all connections. Thread-safe.

    Args:
        rate: Bytes a second.
        now: Monotonic seconds.
        sleep: Passes seconds.
    """

    def __init__(
        self, rate: float, now: Callable[[], float] = time.monotonic, sleep: Callable[[float], object] = time.sleep
    ) -> None:
        self._rate, self._now, self._sleep = rate, now, sleep
        self._lock = threading.Lock()
        self._free_at = 0.0
        self.passed = 0

    def take(self, count: int) -> None:
        """Wait until so many bytes may pass; a link that was idle lets a hundredth of a second's worth pass at once."""
        with self._lock:
            now = self._now()
            self._free_at = max(self._free_at, now - BURST_SECONDS) + count / self._rate
            self.passed += count
            wait = self._free_at - now
        if wait > 0:
            self._sleep(wait)


@contextlib.contextmanager
def limited(address: str, rate: float) -> Iterator[tuple[str, Bucket]]:
    """A link to a server for as long as the block runs.

    Args:
        address: Of the server, `http://HOST:PORT`.
        rate: Bytes a second towards the server; answers are not held up.

    Yields:
        The address to use instead, and the bucket, which counts what passed.
    """
    host, _, port = address.removeprefix("http://").partition(":")
    bucket = Bucket(rate)
    with socket.create_server(("127.0.0.1", 0)) as door:
        threading.Thread(target=_accept, args=(door, (host, int(port)), bucket), daemon=True).start()
        yield f"http://127.0.0.1:{door.getsockname()[1]}", bucket
        door.shutdown(socket.SHUT_RDWR)


def _accept(door: socket.socket, server: tuple[str, int], bucket: Bucket) -> None:
    with contextlib.suppress(OSError):
        while True:
            client, _ = door.accept()
            beyond = socket.create_connection(server)
            for end in (client, beyond):
                end.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, BLOCK)
            threading.Thread(target=_pass, args=(client, beyond, bucket.take), daemon=True).start()
            threading.Thread(target=_pass, args=(beyond, client, lambda _: None), daemon=True).start()


def _pass(source: socket.socket, target: socket.socket, allow: Callable[[int], None]) -> None:
    buffer = memoryview(bytearray(BLOCK))
    with contextlib.suppress(OSError):
        while count := source.recv_into(buffer):
            allow(count)
            target.sendall(buffer[:count])
    for end in (source, target):
        with contextlib.suppress(OSError):
            end.shutdown(socket.SHUT_RDWR)
        end.close()
