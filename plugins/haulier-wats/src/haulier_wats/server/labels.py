"""What a recording can be found by besides its ids: who made it, and on which machines."""

from __future__ import annotations

import json
import re
from typing import Any

__all__ = ["label", "labels_of"]

MAX_LABEL = 1024
"""Characters of a value beyond which it is not searched for."""

_MEMBERS = {"user": ("wats_user", "user"), "host": ("name", "ip", "wats_user_machine")}
_PORT = re.compile(r":[0-9]{1,5}")


def labels_of(connection_info: str) -> set[tuple[str, str]]:
    """Kinds (``user``, ``host``) and values, without regard to case.

    Args:
        connection_info: JSON text of an object.
    """
    info: dict[str, Any] = json.loads(connection_info)
    found = {(kind, value) for kind, names in _MEMBERS.items() for name in names for value in _values(info.get(name))}
    return {(kind, label(value)) for kind, value in found}


def label(value: str) -> str:
    """A value as it is compared."""
    return value.strip().casefold()


def _values(value: Any) -> set[str]:
    """A text, and without its port if it is an address with one."""
    if not isinstance(value, str) or not 0 < len(value.strip()) <= MAX_LABEL or _is_broken(value):
        return set()
    head, colon, port = value.strip().rpartition(":")
    bare = head.strip("[]") if head and (":" not in head or head.endswith("]")) else ""
    return {value, bare} if bare and _PORT.fullmatch(colon + port) else {value}


def _is_broken(value: str) -> bool:
    """Whether it holds half of a surrogate pair, which JSON lets through and a database does not."""
    return any("\ud800" <= char <= "\udfff" for char in value)
