"""Which keys may become paths: relative ones that mean the same on every platform and stay below their root."""

from __future__ import annotations

import hashlib
import re
import unicodedata
from typing import TYPE_CHECKING

from haulier.errors import ValidationError

if TYPE_CHECKING:
    from haulier.backends.api import Artifact, Upload

__all__ = ["PARTIAL_FOLDER", "partial_name", "split_key"]

PARTIAL_FOLDER = ".haulier-partial"
"""The folder below a root where uploads lie until they are committed."""

_LONGEST_COMPONENT = 255  # bytes; the limit of ext4, XFS, APFS and (in UTF-16 units) NTFS
_DRIVE = re.compile(r"[A-Za-z]:")
_DEVICE = re.compile(r"(?:CON|PRN|AUX|NUL|CLOCK\$|CONIN\$|CONOUT\$|(?:COM|LPT)[0-9¹²³])", re.IGNORECASE)
_WINDOWS_ONLY = frozenset('<>:"|?*')


def split_key(key: str, *, platform: str) -> tuple[str, ...]:
    """The components of a key.

    Args:
        key: Relative, with forward slashes.
        platform: As ``sys.platform`` says; ``win32`` forbids some characters more.

    Raises:
        ValidationError: The key cannot be a path below a root. The text says why.
    """
    parts = tuple(key.split("/"))
    reason = _key_problem(key, parts[0]) or next(filter(None, (_problem(part, platform) for part in parts)), None)
    if reason is not None:
        raise ValidationError(
            f"the key {key!r} cannot be a path: {reason}", advice="Change the key template or the file's name"
        )
    return parts


def partial_name(upload: Upload, artifact: Artifact) -> str:
    """The name of an artifact's partial file: the same in every process, another at each start-over."""
    return f"{_plain(upload.item_id)[:16]}-{_plain(upload.nonce)}-{artifact.index}"


def _plain(text: str) -> str:
    """``text`` if it can be part of a file name, else its digest."""
    return text if re.fullmatch(r"[0-9A-Za-z]{1,64}", text) else hashlib.sha256(text.encode()).hexdigest()


def _key_problem(key: str, first: str) -> str | None:
    if key.startswith("/") or _DRIVE.match(key):
        return "it is absolute"
    if unicodedata.normalize("NFC", first).casefold() == PARTIAL_FOLDER:
        return f"{PARTIAL_FOLDER} is where unfinished uploads lie"
    return None


def _problem(part: str, platform: str) -> str | None:
    if part in {"", ".", ".."}:
        return f"{part!r} is no name"
    if "\\" in part:
        return "it holds a backslash"
    if not part.isprintable() and any(unicodedata.category(character) == "Cc" for character in part):
        return "it holds a control character"
    if part[-1] in ". ":
        return f"{part!r} ends with a dot or a space"
    if _DEVICE.fullmatch(part.partition(".")[0].rstrip(" ")):
        return f"{part!r} is a device on Windows"
    if len(part.encode("utf-8", "surrogatepass")) > _LONGEST_COMPONENT:
        return f"a name in it has more than {_LONGEST_COMPONENT} bytes"
    if platform == "win32" and _WINDOWS_ONLY & set(part):
        return f"{part!r} holds a character that Windows keeps for itself"
    return None
