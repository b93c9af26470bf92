"""Running the server: in the foreground for operators, in a thread for tests and demonstrations."""

from __future__ import annotations

import sys
import threading
from typing import TYPE_CHECKING, Any, Unpack

from haulier_wats.server.listening import listen, url_of
from haulier_wats.server.open_files import allow_many_files
from haulier_wats.server.settings import ServerOptions, ServerSettings, ServerSetupError
from haulier_wats.server.tokens import Tokens

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path
    from types import TracebackType
    from typing import Self

    from haulier_wats.server.stopping import StoppableServer

__all__ = ["GRACE", "TRUSTED_PROXIES", "ServerThread", "serve"]

GRACE = 10.0
"""Seconds that requests may take to end when the server stops."""

THREAD_GRACE = 2.0
"""The same for a server in a thread."""

TRUSTED_PROXIES = ("127.0.0.1",)
"""Addresses whose X-Forwarded-Proto and X-Forwarded-For are believed."""


def serve(
    host: str,
    port: int,
    data_dir: Path,
    token_file: Path,
    prefix: str = "/api",
    *,
    grace: float = GRACE,
    trusted_proxies: Sequence[str] = TRUSTED_PROXIES,
    ready: Callable[[str], None] | None = None,
    **options: Unpack[ServerOptions],
) -> None:
    """Serve until interrupted, in one process, without an access log. To be called in the main thread.

    Once it listens, one line on standard output says where. SIGINT, SIGTERM and, on Windows, Ctrl-Break stop it: it
    takes no more connections, lets requests that run end for ``grace`` seconds, then returns.

    Args:
        host: Address to listen on.
        port: Port; 0 takes a free one.
        data_dir: Folder of the recordings; made if missing.
        token_file: One token per line, plain or ``sha256:HEX``, with scopes behind it if it has not all of them.
        prefix: Path that is answered besides ``/``.
        grace: Seconds that requests may take to end when the server stops.
        trusted_proxies: Addresses or networks whose X-Forwarded-Proto and X-Forwarded-For are believed.
        ready: Called with the server's address once it listens.
        options: See :class:`~haulier_wats.server.settings.ServerSettings`.

    Raises:
        ServerSetupError: The port is taken, a file or folder cannot be used, or a library is missing.
    """
    settings = ServerSettings(data_dir, Tokens.from_file(token_file), prefix, **options)

    def announce(url: str) -> None:
        if sys.stdout is not None:  # it is None in a frozen program without a console
            print(f"Serving WATS storage on {url} (data: {data_dir})", flush=True)  # noqa: T201 - its only output
        if ready is not None:
            ready(url)

    allow_many_files()
    with listen(host, port) as listener:
        url = url_of(listener)
        _server(settings, lambda: announce(url), grace, trusted_proxies).run(sockets=[listener])


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
        self._listener = listen("127.0.0.1", port)
        self.url = url_of(self._listener)
        listening = threading.Event()
        try:
            self._server = _server(settings, listening.set, THREAD_GRACE, wrap=wrap)
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


def _server(
    settings: ServerSettings,
    listening: Callable[[], None],
    grace: float,
    trusted_proxies: Sequence[str] = TRUSTED_PROXIES,
    wrap: Callable[[str, Any], Any] = lambda name, port: port,  # noqa: ARG005
) -> StoppableServer:
    try:
        from haulier_wats.server.app import create_app
        from haulier_wats.server.stopping import StoppableServer
    except ImportError as error:
        raise ServerSetupError(
            f"the server's libraries are missing ({error.name}); install them with: pip install 'haulier-wats[server]'"
        ) from error
    app = create_app(settings, wrap)
    return StoppableServer(
        app, listening, grace=grace, last_call=app.state.storage.turns.stop, trusted_proxies=trusted_proxies
    )
