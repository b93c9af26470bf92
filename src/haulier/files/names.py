"""Names of files: long Windows paths, comparing, and the private names of sources that are about to be deleted."""

# Paths are text here: system calls take the spelling that the system port gives them.
# ruff: noqa: PTH118

from __future__ import annotations

import ntpath
import os
import re
import unicodedata

__all__ = ["comparison_key", "extended_path", "is_private_name", "original_name", "plain_path", "private_name"]

PRIVATE_PREFIX = ".haulier-disposal-"
LONGEST_NAME = 255  # bytes on most volumes; UTF-16 units on NTFS, which are never more
LONGEST_PLAIN_PATH = 240  # MAX_PATH is 260; a folder needs room for an 8.3 name below it

_PRIVATE = re.compile(re.escape(PRIVATE_PREFIX) + r"[0-9a-f]+-(.+)", re.DOTALL)
_NONCE = re.compile(r"[0-9a-f]+")


def private_name(path: str | os.PathLike[str], nonce: str) -> str:
    """Where a source goes while it is compared for the last time: a hidden name in its own folder.

    The original name is part of it, cut from the left where the whole would be too long for a volume.

    Args:
        path: The source.
        nonce: Lower-case hexadecimal digits, fresh for each disposal.

    Raises:
        ValueError: The nonce is something else.
    """
    if not _NONCE.fullmatch(nonce):
        raise ValueError(f"nonce {nonce!r}: expected lower-case hexadecimal digits")
    folder, name = os.path.split(os.fspath(path))
    prefix = f"{PRIVATE_PREFIX}{nonce}-"
    while len(os.fsencode(prefix + name)) > LONGEST_NAME:
        name = name[1:]
    return os.path.join(folder, prefix + name)


def is_private_name(name: str) -> bool:
    """Whether a file name (no folder) was made by :func:`private_name`."""
    return _PRIVATE.fullmatch(name) is not None


def original_name(private: str) -> str:
    """The name that a private name was made of; any other name as it is."""
    match = _PRIVATE.fullmatch(private)
    return match[1] if match else private


def comparison_key(name: str, *, folds_case: bool) -> str:
    """What two names share when they mean the same file: NFC, and folded where the system ignores case."""
    composed = unicodedata.normalize("NFC", name)
    return unicodedata.normalize("NFC", composed.casefold()) if folds_case else composed


def extended_path(path: str) -> str:
    r"""A Windows path as system calls take it: beyond 240 characters with ``\\?\`` in front.

    Short paths stay as they are, since the prefix switches off the usual reading of names. The path must be absolute.
    """
    if len(path) < LONGEST_PLAIN_PATH or path.startswith(("\\\\?\\", "\\\\.\\")):
        return path
    normal = ntpath.normpath(path)
    return "\\\\?\\UNC\\" + normal[2:] if normal.startswith("\\\\") else "\\\\?\\" + normal


def plain_path(path: str) -> str:
    r"""A Windows path without ``\\?\``: the same file has one name, however it was opened."""
    if path[:8].upper() == "\\\\?\\UNC\\":
        return "\\\\" + path[8:]
    if path.startswith("\\\\?\\") and path[5:7] == ":\\":
        return path[4:]
    return path
