"""What is kept with each object: whose it is, and the task's metadata as far as they fit.

Object metadata are header fields: ASCII, and at most 2 KiB of names and values together (Amazon S3 User Guide,
"Working with object metadata"). They are fixed when an upload begins, so that no digest of the whole can be among them.
"""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

if TYPE_CHECKING:
    from collections.abc import Mapping

    from haulier.backends.api import Artifact, Upload

__all__ = ["ITEM", "NONCE", "is_of_session", "item_of", "object_metadata"]

ITEM = "haulier-item"
NONCE = "haulier-session"
_NAME = "haulier-name"
_RECORDED = "haulier-recorded"
_METADATA = "haulier-metadata"
_MOST = 2048  # bytes
_LEFT_OUT = "left out: more than object metadata can hold"


def object_metadata(upload: Upload, artifact: Artifact) -> dict[str, str]:
    """The metadata of one object.

    The task's metadata are JSON in ASCII under ``haulier-metadata``; of those that do not fit a remark is kept.
    """
    found = {ITEM: upload.item_id, NONCE: upload.nonce}
    moment = datetime.fromtimestamp(upload.recorded_at, UTC)
    _add(found, _RECORDED, moment.isoformat(timespec="seconds"))
    _add(found, _NAME, quote(artifact.name, safe=" ()[]+,@!$&'="))
    if upload.metadata and artifact.index == upload.media.index:
        text = json.dumps(dict(upload.metadata), ensure_ascii=True, separators=(",", ":"), sort_keys=True)
        _add(found, _METADATA, text) or _add(found, _METADATA, _LEFT_OUT)
    return found


def item_of(answer: Mapping[str, Any]) -> str:
    """The item id that an object was stored with, else empty."""
    return _lowered(answer).get(ITEM, "")


def is_of_session(answer: Mapping[str, Any], upload: Upload) -> bool:
    """Whether an object was stored by this very start of an upload."""
    found = _lowered(answer)
    return (found.get(ITEM), found.get(NONCE)) == (upload.item_id, upload.nonce)


def _lowered(answer: Mapping[str, Any]) -> dict[str, str]:
    return {name.lower(): value for name, value in (answer.get("Metadata") or {}).items()}


def _add(found: dict[str, str], name: str, value: str) -> bool:
    """Add an entry if it fits."""
    size = sum(len(key) + len(text) for key, text in found.items())
    if size + len(name) + len(value) > _MOST:
        return False
    found[name] = value
    return True
