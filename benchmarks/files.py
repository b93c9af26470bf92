"""What is sent: the same files for all."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

MIB = 1024 * 1024
UNITS = {"": 1, "KiB": 1024, "MiB": MIB, "GiB": 1024 * MIB}


@dataclass(frozen=True)
class Workload:
    """So many files of one size in bytes."""

    count: int
    size: int

    @classmethod
    def parse(cls, text: str) -> Workload:
        """Read "2000x64KiB" or "1x1GiB".

        Raises:
            SystemExit: It is neither.
        """
        found = re.fullmatch(r"(\d+)x(\d+)([KMG]iB)?", text)
        if found is None:
            raise SystemExit(f"{text}: a workload is COUNTxSIZE, for example 2000x64KiB or 1x1GiB")
        return cls(int(found[1]), int(found[2]) * UNITS[found[3] or ""])

    def __str__(self) -> str:
        unit = next(name for name in ("GiB", "MiB", "KiB", "") if self.size % UNITS[name] == 0)
        return f"{self.count:,} x {self.size // UNITS[unit]} {unit or 'bytes'}"

    @property
    def total(self) -> int:
        """Bytes of all files."""
        return self.count * self.size

    def of(self, table: Mapping[str, Mapping[str, float]]) -> Mapping[str, float]:
        """What a table says of this workload; nothing if it is not in it."""
        return next((said for text, said in table.items() if Workload.parse(text) == self), {})

    def make(self, folder: Path) -> list[Path]:
        """Write the files, of random bytes, which nothing can compress."""
        folder.mkdir(parents=True)
        made = [folder / f"rec_{number:06}.mp4" for number in range(self.count)]
        for path in made:
            with path.open("wb") as stream:
                for offset in range(0, self.size, MIB):
                    stream.write(os.urandom(min(MIB, self.size - offset)))
        return made
