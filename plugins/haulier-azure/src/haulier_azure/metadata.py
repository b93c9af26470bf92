"""What is kept with each object: whose it is, its SHA-256, and the task's metadata as far as they fit.

Blob metadata are header fields: names are identifiers of C#, values ASCII, and all of them have at most 8 KiB (Blob
service REST API, "Setting and retrieving properties and metadata"). They are given with the commit, when the digest of
the whole is known.
"""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import TYPE_CHECKING
from urllib.parse import quote

if TYPE_CHECKING:
    from collections.abc import Mapping

    from haulier.backends.api import Artifact, Upload

__all__ = ["ITEM", "SESSION", "SHA256", "is_of_session", "object_metadata", "told"]

ITEM = "haulier_item"
SESSION = "haulier_session"
SHA256 = "haulier_sha256"
_NAME = "haulier_name"
_RECORDED = "haulier_recorded"
_METADATA = "haulier_metadata"
_MOST = 6144  # bytes; the rest is room for other header fields
_LEFT_OUT = "left out: more than object metadata can hold"


def object_metadata(upload: Upload, artifact: Artifact, sha256: str) -> dict[str, str]:
    """The metadata of one object.

    The task's metadata are JSON in ASCII under ``haulier_metadata``; of those that do not fit a remark is kept.
    """
    found = {ITEM: upload.item_id, SESSION: upload.nonce, SHA256: sha256}
    moment = datetime.fromtimestamp(upload.recorded_at, UTC)
    _add(found, _RECORDED, moment.isoformat(timespec="seconds"))
    _add(found, _NAME, quote(artifact.name, safe="()[]+,@!$&'="))
    if upload.metadata and artifact.index == upload.media.index:
        text = json.dumps(dict(upload.metadata), ensure_ascii=True, separators=(",", ":"), sort_keys=True)
        # Signatures are made over header values in which runs of spaces count as one.
        _add(found, _METADATA, text.replace("  ", " \\u0020")) or _add(found, _METADATA, _LEFT_OUT)
    return found


def told(metadata: Mapping[str, str], name: str) -> str:
    """One entry, else empty; names of headers have no case."""
    return next((value for each, value in metadata.items() if each.lower() == name), "")


def is_of_session(metadata: Mapping[str, str], upload: Upload) -> bool:
    """Whether an object was stored by this very start of an upload."""
    return (told(metadata, ITEM), told(metadata, SESSION)) == (upload.item_id, upload.nonce)


def _add(found: dict[str, str], name: str, value: str) -> bool:
    """Add an entry if it fits."""
    size = sum(len(key) + len(text) for key, text in found.items())
    if size + len(name) + len(value) > _MOST:
        return False
    found[name] = value
    return True
