"""The audit log: who did what, when, to what, with which result. JSON lines, appended, never rewritten, no secrets."""

from __future__ import annotations

import errno
import json
import logging
import os
import threading
from datetime import UTC, datetime
from itertools import accumulate, chain, count
from typing import TYPE_CHECKING, Any

from haulier_wats.server.rows import rfc3339

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

__all__ = ["AuditLog", "Entry"]

Entry = tuple[str, dict[str, Any]]
"""What was done, and what else there is to say, as JSON; members that are None are left out."""

_log = logging.getLogger(__name__)


class AuditLog:
    """A file that grows. For any thread.

    A line is with the operating system when :meth:`write` returns: it outlives the process, not always a power cut. A
    file that has grown to ``max_size`` is renamed to ``STEM-TIME.SUFFIX`` beside it and stays there until the operator
    removes it.

    Args:
        path: The file; made, with its folder, if missing. Only the server's user may read it.
        max_size: Bytes after which it is set aside.
        clock: Seconds since the epoch, now.

    Raises:
        OSError: It cannot be opened.
    """

    def __init__(self, path: Path, max_size: int, clock: Callable[[], float]) -> None:
        self._path = path
        self._max_size = max_size
        self._clock = clock
        self._lock = threading.Lock()
        self._size = 0
        self._torn = False
        self._closed = False
        path.parent.mkdir(parents=True, exist_ok=True)
        self._descriptor: int | None = self._open()

    def write(self, action: str, **members: Any) -> bool:
        """Append one entry with the time of now.

        Args:
            action: What was done.
            members: What else there is to say, as JSON; those that are None are left out.

        Returns:
            Whether it was written. What cannot be written goes to the program's log instead.
        """
        return self.write_all([(action, members)])[0]

    def write_all(self, entries: Sequence[Entry]) -> list[bool]:
        """Append entries with the time of now, with one call of the system if they fit.

        Returns:
            Whether each was written. What cannot be written goes to the program's log instead.
        """
        now = self._clock()
        lines = [_line(now, *entry) for entry in entries]
        written: list[bool] = []
        with self._lock:
            while len(written) < len(lines):
                written += self._write_some(lines[len(written) :], now)
        return written

    def close(self) -> None:
        """Put it on the disk for good. May be called twice; entries that come later still get in."""
        with self._lock:
            self._closed = True
            if self._descriptor is not None:
                os.fsync(self._descriptor)
                self._let_go()

    def _open(self) -> int:
        binary = getattr(os, "O_BINARY", 0)  # else Windows makes two characters of each line's end
        descriptor = os.open(self._path, os.O_RDWR | os.O_APPEND | os.O_CREAT | binary, 0o600)
        self._size = os.fstat(descriptor).st_size
        if self._size:
            os.lseek(descriptor, -1, os.SEEK_END)
        self._torn = bool(self._size) and os.read(descriptor, 1) != b"\n"
        return descriptor

    def _let_go(self) -> None:
        descriptor, self._descriptor = self._descriptor, None
        if descriptor is not None:
            os.close(descriptor)

    def _write_some(self, lines: Sequence[bytes], now: float) -> list[bool]:
        """Append the first lines: as many as the file has room for, or one that begins a new file."""
        fit = max(1, sum(end <= self._max_size - self._size for end in accumulate(map(len, lines))))
        try:
            whole = self._append(lines[:fit], now)
        except OSError as error:
            for line in lines[:fit]:
                _tell(line, error)
            return [False] * fit
        if not whole:
            _tell(lines[0], OSError(errno.ENOSPC, os.strerror(errno.ENOSPC)))
        return [True] * whole or [False]

    def _append(self, lines: Sequence[bytes], now: float) -> int:
        """Append lines; how many of them went in whole."""
        if self._size and self._size + len(lines[0]) > self._max_size:
            self._let_go()
            self._path.rename(self._aside(now))
        if self._descriptor is None:
            self._descriptor = self._open()
        mended = b"\n" * self._torn  # a crash or a full disk cut the last line short
        data = mended + b"".join(lines)
        written = os.write(self._descriptor, data)
        self._size += written
        if written:
            self._torn = not data[:written].endswith(b"\n")
        if self._closed:
            self._let_go()
        return sum(end <= written - len(mended) for end in accumulate(map(len, lines)))

    def _aside(self, now: float) -> Path:
        """A name that is free: nothing in an audit log is ever written over."""
        stem = f"{self._path.stem}-{datetime.fromtimestamp(now, UTC):%Y%m%dT%H%M%S}"
        names = (f"{stem}{end}{self._path.suffix}" for end in chain([""], (f"-{number}" for number in count(2))))
        return next(path for path in map(self._path.with_name, names) if not path.exists())


def _line(now: float, action: str, members: dict[str, Any]) -> bytes:
    said = {name: value for name, value in members.items() if value is not None}
    return json.dumps({"time": rfc3339(now), "action": action} | said, separators=(",", ":")).encode("ascii") + b"\n"


def _tell(line: bytes, error: OSError) -> None:
    text = line.decode("ascii").rstrip()
    _log.warning("the audit log cannot be written (%s); not in it: %s", error.strerror or error, text)
