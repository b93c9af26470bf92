"""The bars and the memory, drawn from what the parts noted."""

from __future__ import annotations

from typing import TYPE_CHECKING

from benchmarks.figures import Held, Reached
from benchmarks.table import rows

if TYPE_CHECKING:
    from collections.abc import Sequence


BUDGET = 64  # MiB of bodies, `memory_budget` as it is unless configured
PROCESS = 150e6 / 1024**2  # MiB of a process


def bars(found: Sequence[Held | Reached], journal: str) -> str:
    """Where a bar stands, and what was reached.

    Args:
        found: What the parts noted.
        journal: What the part about the journal printed.
    """
    reached = [one for one in found if isinstance(one, Reached)]
    reached += [*_of_memory([one for one in found if isinstance(one, Held)]), *_of_journal(journal)]
    lines = [(one.workload, one.measure, one.bar, one.figure, "yes" if one.met else "no") for one in reached]
    return rows(("workload", "measure", "bar", "reached", "met"), lines) if lines else "Nothing that has a bar ran."


def _of_memory(found: Sequence[Held]) -> list[Reached]:
    if not found:
        return []
    largest = max(found, key=lambda one: one.process)
    bodies = max(one.bodies or 0.0 for one in found)
    told = f"{largest.process * 1.048576:.0f} MB ({largest.workload})"
    return [
        Reached("every workload", "process", "< 150 MB", told, largest.process < PROCESS),
        Reached("every workload", "bodies", "<= 64 MiB, memory_budget", f"{bodies:.1f} MiB", bodies <= BUDGET),
    ]


def _of_journal(text: str) -> list[Reached]:
    """From its table: the first line is of few tasks, the last of many."""
    table = [[cell.strip() for cell in line.strip("|").split("|")] for line in text.splitlines() if line[:1] == "|"]
    head = next((number for number, cells in enumerate(table) if cells[0] == "tasks"), None)
    if head is None:
        return []
    lines = [dict(zip(table[head], cells, strict=False)) for cells in table[head + 2 :]]
    if len(lines) < 2:  # it did not end well
        return []
    few, many = lines[0], lines[-1]
    title = f"journal of {many['tasks']} tasks"
    rate, status = _number(many["queued/s"]), _number(many["status ms"])
    share = _number(many["claim p99 ms"]) / _number(few["claim p99 ms"])
    return [
        Reached(title, "queued in batches", ">= 20,000/s", f"{rate:,.0f}/s", rate >= 20_000),
        Reached(title, f"claim p99 beside {few['tasks']} tasks", "<= 3", f"{share:.2f}", share <= 3),
        Reached(title, "status", "< 50 ms", f"{status:.2f} ms", status < 50),
    ]


def _number(text: str) -> float:
    return float(text.replace(",", ""))


def memory(found: Sequence[Held | Reached]) -> str:
    """What Haulier's processes and the bodies in them took at most."""
    lines = [
        (one.workload, f"{one.process:.0f}", "" if one.bodies is None else f"{one.bodies:.1f}")
        for one in found
        if isinstance(one, Held)
    ]
    return rows(("workload", "process, MiB", "bodies, MiB"), lines) if lines else "Nothing ran."
