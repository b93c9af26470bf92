"""The system calls of this process, reported to a recorder while a ``with`` block lasts.

They are taken where Python code meets the operating system, the functions of :mod:`os`, and not at the ports: what goes
past a port is seen too. Files that are opened below the recorded folder are those of :mod:`_pyio`, which go through
these functions; everything else stays as it is.
"""

# Paths are text here, as system calls take them.

from __future__ import annotations

import _pyio  # type: ignore[import-not-found]
import builtins
import io
import os
import stat
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from haulier.testing.power.recorder import PowerRecorder

__all__ = ["recorded_calls", "recorded_rename"]

Path = str | os.PathLike[str]


@contextmanager
def recorded_calls(recorder: PowerRecorder) -> Iterator[None]:
    """Report what this process does to the recorded folder. Not for Windows.

    Calls that Python code makes are seen, whatever thread makes them; not those of libraries in C.
    """
    calls = _Calls(recorder)
    with ExitStack() as stack:
        for name in _RECORDED:
            stack.enter_context(_replaced(os, name, getattr(calls, name)))
        stack.enter_context(_replaced(io, "FileIO", calls.file_io))
        for module in (io, builtins):
            stack.enter_context(_replaced(module, "open", calls.open_file))
        yield


def recorded_rename(recorder: PowerRecorder, rename: Callable[[str, str], None]) -> Callable[[str, str], None]:
    """A rename that :mod:`os` does not have and that must be reported by itself."""

    def renamed(src: str, dst: str) -> None:
        with recorder.turn:
            node = recorder.node_at(src)
            places = recorder.place(src), recorder.place(dst)
            rename(src, dst)
            recorder.moved(*places, node)

    return renamed


_RECORDED = (
    *("open", "write", "pwrite", "ftruncate", "truncate", "fsync", "fdatasync"),
    *("mkdir", "rmdir", "remove", "unlink", "rename", "replace", "link"),
)


@contextmanager
def _replaced(owner: Any, name: str, value: Callable[..., Any]) -> Iterator[None]:
    before = getattr(owner, name)
    setattr(owner, name, value)
    try:
        yield
    finally:
        setattr(owner, name, before)


class _Calls:
    """Each method stands for the function of its name in :mod:`os`, and does what that does."""

    def __init__(self, recorder: PowerRecorder) -> None:
        self._to = recorder
        self._os = {name: getattr(os, name) for name in _RECORDED}
        self._open_file = io.open
        self._file_io = io.FileIO

    # -- files -------------------------------------------------------------------------------------------------

    def open(self, path: Path, flags: int, mode: int = 0o777, *, dir_fd: int | None = None) -> int:
        with self._to.turn:
            is_new = bool(flags & os.O_CREAT) and not _exists(path, dir_fd)
            fd: int = self._os["open"](path, flags, mode, dir_fd=dir_fd)
            if is_new:
                self._to.made(_text(path), dir_fd=dir_fd)
            elif flags & os.O_TRUNC:
                self._to.truncated(self._node(fd), 0)
        return fd

    def write(self, fd: int, data: Any) -> int:
        with self._to.turn:
            count: int = self._os["write"](fd, data)
            if (node := self._node(fd)) is not None:
                self._to.wrote(node, os.lseek(fd, 0, os.SEEK_CUR) - count, bytes(memoryview(data).cast("B")[:count]))
        return count

    def pwrite(self, fd: int, data: Any, offset: int) -> int:
        with self._to.turn:
            count: int = self._os["pwrite"](fd, data, offset)
            self._to.wrote(self._node(fd), offset, bytes(memoryview(data).cast("B")[:count]))
        return count

    def ftruncate(self, fd: int, length: int) -> None:
        with self._to.turn:
            self._os["ftruncate"](fd, length)
            self._to.truncated(self._node(fd), length)

    def truncate(self, path: Any, length: int) -> None:
        with self._to.turn:
            self._os["truncate"](path, length)
            self._to.truncated(self._node(path) if isinstance(path, int) else self._to.node_at(_text(path)), length)

    def fsync(self, fd: int) -> None:
        with self._to.turn:
            self._os["fsync"](fd)
            self._to.synced(self._node(fd), is_folder=stat.S_ISDIR(os.fstat(fd).st_mode))

    fdatasync = fsync

    # -- names -------------------------------------------------------------------------------------------------

    def mkdir(self, path: Path, mode: int = 0o777, *, dir_fd: int | None = None) -> None:
        with self._to.turn:
            self._os["mkdir"](path, mode, dir_fd=dir_fd)
            self._to.made(_text(path), dir_fd=dir_fd, is_folder=True)

    def rmdir(self, path: Path, *, dir_fd: int | None = None) -> None:
        self._removed("rmdir", path, dir_fd)

    def unlink(self, path: Path, *, dir_fd: int | None = None) -> None:
        self._removed("unlink", path, dir_fd)

    remove = unlink

    def rename(self, src: Path, dst: Path, **folders: int | None) -> None:
        self._moved("rename", src, dst, folders)

    def replace(self, src: Path, dst: Path, **folders: int | None) -> None:
        self._moved("replace", src, dst, folders)

    def link(self, src: Path, dst: Path, **more: Any) -> None:
        with self._to.turn:
            self._os["link"](src, dst, **more)
            self._to.linked(_text(dst), self._to.node_at(_text(src)))

    def _removed(self, call: str, path: Path, dir_fd: int | None) -> None:
        with self._to.turn:
            place = self._to.place(_text(path), dir_fd)
            self._os[call](path, dir_fd=dir_fd)
            self._to.removed(place)

    def _moved(self, call: str, src: Path, dst: Path, folders: dict[str, int | None]) -> None:
        with self._to.turn:
            node = self._to.node_at(_text(src))
            places = self._to.place(_text(src)), self._to.place(_text(dst))
            self._os[call](src, dst, **folders)
            self._to.moved(*places, node)

    # -- Python's files ----------------------------------------------------------------------------------------

    def file_io(self, file: Any, *args: Any, **kwargs: Any) -> Any:
        """What stands for :class:`io.FileIO`."""
        make = _pyio.FileIO if self._is_ours(file) else self._file_io
        return make(file, *args, **kwargs)

    def open_file(self, file: Any, *args: Any, **kwargs: Any) -> Any:
        """What stands for :func:`open`."""
        make = _pyio.open if self._is_ours(file) else self._open_file
        return make(file, *args, **kwargs)

    def _is_ours(self, file: Any) -> bool:
        if isinstance(file, int):
            return self._node(file) is not None
        return self._to.place(_text(file)) is not None

    def _node(self, fd: int) -> int | None:
        return self._to.node(os.fstat(fd))


def _exists(path: Path, dir_fd: int | None) -> bool:
    try:
        os.stat(path, dir_fd=dir_fd, follow_symlinks=False)
    except OSError:
        return False
    return True


def _text(path: Any) -> str:
    return os.fsdecode(path)
