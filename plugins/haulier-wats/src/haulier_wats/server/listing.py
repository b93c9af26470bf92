"""The query of ``GET /recordings``: which recordings, and which page of them."""

from __future__ import annotations

import base64
import json
import math
import re
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from http import HTTPStatus
from typing import TYPE_CHECKING

from haulier_wats.server.fields import whole_number
from haulier_wats.server.labels import label
from haulier_wats.server.problems import Problem
from haulier_wats.server.recording_table import FILTERS, Position

if TYPE_CHECKING:
    from collections.abc import Mapping

    from starlette.datastructures import QueryParams

__all__ = ["Listing", "cursor_of"]

DEFAULT_LIMIT = 50
MAX_LIMIT = 1000
MAX_OFFSET = 10**12

_PARAMETERS = (*FILTERS, "limit", "offset", "cursor")
_TIME = re.compile(r"\d{4}-\d\d-\d\d([Tt]\d\d:\d\d:\d\d(\.\d{1,9})?([Zz]|[+-]\d\d:\d\d))?", re.ASCII)


@dataclass(frozen=True, slots=True)
class Listing:
    """A query.

    Attributes:
        filters: Values by the names of :data:`~haulier_wats.server.recording_table.FILTERS`.
        limit: Most recordings of the page.
        offset: How many to leave out; None with a cursor.
        after: Where an earlier page ended.
    """

    filters: dict[str, str | float]
    limit: int
    offset: int | None
    after: Position | None

    @classmethod
    def from_query(cls, query: QueryParams) -> Listing:
        """Read it.

        Raises:
            Problem: 400, a parameter is unknown, given twice, malformed or out of its bounds.
        """
        names = [name for name, _ in query.multi_items()]
        for name in names:
            if name not in _PARAMETERS:
                raise _refused(f"there is no parameter of this name; there are {', '.join(_PARAMETERS)}")
            if names.count(name) > 1:
                raise _refused(f"{name} is given more than once")
        after = _position(query["cursor"]) if "cursor" in query else None
        if after is not None and "offset" in query:
            raise _refused("cursor and offset exclude each other; a cursor knows its place")
        return cls(
            filters={name: _value(query, name) for name in FILTERS if name in query},
            limit=whole_number(query, "limit", DEFAULT_LIMIT, 1, MAX_LIMIT),
            offset=whole_number(query, "offset", 0, 0, MAX_OFFSET) if after is None else None,
            after=after,
        )


def cursor_of(position: Position | None) -> str | None:
    """A text that stands for a place in the order; None for none."""
    if position is None:
        return None
    return base64.urlsafe_b64encode(json.dumps(position).encode("ascii")).decode("ascii").rstrip("=")


def _position(cursor: str) -> Position:
    try:
        place = json.loads(base64.urlsafe_b64decode(cursor.encode("ascii") + b"=="))
    except (ValueError, RecursionError):
        place = None
    match place:
        # What is no place of ours must not come into the database's arithmetic.
        case [float(created_at), int(number)] if math.isfinite(created_at) and 0 <= number < 1 << 63:
            return Position(created_at, number)
    raise _refused("cursor is none that this server gave; begin without one")


def _value(query: Mapping[str, str], name: str) -> str | float:
    if name in {"from", "to"}:
        return _moment(query[name], name)
    if name in {"user", "host"}:
        return label(query[name])
    return query[name].lower() if name == "sha256" else query[name]


def _moment(text: str, name: str) -> float:
    """Seconds since the epoch of a time or a day (RFC 3339); a day begins at midnight in UTC."""
    if _TIME.fullmatch(text):
        with suppress(ValueError, OverflowError):
            moment = datetime.fromisoformat(text.upper())
            return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()
    raise _refused(
        f"{name} must be a day such as 2026-10-26, or a time such as 2026-10-26T15:00:22Z with Z or an offset "
        "(write its + as %2B)"
    )


def _refused(detail: str) -> Problem:
    return Problem(HTTPStatus.BAD_REQUEST, detail)
