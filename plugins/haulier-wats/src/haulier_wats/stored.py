"""From the server's recordings to the contract's :class:`~haulier.backends.api.Stored`.

The server names what it stores: a recording's ``file_id`` is the key of its video, and ``file_id/metadata`` that of its
sidecar, which lives and dies with it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from haulier.backends.api import Stored
from haulier.models import Role
from haulier_wats.answers import StoredFile

if TYPE_CHECKING:
    from haulier.backends.api import Artifact, Held, Upload
    from haulier_wats.answers import Recording
    from haulier_wats.client import WatsClient

__all__ = ["acknowledged", "split_key", "stored_files", "stored_upload"]

_METADATA = "/metadata"


def split_key(key: str) -> tuple[str, bool]:
    """The ``file_id`` of a key, and whether it is the sidecar's."""
    file_id = key.removesuffix(_METADATA)
    return file_id, file_id != key


def stored_files(recording: Recording, client: WatsClient) -> tuple[Stored, ...]:
    """What a recording consists of: its video, then its sidecar if it has one."""
    video = _stored(recording, recording.video, recording.file_id, client)
    if recording.metadata is None:
        return (video,)
    return video, _stored(recording, recording.metadata, recording.file_id + _METADATA, client)


def stored_upload(upload: Upload, recording: Recording, client: WatsClient) -> tuple[Stored, ...]:
    """One entry per artifact of the upload; of what the server does not tell, no more than the key."""
    media, *sidecar = stored_files(recording, client)
    unknown = _stored(recording, StoredFile(), recording.file_id + _METADATA, client)
    entries = {Role.MEDIA: media, Role.SIDECAR: sidecar[0] if sidecar else unknown}
    return tuple(entries[artifact.role] for artifact in upload.artifacts)


def acknowledged(upload: Upload, held: Held, session_id: str, client: WatsClient) -> tuple[Stored, ...]:
    """What is known when an old server acknowledges and says no more.

    The key is the name that the answer to the form gave the file, else that of the session.
    """
    return tuple(
        Stored(_name_of(artifact, held) or _session_key(artifact, session_id), client.url("uploads", session_id))
        for artifact in upload.artifacts
    )


def _name_of(artifact: Artifact, held: Held) -> str:
    parts = held.parts.get(artifact.index, {})
    return next((part.etag for part in parts.values()), "")


def _session_key(artifact: Artifact, session_id: str) -> str:
    return session_id if artifact.role is Role.MEDIA else session_id + _METADATA


def _stored(recording: Recording, file: StoredFile, key: str, client: WatsClient) -> Stored:
    return Stored(
        key,
        client.url("recordings", recording.file_id),
        size=file.size,
        digests={"sha256": file.sha256} if file.sha256 else {},
        item_id=recording.item_id,
    )
