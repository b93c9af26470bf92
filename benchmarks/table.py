"""The table of a run, in Markdown: it can be pasted into the docs as it is."""

from __future__ import annotations

from typing import TYPE_CHECKING

from benchmarks.processes import median

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from benchmarks.files import Workload
    from benchmarks.processes import Contestant, Cost

MIB = 1024 * 1024


def report(title: str, workload: Workload, chosen: Sequence[Contestant], costs: Mapping[str, Sequence[Cost]]) -> str:
    """One line for each contestant: medians, and how the first one's wall time stands to it."""
    middle = {name: median(runs) for name, runs in costs.items()}
    first = middle[chosen[0].name]
    lines = [
        f"### {title}",
        "",
        f"Medians of {len(costs[chosen[0].name])}; wall and CPU in seconds, memory in MiB.",
        "",
        f"| | wall | least to most | CPU | peak | MiB/s | files/s | wall of {chosen[0].name} to it | beside sending |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for one in chosen:
        cost, walls = middle[one.name], [run.wall for run in costs[one.name]]
        cells = (
            one.name,
            f"{cost.wall:.2f}",
            f"{min(walls):.2f} to {max(walls):.2f}",
            f"{cost.cpu:.2f}",
            f"{cost.peak:.0f}",
            f"{workload.total / MIB / cost.wall:.0f}",
            f"{workload.count / cost.wall:.0f}",
            f"{first.wall / cost.wall:.2f}",
            one.does,
        )
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join([*lines, ""])
