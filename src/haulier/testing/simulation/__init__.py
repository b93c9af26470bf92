"""Deterministic simulation of whole agents: threads, time, disk and destinations under one seed.

``python -m haulier.testing.simulation --seeds 1000`` runs many; ``--seed N`` replays one.
"""

from haulier.testing.simulation.plan import Incident, Plan, make_plan
from haulier.testing.simulation.runner import Outcome, run_many, run_plan, run_seed, shrink

__all__ = ["Incident", "Outcome", "Plan", "make_plan", "run_many", "run_plan", "run_seed", "shrink"]
