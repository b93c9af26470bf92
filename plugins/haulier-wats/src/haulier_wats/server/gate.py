"""The gate: nobody comes in without a token, and everybody is counted and, where it matters, written down."""

from __future__ import annotations

import asyncio
import logging
import time
from http import HTTPStatus
from typing import TYPE_CHECKING

from starlette.requests import Request

from haulier_wats.server.problems import Problem, fault, stopping
from haulier_wats.server.routing import begin_visit

if TYPE_CHECKING:
    from collections.abc import Callable

    from starlette.types import ASGIApp, Message, Receive, Scope, Send

    from haulier_wats.server.audit import Entry
    from haulier_wats.server.lanes import Lane
    from haulier_wats.server.metrics import Metrics
    from haulier_wats.server.routing import Visit
    from haulier_wats.server.tokens import Tokens

__all__ = ["Gate"]

STRANGERS_EVERY = 10.0
"""Seconds that the audit log takes only one entry in of requests without a known token."""


_log = logging.getLogger(__name__)


class Gate:
    """Lets nobody past without a token, not even to learn which paths there are.

    An answer's entry in the audit log is written before its first byte goes out.

    Args:
        app: What is behind it.
        tokens: Who may pass.
        public: Paths that need no token.
        metrics: Counts.
        audit: Writes entries of the audit log, and says of each whether it is written.
        monotonic: Seconds on a clock that never jumps.
    """

    def __init__(
        self,
        app: ASGIApp,
        tokens: Tokens,
        public: frozenset[str],
        metrics: Metrics,
        audit: Lane[Entry, bool],
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._app = app
        self._tokens = tokens
        self._public = public
        self._metrics = metrics
        self._audit = audit
        self._monotonic = monotonic
        self._strangers = 0
        self._strangers_until = float("-inf")

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Let one request pass, or refuse it."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        authorization = Request(scope).headers.get("authorization")
        visit = begin_visit(scope, self._tokens.caller(authorization))
        passage = _Passage(self, scope["method"], visit, receive, send)
        refused = visit.caller is None and scope["path"] not in self._public
        app = _refusal(authorization).response() if refused else self._app
        try:
            await app(scope, passage.receive, passage.send)
        except asyncio.CancelledError:
            # The server stops and waits no longer; the task ends here in any case.
            if not passage.began:
                await stopping().response()(scope, receive, passage.send)
        except Exception:
            # Answered here, for what is raised further out closes the connection under the client's next request.
            if passage.began:
                raise
            _log.exception("%s %s failed", scope["method"], visit.route)
            await fault().response()(scope, receive, passage.send)

    def count_bytes(self, size: int) -> None:
        """So much of a body came."""
        self._metrics.add("bytes_received", size)

    async def write_down(self, visit: Visit, method: str, status: int) -> None:
        """A request is being answered."""
        self._metrics.answered(visit.route or "other", method if visit.route else "*", status)
        if status == HTTPStatus.UNAUTHORIZED and visit.caller is None:
            await self._write_stranger(visit)
        elif visit.audited or status == HTTPStatus.FORBIDDEN:
            who = visit.caller.name if visit.caller else None
            about = {"who": who, "address": visit.address} | visit.about
            if not await self._audit.do((visit.action, about | {"status": status})):
                self._metrics.add("audit_failures")

    async def _write_stranger(self, visit: Visit) -> None:
        """Write down that strangers come, but let them not fill the disk."""
        self._strangers += 1
        now = self._monotonic()
        if now < self._strangers_until:
            return
        self._strangers_until, count, self._strangers = now + STRANGERS_EVERY, self._strangers, 0
        status = int(HTTPStatus.UNAUTHORIZED)
        await self._audit.do(("refused", {"address": visit.address, "status": status, "count": count}))


class _Passage:
    """One request on its way through.

    Attributes:
        began: Whether its answer has begun.
    """

    def __init__(self, gate: Gate, method: str, visit: Visit, receive: Receive, send: Send) -> None:
        self._gate = gate
        self._method = method
        self._visit = visit
        self._receive = receive
        self._send = send
        self.began = False

    async def receive(self) -> Message:
        message = await self._receive()
        if size := len(message.get("body", b"")):
            self._gate.count_bytes(size)
        return message

    async def send(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            await self.note(message["status"])
        await self._send(message)

    async def note(self, status: int) -> None:
        if not self.began:
            self.began = True
            await self._gate.write_down(self._visit, self._method, int(status))


def _refusal(authorization: str | None) -> Problem:
    error = ', error="invalid_token"' if authorization else ""
    return Problem(
        HTTPStatus.UNAUTHORIZED,
        "a known token is needed: send Authorization: Bearer TOKEN",
        headers={"WWW-Authenticate": f'Bearer realm="WATS storage"{error}'},
    )
