"""Numbers, times, names and tables as people read them."""

from __future__ import annotations

from datetime import datetime
from itertools import chain, islice
from typing import TYPE_CHECKING

from haulier.clock import seconds_text

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

__all__ = ["age_text", "printable", "rate_text", "size_text", "table_lines", "table_text", "time_text"]

_UNITS = ("KiB", "MiB", "GiB", "TiB", "PiB")
_STEP = 1024
_MEASURED = 1000  # rows of a table


def size_text(size: float) -> str:
    """Bytes with a binary unit: ``8.0 MiB``."""
    if size < _STEP:
        return f"{size:.0f} B"
    for unit in _UNITS:
        size /= _STEP
        if size < _STEP or unit == _UNITS[-1]:
            break
    return f"{size:.1f} {unit}"


def rate_text(size: float, seconds: float) -> str:
    """Bytes per second: ``3.1 MiB/s``; empty when no time passed."""
    return f"{size_text(size / seconds)}/s" if seconds > 0 else ""


def age_text(then: float, now: float) -> str:
    """How long ago: ``5 min ago``."""
    return f"{seconds_text(now - then)} ago"


def time_text(then: float) -> str:
    """A wall time, seconds since the epoch, as local time with its offset."""
    return datetime.fromtimestamp(then).astimezone().isoformat(" ", "seconds")


def printable(text: str) -> str:
    """A text on one line, without anything that could steer a terminal: such characters become escapes."""
    if text.isprintable():
        return text
    return "".join(
        character if character.isprintable() else character.encode("unicode_escape", "surrogatepass").decode("ascii")
        for character in text
    )


def table_text(head: Sequence[str], rows: Iterable[Sequence[object]], *, right: Iterable[str] = ()) -> str:
    """Columns, aligned by blanks, see :func:`table_lines`."""
    return "\n".join(table_lines(head, rows, right=right))


def table_lines(head: Sequence[str], rows: Iterable[Sequence[object]], *, right: Iterable[str] = ()) -> Iterator[str]:
    """Columns, aligned by blanks, line by line; of very many rows the first thousand say how wide they are.

    Args:
        head: Titles.
        rows: Cells; each is made printable.
        right: Titles of the columns that are aligned to the right.
    """
    printed = ([printable(str(cell)) for cell in row] for row in rows)
    first = [list(head), *islice(printed, _MEASURED)]
    widths = [max(len(line[column]) for line in first) for column in range(len(head))]
    to_the_right = {index for index, title in enumerate(head) if title in set(right)}
    for line in chain(first, printed):
        yield "  ".join(
            cell.rjust(width) if index in to_the_right else cell.ljust(width)
            for index, (cell, width) in enumerate(zip(line, widths, strict=True))
        ).rstrip()
