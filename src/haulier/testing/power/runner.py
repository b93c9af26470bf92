"""Runs a story, cuts the power everywhere, and looks at what is left."""

from __future__ import annotations

import logging
import shutil
import tempfile
import time
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from haulier.journal.examine import damage
from haulier.journal.sqlite import migrations
from haulier.testing.power.cases import Case, Selection, cuts, lay_out
from haulier.testing.power.checks import Facts, Truth, check_cut
from haulier.testing.power.continuing import continue_and_check
from haulier.testing.power.findings import Figures, Finding, Kind
from haulier.testing.power.operations import Mark
from haulier.testing.power.story import JOURNAL, Volume, go_on, record_story

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from haulier.testing.power.cases import Cut
    from haulier.testing.power.recorder import Recording

__all__ = ["cut_everywhere", "kill_and_go_on", "record_story", "run_story", "story_root", "truth_of"]

MEMORY = Path("/dev/shm")  # noqa: S108  a folder in memory, where there is one


@contextmanager
def story_root() -> Iterator[Path]:
    """An empty folder, in memory where the system has one. The journal names absolute paths: images lie there too."""
    folder = Path(tempfile.mkdtemp(prefix="haulier-power-", dir=MEMORY if MEMORY.is_dir() else None))
    root = folder / "volume"
    root.mkdir()
    manager_log = logging.getLogger("haulier.manager")
    quiet, manager_log.disabled = manager_log.disabled, True
    try:
        yield root
    finally:
        manager_log.disabled = quiet
        shutil.rmtree(folder, ignore_errors=True)


def run_story(cases: Selection | Sequence[Case], *, continue_each: int = 1) -> Figures:
    """Live through the story once and cut the power where a selection says.

    Args:
        cases: What to look at.
        continue_each: Every so manieth image is also gone on with; 1 for all.
    """
    with story_root() as root:
        return cut_everywhere(record_story(root), cases, continue_each=continue_each)


def kill_and_go_on(recording: Recording, point: int) -> Recording:
    """The story up to a point, where the process is killed and loses nothing; then another one takes over."""
    begun = replace(recording, operations=recording.operations[:point])
    for cut in cuts(begun, [Case(point, "everything")]):
        lay_out(cut.image, recording.root)
    return go_on(recording.root, begun)


def cut_everywhere(
    recording: Recording,
    cases: Selection | Sequence[Case],
    *,
    truth: Truth | None = None,
    continue_each: int = 1,
    alarms: bool = False,
) -> Figures:
    """Look at images of a recording of the story.

    Args:
        recording: Made by :func:`~haulier.testing.power.story.record_story`; its folder is written over.
        cases: As for :func:`run_story`.
        truth: What it is about; None for what the recording itself says.
        continue_each: As for :func:`run_story`.
        alarms: Whether to count journals that are sound and called damaged.
    """
    truth = truth or truth_of(recording)
    figures = Figures()
    began = time.perf_counter()
    chosen = list(cases.cases(recording) if isinstance(cases, Selection) else cases)
    for number, cut in enumerate(cuts(recording, chosen)):
        lay_out(cut.image, recording.root)
        if alarms and (alarm := _alarm(Volume(recording.root))):
            figures.false_alarms[alarm] += 1
        figures.add(_look(recording, cut, truth, goes_on=number % continue_each == 0))
        figures.continued += number % continue_each == 0
    figures.points = len({case.point for case in chosen})
    figures.seconds = time.perf_counter() - began
    return figures


def truth_of(recording: Recording) -> Truth:
    """What a whole story is about."""
    return Truth.of([each for each in recording.operations if isinstance(each, Mark)])


def _look(recording: Recording, cut: Cut, truth: Truth, *, goes_on: bool) -> list[Finding]:
    volume = Volume(recording.root)
    try:
        found = check_cut(volume, Facts.of(cut.marks), truth)
        if goes_on and not found:
            found = continue_and_check(volume, truth)
    except Exception as error:  # noqa: BLE001  whatever it is, it is the finding
        found = [Finding(Kind.UNUSABLE, f"{type(error).__name__}: {error}")]
    return [_named(finding, recording, cut) for finding in found]


def _alarm(volume: Volume) -> str:
    """What a manager that starts says about the journal."""
    was_used = (volume.state / "secret.key").exists()
    return damage(volume.state / JOURNAL, was_used=was_used, newest_schema=migrations()[-1][0])


def _named(finding: Finding, recording: Recording, cut: Cut) -> Finding:
    point = cut.case.point
    last = f"after {recording.operations[point - 1]}" if point else "at the beginning"
    return replace(finding, case=str(cut.case), text=f"{finding.text} [{last}]")
