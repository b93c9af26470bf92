"""Connections below requests: they notice silence, can be cut off, and tell whether they ever stood.

``socket.sendall`` counts its timeout over the whole call, so that a large block on a slow line looks like silence; here
each piece that the system takes starts the clock anew. A request that is cancelled must stop now, not at its timeout.
And whether a failure came before or after a connection stood decides who pays for it.
"""

from __future__ import annotations

import logging
import socket
import threading
from contextlib import suppress
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any, Self

from requests.adapters import HTTPAdapter
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.connectionpool import HTTPConnectionPool, HTTPSConnectionPool

if TYPE_CHECKING:
    from urllib3.poolmanager import PoolManager

__all__ = ["Exchange", "WireAdapter"]

_TLS_RECORD = 16 * 1024
_POOLS = 8
_CONNECTIONS = 64
_LOG_NAME = "urllib3.connectionpool"


class Exchange:
    """One request on the wire. Used by the requesting thread as a context manager; :meth:`cut` may come from any.

    Attributes:
        connected: Whether a connection stood, TLS included.
    """

    def __init__(self) -> None:
        self.connected = False
        self._lock = threading.Lock()
        self._socket: Any = None
        self._cut = False

    def attach(self, sock: Any) -> None:
        """Note the socket that carries the request."""
        with self._lock:
            self.connected = True
            self._socket = sock
            if self._cut:
                _shut_down(sock)

    def cut(self) -> None:
        """End the request at once: its thread gets an error from the socket."""
        with self._lock:
            self._cut = True
            if self._socket is not None:
                _shut_down(self._socket)

    def __enter__(self) -> Self:
        self._token = _CURRENT.set(self)
        return self

    def __exit__(self, *_: object) -> None:
        _CURRENT.reset(self._token)


_CURRENT: ContextVar[Exchange | None] = ContextVar("gcs_exchange", default=None)


def _shut_down(sock: Any) -> None:
    # SSLSocket.shutdown would take the TLS state away from under the thread that uses it.
    with suppress(OSError):
        if isinstance(sock, socket.socket):
            socket.socket.shutdown(sock, socket.SHUT_RDWR)
        else:
            sock.close()


def _attach(sock: Any) -> None:
    exchange = _CURRENT.get()
    if exchange is not None and sock is not None:
        exchange.attach(sock)


def _send_all(sock: Any, data: Any) -> None:
    view = memoryview(data).cast("B")
    # A TLS socket counts its timeout over the whole of one call: a record at a time keeps it about silence.
    block = len(view) if type(sock) is socket.socket else _TLS_RECORD
    position = 0
    while position < len(view):
        position += sock.send(view[position : position + block])


class _PlainConnection(HTTPConnection):
    def connect(self) -> None:
        super().connect()
        _attach(self.sock)

    def request(self, *args: Any, **kwargs: Any) -> None:
        _attach(self.sock)
        super().request(*args, **kwargs)

    def send(self, data: Any) -> None:
        if self.sock is None:
            self.connect()
        _send_all(self.sock, data)


class _TLSConnection(HTTPSConnection):
    def connect(self) -> None:
        super().connect()
        _attach(self.sock)

    def request(self, *args: Any, **kwargs: Any) -> None:
        _attach(self.sock)
        super().request(*args, **kwargs)

    def send(self, data: Any) -> None:
        if self.sock is None:
            self.connect()
        _send_all(self.sock, data)


class _PlainPool(HTTPConnectionPool):
    ConnectionCls = _PlainConnection


class _TLSPool(HTTPSConnectionPool):
    ConnectionCls = _TLSConnection


class _OwnRequestsFilter(logging.Filter):
    """Drops urllib3's debug lines about requests of ours: they quote the addresses of upload sessions."""

    def filter(self, record: logging.LogRecord) -> bool:
        del record
        return _CURRENT.get() is None


_OWN_REQUESTS = _OwnRequestsFilter()


class WireAdapter(HTTPAdapter):
    """Adapter of a requests session whose connections report to the current :class:`Exchange`. Thread-safe."""

    def __init__(self) -> None:
        logging.getLogger(_LOG_NAME).addFilter(_OWN_REQUESTS)
        super().__init__(pool_connections=_POOLS, pool_maxsize=_CONNECTIONS, max_retries=0)

    def init_poolmanager(self, connections: int, maxsize: int, block: bool = False, **pool_kwargs: Any) -> None:
        """Make the pools of direct connections."""
        super().init_poolmanager(connections, maxsize, block, **pool_kwargs)
        _use_own_pools(self.poolmanager)

    def proxy_manager_for(self, proxy: Any, **proxy_kwargs: Any) -> Any:
        """Make the pools of connections through a proxy; SOCKS proxies keep their own kind."""
        manager = super().proxy_manager_for(proxy, **proxy_kwargs)
        if not str(proxy).lower().startswith("socks"):
            _use_own_pools(manager)
        return manager


def _use_own_pools(manager: PoolManager) -> None:
    manager.pool_classes_by_scheme = {"http": _PlainPool, "https": _TLSPool}
