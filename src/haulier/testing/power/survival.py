"""What a power cut leaves of what was not synced.

Bytes: any of the changes of a file, each whole, torn between sectors, or not at all, in any combination; a file may
have grown and hold zeros where its bytes were lost. Names: those of each folder in their order, either independent of
other folders' (but a rename loses no name), or all in one order as journalling file systems keep them. Bytes and names
are independent of each other.
"""

from __future__ import annotations

import random
from collections import defaultdict
from dataclasses import dataclass
from enum import Enum, auto
from typing import TYPE_CHECKING

from haulier.testing.power.disk import Step, apply_change
from haulier.testing.power.operations import ROOT, Truncated, Written

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from haulier.testing.power.disk import Disk, FileState

__all__ = ["EXTREMES", "SECTOR", "Image", "Kept", "survivors"]

SECTOR = 512
"""Bytes that a disk writes whole or not at all."""

EXTREMES = ("nothing", "everything", "names", "bytes", "newest")
"""Seeds with a meaning: only these are kept, beside what is synced."""


class Kept(Enum):
    """How much of something is kept."""

    NOTHING = auto()
    EVERYTHING = auto()
    NEWEST = auto()
    SOME = auto()


@dataclass(frozen=True)
class Image:
    """What a volume shows after a cut.

    Attributes:
        files: Content by path, ``/`` between folders.
        folders: Paths, without the root.
        mtimes: Modification times in nanoseconds, of files that were as they were when the recording began.
    """

    files: dict[str, bytes]
    folders: tuple[str, ...]
    mtimes: dict[str, int]

    def write(self, place: Callable[[str], None], put: Callable[[str, bytes, int | None], None]) -> None:
        """Hand out every folder to ``place``, then every file to ``put`` with its content and modification time."""
        for path in self.folders:
            place(path)
        for path, content in self.files.items():
            put(path, content, self.mtimes.get(path))


def survivors(disk: Disk, seed: int | str) -> Image:
    """The image that a seed stands for. One of :data:`EXTREMES`, or a number for a random one."""
    chance = random.Random(str(seed))
    content, names = _MEANINGS.get(str(seed), (Kept.SOME, Kept.SOME))
    steps = _surviving_steps(disk.steps, names, chance)
    return _Walk(disk, disk.names_after(steps), content, chance).image


_MEANINGS = {
    "nothing": (Kept.NOTHING, Kept.NOTHING),
    "everything": (Kept.EVERYTHING, Kept.EVERYTHING),
    "names": (Kept.NOTHING, Kept.EVERYTHING),
    "bytes": (Kept.EVERYTHING, Kept.NOTHING),
    "newest": (Kept.NEWEST, Kept.EVERYTHING),
}


# -- names -----------------------------------------------------------------------------------------------------


def _surviving_steps(steps: Sequence[Step], kept: Kept, chance: random.Random) -> list[Step]:
    if kept is Kept.EVERYTHING:
        return list(steps)
    if kept is Kept.SOME and chance.random() < 0.5:
        return _journalled(steps, chance)
    some = _loose(steps, chance) if kept is Kept.SOME else [step for step in steps if step.is_synced]
    numbers = {id(step) for step in some}
    return [step for step in some if all(id(other) in numbers for other in step.needs)]


def _journalled(steps: Sequence[Step], chance: random.Random) -> list[Step]:
    """All up to one point, which lies behind everything that was synced."""
    least = max((number for number, step in enumerate(steps, 1) if step.is_synced), default=0)
    return list(steps[: chance.randint(least, len(steps))])


def _loose(steps: Sequence[Step], chance: random.Random) -> list[Step]:
    """Of each folder all up to a point of its own."""
    by_folder: dict[int, list[Step]] = defaultdict(list)
    for step in steps:
        by_folder[step.folder].append(step)
    kept: set[int] = set()
    for own in by_folder.values():
        kept |= {id(step) for step in _journalled(own, chance)}
    return [step for step in steps if id(step) in kept]


# -- bytes -----------------------------------------------------------------------------------------------------


class _Walk:
    """Goes through the names that are left and gives each file the bytes that are left."""

    def __init__(self, disk: Disk, names: dict[int, dict[str, int]], kept: Kept, chance: random.Random) -> None:
        self._disk = disk
        self._names = names
        self._kept = kept
        self._chance = chance
        self._files: dict[str, bytes] = {}
        self._folders: list[str] = []
        self._mtimes: dict[str, int] = {}
        self._contents: dict[int, bytes] = {}
        self._enter(ROOT, "")
        self.image = Image(self._files, tuple(self._folders), self._mtimes)

    def _enter(self, folder: int, prefix: str) -> None:
        for name, node in sorted(self._names[folder].items()):
            path = prefix + name
            if node in self._disk.folders:
                self._folders.append(path)
                self._enter(node, f"{path}/")
            else:
                self._files[path] = self._content(node)
                state = self._disk.files[node]
                if state.mtime_ns is not None and not state.pending:
                    self._mtimes[path] = state.mtime_ns

    def _content(self, node: int) -> bytes:
        """One answer for each file, whatever names it has."""
        if node not in self._contents:
            self._contents[node] = _surviving_bytes(self._disk.files[node], self._kept, self._chance)
        return self._contents[node]


def _surviving_bytes(state: FileState, kept: Kept, chance: random.Random) -> bytes:
    content = bytearray(state.synced)
    likely = chance.choice((0.1, 0.5, 0.9))
    for change in state.pending:
        is_kept = kept is Kept.EVERYTHING or (kept is Kept.NEWEST and change is state.pending[-1])
        if is_kept or (kept is Kept.SOME and chance.random() < likely):
            apply_change(content, change)
        elif kept is Kept.SOME and isinstance(change, Written):
            _tear(content, change, chance)
    return bytes(content)


def _tear(content: bytearray, change: Written, chance: random.Random) -> None:
    """Keep some sectors of a write, perhaps none; the file may have grown all the same."""
    likely = chance.choice((0.0, 0.0, 0.2, 0.8))
    end = change.offset + len(change.data)
    start = change.offset
    while start < end:
        stop = min(end, (start // SECTOR + 1) * SECTOR)
        if likely and chance.random() < likely:
            apply_change(content, Written(0, start, change.data[start - change.offset : stop - change.offset]))
        start = stop
    if end > len(content) and chance.random() < 0.3:
        apply_change(content, Truncated(0, end))
