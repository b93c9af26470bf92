"""The table of a run, in Markdown: it can be pasted into the docs as it is."""

from __future__ import annotations

from typing import TYPE_CHECKING

from benchmarks.figures import Held, Reached, note
from benchmarks.processes import median

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from benchmarks.files import Workload
    from benchmarks.processes import Contestant, Cost

MIB = 1024 * 1024


def rows(heads: Sequence[str], lines: Sequence[Sequence[str]]) -> str:
    """A table of texts."""
    return "\n".join(f"| {' | '.join(cells)} |" for cells in (heads, ["---"] * len(heads), *lines)) + "\n"


def report(
    title: str,
    workload: Workload,
    chosen: Sequence[Contestant],
    costs: Mapping[str, Sequence[Cost]],
    bars: Mapping[str, float] | None = None,
) -> str:
    """One line for each contestant: medians, and how the first one's wall time stands to it.

    Args:
        title: Of the table.
        workload: What each did.
        chosen: Who ran, Haulier first.
        costs: What each run cost, by name.
        bars: The most that Haulier's wall time is to be of that of others, by name.
    """
    middle = {name: median(runs) for name, runs in costs.items()}
    first, limits = middle[chosen[0].name], bars or {}
    note(Held(title, max(run.peak for run in costs[chosen[0].name]), first.bodies))
    for name, limit in limits.items():
        if name in middle:
            share = first.wall / middle[name].wall
            note(Reached(title, f"wall beside {name}", f"<= {limit:g}", f"{share:.2f}", share <= limit))
    heads = ("", "wall", "least to most", "CPU", "peak", "MiB/s", "files/s", f"wall of {chosen[0].name} to it", "bar")
    lines = [
        [*_cells(workload, one, costs[one.name]), _share(first, middle[one.name]), _bar(limits, one.name), one.does]
        for one in chosen
    ]
    runs = len(costs[chosen[0].name])
    told = f"Medians of {runs}; wall and CPU in seconds, memory in MiB." if runs > 1 else "One run; seconds and MiB."
    return f"### {title}\n\n{told}\n\n{rows((*heads, 'beside sending'), lines)}"


def _cells(workload: Workload, one: Contestant, runs: Sequence[Cost]) -> list[str]:
    cost, walls = median(runs), [run.wall for run in runs]
    return [
        one.name,
        f"{cost.wall:.2f}",
        f"{min(walls):.2f} to {max(walls):.2f}",
        f"{cost.cpu:.2f}",
        f"{cost.peak:.0f}",
        f"{workload.total / MIB / cost.wall:.0f}",
        f"{workload.count / cost.wall:.0f}",
    ]


def _share(first: Cost, other: Cost) -> str:
    return "" if first is other else f"{first.wall / other.wall:.2f}"


def _bar(limits: Mapping[str, float], name: str) -> str:
    return f"<= {limits[name]:g}" if name in limits else ""
