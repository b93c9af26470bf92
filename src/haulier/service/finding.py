"""Finding receipts by what people know of a recording: its name, a part of its path, its item id or digest."""

from __future__ import annotations

import fnmatch
import re
from typing import TYPE_CHECKING

from haulier.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from haulier.journal.api import Transaction
    from haulier.models import Receipt

__all__ = ["find_receipts"]

_WILD = re.compile(r"[*?]|\[[^]]*\]")
_DIGEST = re.compile(r"[0-9a-f]{8,64}")
_ABSOLUTE = re.compile(r"/|[A-Za-z]:/")


def find_receipts(tx: Transaction, text: str) -> list[Receipt]:
    """Receipts of a recording, of every backend, oldest first.

    The name of a media file is looked up; whatever else is asked for takes a look at every receipt.

    Args:
        tx: Reads the journal.
        text: The name of a file; a glob over it (``*``, ``?``, ``[...]``); with a slash of either kind whole parts of
            the source's path or an object's key, or a glob over them; or at least eight hexadecimal digits that an item
            id or the media file's SHA-256 begins with. Upper and lower case are told apart.

    Raises:
        InputError: There is nothing in the text to look for.
    """
    wanted = text.replace("\\", "/").removeprefix("./")
    if not wanted.strip("/"):
        raise InputError(
            "there is nothing to look for", advice="Give a file name, a glob, a part of a path or a digest"
        )
    if "/" in wanted:
        pattern = _path_pattern(wanted.rstrip("/"))
        return [one for one in _candidates(tx, wanted) if any(pattern.fullmatch(place) for place in _places(one))]
    named = tx.receipts_named(wanted)
    if named:
        return list(named)
    pattern = re.compile(_expression(wanted), re.DOTALL)
    return [one for one in _candidates(tx, wanted) if _is_meant(one, wanted, pattern)]


def _candidates(tx: Transaction, wanted: str) -> Sequence[Receipt]:
    """Receipts that hold the longest piece of what is wanted in which nothing is left open."""
    pieces = [piece for part in wanted.split("/") for piece in _WILD.split(part)]
    longest = max(pieces, key=len)
    return tx.receipts_with(longest) if longest else tx.receipts(0, None)


def _expression(wanted: str) -> str:
    """A regular expression for the whole of a name or path, without an end of its own: as it stands, or as a glob."""
    glob = fnmatch.translate(wanted).removesuffix(r"\Z").removesuffix(r"\z")
    return f"(?:{re.escape(wanted)}|{glob})"


def _path_pattern(wanted: str) -> re.Pattern[str]:
    """Whole parts of a path: from its beginning where that is given, up to its end or to a folder in it."""
    before = "" if _ABSOLUTE.match(wanted) else "(?:.*/)?"
    return re.compile(f"{before}{_expression(wanted)}(?:/.*)?", re.DOTALL)


def _places(receipt: Receipt) -> list[str]:
    return [receipt.source.replace("\\", "/"), *(entry.key for entry in receipt.artifacts)]


def _is_meant(receipt: Receipt, wanted: str, pattern: re.Pattern[str]) -> bool:
    if any(pattern.fullmatch(entry.name) for entry in receipt.artifacts):
        return True
    return _DIGEST.fullmatch(wanted) is not None and any(
        digest.startswith(wanted) for digest in (receipt.item_id, receipt.sha256)
    )
