"""``python -m haulier.testing.simulation``: many seeds, or one again."""

from __future__ import annotations

import argparse
import sys
import time

from haulier.testing.simulation.report import report, totals
from haulier.testing.simulation.runner import run_many, run_seed, shrink


def main() -> int:
    """Run what the arguments say; 1 when an invariant was broken."""
    parser = argparse.ArgumentParser(prog="python -m haulier.testing.simulation", description=__doc__)
    parser.add_argument("--seeds", type=int, default=200, help="how many seeds (default 200)")
    parser.add_argument("--base", type=int, default=int(time.time()), help="the first seed (default: the time)")
    parser.add_argument("--seed", type=int, help="replay this one, with its trace")
    parser.add_argument("--jobs", type=int, help="processes at once (default: one for each processor)")
    options = parser.parse_args()
    if options.seed is not None:
        outcome = run_seed(options.seed)
        print(report(shrink(outcome) if outcome.broken else outcome))
        return 1 if outcome.broken else 0
    print(f"seeds {options.base} to {options.base + options.seeds - 1}", flush=True)
    outcomes = []
    for outcome in run_many(range(options.base, options.base + options.seeds), options.jobs):
        outcomes.append(outcome)
        if outcome.broken:
            print(report(shrink(outcome)), flush=True)
    print(totals(outcomes))
    return 1 if any(outcome.broken for outcome in outcomes) else 0


if __name__ == "__main__":
    sys.exit(main())
