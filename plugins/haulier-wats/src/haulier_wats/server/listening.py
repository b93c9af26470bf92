"""The socket that a server listens on."""

from __future__ import annotations

import socket
from typing import Any

from haulier_wats.server.settings import ServerSetupError

__all__ = ["listen", "url_of"]


BACKLOG = 2048
"""Connections that wait to be accepted; the system may allow fewer (net.core.somaxconn)."""


def listen(host: str, port: int) -> socket.socket:
    """Bind an address; nothing is accepted yet.

    Args:
        host: Name or address.
        port: Port; 0 takes a free one.

    Raises:
        ServerSetupError: It cannot be had.
    """
    try:
        found = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, proto=socket.IPPROTO_TCP, flags=socket.AI_PASSIVE
        )
        return _listener(*found[0][:3], address=found[0][4])
    except OSError as error:
        raise ServerSetupError(
            f"{host}:{port} cannot be listened on ({error.strerror or error}); "
            "stop what uses the port, or give another --port (0 takes a free one) or --host"
        ) from error


def _listener(family: int, kind: int, protocol: int, *, address: Any) -> socket.socket:
    # The protocol is given because asyncio turns Nagle's algorithm off only where it is: otherwise each answer waits
    # for the client's delayed acknowledgement.
    listener = socket.socket(family, kind, protocol)
    try:
        # On Windows SO_REUSEADDR would let another process take the port over.
        exclusive = getattr(socket, "SO_EXCLUSIVEADDRUSE", None)
        listener.setsockopt(socket.SOL_SOCKET, exclusive or socket.SO_REUSEADDR, 1)
        listener.bind(address)
        listener.listen(BACKLOG)
    except OSError:
        listener.close()
        raise
    return listener


def url_of(listener: socket.socket) -> str:
    """The address of a server on a socket, without a path."""
    host, port = listener.getsockname()[:2]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"
