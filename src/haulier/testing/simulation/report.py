"""Outcomes of simulations as text."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

    from haulier.testing.simulation.runner import Outcome

__all__ = ["report", "totals"]

IDLE = ("/upkeep journal.read", "journal.write:done")
LINES = 80


def report(outcome: Outcome) -> str:
    """What was found, what it takes to find it, how to see it again, and the last steps before it."""
    plan = outcome.plan
    lines = [
        f"seed {plan.seed}: {outcome.broken or 'every invariant held'}",
        f"replay: python -m haulier.testing.simulation --seed {plan.seed}",
        f"{plan.processes} agent(s), destinations {plan.modes}, delete {plan.delete}, journal in a file {plan.durable}",
        f"{outcome.steps} steps, {outcome.seconds:.0f} virtual seconds, {outcome.tasks} tasks; incidents:",
        *(f"    {incident}" for incident in plan.incidents),
    ]
    if outcome.broken:
        told = [line for line in outcome.trace if not any(idle in line for idle in IDLE)]
        lines += ["last steps:", *(f"    {line}" for line in told[-LINES:])]
    return "\n".join(lines)


def totals(outcomes: Iterable[Outcome]) -> str:
    """One line for many."""
    all_of_them = list(outcomes)
    steps, tasks = sum(one.steps for one in all_of_them), sum(one.tasks for one in all_of_them)
    hours = sum(one.seconds for one in all_of_them) / 3600
    broken = sum(one.broken is not None for one in all_of_them)
    faults = sum(one.faults for one in all_of_them)
    return (
        f"{len(all_of_them)} seeds, {faults} incidents, {tasks} tasks, {steps} steps, {hours:.0f} virtual hours: "
        f"{broken} broken"
    )
