"""Everything, one part after the other; the results are printed, or written into the page of the docs.

uv run --group bench python -m benchmarks --write docs/explanation/measurements.md
"""

from __future__ import annotations

import argparse
import os
import shlex
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks.figures import PLACE, noted
from benchmarks.machine import described
from benchmarks.page import write
from benchmarks.plan import PARTS
from benchmarks.summary import bars, memory

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from benchmarks.plan import Part

SUMMARIES = ("machine", "bars", "memory")


def carried_out(command: str, figures: Path) -> str:
    """What one command prints; one that fails says so in the results and stops no other."""
    began = time.monotonic()
    done = subprocess.run(
        [sys.executable, "-m", *f"benchmarks.{command}".split()],
        env={**os.environ, PLACE: str(figures)},
        capture_output=True,
        text=True,
        check=False,
    )
    print(f"{time.monotonic() - began:7.1f} s  {command}", file=sys.stderr, flush=True)
    if done.returncode:
        print(done.stderr, file=sys.stderr, flush=True)
        reason = (done.stderr.strip().splitlines() or ["it said nothing"])[-1]
        return f"{done.stdout}\n*`{command}` did not end well: {reason}*\n"
    return done.stdout


def results_of(parts: Sequence[Part], *, quick: bool, called: str) -> Iterator[tuple[str, str]]:
    """Run these parts; each place and its results as they come, summaries around them."""
    yield "machine", f"`{called}`\n\n{described()}"
    journal = ""
    with tempfile.TemporaryDirectory(prefix="haulier-bench-") as folder:
        figures = Path(folder) / "figures"
        for part in parts:
            told = "\n".join(carried_out(command, figures) for command in (part.quick if quick else part.commands))
            journal = told if part.name == "journal" else journal
            yield part.name, told
        known = noted(figures)
    yield "memory", memory(known)
    yield "bars", bars(known, journal)


def main() -> None:
    """Run what was asked for, then print or write."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__.partition("\n")[0])
    names = [part.name for part in PARTS]
    parser.add_argument("--quick", action="store_true", help="little work: shows that all runs, not how fast")
    parser.add_argument("--only", action="append", choices=names, help="this part; may be given several times")
    parser.add_argument("--write", type=Path, metavar="PAGE", help="replace the results in this page")
    arguments = parser.parse_args()
    chosen = [part for part in PARTS if not arguments.only or part.name in arguments.only]
    called = shlex.join(["uv", "run", "--group", "bench", "python", "-m", "benchmarks", *sys.argv[1:]])
    for name, told in results_of(chosen, quick=arguments.quick, called=called):
        if arguments.only and name in SUMMARIES:  # they are about a whole run
            continue
        if arguments.write:
            write(arguments.write, name, told)
        else:
            print(f"## {name}\n\n{told}\n", flush=True)


if __name__ == "__main__":
    main()
