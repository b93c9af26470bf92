"""Points and seeds of a recording, each one image; images that are equal are built once."""

# Paths are text here, as system calls take them.
# ruff: noqa: PTH118

from __future__ import annotations

import hashlib
import os
import shutil
from dataclasses import dataclass
from typing import TYPE_CHECKING

from haulier.testing.power.disk import Disk
from haulier.testing.power.operations import Written
from haulier.testing.power.survival import EXTREMES, Image, survivors

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from pathlib import Path

    from haulier.testing.power.operations import Mark
    from haulier.testing.power.recorder import Recording

__all__ = ["Case", "Cut", "Selection", "cuts", "lay_out"]


@dataclass(frozen=True)
class Case:
    """A name for one image: ``point:seed``, the operations that were begun before the cut and what survived it."""

    point: int
    seed: int | str

    def __str__(self) -> str:
        return f"{self.point}:{self.seed}"

    @classmethod
    def parse(cls, text: str) -> Case:
        """The inverse of ``str``.

        Raises:
            ValueError: It is no case's name.
        """
        point, _, seed = text.partition(":")
        return cls(int(point), seed if seed in EXTREMES else int(seed))


@dataclass(frozen=True)
class Cut:
    """What a case comes to.

    Attributes:
        case: Its name.
        image: What the volume shows.
        marks: What the program had been told.
    """

    case: Case
    image: Image
    marks: Sequence[Mark]


@dataclass(frozen=True)
class Selection:
    """Which images are looked at.

    Attributes:
        seeds: Images of each point, as in :func:`~haulier.testing.power.survival.survivors`; of a number each point
            makes its own.
        every: Of the points after a write every so manieth; all others are always taken.
        first: Where counting begins.
        after: No point before this one.
    """

    seeds: Sequence[int | str] = EXTREMES
    every: int = 1
    first: int = 0
    after: int = 0

    def cases(self, recording: Recording) -> Iterator[Case]:
        """Their names, in order."""
        for point in range(self.after, len(recording.operations) + 1):
            is_write = point > 0 and isinstance(recording.operations[point - 1], Written)
            if not is_write or (point + self.first) % self.every == 0:
                yield from (Case(point, seed) for seed in self.seeds)


def cuts(recording: Recording, cases: Iterable[Case]) -> Iterator[Cut]:
    """The image of each case, in the order of their points; of equal ones the first."""
    disk = Disk(recording)
    taken = 0
    known: set[tuple[int, bytes]] = set()
    for case in cases:
        for operation in recording.operations[taken : case.point]:
            disk.take(operation)
        taken = case.point
        image = survivors(disk, case.seed if isinstance(case.seed, str) else f"{case.point}/{case.seed}")
        key = len(disk.marks), _digest(image)
        if key not in known:
            known.add(key)
            yield Cut(case, image, tuple(disk.marks))


def lay_out(image: Image, root: Path) -> None:
    """Make a folder hold an image and nothing else."""
    shutil.rmtree(root, ignore_errors=True)
    os.mkdir(root)  # noqa: PTH102
    for path in image.folders:
        os.mkdir(os.path.join(root, path))  # noqa: PTH102
    for name, content in image.files.items():
        path = os.path.join(root, name)
        with open(path, "wb") as file:  # noqa: PTH123
            file.write(content)
        if (mtime := image.mtimes.get(name)) is not None:
            os.utime(path, ns=(mtime, mtime))


def _digest(image: Image) -> bytes:
    hasher = hashlib.blake2b(repr(image.folders).encode(), digest_size=16)
    for name, content in image.files.items():
        hasher.update(f"{name}\0{len(content)}\0".encode())
        hasher.update(content)
    return hasher.digest()
