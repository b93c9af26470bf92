"""What a case is: a setting, a step, and which of its passings."""

from __future__ import annotations

import os
import random
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

__all__ = ["AT_RANDOM", "SETTINGS", "SIDECAR", "Case", "Setting", "sample"]

AT_RANDOM = "at-random"
"""The step of a case whose kills come at random times; its passing is the seed."""

RECORDED_AT = 1_729_950_022
SIDECAR = "rdp_7_1729950022_metadata.json"


@dataclass(frozen=True)
class Setting:
    """What is uploaded, and what becomes of it.

    Attributes:
        delete: Whether sources are deleted after their upload.
        shared: Whether two of the three media files share a sidecar. They are then found by a scan, which pairs them;
            without one each file is submitted by itself, among them an empty one, which a scan would not take.
    """

    delete: bool
    shared: bool

    @property
    def name(self) -> str:
        """As in the id of a case."""
        return f"{'delete' if self.delete else 'keep'}/{'shared' if self.shared else 'plain'}"

    def files(self) -> Mapping[str, bytes]:
        """Names and contents; no two contents are equal."""
        chance = random.Random(self.name)
        media = {
            "rdp_7_1729950022_Host_20241026_150022.mp4": chance.randbytes(9 * 1024 - 100),
            "rdp_7_1729950022_Host_20241026_150122.mp4": chance.randbytes(700),
            "SRV-APP01_seg001_20251105_091500.mp4": chance.randbytes(1 if self.shared else 0),
        }
        sidecar = b'{"session_id": "rdp_7_1729950022", "connection_info": {"name": "Host"}}'
        return {**media, SIDECAR: sidecar} if self.shared else media

    def media(self) -> Mapping[str, bytes]:
        """The media files among them."""
        return {name: content for name, content in self.files().items() if name != SIDECAR}

    def sidecar_of(self, name: str) -> str | None:
        """The sidecar that goes with a media file."""
        return SIDECAR if self.shared and name.startswith("rdp_7") else None

    def write(self, folder: Path) -> None:
        """Put the files into a folder, as old as their names say."""
        folder.mkdir(parents=True)
        for number, (name, content) in enumerate(self.files().items()):
            path = folder / name
            path.write_bytes(content)
            os.utime(path, (RECORDED_AT + number, RECORDED_AT + number))


SETTINGS = tuple(Setting(delete, shared) for delete in (False, True) for shared in (False, True))


@dataclass(frozen=True)
class Case:
    """One kill.

    Attributes:
        destination: Its name.
        setting: What is uploaded.
        victim: Which process is killed: ``client``, ``server`` or ``both``.
        step: Where.
        passing: At which passing of it, from 1.
    """

    destination: str
    setting: Setting
    victim: str
    step: str
    passing: int

    @property
    def chance(self) -> random.Random:
        """Decides about kills at random times."""
        return random.Random(self.id)

    @property
    def id(self) -> str:
        """Names the case; :meth:`parse` reads it."""
        return "/".join((self.destination, self.setting.name, self.victim, self.step, str(self.passing)))

    @classmethod
    def parse(cls, text: str) -> Case:
        """The inverse of :attr:`id`.

        Raises:
            ValueError: It is none.
        """
        destination, fate, sidecar, victim, step, passing = text.split("/")
        return cls(destination, Setting(fate == "delete", sidecar == "shared"), victim, step, int(passing))


def sample(cases: Sequence[Case], size: int, base: int) -> list[Case]:
    """About ``size`` of the cases, spread evenly; ``base`` says which. All bases together cover every case."""
    stride = max(1, -(-len(cases) // max(1, size)))
    return list(cases[base % stride :: stride])
