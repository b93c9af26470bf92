"""What became of an upload whose answer was lost.

Only proof counts. Present: our session says completed, or a recording carries our item id. Absent: nothing is listed
under our item id, and our session is open still, or gone. A recording with the same session id and size is no proof:
segments share the one and may share the other.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from haulier.backends.api import Held, Outcome, Settled
from haulier.errors import (
    ConflictError,
    IntegrityError,
    OffsetError,
    PermissionDeniedError,
    SessionLostError,
    ValidationError,
)
from haulier_wats.stored import acknowledged, stored_upload

if TYPE_CHECKING:
    from haulier.backends.api import Context, Upload
    from haulier_wats.answers import Recording
    from haulier_wats.client import WatsClient
    from haulier_wats.sessions import Session

__all__ = ["COMPLETED", "LOST", "completed_recording", "finalize_key", "settle"]

COMPLETED = "completed"
LOST = frozenset({"expired", "cancelled"})

_REFUSED = (ConflictError, IntegrityError, OffsetError, PermissionDeniedError, SessionLostError, ValidationError)
_UNKNOWN = Settled(Outcome.UNKNOWN)
_ABSENT = Settled(Outcome.ABSENT)


def finalize_key(key: str) -> str:
    """Idempotency key of finalize: another one than create-session's, since it comes with another body."""
    return f"{key}:finalize"


def settle(client: WatsClient, upload: Upload, session: Session | None, key: str, context: Context) -> Settled:
    """Ask the session, then the recordings, then an old server's finalize once more.

    Args:
        client: The server.
        upload: The upload.
        session: Its session; None when not even that is known.
        key: Idempotency key of the session.
        context: What to obey.
    """
    status = client.session_status(session.session_id, context) if session else None
    if session and status and status.status == COMPLETED:
        return _completed(client, upload, session, status.file_id, context)
    found, searched = _look_up(client, upload, context)
    if found:
        return Settled(Outcome.PRESENT, stored_upload(upload, found, client))
    if session is None:
        return _ABSENT if searched else _UNKNOWN
    if session.resumable:
        known = status is None or status.status in LOST or status.status == "open"
        return _ABSENT if searched and known else _UNKNOWN
    return _finalize_again(client, upload, session, key, context)


def _completed(client: WatsClient, upload: Upload, session: Session, file_id: str, context: Context) -> Settled:
    recording = completed_recording(client, upload, session, file_id, context)
    if recording is not None:
        return Settled(Outcome.PRESENT, stored_upload(upload, recording, client))
    if session.resumable:
        return _ABSENT  # it was stored, and deleted since
    return Settled(Outcome.PRESENT, acknowledged(upload, Held(), session.session_id, client))


def completed_recording(
    client: WatsClient, upload: Upload, session: Session, file_id: str, context: Context
) -> Recording | None:
    """What a completed session became: by its file id, else by our item id; None when the server does not tell."""
    file_id = file_id or session.file_id
    recording = client.recording(file_id, context) if file_id else None
    return recording or _look_up(client, upload, context)[0]


def _look_up(client: WatsClient, upload: Upload, context: Context) -> tuple[Recording | None, bool]:
    """Search by item id: the recording, and whether not finding it proves that there is none.

    An empty answer does, from a server that searches and from one that lists everything. Other entries than ours mean
    that the server ignores item ids.
    """
    try:
        page = client.recordings(context, item_id=upload.item_id)
    except (PermissionDeniedError, ValidationError):
        return None, False
    found = next((recording for recording in page if recording.item_id == upload.item_id), None)
    return found, not page


def _finalize_again(client: WatsClient, upload: Upload, session: Session, key: str, context: Context) -> Settled:
    try:
        recording = client.finalize(session.session_id, {}, finalize_key(key), context)
    except _REFUSED:
        return _UNKNOWN
    if recording is None:
        return Settled(Outcome.PRESENT, acknowledged(upload, Held(), session.session_id, client))
    return Settled(Outcome.PRESENT, stored_upload(upload, recording, client))
