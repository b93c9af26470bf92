"""Digests of what is read: several in one pass."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = ["Digests"]


class Digests:
    """Running digests by hashlib name; ``sha256`` is always among them. Used by one thread at a time."""

    def __init__(self, names: Iterable[str] = ()) -> None:
        self._running = {name: hashlib.new(name) for name in {"sha256", *names}}

    def update(self, data: bytes | bytearray | memoryview) -> None:
        """Add bytes."""
        for running in self._running.values():
            running.update(data)

    def result(self) -> dict[str, str]:
        """All digests so far, hexadecimal."""
        return {name: running.hexdigest() for name, running in self._running.items()}
