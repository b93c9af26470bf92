"""Takes down what is done to the files below one folder."""

# Paths are text here, as system calls take them.
# ruff: noqa: PTH118

from __future__ import annotations

import os
import stat
import threading
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from haulier.testing.power.disk import Disk
from haulier.testing.power.operations import (
    ROOT,
    FileSynced,
    FolderSynced,
    Linked,
    Mark,
    Moved,
    Operation,
    Truncated,
    Unlinked,
    Written,
)

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

__all__ = ["Node", "PowerRecorder", "Recording", "is_remade"]


def is_remade(name: str) -> bool:
    """Whether a file means nothing after a cut: SQLite makes its shared memory anew."""
    return name.endswith("-shm")


@dataclass(slots=True)
class Node:
    """A file or folder as it was when the recording began.

    Attributes:
        is_folder: What it is.
        mtime_ns: Modification time.
        content: A file's bytes.
        names: A folder's entries.
    """

    is_folder: bool
    mtime_ns: int = 0
    content: bytes = b""
    names: dict[str, int] = field(default_factory=dict)


@dataclass(frozen=True)
class Recording:
    """A volume as it was, all of it synced, and what happened to it since."""

    root: Path
    nodes: dict[int, Node]
    operations: list[Operation]


class PowerRecorder:
    """Knows files by their inodes, so that an open one is known whatever its name is by now. Thread-safe.

    Hold ``turn`` around a system call and its report: the operations are in the order in which they happened.

    Args:
        root: The folder; what lies there counts as synced.
        earlier: What happened there in other processes since it was so; None for nothing.

    Attributes:
        turn: A lock for whoever reports.
    """

    def __init__(self, root: Path, earlier: Recording | None = None) -> None:
        self.turn = threading.RLock()
        self._root = os.path.realpath(root)
        self._nodes: dict[int, Node] = {}
        self._known: dict[tuple[int, int], int] = {}
        self._operations: list[Operation] = []
        self._numbers = 0
        if earlier is None:
            self._take(self._root)
        else:
            self._go_on(earlier)

    @property
    def recording(self) -> Recording:
        """What was taken down so far."""
        from pathlib import Path

        with self.turn:
            return Recording(Path(self._root), self._nodes, list(self._operations))

    def mark(self, kind: str, fact: Any = None) -> None:
        """Note what the program was told."""
        self._add(Mark(kind, fact))

    # -- reports -----------------------------------------------------------------------------------------------

    def made(self, path: str, *, dir_fd: int | None = None, is_folder: bool = False) -> None:
        """A name was made of something new."""
        place = self.place(path, dir_fd)
        if place is not None:
            node = self._enter(os.stat(path, dir_fd=dir_fd, follow_symlinks=False))
            self._add(Linked(*place, node, is_folder))

    def linked(self, path: str, node: int | None) -> None:
        """A file got one more name."""
        place = self.place(path)
        if place is not None and node is not None:
            self._add(Linked(*place, node))

    def removed(self, place: tuple[int, str] | None) -> None:
        """A name was removed."""
        if place is not None:
            self._add(Unlinked(*place))

    def moved(self, before: tuple[int, str] | None, after: tuple[int, str] | None, node: int | None) -> None:
        """A name was changed.

        Raises:
            ValueError: Across the border of what is recorded.
        """
        if before is None and after is None:
            return
        if before is None or after is None or node is None:
            raise ValueError("a file was moved into or out of what is recorded")
        self._add(Moved(*before, *after, node))

    def wrote(self, node: int | None, offset: int, data: bytes) -> None:
        """Bytes were written."""
        if node is not None and data:
            self._add(Written(node, offset, data))

    def truncated(self, node: int | None, size: int) -> None:
        """A file got another size."""
        if node is not None:
            self._add(Truncated(node, size))

    def synced(self, node: int | None, *, is_folder: bool) -> None:
        """A file or folder was synced."""
        if node is not None:
            self._add(FolderSynced(node) if is_folder else FileSynced(node))

    # -- where things are --------------------------------------------------------------------------------------

    def node(self, found: os.stat_result) -> int | None:
        """Which file or folder this is; None when it lies elsewhere."""
        return self._known.get((found.st_dev, found.st_ino))

    def node_at(self, path: str) -> int | None:
        """What has this name now."""
        try:
            return self.node(os.lstat(path))
        except OSError:
            return None

    def place(self, path: str, dir_fd: int | None = None) -> tuple[int, str] | None:
        """Folder and name of a path; None when it lies elsewhere."""
        folder, name = os.path.split(path)
        if is_remade(name):
            return None
        try:
            found = os.stat(folder or ".", dir_fd=dir_fd)
        except OSError:
            return None
        node = self.node(found)
        return None if node is None else (node, name)

    # -- parts -------------------------------------------------------------------------------------------------

    def _add(self, operation: Operation) -> None:
        with self.turn:
            self._operations.append(operation)

    def _enter(self, found: os.stat_result) -> int:
        """A number for something new, whatever had its inode before."""
        self._numbers += 1
        self._known[found.st_dev, found.st_ino] = self._numbers
        return self._numbers

    def _go_on(self, earlier: Recording) -> None:
        disk = Disk(earlier)
        for operation in earlier.operations:
            disk.take(operation)
        self._nodes, self._operations = earlier.nodes, list(earlier.operations)
        self._numbers = max(disk.folders | disk.files.keys())
        self._find(self._root, ROOT, disk.names_after(disk.steps))

    def _find(self, path: str, number: int, names: Mapping[int, Mapping[str, int]]) -> None:
        """Know again what was made earlier."""
        found = os.lstat(path)
        self._known[found.st_dev, found.st_ino] = number
        for name, inner in names.get(number, {}).items():
            self._find(os.path.join(path, name), inner, names)

    def _take(self, path: str) -> int:
        found = os.lstat(path)
        number = ROOT if path == self._root else self._enter(found)
        self._known[found.st_dev, found.st_ino] = number
        node = self._nodes[number] = Node(stat.S_ISDIR(found.st_mode), found.st_mtime_ns)
        if node.is_folder:
            for name in sorted(os.listdir(path)):  # noqa: PTH208
                if not is_remade(name):
                    node.names[name] = self._take(os.path.join(path, name))
        else:
            with open(path, "rb") as file:  # noqa: PTH123
                node.content = file.read()
        return number
