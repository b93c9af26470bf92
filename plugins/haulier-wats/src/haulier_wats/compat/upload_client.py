"""``RecordingUploadClient``: calls of the storage server on the caller's own thread."""

from __future__ import annotations

import threading
import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from haulier_wats.compat.exceptions import ApiError, NetworkError
from haulier_wats.compat.log import logger
from haulier_wats.compat.progress_file import ProgressFileWrapper, reporter
from haulier_wats.compat.translation import to_api_error
from haulier_wats.compat.validation import Limits, check_recording

if TYPE_CHECKING:
    import os
    from collections.abc import Callable, Iterator

    from haulier.errors import HaulierError, TransientError
    from haulier.files import Files
    from haulier.transfer.context import RunContext
    from haulier_wats.backend import WatsBackend
    from haulier_wats.compat.single_upload import SingleUpload

__all__ = ["ProgressFileWrapper", "RecordingUploadClient"]

log = logger("upload_client")

LONGEST_WAIT = 60.0
_RETRIED = frozenset({429, 500, 502, 503, 504})


class RecordingUploadClient:
    """Speaks to a storage server. Thread-safe; making one does no I/O.

    Args:
        api_base_url: Address of the API, for example ``https://storage.example/api``.
        api_token: Bearer token, or a reference to it (``env:NAME``, ``file:PATH``, ``keyring:SERVICE/NAME``). It goes
            to that address's origin and nowhere else.
        timeout: Seconds of silence after which a socket operation is given up; an upload as a whole has no limit.
        max_retries: Retries of an upload after its first try: after 2, 4, 8, ... seconds, at most 60.
        sleep: Waits between tries.
        limits: Most bytes of a recording's files.
        files: Operating system; None for this machine's.

    Attributes:
        api_base_url: The address without a slash at its end.
        timeout: See above.
        max_retries: See above.
    """

    def __init__(
        self,
        api_base_url: str,
        api_token: str,
        timeout: float = 60,
        max_retries: int = 3,
        *,
        sleep: Callable[[float], object] = time.sleep,
        limits: Limits | None = None,
        files: Files | None = None,
    ) -> None:
        from haulier.backends.http_errors import public_url
        from haulier.files import Files

        self.api_base_url = api_base_url.rstrip("/")
        self.timeout = timeout
        self.max_retries = max_retries
        self._token = api_token
        self._sleep = sleep
        self._limits = limits
        self._files = files or Files()
        self._lock = threading.Lock()
        self._made: WatsBackend | None = None
        self._running: set[RunContext] = set()
        self._closed = False
        log.info("RecordingUploadClient initialized for %s", public_url(self.api_base_url))

    def __repr__(self) -> str:
        return f"RecordingUploadClient({self.api_base_url!r})"

    @property
    def api_token(self) -> str:
        """The token as it was given."""
        return self._token

    # -- calls -------------------------------------------------------------------------------------------------

    def test_connection(self) -> bool:
        """Ask for the server's health, and whether it takes the token. Never raises; the log says why it failed."""
        try:
            with self._call() as context:
                self._backend.probe(context)
        except ApiError as error:
            log.error("API connection test failed: %s", error)  # noqa: TRY400  the text says all there is
            return False
        log.info("API connection test successful")
        return True

    def upload_recording(
        self,
        video_file: str | os.PathLike[str],
        metadata_file: str | os.PathLike[str],
        progress_callback: Callable[..., object] | None = None,
    ) -> dict[str, Any]:
        """Upload a recording and wait for it. What this method stored before is not stored again.

        It knows nothing of the queue of :class:`~haulier_wats.compat.UploadManager`: a recording that went that way
        and comes this way too is stored twice.

        Args:
            video_file: The video.
            metadata_file: Its metadata: a JSON object with a text ``session_id``.
            progress_callback: Called on this thread with bytes sent and bytes in all, or with whole percent if it takes
                one argument. The last call, when all is stored, tells the whole.

        Returns:
            ``file_id``, ``status``, ``session_id``, ``upload_url``, ``size`` and ``sha256`` of the video.

        Raises:
            MissingFileError: A file does not exist; also a FileNotFoundError.
            ValidationError: The recording or the request is not valid.
            AuthenticationError: The token was refused.
            NetworkError, ServerError: Every try failed.
            UploadError: This upload failed for a reason of its own.
        """
        document = check_recording(video_file, metadata_file, self._limits, files=self._files)
        video, metadata = Path(video_file), Path(metadata_file)
        from haulier_wats.compat.single_upload import SingleUpload

        with (
            self._translated(),
            SingleUpload(self._backend, video, metadata, document, reporter(progress_callback), self._files) as one,
        ):
            stored = self._persist(one)
            log.info("Upload completed successfully: %s", stored[0].key)
            return {
                "file_id": stored[0].key,
                "status": "completed",
                "session_id": _session_id(one),
                "upload_url": stored[0].location,
                "size": one.upload.media.size,
                "sha256": one.sha256,
            }

    def get_upload_status(self, session_id: str) -> dict[str, Any]:
        """``GET /uploads/{session_id}/status``: the server's answer.

        Raises:
            ApiError: What went wrong; 404 when the server does not know the session.
        """
        return self._get("uploads", session_id, "status")

    def list_recordings(self, limit: int = 50, offset: int = 0) -> dict[str, Any]:
        """``GET /recordings``: one page, the server's answer; a list becomes its member ``recordings``.

        Raises:
            ApiError: What went wrong.
        """
        return self._get("recordings", query=f"?limit={int(limit)}&offset={int(offset)}")

    def delete_recording(self, file_id: str) -> bool:
        """``DELETE /recordings/{file_id}``; True when it is gone, also when it was not there.

        Raises:
            ApiError: What went wrong.
        """
        with self._call() as context:
            was_there = self._backend.delete(file_id, context)
        log.info("Recording deleted: %s", file_id) if was_there else log.warning("Recording not found: %s", file_id)
        return True

    def close(self) -> None:
        """Break off what runs and close all connections."""
        with self._lock:
            self._closed = True
            made, self._made = self._made, None
            running = list(self._running)
        for context in running:
            context.stop("stop")
        if made is not None:
            made.close()

    # -- inside ------------------------------------------------------------------------------------------------

    @property
    def _backend(self) -> WatsBackend:
        with self._lock:
            if self._closed:
                raise NetworkError("the client is closed")
            if self._made is None:
                self._made = _make_backend(self.api_base_url, self._token)
            return self._made

    def _persist(self, one: SingleUpload) -> Any:
        """Try, and after what may pass try again."""
        from haulier.errors import TransientError

        retry = 0
        while True:
            try:
                with self._context() as context:
                    return one.attempt(context)
            except TransientError as error:
                retry += 1
                if retry > self.max_retries or not _is_retried(error):
                    raise
                wait = _wait(retry, error)
                log.warning("Upload failed (attempt %d): %s; next try in %.0f s", retry, error, wait)
                self._sleep(wait)

    def _get(self, *segments: str, query: str = "") -> dict[str, Any]:
        with self._call() as context:
            client = self._backend._client  # noqa: SLF001  one package
            url = client.url(*segments) + query
            answer = client.http.request("GET", url, context)
            if not answer.ok:
                raise client.http.error(answer, url)
            value = answer.json()
        return value if isinstance(value, dict) else {segments[-1]: value}

    @contextmanager
    def _call(self) -> Iterator[RunContext]:
        with self._translated(), self._context() as context:
            yield context

    @contextmanager
    def _translated(self) -> Iterator[None]:
        from haulier.errors import HaulierError

        try:
            yield
        except HaulierError as error:
            raise to_api_error(error) from error

    @contextmanager
    def _context(self) -> Iterator[RunContext]:
        from haulier.transfer.context import RunContext

        context = RunContext(silence=self.timeout)
        with self._lock:
            if self._closed:
                raise NetworkError("the client is closed")
            self._running.add(context)
        try:
            yield context
        finally:
            with self._lock:
                self._running.discard(context)


def _make_backend(base_url: str, token: str) -> WatsBackend:
    import os

    from haulier.config.models import BackendConfig
    from haulier.config.options import build_options
    from haulier_wats.backend import WatsBackend

    table = BackendConfig("wats", "wats", {"base_url": base_url, "api_token": token})
    options, _ = build_options(WatsBackend, table, environ=os.environ, base_dir=Path.cwd())
    return WatsBackend("wats", options)


def _is_retried(error: HaulierError) -> bool:
    translated = to_api_error(error)
    return isinstance(translated, NetworkError) or translated.status_code in _RETRIED


def _wait(retry: int, error: TransientError) -> float:
    asked = getattr(error, "retry_after", None) or 0.0
    return float(min(LONGEST_WAIT, max(2.0**retry, asked)))


def _session_id(one: SingleUpload) -> str:
    from haulier_wats.sessions import Session

    return Session.from_token(one.token).session_id if one.token is not None else ""
