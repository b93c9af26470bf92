"""A volume as its operations go by: what is on the disk for good, and what only the operating system knows."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from haulier.testing.power.operations import (
    FileSynced,
    FolderSynced,
    Linked,
    Mark,
    Moved,
    Truncated,
    Unlinked,
    Written,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from haulier.testing.power.operations import Operation
    from haulier.testing.power.recorder import Recording

__all__ = ["Disk", "FileState", "Step", "apply_change"]


@dataclass(slots=True)
class FileState:
    """A file's bytes.

    Attributes:
        synced: What a power cut leaves in any case.
        pending: What was done since, oldest first.
        mtime_ns: Modification time before any of it; None when the file is newer.
    """

    synced: bytearray = field(default_factory=bytearray)
    pending: list[Written | Truncated] = field(default_factory=list)
    mtime_ns: int | None = None


@dataclass(slots=True)
class Step:
    """A change of one folder's names.

    Attributes:
        folder: Where.
        puts: Names that it makes.
        drops: Names that it removes.
        needs: Steps without which this one is not on the disk, synced or not: a name is not lost between two folders.
        is_synced: Whether a power cut leaves it in any case.
    """

    folder: int
    puts: dict[str, int] = field(default_factory=dict)
    drops: tuple[str, ...] = ()
    needs: tuple[Step, ...] = ()
    is_synced: bool = False


class Disk:
    """Follows a recording, operation by operation.

    Args:
        recording: Its beginning is where this begins.

    Attributes:
        files: By number.
        folders: Numbers of all folders there ever were.
        names: What each folder held at the beginning.
        steps: Every change of names since, oldest first.
        marks: What the program was told so far.
        root: The number of the topmost folder.
    """

    def __init__(self, recording: Recording) -> None:
        self.files: dict[int, FileState] = {}
        self.folders: set[int] = set()
        self.names: dict[int, dict[str, int]] = {}
        self.steps: list[Step] = []
        self.marks: list[Mark] = []
        self._makings: dict[int, Step] = {}
        for number, node in recording.nodes.items():
            if node.is_folder:
                self.folders.add(number)
                self.names[number] = dict(node.names)
            else:
                self.files[number] = FileState(bytearray(node.content), [], node.mtime_ns)

    def take(self, operation: Operation) -> None:
        """The next operation."""
        if isinstance(operation, Mark):
            self.marks.append(operation)
        elif isinstance(operation, Written | Truncated):
            self.files[operation.node].pending.append(operation)
        elif isinstance(operation, FileSynced):
            self._sync_file(operation.node)
        elif isinstance(operation, FolderSynced):
            self._sync_folder(operation.node)
        elif isinstance(operation, Linked):
            self._make(operation)
        elif isinstance(operation, Unlinked):
            self.steps.append(Step(operation.folder, drops=(operation.name,)))
        else:
            self._move(operation)

    def names_after(self, steps: Iterable[Step]) -> dict[int, dict[str, int]]:
        """What each folder holds when these steps, oldest first, are all that happened."""
        names = {folder: dict(self.names.get(folder, {})) for folder in self.folders}
        for step in steps:
            own = names[step.folder]
            for name in step.drops:
                own.pop(name, None)
            own.update(step.puts)
        return names

    def _make(self, made: Linked) -> None:
        if made.is_folder:
            self.folders.add(made.node)
        else:
            self.files.setdefault(made.node, FileState())
        step = Step(made.folder, {made.name: made.node})
        self.steps.append(step)
        if made.is_folder:
            self._makings[made.node] = step

    def _move(self, moved: Moved) -> None:
        put = Step(moved.to_folder, {moved.to_name: moved.node})
        if moved.folder == moved.to_folder:
            put.drops = (moved.name,)
            self.steps.append(put)
        else:
            self.steps += [put, Step(moved.folder, drops=(moved.name,), needs=(put, *self._way_to(moved.to_folder)))]

    def _way_to(self, folder: int) -> Iterator[Step]:
        """How the folders that hold this one were made."""
        while (made := self._makings.get(folder)) is not None:
            yield made
            folder = made.folder

    def _sync_file(self, node: int) -> None:
        state = self.files[node]
        for change in state.pending:
            apply_change(state.synced, change)
            state.mtime_ns = None
        state.pending.clear()

    def _sync_folder(self, folder: int) -> None:
        for step in self.steps:
            if step.folder == folder:
                step.is_synced = True


def apply_change(content: bytearray, change: Written | Truncated) -> None:
    """Carry out a change in full."""
    if isinstance(change, Truncated):
        del content[change.size :]
        content.extend(bytes(change.size - len(content)))
    else:
        content.extend(bytes(max(0, change.offset - len(content))))
        content[change.offset : change.offset + len(change.data)] = change.data
