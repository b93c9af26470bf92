"""Reading again what was sent before: the source must still be what was journalled, and what the destination holds."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING

from haulier.errors import IntegrityError, SourceChangedError
from haulier.transfer.digests import Digests, new_digest
from haulier.transfer.source import read_fully

if TYPE_CHECKING:
    from collections.abc import Callable

    from haulier.transfer.actions import Reread
    from haulier.transfer.source import Readable

__all__ = ["reread"]

BLOCK = 1024 * 1024


def reread(
    source: Readable,
    size: int,
    action: Reread,
    *,
    part_names: frozenset[str],
    whole_names: frozenset[str],
    where: str,
    check_cancelled: Callable[[], None],
) -> dict[str, str]:
    """Read an artifact whole, in order, and compare its ranges; its digests by name.

    Args:
        source: Its bytes.
        size: How many.
        action: The ranges, as they were read before and as the destination has them.
        part_names: Digests of ranges that can be computed here; others are not compared.
        whole_names: Digests of the whole that are wanted besides ``sha256``.
        where: The source's path, for messages.
        check_cancelled: Raises when the upload is to stop; asked for every block.

    Raises:
        SourceChangedError: A range has not the digest that was journalled with it.
        IntegrityError: The destination holds another one.
    """
    whole = Digests(whole_names)
    marks = {0, size}
    marks.update(edge for row in action.expected for edge in (row.offset, row.offset + row.size))
    marks.update(edge for part in action.told for edge in (part.offset, part.offset + part.size))
    prefixes = {row.offset + row.size: row.sha256 for row in action.expected if row.prefix or not row.offset}
    ranges = {
        (row.offset, row.offset + row.size): row.sha256 for row in action.expected if row.offset and not row.prefix
    }
    told = {(part.offset, part.offset + part.size): part.digests for part in action.told}
    block = memoryview(bytearray(min(BLOCK, size)))
    for start, end in pairwise(sorted(marks)):
        there = {name: digest for name, digest in told.get((start, end), {}).items() if name in {"sha256", *part_names}}
        own = {name: new_digest(name) for name in {*there, *(["sha256"] if (start, end) in ranges else [])}}
        for offset in range(start, end, BLOCK):
            check_cancelled()
            view = block[: min(BLOCK, end - offset)]
            read_fully(source, offset, view, where)
            whole.update(view)
            for running in own.values():
                running.update(view)
        read = {name: running.hexdigest() for name, running in own.items()}
        so_far = whole.so_far("sha256")
        if prefixes.get(end, so_far) != so_far or ranges.get((start, end), read.get("sha256")) != read.get("sha256"):
            raise SourceChangedError(f"bytes {start}-{end} are not those that were sent", where=where)
        if any(read[name] != digest.lower() for name, digest in there.items()):
            raise IntegrityError(f"the destination holds other bytes {start}-{end}", where=where)
    return whole.result()
