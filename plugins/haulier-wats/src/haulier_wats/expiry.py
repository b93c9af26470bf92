"""Until when an upload session may be used, on this machine's clock.

A server tells the moment on its own clock. The field Date of the same answer (RFC 9110 section 6.6.1) shows by how much
the two differ.
"""

from __future__ import annotations

from datetime import UTC
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["MARGIN", "is_over", "local_moment"]

MARGIN = 60.0
"""Seconds before its end at which a session counts as over: what is begun then would hardly come to its end."""

_UNEQUAL = 5.0
"""Seconds by which clocks have to differ to count as unequal: Date has whole seconds, and an answer takes its time."""


def local_moment(moment: float | None, headers: Mapping[str, str], now: float) -> float | None:
    """Bring a moment of an answer to this machine's clock.

    Args:
        moment: Seconds since the epoch on the server's clock; None when it tells none.
        headers: The answer's fields; without a readable Date both clocks count as equal.
        now: When the answer came, seconds since the epoch on this machine's clock.

    Returns:
        The moment in seconds since the epoch; None when the server tells none.
    """
    if moment is None:
        return None
    skew = now - _date(headers, now)
    return moment + skew if abs(skew) > _UNEQUAL else moment


def is_over(expires_at: float | None, now: float, margin: float = MARGIN) -> bool:
    """Whether a session has ended, or ends within ``margin`` seconds."""
    return expires_at is not None and now >= expires_at - margin


def _date(headers: Mapping[str, str], now: float) -> float:
    try:
        date = parsedate_to_datetime(headers["Date"])
    except (KeyError, ValueError, TypeError, IndexError, OverflowError):
        return now
    return (date if date.tzinfo else date.replace(tzinfo=UTC)).timestamp()
