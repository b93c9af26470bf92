"""From a finished upload to a stored recording, and back to nothing; each finished by the next start if interrupted."""

from __future__ import annotations

import logging
import threading
from http import HTTPStatus
from typing import TYPE_CHECKING

from haulier_wats.server.problems import Problem

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from haulier_wats.server.folders import Folders
    from haulier_wats.server.recording_table import RecordingTable
    from haulier_wats.server.rows import Recording
    from haulier_wats.server.session_table import SessionTable

__all__ = ["Shelves"]

_log = logging.getLogger(__name__)


class Shelves:
    """Where recordings stand. Methods block, may be called by any thread, and wait for each other.

    Storing goes: intent into the database, files into place, folders synced, recording and session settled in one
    transaction. Deleting: intent, files, row. Only what is settled is ever answered.
    """

    def __init__(self, folders: Folders, sessions: SessionTable, recordings: RecordingTable) -> None:
        self._folders = folders
        self._sessions = sessions
        self._recordings = recordings
        self._lock = threading.Lock()

    def store(self, recording: Recording) -> Recording:
        """Store the synced copies of a session as a recording, once per item.

        Returns:
            The recording that is stored: of the same item, if it was there before.

        Raises:
            Problem: 409, the item is stored with other content.
            OSError: The files cannot be moved; the session is as it was.
        """
        with self._lock:
            self._settle_stores(recording.stands_in_way_of)
            stored = self._recordings.of_item(recording.item_id) if recording.item_id else None
            if stored is None:
                self._recordings.begin(recording)
                try:
                    self._move(recording)
                except OSError:
                    self._undo(recording)
                    raise
                self._recordings.finish(recording)
                return recording
            if not stored.same_content(recording):
                raise Problem(
                    HTTPStatus.CONFLICT,
                    f"the item is stored as recording {stored.file_id} with other content; nothing was overwritten",
                    members={"file_id": stored.file_id},
                )
            self._sessions.complete(recording.sid, stored.file_id)
            return stored

    def delete(self, file_id: str) -> bool:
        """Delete a recording; False when there is none.

        A file that cannot be removed now is removed later: the recording is gone all the same.
        """
        with self._lock:
            recording = self._recordings.begin_delete(file_id)
            if recording is not None:
                self._finish_delete(recording)
        return recording is not None

    def settle(self) -> None:
        """Finish what an earlier process began. To be called before anything else.

        Raises:
            OSError: Files of a recording cannot be moved to their place.
        """
        self.settle_stores(lambda _: True)
        self.settle_deletes()

    def settle_stores(self, matters: Callable[[Recording], bool]) -> None:
        """Finish storing what failed half-way, in this process or an earlier one.

        Args:
            matters: Whether the caller cannot go on without this one; others that fail are tried again later.

        Raises:
            OSError: Files of a recording that matters cannot be moved to their place.
        """
        with self._lock:
            self._settle_stores(matters)

    def settle_deletes(self) -> None:
        """Try again to remove files of deleted recordings."""
        with self._lock:
            for recording in self._recordings.unsettled("deleting"):
                self._finish_delete(recording)

    def _settle_stores(self, matters: Callable[[Recording], bool]) -> None:
        for recording in self._recordings.unsettled("storing"):
            try:
                self._settle_store(recording)
            except OSError as error:
                if matters(recording):
                    raise
                _log.warning("files of recording %s are still not in their place: %s", recording.file_id, error)

    def _settle_store(self, recording: Recording) -> None:
        moves = list(self._moves(recording))
        if moves and all(source.exists() or target.exists() for source, target in moves):
            self._move(recording)
            self._recordings.finish(recording)
        else:
            _log.error("recording %s lost a file before it was stored; what is left is undone", recording.file_id)
            self._undo(recording)

    def _moves(self, recording: Recording) -> Iterator[tuple[Path, Path]]:
        folder = self._folders.recording(recording.folder)
        names = {"video": recording.stored_name, "metadata": recording.metadata_stored_name}
        for kind, file in self._sessions.files(recording.sid).items():
            if name := names[kind]:
                yield self._folders.copy(recording.sid, file.copy), folder / name

    def _move(self, recording: Recording) -> None:
        for source, target in self._moves(recording):
            self._folders.move(source, target)

    def _undo(self, recording: Recording) -> None:
        for source, target in self._moves(recording):
            # Without its folder the session is over, and nobody waits for the file.
            if target.exists() and source.parent.is_dir():
                target.replace(source)
        self._folders.remove_recording(recording.folder)
        self._recordings.remove(recording.file_id)

    def _finish_delete(self, recording: Recording) -> None:
        try:
            self._folders.remove_recording(recording.folder)
        except OSError as error:
            _log.warning("files of the deleted recording %s are still there: %s", recording.file_id, error)
        else:
            self._recordings.remove(recording.file_id)
