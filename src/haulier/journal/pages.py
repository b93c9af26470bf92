"""What can still be read of a damaged SQLite file: the records of its pages, one page at a time, without its schema.

Nothing is trusted that another page says: a page is looked at by itself, so damage elsewhere, of the header, the schema
or the inner nodes of a tree, costs no record. Pages of a write-ahead log are laid over those of the file as far as the
log is whole. What a record means is for :mod:`haulier.journal.salvage` to say.

Source: the SQLite file format, https://www.sqlite.org/fileformat2.html
"""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, Any, BinaryIO, NamedTuple

from haulier.journal.wal import WalFrames

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

__all__ = ["PageFile", "Record"]

MAGIC = b"SQLite format 3\0"
PAGE_SIZE = 4096  # what this program's journals have
FILE_HEADER = 100
LONGEST_RECORD = 64 * 1024 * 1024  # bytes; a longer one is not ours
INDEX_INNER, INDEX_LEAF, TABLE_LEAF = 0x02, 0x0A, 0x0D
_HEADER_BYTES = {INDEX_INNER: 12, INDEX_LEAF: 8, TABLE_LEAF: 8}
_INTEGER_BYTES = {1: 1, 2: 2, 3: 3, 4: 4, 5: 6, 6: 8}
_REAL, _ZERO, _ONE, _FIRST_BLOB = 7, 8, 9, 12


class Record(NamedTuple):
    """One row as it is stored.

    Attributes:
        rowid: Its number; None in a tree without.
        values: Its columns: None, int, float, str or bytes. A column that is an alias of the number is None.
    """

    rowid: int | None
    values: tuple[Any, ...]


class PageFile:
    """Reads a database file that may be damaged, and its write-ahead log. Never writes.

    Args:
        path: The file; it may be missing or empty when the log holds everything.
        wal: Its log; it may be missing.

    Close it after use. Used by one thread.
    """

    def __init__(self, path: Path, wal: Path) -> None:
        self._file = path.open("rb") if path.exists() else None
        self._wal = WalFrames(wal)
        self._size = self._wal.page_size or self._own_page_size()
        self._newest = dict(self._wal.committed())
        own = path.stat().st_size // self._size if self._file else 0
        self._count = max(own, *self._newest, 0)

    def close(self) -> None:
        """Release the files."""
        self._wal.close()
        if self._file is not None:
            self._file.close()

    def records(self) -> Iterator[Record]:
        """Every record on the leaves of tables and the nodes of indexes; what cannot be read is skipped."""
        for number in range(1, self._count + 1):
            page = self._page(number)
            try:
                yield from self._of_page(page, FILE_HEADER if number == 1 else 0)
            except (ValueError, IndexError, struct.error):
                continue

    def _own_page_size(self) -> int:
        head = _read_at(self._file, 0, FILE_HEADER) if self._file else b""
        if not head.startswith(MAGIC):
            return PAGE_SIZE
        size = int.from_bytes(head[16:18], "big")
        size = 65536 if size == 1 else size
        return size if size >= 512 and not size & (size - 1) else PAGE_SIZE  # noqa: PLR2004  the format's least

    def _page(self, number: int) -> bytes:
        offset = self._newest.get(number)
        if offset is not None:
            return self._wal.page(offset)
        return _read_at(self._file, (number - 1) * self._size, self._size) if self._file else b""

    def _of_page(self, page: bytes, start: int) -> Iterator[Record]:
        header = _HEADER_BYTES.get(page[start]) if len(page) == self._size else None
        if header is None:
            return
        count = int.from_bytes(page[start + 3 : start + 5], "big")
        pointers = page[start + header : start + header + 2 * count]
        for index in range(0, len(pointers) - 1, 2):
            try:
                yield self._record(page, page[start], int.from_bytes(pointers[index : index + 2], "big"))
            except (ValueError, IndexError, struct.error):
                continue

    def _record(self, page: bytes, kind: int, at: int) -> Record:
        if kind == INDEX_INNER:
            at += 4  # the child to its left
        size, at = _varint(page, at)
        rowid = None
        if kind == TABLE_LEAF:
            rowid, at = _varint(page, at)
        return Record(rowid, _decoded(self._payload(page, kind, size, at)))

    def _payload(self, page: bytes, kind: int, size: int, at: int) -> bytes:
        """The bytes of a record: on its page, or begun there and continued on overflow pages."""
        if size > LONGEST_RECORD:
            raise ValueError(size)
        usable = self._size
        most = usable - 35 if kind == TABLE_LEAF else (usable - 12) * 64 // 255 - 23
        if size <= most:
            return _exactly(page[at : at + size], size)
        least = (usable - 12) * 32 // 255 - 23
        local = least + (size - least) % (usable - 4)
        local = local if local <= most else least
        pieces = [_exactly(page[at : at + local], local)]
        following, rest = int.from_bytes(_exactly(page[at + local : at + local + 4], 4), "big"), size - local
        while rest > 0:
            if not 0 < following <= self._count:
                raise ValueError(following)
            piece = self._page(following)
            following = int.from_bytes(_exactly(piece[:4], 4), "big")
            pieces.append(_exactly(piece[4 : 4 + rest], min(rest, usable - 4)))
            rest -= len(pieces[-1])
        if following:  # the last page of a record names none
            raise ValueError(following)
        return b"".join(pieces)


def _read_at(file: BinaryIO, offset: int, count: int) -> bytes:
    """Bytes of a file; none where the disk does not give them."""
    try:
        file.seek(offset)
        return file.read(count)
    except OSError:
        return b""


def _exactly(piece: bytes, size: int) -> bytes:
    if len(piece) != size:
        raise ValueError(size)
    return piece


def _varint(data: bytes, at: int) -> tuple[int, int]:
    """A number of 1 to 9 bytes, and where it ends."""
    value = 0
    for index in range(8):
        byte = data[at + index]
        value = value << 7 | byte & 0x7F
        if byte < 0x80:  # noqa: PLR2004  the highest bit says that more follows
            return value, at + index + 1
    value = value << 8 | data[at + 8]
    return value - (1 << 64) if value >= 1 << 63 else value, at + 9


def _decoded(payload: bytes) -> tuple[Any, ...]:
    end, at = _varint(payload, 0)
    body = end
    values = []
    while at < end:
        kind, at = _varint(payload, at)
        value, body = _value(payload, kind, body)
        values.append(value)
    if body != len(payload):
        raise ValueError(body)
    return tuple(values)


def _value(payload: bytes, kind: int, at: int) -> tuple[Any, int]:
    if kind >= _FIRST_BLOB:
        size = (kind - _FIRST_BLOB) // 2
        piece = _exactly(payload[at : at + size], size)
        return (piece.decode("utf-8") if kind % 2 else piece), at + size
    if kind in _INTEGER_BYTES:
        size = _INTEGER_BYTES[kind]
        return int.from_bytes(_exactly(payload[at : at + size], size), "big", signed=True), at + size
    if kind == _REAL:
        return struct.unpack(">d", _exactly(payload[at : at + 8], 8))[0], at + 8
    if kind in {_ZERO, _ONE}:
        return kind - _ZERO, at
    if kind == 0:
        return None, at
    raise ValueError(kind)
