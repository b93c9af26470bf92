"""Making an object's key of a template or a hook's answer: one that no destination can misread as something else."""

from __future__ import annotations

import re
import unicodedata
from datetime import UTC, datetime
from pathlib import PurePath
from typing import TYPE_CHECKING

from haulier.errors import ConfigError

if TYPE_CHECKING:
    from haulier.models import Identity

__all__ = ["key_from_template", "safe_key"]

_DEVICE = re.compile(r"(?i)(con|prn|aux|nul|clock\$|conin\$|conout\$|com[0-9¹²³]|lpt[0-9¹²³])(\.|$)")
_FORBIDDEN = re.compile(r'[\\<>:"|?*]')
_PLAIN = re.compile(r"[A-Za-z0-9_-](?:[A-Za-z0-9_. -]*[A-Za-z0-9_-])?")
LONGEST_COMPONENT = 200  # bytes of UTF-8, leaving room for what destinations append


def key_from_template(template: str, identity: Identity, name: str, backend: str) -> str:
    """Fill in ``{mtime:%Y}``, ``{id}``, ``{id16}``, ``{name}``, ``{stem}``, ``{suffix}``, ``{backend}``.

    Times are UTC, so that the same item gets the same key on every machine.

    Raises:
        ConfigError: The template names something else.
    """
    item_id = identity.item_id
    try:
        filled = template.format(
            mtime=datetime.fromtimestamp(identity.mtime_ns / 1e9, UTC),
            id=item_id,
            id16=item_id[:16],
            name=name,
            stem=PurePath(name).stem,
            suffix=PurePath(name).suffix,
            backend=backend,
        )
    except (KeyError, IndexError, ValueError, AttributeError) as error:
        raise ConfigError(
            f"the key template {template!r} cannot be filled in ({error!r})",
            where="upload.key_template",
            advice="It may name mtime, id, id16, name, stem, suffix and backend",
        ) from error
    return safe_key(filled)


def safe_key(text: str) -> str:
    """The nearest key that is relative, stays below its root and names no device, component by component."""
    parts = [_safe_component(part) for part in text.split("/") if part]
    return "/".join(parts) or "_"


def _safe_component(part: str) -> str:
    if len(part) <= LONGEST_COMPONENT and _PLAIN.fullmatch(part) and not _DEVICE.match(part):
        return part
    clean = part.encode("utf-8", "backslashreplace").decode("utf-8")
    clean = "".join("_" if unicodedata.category(character) in {"Cc", "Cs"} else character for character in clean)
    clean = _FORBIDDEN.sub("_", clean)
    if clean in {".", ".."} or _DEVICE.match(clean):
        clean = f"_{clean}"
    if clean[-1] in ". ":
        clean = f"{clean}_"
    return _shortened(clean)


def _shortened(part: str) -> str:
    """Cut the stem, keep the suffix."""
    if len(part.encode()) <= LONGEST_COMPONENT:
        return part
    suffix = PurePath(part).suffix[:20]
    room = LONGEST_COMPONENT - len(suffix.encode())
    stem = part[: len(part) - len(PurePath(part).suffix)].encode()[:room].decode("utf-8", "ignore")
    return stem + suffix
