"""The frames of a SQLite write-ahead log: which can be read, and whether some were cut off from those before.

Source: the SQLite file format, https://www.sqlite.org/fileformat2.html#the_write_ahead_log
"""

from __future__ import annotations

import struct
from contextlib import closing
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

__all__ = ["WalFrames", "has_lost_commits"]

WAL_HEADER = 32
FRAME_HEADER = 24
PAGE_SIZE = 4096  # what this program's journals have
_MAGIC = {0x377F0682: "<", 0x377F0683: ">"}  # by the byte order of its checksums

_Sums = tuple[int, int]


class _Frame(NamedTuple):
    """A frame as it is written: page, offset of its bytes, whether it ends a transaction, whether it can be trusted.

    ``sound``: its checksum follows from the one that the frame before it carries. ``chained``: and so does every
    earlier one's, from the log's header on.
    """

    number: int
    offset: int
    commits: bool
    sound: bool
    chained: bool


class WalFrames:
    """Reads a write-ahead log. Never writes. Used by one thread.

    Args:
        path: The log; it may be missing, empty or damaged.

    Attributes:
        page_size: Bytes of a page; 0 when there is no log.
        header_damaged: Whether there is a log whose header cannot be read: its frames are tried all the same.
    """

    def __init__(self, path: Path) -> None:
        self._file = path.open("rb") if path.exists() else None
        self._size = path.stat().st_size if self._file else 0
        self._order = "<"
        self._salts = b""
        self._start: _Sums | None = None
        self.page_size = 0
        self.header_damaged = not self._read_header()

    def close(self) -> None:
        """Release the file."""
        if self._file is not None:
            self._file.close()

    def page(self, offset: int) -> bytes:
        """The page that a frame of :meth:`committed` holds."""
        return self._read(offset, self.page_size)

    def committed(self) -> Iterator[tuple[int, int]]:
        """Page numbers of sound frames up to the last commit, with the offsets of their pages, oldest first.

        Where no frame is damaged these are the frames that SQLite would take.
        """
        waiting: list[_Frame] = []
        for frame in self._frames():
            if not frame.sound:
                continue
            waiting.append(frame)
            if frame.commits:
                yield from ((each.number, each.offset) for each in waiting)
                waiting.clear()

    def has_lost_commits(self) -> bool:
        """Whether a whole commit lies behind a transaction that cannot be read, where recovery does not reach it.

        The broken transaction itself proves nothing: a kill or a power cut leaves the last one so.
        """
        if self.header_damaged:
            return True
        broken = passed = False
        for frame in self._frames():
            if passed and frame.commits and frame.sound:
                return True
            broken = broken or not frame.chained
            passed = passed or (broken and frame.commits)
        return False

    def _read(self, offset: int, count: int) -> bytes:
        if self._file is None:
            return b""
        self._file.seek(offset)
        return self._file.read(count)

    def _read_header(self) -> bool:
        """Take what the log says of itself; False when it says nothing sensible."""
        header = self._read(0, WAL_HEADER)
        if self._size < WAL_HEADER + FRAME_HEADER:
            return True  # there is no frame
        order = _MAGIC.get(int.from_bytes(header[:4], "big"))
        if order is None or _checksum(order, (0, 0), header[:24]) != struct.unpack(">2I", header[24:]):
            self.page_size = PAGE_SIZE
            self._salts = self._read(WAL_HEADER, FRAME_HEADER)[8:16]
            return False
        self._order = order
        self._start = struct.unpack(">2I", header[24:])
        self._salts = header[16:24]
        self.page_size = int.from_bytes(header[8:12], "big")
        return True

    def _frames(self) -> Iterator[_Frame]:
        """Frames of this generation of the log; what an earlier one left behind them has other salts."""
        step = FRAME_HEADER + self.page_size
        before, chained = self._start, self._start is not None
        for offset in range(WAL_HEADER, self._size - step + 1, step) if self.page_size else ():
            frame = self._read(offset, step)
            carried = struct.unpack(">2I", frame[16:24])
            belongs = frame[8:16] == self._salts
            sound = belongs and before is not None and carried == self._sums(before, frame)
            chained = chained and sound
            before = carried
            if belongs:
                number, pages = struct.unpack(">2I", frame[:8])
                yield _Frame(number, offset + FRAME_HEADER, pages > 0, sound, chained)

    def _sums(self, before: _Sums, frame: bytes) -> _Sums:
        return _checksum(self._order, _checksum(self._order, before, frame[:8]), frame[FRAME_HEADER:])


def has_lost_commits(path: Path) -> bool:
    """Whether a log holds commits that its recovery does not reach: an earlier frame, or the log's header, is damaged.

    SQLite takes such a log for a shorter one and goes on from an older state without a word. A write that a power cut
    tore apart looks the same only when its frames reached the disk out of order.
    """
    with closing(WalFrames(path)) as frames:
        return frames.has_lost_commits()


def _checksum(order: str, sums: _Sums, data: bytes) -> _Sums:
    first, second = sums
    for low, high in struct.iter_unpack(f"{order}2I", data):
        first = (first + low + second) & 0xFFFFFFFF
        second = (second + high + first) & 0xFFFFFFFF
    return first, second
