"""Whole agents in a simulated world: after every step and at the end each invariant holds.

The base of the seeds is another one in each run and is printed; HAULIER_SIMULATION_BASE sets it, HAULIER_SIMULATION_SEEDS
says how many. ``python -m haulier.testing.simulation --seed N`` replays one.
"""

from __future__ import annotations

import os
import random
from collections import Counter
from dataclasses import replace

import pytest

from haulier.journal.memory import MemoryTransaction
from haulier.service.disposal import Disposer
from haulier.testing.simulation import make_plan, run_many, run_plan, run_seed, shrink
from haulier.testing.simulation.report import report, totals
from haulier.transfer.ledger import Ledger
from haulier.transfer.policy import Policy
from haulier.transfer.run import UploadRun

BASE = int(os.environ.get("HAULIER_SIMULATION_BASE", str(random.randrange(10**9))))
SEEDS = int(os.environ.get("HAULIER_SIMULATION_SEEDS", "200"))


def simulate(base, count, proof_table, name):
    outcomes = list(run_many(range(base, base + count)))
    print(f"seeds from {base}: {totals(outcomes)}")
    broken = [outcome for outcome in outcomes if outcome.broken]
    kinds = Counter(outcome.kind for outcome in broken)
    proof_table(
        name,
        cases=count,
        faults=sum(outcome.faults for outcome in outcomes),
        lost=kinds["lost"] + kinds["stuck"],
        doubled=kinds["doubled"],
        wrongly_reported=kinds["wrongly reported"],
        deleted_without_proof=kinds["deleted without proof"],
    )
    if broken:
        pytest.fail("\n\n".join(report(shrink(outcome)) for outcome in broken[:3]), pytrace=False)
    return outcomes


@pytest.mark.proof
def test_invariants_1_to_9_hold_after_every_step_of_random_worlds(proof_table):
    outcomes = simulate(BASE, SEEDS, proof_table, "simulation")
    assert sum(outcome.tasks for outcome in outcomes) > SEEDS


@pytest.mark.full
@pytest.mark.proof
def test_invariants_1_to_9_hold_after_every_step_of_many_random_worlds(proof_table):
    simulate(BASE + 10**9, 10 * SEEDS, proof_table, "simulation, many seeds")


def test_a_seed_replays_step_by_step():
    first, second = run_seed(BASE), run_seed(BASE)
    assert (first.steps, first.seconds, first.trace) == (second.steps, second.seconds, second.trace)


def ignore(*_args, **_kwargs):
    """A defect: what should happen does not."""


def defects():
    """Name, class, method and what it does instead; and what a simulation calls that."""

    def any_outage_is_charged(self, row, backend, error, base, now):
        return self._charge(row, backend, error, base, now)

    def no_comparison(self, row, receipt, private):
        return True

    def no_intent(self, lease, digests):
        return None

    def forget(self, row):
        return row

    yield "an owed abort is forgotten", MemoryTransaction, "put_abort", forget, "left behind"
    yield "an outage is charged", Policy, "_unreachable", any_outage_is_charged, "charged"
    yield "the intent to commit is not journalled", Ledger, "intend_commit", no_intent, "doubled"
    yield "sources go without comparing", Disposer, "_is_what_was_sent", no_comparison, "deleted without proof"
    yield "the source is not looked at again", UploadRun, "_inspect", ignore, "wrongly reported"


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")  # who is killed closes nothing
@pytest.mark.parametrize(
    ("cls", "method", "instead", "kind"), [case[1:] for case in defects()], ids=[case[0] for case in defects()]
)
def test_a_planted_defect_is_found_and_made_small(monkeypatch, cls, method, instead, kind):
    monkeypatch.setattr(cls, method, instead)
    plans = (replace(make_plan(seed), delete=True) for seed in range(400))
    found = next(outcome for outcome in map(run_plan, plans) if outcome.broken)
    assert found.kind == kind, report(found)
    small = shrink(found)
    assert small.broken
    assert len(small.plan.incidents) < len(found.plan.incidents)
