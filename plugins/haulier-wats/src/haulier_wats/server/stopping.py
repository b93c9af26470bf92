"""The HTTP server, and how it stops: nothing new, what runs may end, and nobody is waited for beyond that."""

from __future__ import annotations

import asyncio
import math
import signal
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import uvicorn
from uvicorn.protocols.http import h11_impl

from haulier_wats.server.open_files import tell_of_too_many

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable, Generator, Sequence

    from starlette.types import ASGIApp

__all__ = ["STOP_SIGNALS", "StoppableServer"]

STOP_SIGNALS = tuple(
    getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGBREAK") if hasattr(signal, name)
)  # SIGBREAK is Ctrl-Break on Windows

LAST_ANSWERS = 1
"""Seconds for the answers to requests that were cut short."""

LEAST_HELD, MOST_HELD, HELD_BY_ALL = 64 << 10, 512 << 10, 32 << 20
"""Bytes of one body that are held before no more of it are read: the fewer, the more connections there are."""


class StoppableServer(uvicorn.Server):
    """A server that ends as one that was asked to: signals stop it, and it returns.

    Args:
        app: What answers.
        listening: Called once it listens.
        grace: Seconds that requests may take to end once it is to stop.
        last_call: Called when they are over: requests that wait for their client are to be answered now.
        trusted_proxies: Addresses or networks whose X-Forwarded-Proto and X-Forwarded-For are believed.
    """

    def __init__(
        self,
        app: ASGIApp,
        listening: Callable[[], None],
        *,
        grace: float,
        last_call: Callable[[], None],
        trusted_proxies: Sequence[str],
    ) -> None:
        self._listening = listening
        self._grace = grace
        self._last_call = last_call
        self._protocol: Any = h11_impl
        super().__init__(
            uvicorn.Config(
                app,
                http="h11",  # which bounds heads; httptools, taken by itself where it is installed, does not
                access_log=False,
                log_config=None,  # uvicorn's own asks standard output for colours, and there may be none
                log_level="warning",
                lifespan="on",
                ws="none",
                server_header=False,
                forwarded_allow_ips=list(trusted_proxies),
                timeout_graceful_shutdown=math.ceil(grace) + LAST_ANSWERS,
            )
        )

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Begin to listen, and say so."""
        asyncio.get_running_loop().set_exception_handler(tell_of_too_many)
        await super().startup(sockets)
        self._listening()

    async def on_tick(self, counter: int) -> bool:
        """Ten times a second: let uvicorn hold as much of a body as the connections allow, for it has no setting.

        With its own 64 KiB it would stop and go at each read.
        """
        share = HELD_BY_ALL // max(1, len(self.server_state.connections))
        self._protocol.HIGH_WATER_LIMIT = max(LEAST_HELD, min(MOST_HELD, share))
        return await super().on_tick(counter)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Take nothing new, and let what runs come to an end."""
        asyncio.get_running_loop().call_later(self._grace, self._last_call)
        await super().shutdown(sockets)

    @contextmanager
    def capture_signals(self) -> Generator[None]:
        """Stop on a signal. Unlike its model, does not raise the signal again: the stop was a success."""
        if threading.current_thread() is not threading.main_thread():  # there are none elsewhere
            yield
            return
        before = {number: signal.signal(number, self.handle_exit) for number in STOP_SIGNALS}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)
