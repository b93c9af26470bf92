"""Plant known defects into a copy of the shipped code, one at a time, and show that a test notices each.

Run it from the repository: ``uv run python tests/planted/plant.py [NAME...] [--list]``. Each record in ``defects/`` says
what a user would lose, what is changed, and which tests must turn red then; at least one of them names the invariant
that the defect breaks. The working tree is never touched. A defect counts as caught only when its tests *fail*: one that
cannot be imported, collected or set up proves nothing, nor does one that hangs.
"""

from __future__ import annotations

import argparse
import compileall
import json
import os
import py_compile
import re
import shutil
import subprocess
import sys
import tempfile
import time
import tomllib
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

ROOT = Path(__file__).parents[2]
RECORDS = Path(__file__).with_name("defects")
WITNESS = Path(__file__).with_name("witness.py")
SOURCES = ("src", *(f"plugins/{path.name}/src" for path in sorted((ROOT / "plugins").iterdir())))
PROCESSES = 2
PATIENCE = 180.0  # seconds for the tests of one defect: one that hangs is not caught
INVARIANTS = range(1, 11)


@dataclass(frozen=True)
class Edit:
    """One change of a file. ``find`` occurs exactly once in it."""

    file: str
    find: str
    put: str


@dataclass(frozen=True)
class Defect:
    """A record of ``defects/``.

    Attributes:
        name: The record's file name.
        invariant: Number of the invariant that it breaks.
        loses: What a user would lose, one sentence.
        tests: Node ids, each of which must turn red.
        edits: The changes.
        slow: Whether its tests take many seconds to turn red.
    """

    name: str
    invariant: int
    loses: str
    tests: tuple[str, ...]
    edits: tuple[Edit, ...]
    slow: bool = False


@dataclass(frozen=True)
class Outcome:
    """What became of some tests.

    Attributes:
        red: What ended each that failed, by node id without parameters.
        trouble: Why the run proves nothing; empty when it does.
        seconds: How long it took.
    """

    red: Mapping[str, str]
    trouble: str = ""
    seconds: float = 0.0


def all_defects(folder: Path = RECORDS) -> list[Defect]:
    """Every record, by invariant and name."""
    found = [_read(path) for path in folder.glob("*.toml")]
    return sorted(found, key=lambda defect: (defect.invariant, defect.name))


def _read(path: Path) -> Defect:
    record = tomllib.loads(path.read_text("utf-8"))
    return Defect(
        path.stem,
        record["invariant"],
        record["loses"],
        tuple(record["tests"]),
        tuple(Edit(edit["file"], edit["find"], edit["put"]) for edit in record["edits"]),
        record.get("slow", False),
    )


def names_invariant(test: str, invariant: int) -> bool:
    """Whether a node id's function is named after an invariant: ``test_invariant_3_...``, ``test_invariants_1_4_5_...``."""
    numbers = re.search(r"::test_invariants?((?:_\d+)+)_", test)
    return numbers is not None and str(invariant) in numbers[1].split("_")


def objections(defect: Defect, root: Path = ROOT) -> list[str]:
    """What is wrong with a record: texts that do not occur exactly once, tests that are missing or name nothing."""
    found = []
    for edit in defect.edits:
        times = (root / edit.file).read_text("utf-8").count(edit.find)
        if times != 1:
            found.append(f"{defect.name}: the text occurs {times} times in {edit.file}: {edit.find.strip()[:60]!r}")
        if edit.find == edit.put:
            found.append(f"{defect.name}: nothing is changed in {edit.file}")
    if not any(names_invariant(test, defect.invariant) for test in defect.tests):
        found.append(f"{defect.name}: none of its tests names invariant {defect.invariant}")
    for test in defect.tests:
        path, _, function = test.partition("::")
        if not (root / path).is_file() or f"def {function}(" not in (root / path).read_text("utf-8"):
            found.append(f"{defect.name}: there is no test {test}")
    return found


class Plantation:
    """Copies of the shipped code below a temporary folder, each with its own defect.

    Args:
        folder: Where they go.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._sound = folder / "sound"
        for source in SOURCES:
            shutil.copytree(ROOT / source, self._sound / source, ignore=shutil.ignore_patterns("__pycache__"))
        # By hash, so that a file that was changed within the same second is compiled again.
        compileall.compile_dir(self._sound, quiet=1, invalidation_mode=py_compile.PycInvalidationMode.CHECKED_HASH)

    def run_sound(self, tests: tuple[str, ...]) -> Outcome:
        """Run tests against the code as it is."""
        return self._run(self._sound, tests, ())

    def run_planted(self, defect: Defect) -> Outcome:
        """Run a defect's tests against a copy that has it."""
        copy = self._folder / defect.name
        shutil.copytree(self._sound, copy)
        try:
            for edit in defect.edits:
                path = copy / edit.file
                path.write_text(path.read_text("utf-8").replace(edit.find, edit.put), "utf-8")
            return self._run(copy, defect.tests, tuple(edit.file for edit in defect.edits))
        finally:
            shutil.rmtree(copy)

    def _run(self, copy: Path, tests: tuple[str, ...], changed: tuple[str, ...]) -> Outcome:
        report = copy / "report.json"
        environment = {
            **os.environ,
            "PYTHONPATH": os.pathsep.join([*(str(copy / source) for source in SOURCES), str(WITNESS.parent)]),
            "PLANTED_COPY": str(copy),
            "PLANTED_FILES": os.pathsep.join(str(copy / file) for file in changed),
            "PLANTED_REPORT": str(report),
        }
        temporary = copy / "tmp"
        began = time.monotonic()
        command = [sys.executable, "-m", "pytest", "-q", "-n0", "-p", "witness", "-p", "no:cacheprovider", "-m", ""]
        try:
            done = subprocess.run(
                [*command, f"--basetemp={temporary}", *tests],
                cwd=ROOT,
                env=environment,
                capture_output=True,
                text=True,
                timeout=PATIENCE,
                check=False,
            )
        except subprocess.TimeoutExpired:
            return Outcome({}, f"the tests hung for {PATIENCE:.0f} s")
        if done.returncode not in {0, 1} or not report.exists():
            return Outcome({}, f"pytest ended with {done.returncode}: {(done.stdout + done.stderr)[-2000:]}")
        seen = json.loads(report.read_text("utf-8"))
        return Outcome(seen["failed"], "; ".join(seen["errors"]), time.monotonic() - began)


def survived(defect: Defect, outcome: Outcome) -> str:
    """Why a defect does not count as caught; empty when it does."""
    if outcome.trouble:
        return outcome.trouble
    green = [test for test in defect.tests if test not in outcome.red]
    return f"still green: {', '.join(green)}" if green else ""


def plant(defects: list[Defect], folder: Path) -> dict[str, Outcome]:
    """Plant each defect; what became of its tests.

    Raises:
        SystemExit: The tests are not green on the code as it is.
    """
    plantation = Plantation(folder)
    every = tuple(sorted({test for defect in defects for test in defect.tests}))
    sound = plantation.run_sound(every)
    if sound.red or sound.trouble:
        raise SystemExit(f"Not green without a defect: {', '.join(sound.red)} {sound.trouble}")
    with ThreadPoolExecutor(PROCESSES) as pool:
        outcomes = list(pool.map(plantation.run_planted, defects))
    return {defect.name: outcome for defect, outcome in zip(defects, outcomes, strict=True)}


def _table(defects: list[Defect], outcomes: Mapping[str, Outcome]) -> list[str]:
    wide = max(len(defect.name) for defect in defects)
    lines = [f"{'defect':{wide}}  invariant  seconds  test that turned red"]
    for defect in defects:
        outcome = outcomes[defect.name]
        why = survived(defect, outcome)
        told = [f"SURVIVED: {why}"] if why else [_red(test, outcome) for test in defect.tests]
        lines.append(f"{defect.name:{wide}}  {defect.invariant:9}  {outcome.seconds:7.1f}  {told[0]}")
        lines += [" " * (wide + 22) + more for more in told[1:]]
    return lines


def _red(test: str, outcome: Outcome) -> str:
    return f"{test.rpartition('/')[2]} ({outcome.red[test]})"


def main(arguments: list[str] | None = None) -> int:
    """The command; 0 when every defect was caught."""
    parser = argparse.ArgumentParser(description="Plant known defects and show that a test notices each.")
    parser.add_argument("names", nargs="*", metavar="NAME", help="only these defects")
    parser.add_argument("--list", action="store_true", help="say what there is, plant nothing")
    options = parser.parse_args(arguments)
    known = all_defects()
    unknown = set(options.names) - {defect.name for defect in known}
    if unknown:
        parser.error(f"no such defect: {', '.join(sorted(unknown))}")
    chosen = [defect for defect in known if not options.names or defect.name in options.names]
    if options.list:
        for defect in chosen:
            print(f"{defect.invariant:2}  {defect.name}: {defect.loses}")
        return 0
    wrong = [objection for defect in chosen for objection in objections(defect)]
    if wrong:
        print("\n".join(wrong))
        return 1
    with tempfile.TemporaryDirectory(prefix="haulier-planted-") as folder:
        outcomes = plant(chosen, Path(folder))
    print("\n".join(_table(chosen, outcomes)))
    caught = sum(not survived(defect, outcomes[defect.name]) for defect in chosen)
    print(f"\n{caught} of {len(chosen)} caught")
    return 0 if caught == len(chosen) else 1


if __name__ == "__main__":
    sys.exit(main())
