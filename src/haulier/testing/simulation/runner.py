"""Running simulations: one seed, many, and making a failing one small."""

from __future__ import annotations

import logging
import shutil
import tempfile
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from haulier.testing.simulation.checks import BrokenError
from haulier.testing.simulation.plan import Plan, make_plan
from haulier.testing.simulation.world import World

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

__all__ = ["Outcome", "run_many", "run_plan", "run_seed", "shrink"]

MEMORY = Path("/dev/shm")  # noqa: S108  a folder in memory, where there is one


@dataclass(frozen=True)
class Outcome:
    """What came of one simulation.

    Attributes:
        plan: What was simulated.
        steps: Steps of all threads.
        seconds: Virtual time.
        tasks: Tasks that were made.
        faults: Incidents.
        broken: The invariant that does not hold, or None.
        kind: Its kind, or the name of the exception.
        trace: The last steps.
    """

    plan: Plan
    steps: int
    seconds: float
    tasks: int
    faults: int
    broken: str | None = None
    kind: str = ""
    trace: tuple[str, ...] = ()


def run_seed(seed: int) -> Outcome:
    """Simulate a seed."""
    return run_plan(make_plan(seed))


def run_many(seeds: Sequence[int], jobs: int | None = None) -> Iterator[Outcome]:
    """Simulate many seeds in their order, in processes side by side.

    Args:
        seeds: Which.
        jobs: How many processes; None for one for each processor.
    """
    if jobs == 1:
        yield from map(run_seed, seeds)
        return
    from concurrent.futures import ProcessPoolExecutor
    from multiprocessing import get_context

    with ProcessPoolExecutor(jobs, mp_context=get_context("spawn")) as pool:
        yield from pool.map(run_seed, seeds, chunksize=5)


def run_plan(plan: Plan) -> Outcome:
    """Simulate a plan in a folder of its own, in memory where the system has one."""
    folder = Path(tempfile.mkdtemp(prefix="haulier-sim-", dir=MEMORY if MEMORY.is_dir() else None))
    manager_log = logging.getLogger("haulier.manager")
    quiet, manager_log.disabled = manager_log.disabled, True
    world = World(plan, folder)
    try:
        world.live()
    except (Exception, BrokenError) as error:  # noqa: BLE001  whatever it is, it is the finding
        return _outcome(world, f"{type(error).__name__}: {error}", getattr(error, "kind", type(error).__name__))
    finally:
        manager_log.disabled = quiet
        for name in world.names:
            world.end(name)
        shutil.rmtree(folder, ignore_errors=True)
    if world.disk.open_sources:
        return _outcome(world, f"left open: {', '.join(world.disk.open_sources)}", "LeftOpen")
    return _outcome(world)


def _outcome(world: World, broken: str | None = None, kind: str = "") -> Outcome:
    scheduler = world.scheduler
    return Outcome(
        world.plan,
        scheduler.steps,
        scheduler.time,
        len(world.checks.rows),
        world.faults,
        broken,
        kind,
        tuple(scheduler.trace[-scheduler.TRACE :]),
    )


def shrink(outcome: Outcome, run: Callable[[Plan], Outcome] = run_plan) -> Outcome:
    """Leave incidents out, more and more single ones, as long as the same kind of finding stays."""
    smallest = outcome
    size = max(1, len(smallest.plan.incidents) // 2)
    while True:
        start = 0
        while start < len(smallest.plan.incidents):
            kept = smallest.plan.incidents[:start] + smallest.plan.incidents[start + size :]
            tried = run(replace(smallest.plan, incidents=kept))
            if tried.broken is not None and tried.kind == outcome.kind:
                smallest = tried
            else:
                start += size
        if size == 1:
            return smallest
        size = max(1, size // 2)
