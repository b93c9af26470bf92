"""The simulated machine's disk: a real folder, with what disks, shares and other programs do to one."""

from __future__ import annotations

import errno
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from haulier.files import Files

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import TracebackType
    from typing import Self

    from haulier.files import FileLock
    from haulier.testing.simulation.scheduler import Scheduler

__all__ = ["Disk", "SimFiles"]


class Disk:
    """What all simulated processes share: trouble, and locks.

    Attributes:
        unreadable: Files whose bytes cannot be read now.
        in_use: Files that another program holds open exclusively.
        locks: Who holds which lock file.
        open_sources: Paths of the source files that are open, once for each time.
    """

    def __init__(self, scheduler: Scheduler) -> None:
        self.scheduler = scheduler
        self.unreadable: set[str] = set()
        self.in_use: set[str] = set()
        self.locks: dict[str, str] = {}
        self.open_sources: list[str] = []

    def free_locks_of(self, process: str) -> None:
        """What the system does when a process ends."""
        self.locks = {path: holder for path, holder in self.locks.items() if holder != process}


class _SimLock:
    def __init__(self, disk: Disk, path: str, process: str) -> None:
        self.path = path
        self._disk = disk
        self._process = process

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.release()

    def release(self) -> None:
        if self._disk.locks.get(self.path) == self._process:
            del self._disk.locks[self.path]


class SimFiles(Files):
    """The files port of one simulated process: each call is a step, and may meet the disk's trouble.

    Args:
        disk: What the processes share.
        process: Whose port it is.
        on_remove: Told of each file before it is deleted: path and content.
    """

    def __init__(self, disk: Disk, process: str, on_remove: Callable[[str, bytes], None]) -> None:
        super().__init__(sleep=disk.scheduler.sleep)
        self._disk = disk
        self._process = process
        self._on_remove = on_remove

    def _step(self, name: str) -> None:
        self._disk.scheduler.step(f"files.{name}")

    def open_source(self, path: str | os.PathLike[str], *, resolved: bool = False) -> Any:
        """Open, unless another program is in the way."""
        self._step("open_source")
        if os.fspath(path) in self._disk.in_use:
            error = PermissionError(errno.EACCES, "another program holds the file", os.fspath(path))
            error.winerror = 32  # type: ignore[attr-defined, unused-ignore]  # what Windows says then
            raise error
        return _SimHandle(super().open_source(path, resolved=resolved), self._disk)

    def scan_folder(self, path: str | os.PathLike[str]) -> Any:
        """List a folder."""
        self._step("scan_folder")
        return super().scan_folder(path)

    def is_gone(self, path: str | os.PathLike[str]) -> bool:
        """Whether a name is gone from a folder that is there."""
        self._step("is_gone")
        return super().is_gone(path)

    def exists(self, path: str | os.PathLike[str]) -> bool:
        """Whether a name is there."""
        self._step("exists")
        return super().exists(path)

    def rename_no_replace(self, src: str | os.PathLike[str], dst: str | os.PathLike[str]) -> None:
        """Rename, never over another."""
        self._step("rename_no_replace")
        super().rename_no_replace(src, dst)
        self._step("rename_no_replace:done")

    def remove(self, path: str | os.PathLike[str]) -> None:
        """Delete, under the eyes of the checks."""
        self._step("remove")
        if Path(path).exists():
            self._on_remove(os.fspath(path), Path(path).read_bytes())
        super().remove(path)
        self._step("remove:done")

    def fsync_folder(self, path: str | os.PathLike[str]) -> None:
        """A step; a simulated kill takes nothing from the disk."""
        del path
        self._step("fsync_folder")

    def fsync_file(self, fd: int) -> None:
        """Nothing: a simulated kill takes nothing from the disk."""

    def lock_file(self, path: str | os.PathLike[str]) -> FileLock | None:
        """Take a lock that the simulated process loses when it ends."""
        name = os.fspath(path)
        if name in self._disk.locks:
            return None
        self._disk.locks[name] = self._process
        Path(path).touch()
        return _SimLock(self._disk, name, self._process)  # type: ignore[return-value]

    def is_locked(self, path: str | os.PathLike[str]) -> bool:
        """Whether a simulated process holds it."""
        return os.fspath(path) in self._disk.locks


class _SimHandle:
    """A source handle whose reads are steps."""

    def __init__(self, handle: Any, disk: Disk) -> None:
        self.path = handle.path
        self._handle = handle
        self._disk = disk
        disk.open_sources.append(handle.path)

    def fileno(self) -> int:
        return int(self._handle.fileno())

    def stat(self) -> os.stat_result:
        found: os.stat_result = self._handle.stat()
        return found

    def readinto_at(self, offset: int, buffer: bytearray | memoryview) -> int:
        self._disk.scheduler.step("source.read")
        if self.path in self._disk.unreadable:
            raise OSError(errno.EIO, os.strerror(errno.EIO), self.path)
        return int(self._handle.readinto_at(offset, buffer))

    def close(self) -> None:
        if self._handle is not None:
            self._disk.open_sources.remove(self.path)
            self._handle.close()
            self._handle = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
