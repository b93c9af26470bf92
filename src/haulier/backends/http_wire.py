"""The wire below requests: connections that notice silence, can be cut off, and tell whether they ever stood.

For plugins that speak HTTP through ``requests``, which they bring themselves: Haulier does not need it.

Three things the libraries leave open are closed here:

* ``socket.sendall`` counts its timeout over the whole call, so a large block on a slow line looks like silence. Here
  each piece that the system takes starts the clock anew.
* A request that is cancelled must stop now, not at its timeout: another thread shuts its socket down.
* Whether a failure came before or after a connection stood decides who pays for it, and no exception says so.
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
    import ssl
    from collections.abc import Callable

    from urllib3.poolmanager import PoolManager

__all__ = ["Exchange", "WireAdapter", "send_all", "tls_context"]

_TLS_RECORD = 16 * 1024
_ONE_PIECE = 128 * 1024
_POOLS = 8
_LOG_NAME = "urllib3.connectionpool"


class Exchange:
    """One request on the wire. Made and used by the requesting thread; :meth:`cut` may come from any.

    Args:
        guard: Given the IP address of each new direct connection before anything is sent on it; raises to refuse it.

    Attributes:
        connected: Whether a connection stood, TLS included.
    """

    def __init__(self, guard: Callable[[str], None] = lambda _: None) -> None:
        self.connected = False
        self._guard = guard
        self._lock = threading.Lock()
        self._socket: Any = None
        self._cut = False

    def admit(self, sock: Any) -> None:
        """Let a new connection pass, or close it and raise what the guard says."""
        try:
            self._guard(str(sock.getpeername()[0]))
        except BaseException:
            sock.close()
            raise

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


_CURRENT: ContextVar[Exchange | None] = ContextVar("exchange", default=None)


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


def _admit(connection: HTTPConnection, sock: Any) -> None:
    """Show a new connection to the exchange's guard. A proxy's own address is the user's choice and says nothing."""
    exchange = _CURRENT.get()
    if exchange is not None and connection.proxy is None:
        exchange.admit(sock)


def send_all(sock: Any, data: Any) -> None:
    """Send all of ``data``; the socket's timeout bounds each piece that the system takes, not the whole.

    Raises:
        TimeoutError: Nothing was taken for that long.
    """
    view = memoryview(data).cast("B")
    # A TLS socket counts its timeout over the whole of one call: a record at a time keeps it about silence.
    block = len(view) if type(sock) is socket.socket else _TLS_RECORD
    position = 0
    while position < len(view):
        position += sock.send(view[position : position + block])


class _Connection(HTTPConnection):
    """Reports to the exchange, and sends a small body in one piece with its head."""

    _held: bytearray | None = None

    def _new_conn(self) -> socket.socket:
        sock = super()._new_conn()
        _admit(self, sock)
        return sock

    def connect(self) -> None:
        super().connect()
        _attach(self.sock)

    def request(self, *args: Any, **kwargs: Any) -> None:
        _attach(self.sock)
        if self.sock is None:
            self.connect()  # before anything is held: what a proxy is asked for must not wait
        self._held = bytearray()
        try:
            super().request(*args, **kwargs)
            self._flush()
        finally:
            self._held = None

    def send(self, data: Any) -> None:
        if self.sock is None:
            self.connect()
        if self._held is not None:
            if len(self._held) + memoryview(data).nbytes <= _ONE_PIECE:
                self._held += data
                return
            self._flush()
        send_all(self.sock, data)

    def _flush(self) -> None:
        held, self._held = self._held, None
        if held:
            send_all(self.sock, held)


class _PlainConnection(_Connection):
    """A connection without TLS."""


class _TLSConnection(_Connection, HTTPSConnection):
    """A connection with TLS."""


class _PlainPool(HTTPConnectionPool):
    ConnectionCls = _PlainConnection


class _TLSPool(HTTPSConnectionPool):
    ConnectionCls = _TLSConnection


class _OwnRequestsFilter(logging.Filter):
    """Drops urllib3's debug lines about requests of ours: they quote addresses with their queries."""

    def filter(self, record: logging.LogRecord) -> bool:
        del record
        return _CURRENT.get() is None


_OWN_REQUESTS = _OwnRequestsFilter()


class WireAdapter(HTTPAdapter):
    """Adapter of a requests session whose connections report to the current :class:`Exchange`. Thread-safe; no retries.

    Args:
        tls: Context for TLS connections; None for the libraries' own.
        connections: Idle connections that are kept to each host.
    """

    def __init__(self, tls: ssl.SSLContext | None = None, *, connections: int = 32) -> None:
        self._tls = tls
        logging.getLogger(_LOG_NAME).addFilter(_OWN_REQUESTS)
        super().__init__(pool_connections=_POOLS, pool_maxsize=connections, max_retries=0)

    def init_poolmanager(self, connections: int, maxsize: int, block: bool = False, **pool_kwargs: Any) -> None:
        """Make the pools of direct connections."""
        super().init_poolmanager(connections, maxsize, block, ssl_context=self._tls, **pool_kwargs)
        _use_own_pools(self.poolmanager)

    def proxy_manager_for(self, proxy: Any, **proxy_kwargs: Any) -> Any:
        """Make the pools of connections through a proxy; SOCKS proxies keep their own kind."""
        manager = super().proxy_manager_for(proxy, ssl_context=self._tls, **proxy_kwargs)
        if not str(proxy).lower().startswith("socks"):
            _use_own_pools(manager)
        return manager


def _use_own_pools(manager: PoolManager) -> None:
    manager.pool_classes_by_scheme = {"http": _PlainPool, "https": _TLSPool}


def tls_context(ca_bundle: str) -> ssl.SSLContext:
    """Context that trusts the operating system's authorities, or those of ``ca_bundle`` alone.

    Raises:
        OSError: The bundle cannot be read.
    """
    from urllib3.util.ssl_ import create_urllib3_context

    context = create_urllib3_context()
    if ca_bundle:
        context.load_verify_locations(ca_bundle)
    else:
        context.load_default_certs()
    return context
