"""Bytes from a request into a file, written and hashed in a thread while the next ones arrive."""

from __future__ import annotations

import asyncio
import hashlib
import os
import threading
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["RunningDigest", "RunningDigests", "Sink", "sha256_of"]

BATCH = 1 << 20
"""Bytes that are written at once."""


class RunningDigest:
    """SHA-256 of the first ``length`` bytes of a file."""

    def __init__(self) -> None:
        self._hash = hashlib.sha256()
        self.length = 0

    def update(self, data: bytes | bytearray) -> None:
        """Take the next bytes."""
        self._hash.update(data)
        self.length += len(data)

    def copy(self) -> RunningDigest:
        """A digest that goes on by itself."""
        twin = RunningDigest()
        twin._hash, twin.length = self._hash.copy(), self.length
        return twin

    def hexdigest(self) -> str:
        """The digest in hexadecimal."""
        return self._hash.hexdigest()

    def digest(self) -> bytes:
        """The digest, 32 bytes."""
        return self._hash.digest()


class RunningDigests:
    """The digests of copies that grew in this process, so that they need not be read again. For any thread."""

    def __init__(self) -> None:
        self._known: dict[tuple[str, str], RunningDigest] = {}

    def at(self, sid: str, copy: str, length: int) -> RunningDigest | None:
        """A digest to go on with from ``length``; None when only reading the file could tell it."""
        known = self._known.get((sid, copy))
        if known is not None and known.length == length:
            return known.copy()
        return None if length else RunningDigest()

    def keep(self, sid: str, copy: str, digest: RunningDigest | None) -> None:
        """Remember how far a copy's digest has come; None forgets it."""
        if digest is None:
            self._known.pop((sid, copy), None)
        else:
            self._known[sid, copy] = digest

    def forget(self, sid: str) -> None:
        """A session has ended."""
        for key in tuple(self._known):
            if key[0] == sid:
                self._known.pop(key, None)


class Sink:
    """Appends to a file from an offset on; what lay behind it is cut off.

    One batch is written while the next is collected. Belongs to one request.

    Args:
        path: The file; made if missing.
        offset: Where the first byte goes.
        digests: What takes every byte that was written.

    Raises:
        OSError: The file cannot be opened.
    """

    def __init__(self, path: Path, offset: int, *digests: RunningDigest | None) -> None:
        self.offset = offset
        self.taken = 0
        self._digests = [digest for digest in digests if digest is not None]
        self._batch = bytearray()
        self._pending: asyncio.Future[None] | None = None
        self._file_lock = threading.Lock()
        path.parent.mkdir(parents=True, exist_ok=True)
        self._file = path.open("r+b" if path.exists() else "x+b", buffering=0)
        self._file.truncate(offset)
        self._file.seek(offset)

    async def feed(self, data: bytes | bytearray) -> None:
        """Take bytes; returns when at most one batch is still to be written.

        Raises:
            OSError: They cannot be written.
        """
        self.taken += len(data)
        self._batch += data
        if len(self._batch) >= BATCH:
            await self._ship()

    async def finish(self, *, sync: bool = False) -> None:
        """Write what was fed so far, and on request put it on the disk for good. More may be fed.

        Raises:
            OSError: It cannot be written.
        """
        await self._ship()
        await self._settle()
        if sync:
            await asyncio.get_running_loop().run_in_executor(None, self._sync)

    def close(self) -> None:
        """Let go of the file, after the write that runs."""
        with self._file_lock:
            self._file.close()

    async def _ship(self) -> None:
        await self._settle()
        batch, self._batch = self._batch, bytearray()
        if batch:
            self._pending = asyncio.get_running_loop().run_in_executor(None, self._write, batch)

    async def _settle(self) -> None:
        pending, self._pending = self._pending, None
        if pending is not None:
            await pending

    def _write(self, batch: bytearray) -> None:
        with self._file_lock, memoryview(batch) as view:
            written = 0
            while written < len(view) and not self._file.closed:
                written += self._file.write(view[written:])
            if written == len(view):
                for digest in self._digests:
                    digest.update(batch)
                self.offset += written

    def _sync(self) -> None:
        with self._file_lock:
            os.fsync(self._file.fileno())


def sha256_of(path: Path) -> str:
    """The SHA-256 of a file in hexadecimal.

    Raises:
        OSError: It cannot be read.
    """
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
