"""``ApiIntegrationManager``: what WATS holds."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any

from haulier_wats.compat.exceptions import ApiError
from haulier_wats.compat.log import logger

if TYPE_CHECKING:
    import os
    from collections.abc import Callable

    from haulier.service.parts import Ports
    from haulier_wats.compat.upload_client import RecordingUploadClient
    from haulier_wats.compat.upload_manager import UploadManager
    from haulier_wats.compat.validation import Limits

__all__ = ["ApiIntegrationManager"]

log = logger("api_integration")

LONGEST_STOP = 1.9
"""Seconds that ``shutdown`` takes at most: it is called on the main thread of a program with a window."""
STOPPING = 1.5
_NOTHING = {"queue_size": 0, "active_uploads": 0, "completed_uploads": 0, "failed_uploads": 0, "is_running": False}


class ApiIntegrationManager:
    """Uploads WATS's recordings. Every method may be called from any thread.

    Making one returns at once, also offline: the queue is opened and the connection tested in the background. With
    ``auto_upload`` what appears in the recordings folder is taken by itself; with ``delete_after_upload`` what is
    proven to be stored goes by itself. The queue lies in the folder ``uploads`` of ``USER_DATA_DIR``, or of the
    platform's place for state where there is no such setting or the folder cannot be used.

    Args:
        settings: The settings object of WATS, or a mapping with the content of its ``config.json``. Any attribute may
            be missing or of another kind: the defaults hold then.
        limits: Most bytes of a recording's files.
        ports: Clock, files, threads of Haulier; for tests.

    Attributes:
        settings: As given.
        upload_client: The client of the server; None when uploading is disabled or another backend was chosen.
        upload_manager: The queue; None when uploading is disabled or the settings are not complete.
        on_upload_started: Called with task id and file name. This and the next three may be set at any time; they are
            called on a thread of their own, and what they raise is logged.
        on_upload_progress: Called with task id and whole percent; 100 only when completed.
        on_upload_completed: Called with task id and the server's id of the recording.
        on_upload_failed: Called with task id and the error; ``cancelled`` for a cancelled upload.
    """

    def __init__(self, settings: object, *, limits: Limits | None = None, ports: Ports | None = None) -> None:
        self.settings = settings
        self.upload_client: RecordingUploadClient | None = None
        self.upload_manager: UploadManager | None = None
        self.on_upload_started: Callable[[str, str], object] | None = None
        self.on_upload_progress: Callable[[str, int], object] | None = None
        self.on_upload_completed: Callable[[str, str], object] | None = None
        self.on_upload_failed: Callable[[str, str], object] | None = None
        self._limits = limits
        self._ports = ports
        self._ready = False
        self._older = True
        self._max_age_days: float = 30
        self._deletes = False
        self.initialize()

    @property
    def is_initialized(self) -> bool:
        """Whether calls are taken: also when uploading is disabled, and when the server cannot be reached yet."""
        return self._ready and not (self.upload_manager is not None and self.upload_manager.failed)

    def initialize(self) -> bool:
        """Begin, if that has not been done or was ended by :meth:`shutdown`; whether calls are taken."""
        if self._ready:
            return self.is_initialized
        try:
            self._ready = self._begin()
        except Exception:
            log.exception("API integration could not be initialized")
        return self.is_initialized

    def _begin(self) -> bool:
        from haulier_wats.compat.settings import read_settings

        face = read_settings(self.settings)
        if not face.enabled:
            log.info("API upload is disabled")
            return True
        if face.problem:
            log.error("API configuration is not complete: %s", face.problem)
            return False
        from haulier_wats.compat.upload_client import RecordingUploadClient
        from haulier_wats.compat.upload_manager import UploadManager

        upload = face.config.upload
        self._older, self._max_age_days = upload.upload_older_recordings, upload.max_file_age_days
        self._deletes = upload.delete_after_upload
        if face.connection is not None:
            address, token = face.connection
            self.upload_client = RecordingUploadClient(address, token, upload.upload_timeout, upload.max_retries)
        self.upload_manager = UploadManager(self.upload_client, face=face, tell=self._call, ports=self._ports)
        self.upload_manager.start()
        if self.upload_client is not None:
            target = self.upload_client.test_connection
            threading.Thread(target=target, name="wats-upload-connection", daemon=True).start()
        return True

    def shutdown(self) -> None:
        """End within two seconds. All work is kept and goes on at the next start. No callback follows."""
        if not self._ready:
            return
        self._ready = False
        ending = threading.Thread(target=self._end, name="wats-upload-shutdown", daemon=True)
        ending.start()
        ending.join(LONGEST_STOP)
        log.info("API integration shutdown complete")

    def _end(self) -> None:
        try:
            if self.upload_manager is not None:
                self.upload_manager.stop(STOPPING)
            if self.upload_client is not None:
                self.upload_client.close()
        except Exception:
            log.exception("ending the uploads failed; nothing is lost")

    @property
    def _manager(self) -> UploadManager | None:
        return self.upload_manager if self._ready else None

    # -- queueing ----------------------------------------------------------------------------------------------

    def upload_recording(
        self, video_file: str | os.PathLike[str], metadata_file: str | os.PathLike[str] | None
    ) -> str | None:
        """Queue a recording. When this returns it is on disk; the same unchanged video gives the same task.

        Args:
            video_file: The video.
            metadata_file: Its metadata: a JSON object with a text ``session_id``; None for none.

        Returns:
            The task's id; None when nothing is uploaded: disabled, not initialized or shut down.

        Raises:
            MissingFileError: A file does not exist; also a FileNotFoundError.
            ValidationError: The recording is not valid.
            ApiError: It could not be written down.
        """
        manager = self._manager
        if manager is None:
            log.warning("not queued, as nothing is uploaded: %s", video_file)
            return None
        try:
            return manager.queue_upload(video_file, metadata_file, self._limits)
        except ApiError as error:
            log.error("Failed to queue upload: %s", error)  # noqa: TRY400  the caller has it
            raise

    def upload_older_recordings(
        self, recordings_dir: str | os.PathLike[str], max_age_days: float | None = None
    ) -> list[str]:
        """Queue what lies in a folder and was not queued before; the ids of the new tasks. Never raises.

        Args:
            recordings_dir: The folder.
            max_age_days: Leave older files alone; None for the setting ``max_file_age_days``.
        """
        manager = self._manager
        if manager is None:
            log.warning("older recordings are not queued, as nothing is uploaded")
            return []
        if not self._older:
            log.info("Upload of older recordings is disabled")
            return []
        try:
            queued = manager.queue_folder(recordings_dir, max_age_days or self._max_age_days)
        except ApiError as error:
            log.error("older recordings were not queued: %s", error)  # noqa: TRY400  the text says all there is
            return []
        if queued:
            log.info("Queued %d older recordings for upload", len(queued))
        else:
            log.info("No older recordings found to upload")
        return queued

    def cleanup_uploaded_files(self) -> int:
        """Delete videos that are proven to be stored and unchanged, if ``delete_after_upload`` is set; how many.

        With that setting they go by themselves; this hastens those that were uploaded before it was set.
        """
        manager = self._manager
        return manager.remove_uploaded() if manager is not None and self._deletes else 0

    # -- questions ---------------------------------------------------------------------------------------------

    def get_upload_status(self, task_id: str) -> dict[str, Any] | None:
        """A task as it stands now; None when nobody knows the id."""
        manager = self._manager
        task = manager.get_task_status(task_id) if manager is not None else None
        if task is None:
            return None
        members = task.to_dict()
        del members["metadata_file"]
        return {"task_id": members.pop("id"), **members}

    def get_queue_status(self) -> dict[str, Any]:
        """See :meth:`haulier_wats.compat.upload_manager.UploadManager.get_queue_status`."""
        manager = self._manager
        return dict(_NOTHING) if manager is None else manager.get_queue_status()

    def retry_failed_upload(self, task_id: str) -> bool:
        """Queue a failed or cancelled upload again; False for any other."""
        manager = self._manager
        return manager is not None and manager.retry_failed_upload(task_id)

    def cancel_upload(self, task_id: str) -> bool:
        """Give an upload up that waits or runs; the files stay. False when it has ended or nobody knows it."""
        manager = self._manager
        return manager is not None and manager.cancel_upload(task_id)

    # -- callbacks ---------------------------------------------------------------------------------------------

    def _call(self, what: str, task_id: str, detail: Any) -> None:
        callback: Callable[[str, Any], object] | None = getattr(self, f"on_upload_{what}")
        if callback is None:
            return
        try:
            callback(task_id, detail)
        except Exception:
            log.exception("Error in upload_%s callback", what)
