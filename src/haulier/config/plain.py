"""Accept what needs no second look: a value that already is of its setting's plain type and within its range.

Most values are. What is not clearly right here is not wrong yet: it goes to pydantic, whose import and adapters cost a
third of a short command.
"""

from __future__ import annotations

import math
import typing
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_args, get_origin

if TYPE_CHECKING:
    from collections.abc import Callable

    from haulier.config.settings import Setting

__all__ = ["UNSURE", "plainly"]

UNSURE = object()
"""The answer for a value that somebody else has to look at."""


def plainly(setting: Setting, value: Any) -> Any:
    """The value as the setting's type, as :func:`haulier.config.validation.check` gives it, or :data:`UNSURE`.

    Args:
        setting: What is asked for; no secret.
        value: As it stood in a document; a size in bytes.
    """
    kind = setting.kind
    if get_origin(kind) is typing.Literal:
        return value if type(value) is str and value in get_args(kind) else UNSURE
    if get_origin(kind) is tuple:
        return _entries(get_args(kind), value)
    if not isinstance(kind, type) or kind not in _PLAIN:
        return UNSURE
    found = _PLAIN[kind](value)
    return found if found is UNSURE or kind in {str, bool, Path} or _within(setting, found) else UNSURE


def _text(value: Any) -> Any:
    return value if type(value) is str and _encodes(value) else UNSURE


def _truth(value: Any) -> Any:
    return value if type(value) is bool else UNSURE


def _whole(value: Any) -> Any:
    return value if type(value) is int else UNSURE


def _number(value: Any) -> Any:
    if type(value) is int and abs(value) < 2**53:
        return float(value)
    return value if type(value) is float and math.isfinite(value) else UNSURE


def _path(value: Any) -> Any:
    text = str(value) if isinstance(value, Path) else value
    return Path(text) if _text(text) is not UNSURE and text else UNSURE


_PLAIN: dict[type, Callable[[Any], Any]] = {str: _text, bool: _truth, int: _whole, float: _number, Path: _path}


def _entries(kinds: tuple[Any, ...], value: Any) -> Any:
    """A tuple of any length of texts or paths."""
    if len(kinds) != 2 or kinds[1] is not Ellipsis or kinds[0] not in {str, Path}:  # noqa: PLR2004  kind and "..."
        return UNSURE
    if not isinstance(value, (list, tuple)):
        return UNSURE
    found = tuple(_PLAIN[kinds[0]](entry) for entry in value)
    return UNSURE if UNSURE in found else found


def _within(setting: Setting, number: float) -> bool:
    return (setting.minimum is None or number >= setting.minimum) and (
        setting.maximum is None or number <= setting.maximum
    )


def _encodes(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True
