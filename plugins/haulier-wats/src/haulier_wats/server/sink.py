"""Bytes from a request into a file, written and hashed in a thread while the next ones arrive."""

from __future__ import annotations

import asyncio
import hashlib
import os
import threading
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

__all__ = ["CopyFile", "RunningDigest", "RunningDigests", "Share", "Sink"]

Buffer = bytes | bytearray | memoryview
"""What holds bytes."""


BATCH = 1 << 20
"""Bytes that are written at once, if few bodies arrive."""

ALL_BATCHES = 32 << 20
"""The same for all that arrive together; none has less than :data:`LEAST_BATCH`."""

LEAST_BATCH = 64 << 10
"""Bytes that are written at once where very many bodies arrive."""


class RunningDigest:
    """SHA-256 of the first ``length`` bytes of a file."""

    def __init__(self) -> None:
        self._hash = hashlib.sha256()
        self.length = 0

    @classmethod
    def of_file(cls, path: Path) -> RunningDigest:
        """The digest of a whole file.

        Raises:
            OSError: It cannot be read.
        """
        digest = cls()
        with path.open("rb", buffering=0) as file:
            while data := file.read(BATCH):
                digest.update(data)
        return digest

    def update(self, data: Buffer) -> None:
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


class CopyFile:
    """A copy of a file that grows from an offset on; what lay behind it is cut off. Methods block.

    Args:
        path: The file; made if missing, with its folder.
        offset: Where the first byte goes.
        digests: What takes every byte that was written.

    Attributes:
        offset: Where the next byte goes.
        is_open: Whether it can be written.

    Raises:
        OSError: The file cannot be opened.
    """

    def __init__(self, path: Path, offset: int, *digests: RunningDigest | None) -> None:
        self.offset = offset
        self._digests = [digest for digest in digests if digest is not None]
        self._descriptor = _open(path)
        self.is_open = True
        try:
            if os.fstat(self._descriptor).st_size != offset:
                os.ftruncate(self._descriptor, offset)
            if offset:
                os.lseek(self._descriptor, offset, os.SEEK_SET)
        except OSError:
            self.close()
            raise

    def write(self, data: Buffer) -> None:
        """Append bytes; nothing once it is closed.

        Raises:
            OSError: They cannot be written.
        """
        with memoryview(data) as view:
            written = 0
            while written < len(view) and self.is_open:
                written += os.write(self._descriptor, view[written:])
            if written == len(view):
                for digest in self._digests:
                    digest.update(view)
                self.offset += written

    def sync(self) -> None:
        """Put what was written on the disk for good.

        Raises:
            OSError: The disk refuses.
        """
        os.fsync(self._descriptor)

    def close(self) -> None:
        """Let go of the file. May be called twice."""
        if self.is_open:
            self.is_open = False
            os.close(self._descriptor)


class Share:
    """How much each of the bodies that arrive may hold: all of :data:`BATCH`, or less where there are many."""

    def __init__(self) -> None:
        self._count = 0
        self._lock = threading.Lock()

    def change(self, by: int) -> None:
        """One more arrives, or one less."""
        with self._lock:
            self._count += by

    def size(self) -> int:
        """Bytes that one may hold."""
        return max(LEAST_BATCH, min(BATCH, ALL_BATCHES // max(1, self._count)))


class Sink:
    """Takes bytes of one request for a copy: one batch is written and hashed in threads while the next is collected.

    Args:
        path: The file; made if missing, with its folder.
        offset: Where the first byte goes; what lay behind it is cut off.
        share: What bounds a batch.
        digests: What takes every byte that was written.

    Raises:
        OSError: The file cannot be opened.
    """

    def __init__(self, path: Path, offset: int, share: Share, *digests: RunningDigest | None) -> None:
        self.taken = 0
        self._share = share
        self._batch: list[Buffer] = []
        self._collected = 0
        self._pending: list[asyncio.Future[None]] = []
        self._lock = threading.Lock()
        known = [digest for digest in digests if digest is not None]
        self._beside = known.pop() if known else None  # another core hashes it while the bytes are written
        self._copy = CopyFile(path, offset, *known)
        share.change(1)

    @property
    def offset(self) -> int:
        """How far the file has been written."""
        return self._copy.offset

    async def feed(self, data: Buffer) -> None:
        """Take bytes, which stay as they are; returns when at most one batch is still to be written.

        Raises:
            OSError: They cannot be written.
        """
        size = len(data)
        self.taken += size
        self._collected += size
        self._batch.append(data)
        if self._collected >= self._share.size():
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
        with self._lock:
            if self._copy.is_open:
                self._copy.close()
                self._share.change(-1)

    async def _ship(self) -> None:
        await self._settle()
        batch, self._batch, self._collected = self._batch, [], 0
        if batch:
            run = asyncio.get_running_loop().run_in_executor
            self._pending = [run(None, self._write, batch)]
            if self._beside is not None:
                self._pending.append(run(None, _hash, self._beside, batch))

    async def _settle(self) -> None:
        pending, self._pending = self._pending, []
        for done in pending:
            await done

    def _write(self, batch: Sequence[Buffer]) -> None:
        for data in batch:
            with self._lock:
                self._copy.write(data)

    def _sync(self) -> None:
        with self._lock:
            self._copy.sync()


def _hash(digest: RunningDigest, batch: Sequence[Buffer]) -> None:
    for data in batch:
        digest.update(data)


def _open(path: Path) -> int:
    flags = os.O_RDWR | os.O_CREAT | getattr(os, "O_BINARY", 0)
    try:
        return os.open(path, flags, 0o666)
    except FileNotFoundError:
        path.parent.mkdir(parents=True, exist_ok=True)
        return os.open(path, flags, 0o666)
