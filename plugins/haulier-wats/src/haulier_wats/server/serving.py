"""Running the server: in the foreground for operators, in a thread for tests and demonstrations."""

from __future__ import annotations

import socket
import sys
import threading
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from haulier_wats.server.settings import (
    MAX_APPEND_SIZE,
    MAX_FILE_SIZE,
    SESSION_TTL,
    ServerSettings,
    ServerSetupError,
)
from haulier_wats.server.tokens import Tokens

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path
    from types import TracebackType
    from typing import Self

    import uvicorn

__all__ = ["ServerThread", "serve"]

GRACE = 2
"""Seconds that requests may take to end when the server stops."""


def serve(
    host: str,
    port: int,
    data_dir: Path,
    token_file: Path,
    prefix: str = "/api",
    *,
    max_file_size: int = MAX_FILE_SIZE,
    max_append_size: int = MAX_APPEND_SIZE,
    session_ttl: float = SESSION_TTL,
    ready: Callable[[str], None] | None = None,
) -> None:
    """Serve until interrupted, in one process, without an access log.

    Once it listens, one line on standard output says where.

    Args:
        host: Address to listen on.
        port: Port; 0 takes a free one.
        data_dir: Folder of the recordings; made if missing.
        token_file: One token per line, plain or ``sha256:HEX``.
        prefix: Path that is answered besides ``/``.
        max_file_size: Most bytes of one file.
        max_append_size: Most bytes of one append.
        session_ttl: Seconds that an upload session lives after its last acknowledged byte.
        ready: Called with the server's address once it listens.

    Raises:
        ServerSetupError: The port is taken, a file or folder cannot be used, or a library is missing.
    """
    settings = ServerSettings(
        data_dir,
        Tokens.from_file(token_file),
        prefix,
        max_file_size=max_file_size,
        max_append_size=max_append_size,
        session_ttl=session_ttl,
    )

    def announce(url: str) -> None:
        if sys.stdout is not None:  # it is None in a frozen program without a console
            print(f"Serving WATS storage on {url} (data: {data_dir})", flush=True)  # noqa: T201 - its only output
        if ready is not None:
            ready(url)

    with _listen(host, port) as listener, suppress(KeyboardInterrupt):
        _server(settings, _url(listener), announce).run(sockets=[listener])


class ServerThread:
    """A server in a daemon thread on 127.0.0.1, with a port of its own. A context manager.

    Args:
        settings: How it behaves.
        port: Port; 0 takes a free one.
        wrap: See :class:`~haulier_wats.server.storage.Storage`.

    Attributes:
        url: Its address, without the prefix.

    Raises:
        ServerSetupError: The folder or the port cannot be used.
    """

    def __init__(
        self,
        settings: ServerSettings,
        *,
        port: int = 0,
        wrap: Callable[[str, Any], Any] = lambda name, port: port,  # noqa: ARG005
    ) -> None:
        self._listener = _listen("127.0.0.1", port)
        self.url = _url(self._listener)
        listening = threading.Event()
        try:
            self._server = _server(settings, self.url, lambda _: listening.set(), wrap)
        except BaseException:
            self._listener.close()
            raise
        self._thread = threading.Thread(
            target=self._server.run, kwargs={"sockets": [self._listener]}, name="wats-server", daemon=True
        )
        self._thread.start()
        while not listening.wait(0.1):
            if not self._thread.is_alive():
                raise ServerSetupError("the server ended before it listened; its log says why")

    def stop(self) -> None:
        """Stop it, giving requests that run two seconds to end. May be called twice."""
        self._server.should_exit = True
        self._thread.join()
        self._listener.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()


def _listen(host: str, port: int) -> socket.socket:
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
        listener.listen()
    except OSError:
        listener.close()
        raise
    return listener


def _url(listener: socket.socket) -> str:
    host, port = listener.getsockname()[:2]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def _server(
    settings: ServerSettings,
    url: str,
    announce: Callable[[str], None],
    wrap: Callable[[str, Any], Any] = lambda name, port: port,  # noqa: ARG005
) -> uvicorn.Server:
    try:
        import uvicorn

        from haulier_wats.server.app import create_app
    except ImportError as error:
        raise ServerSetupError(
            f"the server's libraries are missing ({error.name}); install them with: pip install 'haulier-wats[server]'"
        ) from error

    class Server(uvicorn.Server):
        async def startup(self, sockets: list[socket.socket] | None = None) -> None:
            await super().startup(sockets)
            announce(url)

    return Server(
        uvicorn.Config(
            create_app(settings, wrap),
            access_log=False,
            log_config=None,  # uvicorn's own asks standard output for colours, and there may be none
            log_level="warning",
            lifespan="on",
            ws="none",
            server_header=False,
            timeout_graceful_shutdown=GRACE,
        )
    )
