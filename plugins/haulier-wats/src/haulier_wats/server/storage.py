"""All that a server works on, and the rules of its upload sessions' lives."""

from __future__ import annotations

import logging
import os
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, TypeVar

from haulier_wats.server.audit import AuditLog
from haulier_wats.server.database import Database
from haulier_wats.server.folders import Folders
from haulier_wats.server.lanes import Lane, LaneThread
from haulier_wats.server.metrics import Metrics
from haulier_wats.server.problems import Problem
from haulier_wats.server.recording_table import RecordingTable
from haulier_wats.server.room import Room
from haulier_wats.server.rows import FileState, Kind, SessionStatus
from haulier_wats.server.session_table import SessionTable
from haulier_wats.server.settings import ServerSetupError
from haulier_wats.server.sink import RunningDigests, Share
from haulier_wats.server.storing import Shelves
from haulier_wats.server.turns import Turns

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from haulier_wats.server.rows import Session, SessionFile
    from haulier_wats.server.settings import ServerSettings

__all__ = ["Storage"]

SWEEP_INTERVAL = 60.0
"""Least seconds between two rounds of tidying up that nobody waits for."""

Job = TypeVar("Job")
Result = TypeVar("Result")

_log = logging.getLogger(__name__)


class Storage:
    """The data folder of one server, opened. Methods block and may be called by any thread.

    Args:
        settings: What the server was told.
        wrap: Wraps each named port before it is used, e.g. to count, fail or kill at its calls: ``folders``,
            ``sessions`` and ``recordings``.

    Raises:
        ServerSetupError: The folder cannot be used.
    """

    def __init__(
        self,
        settings: ServerSettings,
        wrap: Callable[[str, Any], Any] = lambda name, port: port,  # noqa: ARG005
    ) -> None:
        self.settings = settings
        self.folders: Folders = wrap("folders", Folders(settings.data_dir.absolute()))
        self.room = Room(self.folders.root, settings.min_free, settings.free_space)
        self.metrics = Metrics()
        self.turns = Turns()
        self.digests = RunningDigests()
        self.share = Share()
        try:
            self.folders.prepare()
        except OSError as error:
            raise ServerSetupError(
                f"the data folder {settings.data_dir} cannot be used ({error.strerror or error}); "
                "give a folder that the server may write to"
            ) from error
        self._database = Database(self.folders.database)
        self._threads: list[LaneThread] = []
        self.sessions: SessionTable = wrap("sessions", SessionTable(self._database))
        self.recordings: RecordingTable = wrap("recordings", RecordingTable(self._database))
        self.commit = self._database.commit
        self.commits: Lane[Callable[[], Any], Any] = self.lane("commits", self.commit)
        self.shelves = Shelves(self.folders, self.sessions, self.recordings, self.commit)
        self._swept_at = 0.0
        self.audit = self._open_audit_log()
        try:
            self._recover()
        except OSError as error:
            self.close()
            raise ServerSetupError(
                f"what an earlier server left in {settings.data_dir} cannot be put in order ({error}); "
                "free the files or the disk, then start again"
            ) from error

    def lane(self, name: str, do_all: Callable[[Sequence[Job]], Sequence[Result | Exception]]) -> Lane[Job, Result]:
        """A lane with a thread of its own, so that it need not wait for the syncs of others; :meth:`close` ends it."""
        thread = LaneThread(name)
        self._threads.append(thread)
        return Lane(do_all, thread)

    def close(self) -> None:
        """Close the database and the audit log, once all lanes have ended. May be called twice."""
        for thread in self._threads:
            thread.close()
        self.audit.close()
        self._database.close()

    def expiry(self) -> float:
        """When a session ends that is used now."""
        return self.settings.clock() + self.settings.session_ttl

    def is_overdue(self, session: Session) -> bool:
        """Whether a session's time is up though it is still open."""
        return session.status is SessionStatus.OPEN and session.expires_at <= self.settings.clock()

    def path(self, file: SessionFile) -> Path:
        """Where the acknowledged bytes of a session's file are."""
        return self.folders.copy(file.sid, file.copy)

    def session(self, sid: str) -> Session:
        """A session that is remembered; one whose time is up ends here.

        Raises:
            Problem: 404, there is none.
        """
        session = self.sessions.get(sid)
        if session is not None and self.is_overdue(session):
            self._expire(sid)
            session = self.sessions.get(sid)
        if session is None:
            raise Problem(HTTPStatus.NOT_FOUND, "there is no such upload session; create a new one")
        return session

    def usable(self, sid: str) -> Session:
        """A session that is open or completed.

        Raises:
            Problem: 404, there is none; 410, it expired or was cancelled.
        """
        session = self.session(sid)
        if session.status in {SessionStatus.EXPIRED, SessionStatus.CANCELLED}:
            raise Problem(HTTPStatus.GONE, f"the upload session is {session.status}; create a new one")
        return session

    def resource(self, sid: str, kind: Kind) -> SessionFile:
        """An upload resource.

        Raises:
            Problem: 404, there is none; 410, it or its session expired or was cancelled; 409, it was never needed.
        """
        return self.resource_of(self.usable(sid), kind)

    def resource_of(self, session: Session, kind: Kind) -> SessionFile:
        """An upload resource of a session that is open or completed.

        Raises:
            Problem: See :meth:`resource`.
        """
        file = self.sessions.files(session.sid).get(kind)
        if file is None or not session.resumable:
            raise Problem(HTTPStatus.NOT_FOUND, f"no {kind} file was declared when the session was created")
        if session.status is SessionStatus.COMPLETED and not file.complete:
            raise Problem(HTTPStatus.CONFLICT, "the item was stored before this session began; nothing is to be sent")
        if file.state is FileState.CANCELLED:
            raise Problem(HTTPStatus.GONE, f"the upload of the {kind} file was cancelled; create a new session")
        return file

    def cancel(self, sid: str) -> None:
        """End an open session whose turns are all held, and drop its bytes."""
        if self.sessions.end(sid, SessionStatus.CANCELLED, self.settings.clock()):
            self.drop(sid)

    def drop(self, sid: str) -> None:
        """Drop what a session brought and what is known of it in memory."""
        self.digests.forget(sid)
        self.folders.drop_session(sid)

    def sweep(self) -> None:
        """End overdue sessions, which frees their keys; now and then, forget old ones and finish deletes."""
        now = self.settings.clock()
        for sid in self.sessions.overdue(now):
            self._expire(sid)
        if 0 <= now - self._swept_at < SWEEP_INTERVAL:
            return
        self._swept_at = now
        self.sessions.forget(now - self.settings.ended_ttl)
        self.shelves.settle_deletes()

    def _expire(self, sid: str) -> None:
        # A request takes its turn before it reads the session, and this asks for turns while the session cannot be
        # read: so either the request is seen here, or it sees the session expired.
        if self.sessions.end(sid, SessionStatus.EXPIRED, self.settings.clock(), unless=self.turns.busy):
            self.drop(sid)
            self.metrics.add("sessions_expired")
            self.audit.write("expireSession", session_id=sid)

    def _open_audit_log(self) -> AuditLog:
        settings = self.settings
        path = (settings.audit_log or self.folders.audit_log).absolute()
        try:
            return AuditLog(path, settings.audit_size, settings.clock)
        except OSError as error:
            self._database.close()
            raise ServerSetupError(
                f"the audit log {path} cannot be opened ({error.strerror or error}); "
                "give a file that the server may append to"
            ) from error

    def _recover(self) -> None:
        self.shelves.settle()
        self.sweep()
        known = set(self.sessions.open_ids())
        for folder in list(self.folders.incoming.iterdir()):
            if folder.name not in known:
                self.folders.drop_session(folder.name)
        for sid in known:
            self._restore(sid)

    def _restore(self, sid: str) -> None:
        """Make the disk hold what was acknowledged of a session, and no more."""
        files = self.sessions.files(sid).values()
        copies = {file.copy for file in files}
        folder = self.folders.incoming / sid
        for path in list(folder.iterdir()) if folder.is_dir() else []:
            if path.name not in copies:
                path.unlink()
        for file in files:
            path = self.path(file)
            size = path.stat().st_size if path.exists() else 0
            if size > file.held:
                with path.open("r+b") as content:
                    content.truncate(file.held)
                    os.fsync(content.fileno())  # finalize takes for granted that what it moves is on the disk
            elif size < file.held:
                _log.error(
                    "acknowledged bytes of the upload session of %r are gone; its upload is cancelled", file.name
                )
                self.sessions.acknowledge(file, 0, FileState.CANCELLED, 0)
