"""Counts the bytes that a backend takes out of bodies, in a file that outlives the process."""

from __future__ import annotations

import os
from dataclasses import replace
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pathlib import Path

    from haulier.backends.api import Backend, Body, LastPart

__all__ = ["Meter", "MeteredBackend"]


class Meter:
    """A file whose size is the count. Appends are atomic, so threads and processes may share it."""

    def __init__(self, path: Path) -> None:
        self._fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)

    def add(self, count: int) -> None:
        """Count bytes."""
        os.write(self._fd, bytes(count))


class MeteredBackend:
    """Stands before a backend and counts what it reads: for destinations that nothing can be put in front of."""

    def __init__(self, backend: Backend, meter: Meter) -> None:
        self._backend = backend
        self._meter = meter

    def __getattr__(self, name: str) -> Any:
        return getattr(self._backend, name)

    def send(self, upload: Any, token: Any, part: Any, body: Body, context: Any) -> Any:
        """Send one part."""
        return self._backend.send(upload, token, part, _MeteredBody(body, self._meter), context)

    def commit(
        self, upload: Any, token: Any, held: Any, digests: Any, context: Any, last: LastPart | None = None
    ) -> Any:
        """Commit, perhaps with a last part."""
        if last is not None:
            last = replace(last, body=_MeteredBody(last.body, self._meter))
        return self._backend.commit(upload, token, held, digests, context, last)


class _MeteredBody:
    def __init__(self, body: Body, meter: Meter) -> None:
        self._body = body
        self._meter = meter

    @property
    def size(self) -> int:
        return self._body.size

    def readinto(self, buffer: bytearray | memoryview, /) -> int:
        count = self._body.readinto(buffer)
        self._meter.add(count)
        return count

    def read(self, size: int = -1, /) -> bytes:
        data = self._body.read(size)
        self._meter.add(len(data))
        return data

    def rewind(self) -> None:
        self._body.rewind()

    def digest(self, name: str) -> str:
        return self._body.digest(name)

    def whole(self, name: str) -> str:
        return self._body.whole(name)
