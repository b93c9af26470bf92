"""Figures that outlive the program that measured them: `python -m benchmarks` gathers them for its summaries."""

from __future__ import annotations

import json
import os
from dataclasses import asdict, dataclass
from pathlib import Path

PLACE = "HAULIER_BENCHMARK_FIGURES"
"""Names the file that figures are added to; without it they are only printed."""


@dataclass(frozen=True)
class Reached:
    """What was reached where a bar stands.

    Attributes:
        workload: What was done.
        measure: What the figure is.
        bar: The bar, in words.
        figure: What was reached, in words.
        met: Whether that is as good as the bar.
    """

    workload: str
    measure: str
    bar: str
    figure: str
    met: bool


@dataclass(frozen=True)
class Held:
    """Memory of Haulier in one workload: of the process, and of bodies within it, both at most, in MiB."""

    workload: str
    process: float
    bodies: float | None


def note(figure: Reached | Held) -> None:
    """Add one to the file, if there is one."""
    place = os.environ.get(PLACE)
    if place:
        with Path(place).open("a", encoding="utf-8") as stream:
            stream.write(json.dumps({"kind": type(figure).__name__, **asdict(figure)}) + "\n")


def noted(place: Path) -> list[Reached | Held]:
    """All in the file, in the order in which they came."""
    found: list[Reached | Held] = []
    for line in place.read_text("utf-8").splitlines() if place.exists() else ():
        values = json.loads(line)
        found.append({"Reached": Reached, "Held": Held}[values.pop("kind")](**values))
    return found
