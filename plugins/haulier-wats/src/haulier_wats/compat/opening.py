"""The core's manager, opened on a thread of its own: nobody waits for the disk who need not."""

from __future__ import annotations

import threading
from dataclasses import replace
from itertools import pairwise
from typing import TYPE_CHECKING

from haulier.errors import HaulierError, StateFolderError, WaitTimeoutError
from haulier_wats.compat.log import logger

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from haulier import UploadManager
    from haulier.config.models import Config
    from haulier.service.parts import Ports

__all__ = ["Opening", "open_first_usable"]

log = logger("upload_manager")

PATIENCE = 60.0
"""Seconds that somebody waits at most for the journal: another process may be mending it."""


class Opening:
    """Makes the manager on a daemon thread; whoever needs it waits for that. Thread-safe.

    Args:
        make: Makes and opens it.
    """

    def __init__(self, make: Callable[[], UploadManager]) -> None:
        self._make = make
        self._lock = threading.Lock()
        self._done = threading.Event()
        self._begun = False
        self._closed = False
        self._manager: UploadManager | None = None
        self._error: HaulierError | None = None

    def begin(self) -> None:
        """Start opening, once."""
        with self._lock:
            if self._begun or self._closed:
                return
            self._begun = True
        threading.Thread(target=self._open, name="wats-upload-opening", daemon=True).start()

    def manager(self, timeout: float = PATIENCE) -> UploadManager:
        """The open manager.

        Args:
            timeout: Seconds to wait for it.

        Raises:
            WaitTimeoutError: It is not open by then.
            HaulierError: It cannot be opened, or is closed.
        """
        self.begin()
        if not self._closed and not self._done.wait(timeout):
            raise WaitTimeoutError(f"the upload journal is not open after {timeout:g} s")
        if self._error is not None:
            raise self._error
        if self._manager is None or self._closed:
            raise HaulierError("the upload manager is stopped")
        return self._manager

    @property
    def open_manager(self) -> UploadManager | None:
        """The manager if it is open just now, without waiting."""
        return None if self._closed else self._manager

    @property
    def failed(self) -> bool:
        """Whether it cannot be opened."""
        return self._error is not None

    def close(self, timeout: float) -> None:
        """Stop within ``timeout`` seconds; one that is still being opened is closed when it is done."""
        with self._lock:
            self._closed = True
            manager = self._manager
        if not self._begun:
            self._done.set()
        if manager is not None:
            manager.close(timeout)

    def _open(self) -> None:
        manager: UploadManager | None = None
        try:
            manager = self._make()
        except HaulierError as error:
            self._error = error
            log.error("uploads cannot start: %s", error)  # noqa: TRY400  the text says all there is
        except Exception as error:
            self._error = HaulierError(f"uploads cannot start: {error!r}")
            log.exception("uploads cannot start")
        with self._lock:
            self._manager = manager
            late = self._closed
        self._done.set()
        if late and manager is not None:
            manager.close()


def open_first_usable(
    config: Config, folders: Sequence[Path], *, plugins: Sequence[object], ports: Ports
) -> UploadManager:
    """Open a manager in the first state folder that can hold a journal; the others are for when it cannot.

    Raises:
        StateFolderError: None of them can.
        JournalError: The journal cannot be used.
    """
    for folder, instead in pairwise(folders):
        try:
            return _open_in(config, folder, plugins, ports)
        except StateFolderError as error:
            log.error("%s; uploads are kept in %s instead", error, instead)  # noqa: TRY400  the text says all there is
    return _open_in(config, folders[-1], plugins, ports)


def _open_in(config: Config, folder: Path, plugins: Sequence[object], ports: Ports) -> UploadManager:
    from haulier import UploadManager

    placed = replace(config, upload=replace(config.upload, state_dir=folder))
    manager = UploadManager(placed, plugins=plugins, ports=ports)
    _ = manager.service
    return manager
