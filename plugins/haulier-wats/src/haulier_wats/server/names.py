"""From the name that a client gives a file to one that any file system takes."""

from __future__ import annotations

import re
import unicodedata

__all__ = ["stored_name", "stored_names"]

MAX_NAME = 200
"""Most bytes of a stored name in UTF-8."""

_MAX_SUFFIX = 20
_REFUSED = frozenset('<>:"|?*')
_DEVICE = re.compile(r"(con|prn|aux|nul|conin\$|conout\$|(com|lpt)[0-9\u00b9\u00b2\u00b3])", re.IGNORECASE)


def stored_name(name: str, default: str) -> str:
    """A safe file name made of the last segment of ``name``.

    Args:
        name: What the client said; anything.
        default: Used when nothing is left of it.

    Returns:
        At most 200 bytes of UTF-8 that hold no separators, control or format characters, do not end in a dot or a
        space, and name no device of Windows.
    """
    last = re.split(r"[/\\]", unicodedata.normalize("NFC", name))[-1]
    clean = "".join("_" if _is_refused(char) else char for char in last).strip(" ").rstrip(". ")
    clean = _shortened(clean or default)
    return f"_{clean}" if _DEVICE.fullmatch(clean.split(".")[0].rstrip(" ")) else clean


def stored_names(video: str, metadata: str | None) -> tuple[str, str | None]:
    """Names for the files of one recording, different even where case does not count."""
    first = stored_name(video, "video")
    if metadata is None:
        return first, None
    second = stored_name(metadata, "metadata.json")
    if first.casefold() == second.casefold():
        second = stored_name(f"metadata_{second}", "metadata.json")
    return first, second


def _is_refused(char: str) -> bool:
    return char in _REFUSED or unicodedata.category(char)[0] == "C" or unicodedata.category(char) in {"Zl", "Zp"}


def _shortened(name: str) -> str:
    """Cut the stem, not the extension; one byte stays free for the underscore before a device's name."""
    if len(name.encode()) < MAX_NAME:
        return name
    stem, dot, extension = name.rpartition(".")
    suffix = dot + extension
    if not stem or len(suffix.encode()) > _MAX_SUFFIX:
        stem, suffix = name, ""
    room = MAX_NAME - 1 - len(suffix.encode())
    return stem.encode()[:room].decode(errors="ignore").rstrip(". ") + suffix
