"""The files port: everything Haulier does to files goes through one :class:`Files`."""

# Paths are text here: system calls take the spelling that the system port gives them.
# ruff: noqa: PTH100, PTH105, PTH107, PTH112, PTH114, PTH116, PTH118, PTH120, PTH208

from __future__ import annotations

import errno
import os
import secrets
import shutil
import stat
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from haulier.files.handles import SourceHandle
from haulier.files.names import comparison_key, is_private_name, private_name
from haulier.files.system import System, native_system
from haulier.files.volumes import has_lasting_file_ids, is_network_type, is_synchronised
from haulier.models import Identity

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from types import TracebackType
    from typing import Self

__all__ = ["FileEntry", "FileLock", "Files"]

StrPath = str | os.PathLike[str]

PATIENCE = (0.02, 0.05, 0.1, 0.2, 0.4, 0.8)  # seconds between tries while another program holds a file
LOCK_PATIENCE = (0.01, 0.02)  # a look by is_locked holds a lock for an instant


@dataclass(frozen=True, slots=True)
class FileEntry:
    """What a folder holds under one name.

    Attributes:
        name: Without the folder, as the volume spells it.
        size: Bytes.
        mtime_ns: Modification time in nanoseconds since the epoch.
        is_file: Whether it is a regular file, or a link to one in the same folder.
        is_link: Whether it is such a link.
        file_id: As in :class:`~haulier.models.Identity`.
        problem: Why it cannot be told better or be read, or ``""``.
    """

    name: str
    size: int
    mtime_ns: int
    is_file: bool
    is_link: bool = False
    file_id: str = ""
    problem: str = ""


class FileLock:
    """A lock on a file, held until :meth:`release`, the end of the process, or its death.

    Args:
        fd: The locked descriptor; owned from now on.
        path: Where the lock file lies. It stays there.
    """

    def __init__(self, fd: int, path: str) -> None:
        self.path = path
        self._fd: int | None = fd

    def release(self) -> None:
        """Give the lock back. May be called again."""
        fd, self._fd = self._fd, None
        if fd is not None:
            os.close(fd)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.release()


class Files:
    """Opens, lists, renames, locks and deletes. Thread-safe; holds nothing that must be closed.

    Paths may be relative and need not exist unless said. Methods raise OSError like :mod:`os`.

    Args:
        system: The calls that differ between systems; None for this machine's.
        sleep: Waits for seconds; used only between bounded tries.
        environ: Environment variables; None for the process's own.
    """

    def __init__(
        self,
        system: System | None = None,
        *,
        sleep: Callable[[float], None] = time.sleep,
        environ: Mapping[str, str] | None = None,
    ) -> None:
        self._system = system or native_system()
        self._sleep = sleep
        self._environ = os.environ if environ is None else environ
        self._lasting_ids: dict[int, bool] = {}  # by device: whether files keep their numbers there

    # -- names -------------------------------------------------------------------------------------------------

    def canonical(self, path: StrPath) -> str:
        r"""The one spelling of a path: absolute, folders resolved, case and composition as they are.

        A link to a file keeps its own name: its folder is resolved, the link is not. On Windows existing names get the
        case the volume keeps, and ``\\?\`` is left off. Compare two of them by :meth:`comparison_key`.
        """
        absolute = os.path.abspath(self._system.plain_path(os.fspath(path)))
        spelling = self._system.system_path(absolute)
        if not os.path.islink(spelling) or os.path.isdir(spelling):
            return self._system.plain_path(os.path.realpath(spelling))
        folder, name = os.path.split(spelling)
        return self._system.plain_path(os.path.join(os.path.realpath(folder), name))

    def comparison_key(self, path: str) -> str:
        """Equal for two canonical paths that mean the same file here: NFC, folded where the system ignores case."""
        return comparison_key(path, folds_case=self._system.folds_case)

    def private_name(self, path: StrPath, nonce: str) -> str:
        """See :func:`haulier.files.names.private_name`."""
        return private_name(path, nonce)

    def is_private_name(self, name: str) -> bool:
        """See :func:`haulier.files.names.is_private_name`."""
        return is_private_name(name)

    # -- sources -----------------------------------------------------------------------------------------------

    def open_source(self, path: StrPath, *, resolved: bool = False) -> SourceHandle:
        """Open a regular file for reading while others may rename, replace or delete it.

        Args:
            path: Its name.
            resolved: Whether that is canonical already, as the journal's are.

        Raises:
            FileNotFoundError: It is missing.
            IsADirectoryError: It is a folder.
            OSError: It may not be read, or is no regular file.
        """
        canonical = os.fspath(path) if resolved else self.canonical(path)
        fd = self._system.open_source(self._system.system_path(canonical))
        try:
            _require_regular(os.fstat(fd).st_mode, canonical)
        except OSError:
            os.close(fd)
            raise
        return SourceHandle(fd, canonical)

    def identity(self, path: StrPath, source_id: str, *, resolved: bool = False) -> Identity:
        """Who a file is now, by its open handle: folder listings may be late. ``resolved`` as in :meth:`open_source`.

        Raises:
            OSError: As for :meth:`open_source`.
        """
        with self.open_source(path, resolved=resolved) as handle:
            return self.identity_of_handle(handle, source_id)

    def identity_of_handle(self, handle: SourceHandle, source_id: str) -> Identity:
        """Who an open file is now, under the path by which it was opened.

        Raises:
            OSError: The volume does not answer.
        """
        found = handle.stat()
        return Identity(source_id, handle.path, found.st_size, found.st_mtime_ns, self._file_id(handle.path, found))

    def identity_of_entry(self, folder: str, entry: FileEntry, source_id: str) -> Identity:
        """Who a listed file is, without opening it: what :meth:`identity` says while nothing changes.

        Args:
            folder: Canonical path of the folder that was listed.
            entry: One of its files.
            source_id: This installation.
        """
        return Identity(source_id, os.path.join(folder, entry.name), entry.size, entry.mtime_ns, entry.file_id)

    def read_bytes(self, path: StrPath, limit: int) -> bytes:
        """A small file's content.

        Args:
            path: A regular file.
            limit: Bytes to read at most; the file may go on.

        Raises:
            OSError: As for :meth:`open_source`.
        """
        with self.open_source(path) as handle:
            buffer = bytearray(min(limit, handle.stat().st_size))
            return bytes(buffer[: handle.readinto_at(0, buffer)])

    # -- folders -----------------------------------------------------------------------------------------------

    def scan_folder(self, path: StrPath) -> list[FileEntry]:
        """What lies in a folder, in order of name, without its sub-folders' content.

        A link that leads out of the folder is listed as no file, with its problem. What vanishes meanwhile is left out.

        Raises:
            OSError: The folder cannot be listed.
        """
        folder = self.canonical(path)
        entries = (self._entry(folder, name) for name in sorted(os.listdir(self._system.system_path(folder))))
        return [entry for entry in entries if entry is not None]

    def is_gone(self, path: StrPath) -> bool:
        """Whether the folder that a path lies in is reachable and has no such name.

        False when the folder is away, or when that cannot be told. Both are asked of one handle on the folder: a
        volume that comes back between two questions would make a file that is there look gone.
        """
        folder, name = os.path.split(self._path(path))
        try:
            return not self._system.folder_has(folder or os.curdir, name)
        except OSError:
            return False

    def exists(self, path: StrPath) -> bool:
        """Whether something, even a broken link, has this name now.

        Raises:
            OSError: It cannot be told: the volume does not answer, or the folder may not be entered.
        """
        try:
            os.lstat(self._path(path))
        except (FileNotFoundError, NotADirectoryError):
            return False
        return True

    def make_private_dir(self, path: StrPath) -> str:
        """Make a folder that only this user may enter (mode 0700), and its parents. One that exists stays as it is.

        What was made survives a power cut.

        Returns:
            Its canonical path.
        """
        target = Path(self._path(path))
        self._make_from_above(target.parent)
        target.mkdir(mode=0o700, exist_ok=True)
        with suppress(PermissionError):
            self.fsync_folder(target.parent)
        return self.canonical(path)

    def _make_from_above(self, folder: Path) -> None:
        """Make a folder and those above it, each only in one that is on the disk for good, whoever made it."""
        if folder.exists() or folder == folder.parent:
            with suppress(PermissionError):  # it lies in a folder of somebody else's, who made it
                self.fsync_folder(folder.parent)
        else:
            self._make_from_above(folder.parent)
            folder.mkdir(exist_ok=True)
            self.fsync_folder(folder.parent)

    # -- changes -----------------------------------------------------------------------------------------------

    def rename_no_replace(self, src: StrPath, dst: StrPath) -> None:
        """Rename within a volume, never over another file.

        Raises:
            FileExistsError: Something has the new name; both stay as they were.
            OSError: Anything else, including a volume that offers no such rename.
        """
        old, new = self._path(src), self._path(dst)
        self._patiently(lambda: self._system.rename_no_replace(old, new))

    def replace(self, src: StrPath, dst: StrPath) -> None:
        """Rename over whatever has the name; on Windows with bounded tries while somebody holds it open."""
        old, new = self._path(src), self._path(dst)
        self._patiently(lambda: os.replace(old, new))

    def write_private(self, path: StrPath, content: bytes, *, over: bool = True) -> None:
        """Write a file that this user alone may read (mode 0600): at once or not at all, and to last.

        Args:
            path: Its name, in a folder that exists.
            content: All of it.
            over: Whether it may take the place of another.

        Raises:
            FileExistsError: Something has the name, and ``over`` is not set; it stays as it was.
            OSError: It cannot be written; what had the name stays as it was.
        """
        target = Path(self._path(path))
        draft = target.with_name(f".{target.name}.{secrets.token_hex(4)}")
        descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0), 0o600)
        try:
            try:
                left = memoryview(content)
                while left:
                    left = left[os.write(descriptor, left) :]
                self.fsync_file(descriptor)
            finally:
                os.close(descriptor)
            (self.replace if over else self.rename_no_replace)(draft, target)
        finally:
            draft.unlink(missing_ok=True)
        self.fsync_folder(target.parent)

    def remove(self, path: StrPath) -> None:
        """Delete a file; on Windows with bounded tries while somebody holds it open."""
        target = self._path(path)
        self._patiently(lambda: os.remove(target))

    def fsync_file(self, fd: int) -> None:
        """Bring an open file's bytes to the disk."""
        self._system.fsync_file(fd)

    def fsync_folder(self, path: StrPath) -> None:
        """Bring a folder's names to the disk; nothing on Windows, which has no such call."""
        self._system.fsync_folder(self._path(path))

    # -- locks -------------------------------------------------------------------------------------------------

    def lock_file(self, path: StrPath) -> FileLock | None:
        """Take the lock of a file, which is made (mode 0600) if need be.

        Returns:
            The lock, or None when somebody holds it, in this process or another.
        """
        fd = os.open(self._path(path), os.O_RDWR | os.O_CREAT, 0o600)
        try:
            locked = self._try_lock(fd)
        except BaseException:
            os.close(fd)
            raise
        if locked:
            return FileLock(fd, os.fspath(path))
        os.close(fd)
        return None

    def is_locked(self, path: StrPath) -> bool:
        """Whether a living process holds the lock of a file. False when there is no such file."""
        try:
            fd = os.open(self._path(path), os.O_RDWR)
        except FileNotFoundError:
            return False
        try:
            return not self._system.try_lock(fd, shared=True)
        finally:
            os.close(fd)

    # -- places ------------------------------------------------------------------------------------------------

    def free_bytes(self, path: StrPath) -> int:
        """Bytes that this user may still write to the volume of an existing path."""
        return shutil.disk_usage(self._path(path)).free

    def is_network_path(self, path: StrPath) -> bool:
        """Whether the path lies on another machine, as far as the system tells."""
        return is_network_type(self._system.volume_type(self.canonical(path)))

    def is_synchronised_folder(self, path: StrPath) -> bool:
        """Whether a cloud service seems to synchronise the path (OneDrive, Dropbox, Google Drive, iCloud Drive)."""
        return is_synchronised(self.canonical(path), self._environ, windows=os.name == "nt")

    # -- parts -------------------------------------------------------------------------------------------------

    def _path(self, path: StrPath) -> str:
        return self._system.system_path(os.path.abspath(os.fspath(path)))

    def _file_id(self, path: str, found: os.stat_result) -> str:
        if found.st_ino == 0:
            return ""
        lasting = self._lasting_ids.get(found.st_dev)
        if lasting is None:
            lasting = has_lasting_file_ids(self._system.volume_type(path))
            self._lasting_ids[found.st_dev] = lasting
        if not lasting:
            return ""
        return f"{found.st_dev}:{found.st_ino}" if self._system.stable_device else str(found.st_ino)

    def _entry(self, folder: str, name: str) -> FileEntry | None:
        path = self._system.system_path(os.path.join(folder, name))
        try:
            is_link = os.path.islink(path)
            if is_link and os.path.dirname(self._system.plain_path(os.path.realpath(path))) != folder:
                return FileEntry(
                    name, 0, 0, is_file=False, is_link=True, problem="is a link that leads out of its folder"
                )
            found = os.stat(path)  # by handle: what a listing says may be late on Windows
            is_file = stat.S_ISREG(found.st_mode)
            problem = "may not be read by this user" if is_file and not os.access(path, os.R_OK) else ""
        except FileNotFoundError:
            return None
        except OSError as error:
            return FileEntry(name, 0, 0, is_file=False, problem=f"cannot be looked at: {error.strerror or error}")
        file_id = self._file_id(folder, found)
        return FileEntry(name, found.st_size, found.st_mtime_ns, is_file, is_link, file_id, problem)

    def _patiently(self, call: Callable[[], None]) -> None:
        for pause in PATIENCE:
            try:
                return call()
            except OSError as error:
                if not self._system.may_pass(error):
                    raise
            self._sleep(pause)
        return call()

    def _try_lock(self, fd: int) -> bool:
        for pause in LOCK_PATIENCE:
            if self._system.try_lock(fd, shared=False):
                return True
            self._sleep(pause)
        return self._system.try_lock(fd, shared=False)


def _require_regular(mode: int, path: str) -> None:
    if stat.S_ISDIR(mode):
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), path)
    if not stat.S_ISREG(mode):
        raise OSError(errno.EINVAL, "not a regular file", path)
