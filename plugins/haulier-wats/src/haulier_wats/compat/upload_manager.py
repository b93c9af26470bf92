"""``UploadManager``: the durable queue of Haulier under the names that WATS knows."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from haulier.errors import HaulierError, InputError, TaskNotFoundError
from haulier.models import Disposal, TaskState
from haulier_wats.compat.log import logger
from haulier_wats.compat.old_state import OldState
from haulier_wats.compat.opening import Opening, open_first_usable
from haulier_wats.compat.relay import LOGGED, Relay, log_event
from haulier_wats.compat.tasks import UploadStatus, UploadTask, upload_task
from haulier_wats.compat.translation import to_api_error
from haulier_wats.compat.validation import check_recording

if TYPE_CHECKING:
    import os
    from collections.abc import Callable

    import haulier
    from haulier.models import Task
    from haulier.service.parts import Ports
    from haulier_wats.compat.settings import FaceSettings
    from haulier_wats.compat.upload_client import RecordingUploadClient
    from haulier_wats.compat.validation import Limits

__all__ = ["UploadManager", "UploadStatus", "UploadTask"]

log = logger("upload_manager")

T = TypeVar("T")

QUESTION = 10.0
"""Seconds that a question about the queue waits at most for the journal to be open."""
DISPOSAL = 5.0
GLANCE = 0.05
_NOTHING = {"queue_size": 0, "active_uploads": 0, "completed_uploads": 0, "failed_uploads": 0, "is_running": False}


class UploadManager:
    """A queue of uploads that survives the program. Every method may be called from any thread.

    Making one does no I/O. The queue lies in the folder ``uploads`` beside ``state_file``, else in the platform's place
    for state; several programs may share it. A ``state_file`` that the first uploader left is read once and carried
    over. Recordings may be queued before :meth:`start`, which begins to upload.

    Args:
        upload_client: Names the server and the token; None only with ``face``.
        max_retries: Retries after the first try.
        max_concurrent_uploads: Uploads at the same time.
        state_file: See above.
        face: The program's settings, which then go before the others; from the integration manager.
        tell: Called instead of the callbacks, see :class:`haulier_wats.compat.relay.Relay`; from there too.
        ports: Clock, files, threads of Haulier; for tests.

    Attributes:
        upload_client: As given.
        on_upload_started: Called with an :class:`UploadTask`, on a thread of its own, as are the next three; what they
            raise is logged. They may be set at any time.
        on_upload_progress: When the whole percent changed.
        on_upload_completed: When it is stored and its receipt written.
        on_upload_failed: When it was given up or cancelled.
    """

    def __init__(
        self,
        upload_client: RecordingUploadClient | None,
        max_retries: int = 3,
        max_concurrent_uploads: int = 2,
        state_file: str | os.PathLike[str] | None = None,
        *,
        face: FaceSettings | None = None,
        tell: Callable[[str, str, Any], None] | None = None,
        ports: Ports | None = None,
    ) -> None:
        from haulier_wats.compat.settings import settings_of_client

        if face is None:
            face = settings_of_client(upload_client, max_retries, max_concurrent_uploads, state_file)
        self.upload_client = upload_client
        self.on_upload_started: Callable[[UploadTask], object] | None = None
        self.on_upload_progress: Callable[[UploadTask], object] | None = None
        self.on_upload_completed: Callable[[UploadTask], object] | None = None
        self.on_upload_failed: Callable[[UploadTask], object] | None = None
        self._face = face
        self._tell = tell or self._call_own
        self._ports = ports
        self._lock = threading.Lock()
        self._wanted = False
        self._relay: Relay | None = None
        self._opening = Opening(self._open)

    # -- life --------------------------------------------------------------------------------------------------

    @property
    def max_retries(self) -> int:
        """Retries after the first try."""
        return self._face.config.upload.max_retries

    @property
    def max_concurrent_uploads(self) -> int:
        """Uploads at the same time."""
        return self._face.config.upload.max_concurrent_uploads

    @property
    def running(self) -> bool:
        """Whether it uploads, or will as soon as the queue is open."""
        return self._wanted and not self._opening.failed

    @property
    def failed(self) -> bool:
        """Whether the queue cannot be opened; the log says why."""
        return self._opening.failed

    def start(self) -> None:
        """Begin to upload; returns at once, the queue is opened in the background. A second call does nothing."""
        with self._lock:
            self._wanted = True
        manager = self._opening.open_manager
        if manager is None:
            self._opening.begin()
        else:
            self._start(manager)

    def stop(self, timeout: float = 2.0) -> None:
        """Stop within ``timeout`` seconds. All work is kept and goes on at the next start."""
        with self._lock:
            was_wanted, self._wanted = self._wanted, False
            opening, self._opening = self._opening, Opening(self._open)
            relay, self._relay = self._relay, None
        if relay is not None:
            relay.close()
        opening.close(timeout)
        if was_wanted:
            log.info("UploadManager stopped")

    def _open(self) -> haulier.UploadManager:
        from haulier.service.parts import Ports
        from haulier_wats import plugin

        old = None if self._face.old_state is None else OldState(self._face.old_state)
        plugins = [plugin, old] if old is not None and old.knows_completed else [plugin]
        manager = open_first_usable(
            self._face.usable_config(), self._face.folders, plugins=plugins, ports=self._ports or Ports()
        )
        manager.subscribe(log_event, LOGGED)
        relay = Relay(manager, self._tell, without=self._face.config.upload.also)
        with self._lock:
            self._relay = relay
        relay.start()
        if old is not None:
            old.carry_over(manager)
        self._start(manager)
        return manager

    def _start(self, manager: haulier.UploadManager) -> None:
        with self._lock:
            if not self._wanted or manager.status().running:
                return
            try:
                manager.start()
            except HaulierError as error:
                log.error("recordings are queued, but cannot be uploaded: %s", error)  # noqa: TRY400
                return
        log.info("UploadManager started with %d workers", self.max_concurrent_uploads)

    # -- queueing ----------------------------------------------------------------------------------------------

    def queue_upload(
        self,
        video_file: str | os.PathLike[str],
        metadata_file: str | os.PathLike[str] | None,
        limits: Limits | None = None,
    ) -> str:
        """Queue a recording. When this returns it is on disk; the same unchanged video gives the same task.

        Args:
            video_file: The video.
            metadata_file: Its metadata: a JSON object with a text ``session_id``; None for none.
            limits: Most bytes.

        Returns:
            The task's id; it begins with ``upload_``.

        Raises:
            MissingFileError: A file does not exist; also a FileNotFoundError.
            ValidationError: The recording is not valid.
            ApiError: It could not be written down.
        """
        check_recording(video_file, metadata_file, limits)
        try:
            task = self._opening.manager().submit(video_file, sidecar=metadata_file)
        except HaulierError as error:
            raise to_api_error(error) from error
        self._expect(task)
        return task.id

    def queue_folder(self, folder: str | os.PathLike[str], max_age_days: float | None = None) -> list[str]:
        """Queue the whole recordings of a folder, oldest first, each once: the ids of those new at the first backend.

        Raises:
            ValidationError: The folder cannot be listed.
            ApiError: They could not be written down.
        """
        try:
            tasks, found = self._opening.manager().scan(folder, max_age_days=max_age_days)
        except HaulierError as error:
            raise to_api_error(error) from error
        for name, why in {**found.problems, **found.waiting}.items():
            log.warning("%s %s", Path(folder, name), why)
        first = [task for task in tasks if task.backend == self._face.config.upload.backend]
        for task in first:
            self._expect(task)
        return [task.id for task in first if task.id in found.queued]

    def remove_uploaded(self) -> int:
        """Delete the videos that are proven to be stored and unchanged; how many. May take some seconds."""
        manager = self._asked()
        if manager is None:
            return 0
        released = manager.release_sources()
        pause = threading.Event()
        for _ in range(int(DISPOSAL / GLANCE)):
            tasks = manager.snapshots(released)
            if not any(task.disposal is Disposal.PENDING for task in tasks):
                break
            pause.wait(GLANCE)
        return len({task.path for task in manager.snapshots(released) if task.disposal is Disposal.REMOVED})

    # -- questions ---------------------------------------------------------------------------------------------

    def get_task_status(self, task_id: str) -> UploadTask | None:
        """A task as it stands now; None when nobody knows the id."""
        manager = self._asked()
        if manager is None:
            return None
        try:
            task = manager.task(task_id)
            return upload_task(task, manager.receipt(task_id) if task.state is TaskState.COMPLETED else None)
        except InputError:
            return None

    def get_queue_status(self) -> dict[str, Any]:
        """Numbers of uploads that wait, run, are completed and have failed or were cancelled, and whether it runs."""
        manager = self._asked()
        if manager is None:
            return dict(_NOTHING)
        status = manager.status()
        counts = status.counts
        return {
            "queue_size": counts[TaskState.QUEUED] + counts[TaskState.RETRYING] + counts[TaskState.PAUSED],
            "active_uploads": counts[TaskState.UPLOADING],
            "completed_uploads": counts[TaskState.COMPLETED],
            "failed_uploads": counts[TaskState.FAILED] + counts[TaskState.CANCELLED],
            "is_running": status.running,
        }

    def retry_failed_upload(self, task_id: str) -> bool:
        """Queue a failed or cancelled upload again; False for any other."""
        manager = self._asked()
        try:
            if manager is None or manager.task(task_id).state not in {TaskState.FAILED, TaskState.CANCELLED}:
                return False
            if self._relay is not None:
                self._relay.expect(task_id, again=True)
            return bool(manager.retry(task_id))
        except TaskNotFoundError:
            return False

    def cancel_upload(self, task_id: str) -> bool:
        """Give an upload up that waits or runs; the files stay. False when it has ended or nobody knows it."""
        manager = self._asked()
        try:
            return manager is not None and bool(manager.cancel(task_id))
        except TaskNotFoundError:
            return False

    def cleanup_old_tasks(self, days_to_keep: int = 7) -> int:
        """Does nothing, and returns 0: what was sent must stay known, or it would be sent again. It costs nothing."""
        del days_to_keep
        return 0

    def _expect(self, task: Task) -> None:
        """Its end is told here, though another process may have queued it and may carry it out."""
        relay = self._relay
        if relay is not None and not task.state.settled:
            relay.expect(task.id)

    def _asked(self) -> haulier.UploadManager | None:
        """The open manager, for questions: None when it cannot be opened."""
        try:
            return self._opening.manager(QUESTION)
        except HaulierError as error:
            log.debug("the queue cannot be asked: %s", error)
            return None

    # -- callbacks ---------------------------------------------------------------------------------------------

    def _call_own(self, what: str, task_id: str, detail: Any) -> None:
        callback: Callable[[UploadTask], object] | None = getattr(self, f"on_upload_{what}")
        task = self.get_task_status(task_id) if callback is not None else None
        if callback is None or task is None:
            return
        if what == "progress":
            task.progress = detail
        try:
            callback(task)
        except Exception:
            log.exception("Error in upload_%s callback", what)
