"""Write TOML: the standard library only reads it."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping
from pathlib import PurePath
from typing import Any

__all__ = ["key_text", "value_text"]

_BARE_KEY = re.compile(r"[A-Za-z0-9_-]+")
_LITERAL = re.compile(r"[^'\x00-\x1f\x7f]*\\[^'\x00-\x1f\x7f]*")


def key_text(key: str) -> str:
    """A key, quoted where it must be."""
    return key if _BARE_KEY.fullmatch(key) else _basic(key)


def value_text(value: Any) -> str:
    """A value on one line.

    Raises:
        TypeError: TOML has no such value.
    """
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int):
        return str(value)
    if isinstance(value, float):
        return repr(value) if math.isfinite(value) else str(value)
    if isinstance(value, PurePath):
        return value_text(str(value))
    if isinstance(value, str):
        # A Windows path reads best within single quotes, which leave backslashes alone.
        return f"'{value}'" if _LITERAL.fullmatch(value) else _basic(str(value))
    if isinstance(value, Mapping):
        entries = ", ".join(f"{key_text(str(key))} = {value_text(entry)}" for key, entry in value.items())
        return f"{{ {entries} }}" if entries else "{}"
    if isinstance(value, (list, tuple)):
        return f"[{', '.join(value_text(entry) for entry in value)}]"
    raise TypeError(f"TOML has no {type(value).__name__}")


def _basic(text: str) -> str:
    """A basic string: JSON's escapes are TOML's, which wants DEL escaped too. A lone surrogate becomes "?"."""
    clean = text.encode("utf-8", "replace").decode("utf-8")
    return json.dumps(clean, ensure_ascii=False).replace("\x7f", "\\u007f")
