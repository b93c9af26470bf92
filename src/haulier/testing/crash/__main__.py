"""Run matrices and print their figures: ``python -m haulier.testing.crash [--most N] [FILE.py:FUNCTION ...]``.

A function is given a folder and a zygote and returns matrices; without one, those of Haulier's own destinations run.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path

from haulier.testing.crash.cases import Case, sample
from haulier.testing.crash.running import core_matrices, matrix_base, scratch
from haulier.testing.crash.zygote import Zygote, load

COLUMNS = ("cases", "lost", "doubled", "wrongly_reported", "deleted_without_proof", "most_bytes_sent_again")


def main() -> int:
    """Print a table; 1 when anything is wrong."""
    parser = argparse.ArgumentParser(prog="python -m haulier.testing.crash")
    parser.add_argument("functions", nargs="*", metavar="FILE.py:FUNCTION", help="gives matrices")
    parser.add_argument("--most", type=int, default=0, help="cases of each matrix at most; 0 for all")
    parser.add_argument("--random", type=int, default=0, help="cases at random times, of each matrix")
    parser.add_argument("--case", action="append", default=[], help="this case alone; may be given again")
    chosen = parser.parse_args()
    wrong = 0
    with tempfile.TemporaryDirectory() as made, scratch(Path(made)) as folder, Zygote(folder / "log") as zygote:
        makers = [load(function) for function in chosen.functions] or [core_matrices]
        print(f"{'base ' + str(matrix_base()):26}", *COLUMNS, "seconds")
        for matrix in (each for make in makers for each in make(folder, zygote)):
            with matrix:
                alone = [Case.parse(text) for text in chosen.case]
                cases = [case for case in alone if case.destination == matrix.destination.name]
                if not alone:
                    every = matrix.cases()
                    cases = sample(every, chosen.most or len(every), matrix_base())
                    cases += matrix.at_random(range(matrix_base(), matrix_base() + chosen.random))
                figures = matrix.run_all(cases)
            row = [f"{getattr(figures, name):>{len(name)}}" for name in COLUMNS]
            print(f"{matrix.destination.name:26}", *row, f"{figures.seconds:7.0f}", flush=True)
            print(*figures.failures, sep="\n", end="\n" if figures.failures else "")
            wrong += len(figures.failures)
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
