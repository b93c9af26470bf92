"""Values as settings hold them: right type, or a text that stands for it, or none of it."""

from __future__ import annotations

import math
from typing import Any

__all__ = ["WrongValueError", "as_bool", "as_count", "as_text"]

_TRUE = frozenset({"true", "1", "yes", "on", "sim", "y", "t"})
_FALSE = frozenset({"false", "0", "no", "off", "não", "nao", "n", "f", ""})


class WrongValueError(ValueError):
    """A value of another kind; the text completes "must be ..." and never shows the value."""


def as_bool(value: Any) -> bool:
    """A truth value, or 0 or 1, or a text for one.

    Raises:
        WrongValueError: It is none.
    """
    if isinstance(value, bool):
        return value
    if isinstance(value, int) and value in {0, 1}:
        return bool(value)
    if isinstance(value, str):
        word = value.strip().casefold()
        if word in _TRUE or word in _FALSE:
            return word in _TRUE
    raise WrongValueError("true or false")


def as_count(value: Any) -> int:
    """A whole number of at least 0, or a text for one.

    Raises:
        WrongValueError: It is none.
    """
    number: float | None = None
    if isinstance(value, str):
        try:
            number = float(value)
        except ValueError:
            number = None
    elif isinstance(value, int | float) and not isinstance(value, bool):
        number = value
    if number is None or not math.isfinite(number) or number != int(number) or number < 0:
        raise WrongValueError("a whole number")
    return int(number)


def as_text(value: Any) -> str:
    """A text.

    Raises:
        WrongValueError: It is none.
    """
    if isinstance(value, str):
        return value
    raise WrongValueError("a text")
