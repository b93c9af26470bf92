"""From a finished upload to a stored recording, and back to nothing; each finished by the next start if interrupted."""

from __future__ import annotations

import logging
import threading
from functools import partial
from http import HTTPStatus
from typing import TYPE_CHECKING

from haulier_wats.server.problems import Problem

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    from haulier_wats.server.folders import Folders
    from haulier_wats.server.recording_table import RecordingTable
    from haulier_wats.server.rows import Recording
    from haulier_wats.server.session_table import SessionTable

    Commit = Callable[[Sequence[Callable[[], Recording | None]]], list[Recording | Exception | None]]
    Stuck = tuple[Recording, OSError]

__all__ = ["Shelves"]

_log = logging.getLogger(__name__)


class Shelves:
    """Where recordings stand. Methods block, may be called by any thread, and wait for each other.

    Storing goes: intent into the database, files into place, folders synced, recording and session settled in one
    transaction. Deleting: intent, files, row. Only what is settled is ever answered.

    Args:
        folders: Where files lie.
        sessions: What is being uploaded.
        recordings: What is stored.
        commit: Does jobs within one transaction; see :meth:`~haulier_wats.server.database.Database.commit`.
    """

    def __init__(self, folders: Folders, sessions: SessionTable, recordings: RecordingTable, commit: Commit) -> None:
        self._folders = folders
        self._sessions = sessions
        self._recordings = recordings
        self._commit = commit
        self._lock = threading.Lock()

    def store(self, recording: Recording) -> Recording:
        """Store the synced copies of one session; see :meth:`store_all`."""
        (stored,) = self.store_all([recording])
        if isinstance(stored, Exception):
            raise stored
        return stored

    def store_all(self, recordings: Sequence[Recording]) -> list[Recording | Exception]:
        """Store the synced copies of sessions as recordings, each once per item, with few syncs for all.

        Returns:
            For each the recording that is stored: of the same item, if it was there before. Or why it is not: a Problem
            with status 409, the item is stored with other content; an OSError, the files cannot be moved, and the
            session is as it was.

        Raises:
            Exception: None was stored.
        """
        results: dict[str, Recording | Exception] = {}
        with self._lock:
            left = list(recordings)
            while left:
                firsts = {recording.item_id or recording.sid: recording for recording in reversed(left)}
                self._store_rivals_apart(list(firsts.values()), results)
                left = [recording for recording in left if recording.file_id not in results]
        return [results[recording.file_id] for recording in recordings]

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
        for _, error in self.settle_stores():
            raise error
        self.settle_deletes()

    def settle_stores(self) -> list[Stuck]:
        """Finish storing what failed half-way, in this process or an earlier one.

        Returns:
            What still cannot be finished, and why; it is tried again at the next call.
        """
        with self._lock:
            return self._settle_stores()

    def settle_deletes(self) -> None:
        """Try again to remove files of deleted recordings."""
        with self._lock:
            for recording in self._recordings.unsettled("deleting"):
                self._finish_delete(recording)

    def _store_rivals_apart(self, recordings: Sequence[Recording], results: dict[str, Recording | Exception]) -> None:
        """Store recordings of different sessions and items."""
        stuck = self._settle_stores()
        begun: list[Recording] = []
        for recording in recordings:
            in_the_way = [error for other, error in stuck if recording.stands_in_way_of(other)]
            if in_the_way:
                results[recording.file_id] = in_the_way[0]
            else:
                begun.append(recording)
        known = self._commit([partial(self._begin, recording) for recording in begun])
        results |= {recording.file_id: stored for recording, stored in zip(begun, known, strict=True) if stored}
        begun = [recording for recording in begun if recording.file_id not in results]
        moved = self._place(begun, results)
        ends = self._commit([partial(self._recordings.finish, recording) for recording in moved])
        results |= {recording.file_id: end or recording for recording, end in zip(moved, ends, strict=True)}

    def _begin(self, recording: Recording) -> Recording | None:
        """Note what is about to be stored; what is stored of the item already, if it is."""
        stored = self._recordings.of_item(recording.item_id) if recording.item_id else None
        if stored is None:
            self._recordings.begin(recording)
        elif stored.same_content(recording):
            self._sessions.complete(recording.sid, stored.file_id)
        else:
            raise Problem(
                HTTPStatus.CONFLICT,
                f"the item is stored as recording {stored.file_id} with other content; nothing was overwritten",
                members={"file_id": stored.file_id},
            )
        return stored

    def _place(self, recordings: Sequence[Recording], results: dict[str, Recording | Exception]) -> Sequence[Recording]:
        """Move files to their place; what cannot be moved is undone.

        Returns:
            The recordings whose files are there for good.
        """
        try:
            self._move_all(recordings)
        except OSError as error:
            if len(recordings) > 1:  # which one it was shows when each is tried by itself
                return [moved for recording in recordings for moved in self._place([recording], results)]
            results[recordings[0].file_id] = error
            self._try_to_undo(recordings[0])
            return []
        return recordings

    def _settle_stores(self) -> list[Stuck]:
        stuck = []
        for recording in self._recordings.unsettled("storing"):
            try:
                self._settle_store(recording)
            except OSError as error:
                _log.warning("files of recording %s are still not in their place: %s", recording.file_id, error)
                stuck.append((recording, error))
        return stuck

    def _settle_store(self, recording: Recording) -> None:
        moves = list(self._moves(recording))
        if moves and all(source.exists() or target.exists() for source, target in moves):
            self._move_all([recording])
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

    def _move_all(self, recordings: Sequence[Recording]) -> None:
        """Move files, each only into a folder that is on the disk for good."""
        moves = [move for recording in recordings for move in self._moves(recording)]
        folders = dict.fromkeys(target.parent for _, target in moves)
        for folder in folders:
            self._folders.make(folder)
        for above in dict.fromkeys(folder.parent for folder in folders):
            self._folders.sync(above)
        for source, target in moves:
            self._folders.move(source, target)
        for folder in folders:
            self._folders.sync(folder)

    def _try_to_undo(self, recording: Recording) -> None:
        try:
            self._undo(recording)
        except OSError as error:
            _log.warning("files of recording %s stay on their way for now: %s", recording.file_id, error)

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
