"""Digests of what is read: several in one pass."""

from __future__ import annotations

import hashlib
import importlib.util
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

__all__ = ["CRCS", "Digest", "Digests", "new_digest"]

_CRC_BYTES = {"crc32c": 4, "crc64nvme": 8}

CRCS = frozenset(_CRC_BYTES)
"""Digests that cost next to nothing of bytes that lie in the processor's cache."""


class Digest(Protocol):
    """A running digest."""

    def update(self, data: bytes | bytearray | memoryview, /) -> None:
        """Add bytes."""

    def hexdigest(self) -> str:
        """The digest so far, hexadecimal."""


def new_digest(name: str) -> Digest:
    """A digest as :func:`hashlib.new` knows it, or a CRC that storage services compute: ``crc32c``, ``crc64nvme``.

    CRCs need the package ``awscrt``; for ``crc32c`` the package ``google-crc32c`` does as well. They are written with
    all their digits, most significant first.

    Raises:
        ValueError: Nobody here knows the name, or its package is missing.
    """
    return _Crc(name) if name in _CRC_BYTES else hashlib.new(name)


class Digests:
    """Running digests by name, see :func:`new_digest`; ``sha256`` is always there. Used by one thread at a time."""

    def __init__(self, names: Iterable[str] = ()) -> None:
        self._running = {name: new_digest(name) for name in {"sha256", *names}}

    def update(self, data: bytes | bytearray | memoryview) -> None:
        """Add bytes."""
        for running in self._running.values():
            running.update(data)

    def so_far(self, name: str) -> str:
        """One digest of what was added so far, hexadecimal."""
        return self._running[name].hexdigest()

    def result(self) -> dict[str, str]:
        """All digests so far, hexadecimal."""
        return {name: running.hexdigest() for name, running in self._running.items()}


class _Crc:
    """A CRC in the form of a hashlib digest."""

    def __init__(self, name: str) -> None:
        self._step = _crc_step(name)
        self._digits = _CRC_BYTES[name] * 2
        self._value = 0

    def update(self, data: bytes | bytearray | memoryview, /) -> None:
        self._value = self._step(data, self._value)

    def hexdigest(self) -> str:
        return f"{self._value:0{self._digits}x}"


def _crc_step(name: str) -> Callable[[bytes | bytearray | memoryview, int], int]:
    """What carries a CRC on over more bytes, by the fastest package that is here."""
    try:
        from awscrt import checksums
    except ImportError as error:
        if name == "crc32c" and importlib.util.find_spec("google_crc32c") is not None:
            import google_crc32c

            return lambda data, value: google_crc32c.extend(value, bytes(data))  # it takes nothing that may change
        also = " or google-crc32c" if name == "crc32c" else ""
        raise ValueError(f"{name} needs the package awscrt{also}, which is not installed") from error
    step: Callable[[bytes | bytearray | memoryview, int], int] = getattr(checksums, name)
    return step
