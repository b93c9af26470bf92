"""What is kept with each object: whose it is, its SHA-256, and the task's metadata as far as they fit.

Custom metadata are texts, at most 8 KiB of names and values together (Cloud Storage, "Object metadata"). They also go
into header fields when an object is read, so that ours are in ASCII.
"""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

if TYPE_CHECKING:
    from collections.abc import Mapping

    from haulier.backends.api import Artifact, Upload

__all__ = ["ITEM", "NONCE", "SHA256", "is_of_session", "item_of", "object_metadata", "texts_of"]

ITEM = "haulier-item"
NONCE = "haulier-session"
SHA256 = "haulier-sha256"
_NAME = "haulier-name"
_RECORDED = "haulier-recorded"
_METADATA = "haulier-metadata"
_MOST = 8192 - len(SHA256) - 64  # bytes; room for the digest that comes last
_LEFT_OUT = "left out: more than object metadata can hold"


def object_metadata(upload: Upload, artifact: Artifact, given: Mapping[str, str]) -> dict[str, str]:
    """The metadata of one object.

    The task's metadata are JSON in ASCII under ``haulier-metadata``; of those that do not fit a remark is kept.

    Args:
        upload: What is uploaded.
        artifact: Which file of it.
        given: Texts that the configuration wants with every object.
    """
    moment = datetime.fromtimestamp(upload.recorded_at, UTC)
    found = {ITEM: upload.item_id, NONCE: upload.nonce}
    _add(found, _RECORDED, moment.isoformat(timespec="seconds"))
    _add(found, _NAME, quote(artifact.name, safe=" ()[]+,@!$&'="))
    for name, value in given.items():
        _add(found, name, value)
    if upload.metadata and artifact.index == upload.media.index:
        text = json.dumps(dict(upload.metadata), ensure_ascii=True, separators=(",", ":"), sort_keys=True)
        _add(found, _METADATA, text) or _add(found, _METADATA, _LEFT_OUT)
    return found


def texts_of(resource: Mapping[str, Any]) -> dict[str, str]:
    """The custom metadata of an object as the service tells them."""
    told = resource.get("metadata")
    if not isinstance(told, dict):
        return {}
    return {name: value for name, value in told.items() if isinstance(value, str)}


def item_of(resource: Mapping[str, Any]) -> str:
    """The item id that an object was stored with, else empty."""
    return texts_of(resource).get(ITEM, "")


def is_of_session(resource: Mapping[str, Any], upload: Upload) -> bool:
    """Whether an object was stored by this very start of an upload."""
    found = texts_of(resource)
    return (found.get(ITEM), found.get(NONCE)) == (upload.item_id, upload.nonce)


def _add(found: dict[str, str], name: str, value: str) -> bool:
    """Add an entry if it fits."""
    size = sum(len(key.encode()) + len(text.encode()) for key, text in found.items())
    if size + len(name.encode()) + len(value.encode()) > _MOST:
        return False
    found[name] = value
    return True
