"""The body of a request, as far as the client, the clock and newer requests let it come."""

from __future__ import annotations

import json
import math
import re
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, NoReturn

from starlette.concurrency import run_in_threadpool

from haulier_wats.server.problems import Problem, no_room, stopping
from haulier_wats.server.room import CHECK_EVERY

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from typing import Self

    from starlette.requests import Request

    from haulier_wats.server.room import Room
    from haulier_wats.server.turns import Turn, Turns

__all__ = ["BodyEnded", "Incoming", "RoomCheck", "content_length", "read_json"]

MAX_JSON = 1 << 20
"""Most bytes of a JSON body."""

MAX_DEPTH = 64
"""Most levels of nesting in a JSON body."""

_LENGTH = re.compile(r"[0-9]{1,19}")


class BodyEnded(Problem):
    """The body broke off: the client left or fell silent, a newer request took over, or there is no more room."""

    @classmethod
    def because(cls, problem: Problem) -> Self:
        """The same answer, to a body that was not read to its end."""
        return cls(problem.status, problem.detail, headers=problem.headers)


class Incoming:
    """Chunks of a body in order. To be iterated once.

    Args:
        request: Whose body.
        silence: Seconds without a byte after which it is given up.
        turn: What may end it early; another can be set later.
    """

    def __init__(self, request: Request, silence: float, turn: Turn) -> None:
        self.turn = turn
        self._receive = request.receive
        self._silence = silence

    async def __aiter__(self) -> AsyncIterator[bytes]:
        """Yield what arrives.

        Raises:
            BodyEnded: It broke off.
        """
        more = True
        while more:
            message = await self._next()
            if message["type"] == "http.disconnect":
                raise BodyEnded(HTTPStatus.BAD_REQUEST, "the connection ended before the body did")
            more = message.get("more_body", False)
            if body := message.get("body", b""):
                yield body

    async def _next(self) -> Any:
        try:
            async with self.turn.waiting(self._silence):
                return await self._receive()
        except TimeoutError:
            if self.turn.superseded:
                raise BodyEnded(HTTPStatus.CONFLICT, "a newer request for this upload took over") from None
            if self.turn.stopped:
                raise BodyEnded.because(stopping()) from None
            raise BodyEnded(
                HTTPStatus.REQUEST_TIMEOUT, f"no byte came for {self._silence:g} seconds; send the rest again"
            ) from None


class RoomCheck:
    """Looks at the disk again while a body arrives, once for each :data:`~haulier_wats.server.room.CHECK_EVERY` bytes.

    Args:
        room: The disk.
    """

    def __init__(self, room: Room) -> None:
        self._room = room
        self._unchecked = 0

    async def take(self, size: int) -> None:
        """So many bytes are about to be written.

        Raises:
            BodyEnded: 507, there is no room for them.
        """
        self._unchecked += size
        if self._unchecked >= CHECK_EVERY:
            self._unchecked = 0
            if not await run_in_threadpool(self._room.has, size):
                raise BodyEnded.because(no_room())


def content_length(request: Request) -> int:
    """Bytes that the client announced; 0 when it did not say."""
    value = request.headers.get("content-length", "")
    return int(value) if _LENGTH.fullmatch(value) else 0


async def read_json(request: Request, silence: float, turns: Turns) -> Any:
    """Read a JSON body of at most 1 MiB.

    Args:
        request: Whose body.
        silence: Seconds without a byte after which it is given up.
        turns: What ends it when the server stops.

    Returns:
        Its value; None when the body is empty.

    Raises:
        Problem: 413, it is too long; 400, it is no JSON, nested too deeply, or holds a number that is too large.
        BodyEnded: It broke off.
    """
    body = bytearray()
    if content_length(request) <= MAX_JSON:
        with turns.free() as turn:
            async for chunk in Incoming(request, silence, turn):
                body += chunk
                if len(body) > MAX_JSON:
                    break
    if content_length(request) > MAX_JSON or len(body) > MAX_JSON:
        raise Problem(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, f"a JSON body holds at most {MAX_JSON} bytes")
    if not body.strip():
        return None
    try:
        value = json.loads(body, parse_constant=_refuse, parse_float=_finite)
    except (ValueError, RecursionError):
        raise Problem(
            HTTPStatus.BAD_REQUEST, "the body is no JSON (RFC 8259), or a number in it is too large"
        ) from None
    if _depth_exceeds(value, MAX_DEPTH):
        raise Problem(HTTPStatus.BAD_REQUEST, f"the body's JSON is nested deeper than {MAX_DEPTH} levels")
    return value


def _refuse(constant: str) -> NoReturn:
    raise ValueError(constant)


def _finite(number: str) -> float:
    # 1e999 is JSON and reads as infinity, which is not: an answer that repeats it could not be read.
    value = float(number)
    return value if math.isfinite(value) else _refuse(number)


def _depth_exceeds(value: Any, limit: int) -> bool:
    level = [value]
    for _ in range(limit):
        children = [
            item.values() if isinstance(item, dict) else item for item in level if isinstance(item, dict | list)
        ]
        level = [child for group in children for child in group]
        if not level:
            return False
    return True
