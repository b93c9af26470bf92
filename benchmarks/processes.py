"""Running contestants as whole processes, in alternation, and what each cost."""

from __future__ import annotations

import contextlib
import os
import re
import signal
import socket
import statistics
import subprocess
import time
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from benchmarks.files import Workload


_ENVIRONMENT = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
"""Of every contestant: one that may not keep its bytecode compiles its libraries anew in each run."""


@dataclass(frozen=True)
class Cost:
    """What a whole process cost.

    Attributes:
        wall: Seconds from start to end, process start included.
        cpu: User and system seconds, of the process and of those it started and waited for.
        peak: Most resident memory in MiB, of the largest process among them.
        bodies: MiB of bodies held at once, at most, where the process tells it (see `haulier_send.py`).
    """

    wall: float
    cpu: float
    peak: float
    bodies: float | None = None


@dataclass(frozen=True)
class Contestant:
    """A way to do the work.

    Attributes:
        name: For the table.
        command: Makes the command line, anew for each round.
        does: What it checks and signs, in a few words.
        proves: Raises if the work was not done; called after each run.
        environment: Added to this process's own.
    """

    name: str
    command: Callable[[int], Sequence[str]]
    does: str
    proves: Callable[[Workload], None] = lambda _: None
    environment: Mapping[str, str] | None = None


def run(command: Sequence[str], environment: Mapping[str, str] | None, log: Path) -> Cost:
    """Run one command to its end.

    Raises:
        SystemExit: It failed; the message has the end of what it said.
    """
    with log.open("wb") as said:
        began = time.perf_counter()
        child = subprocess.Popen(
            list(command),
            env={**_ENVIRONMENT, **(environment or {})},
            stdin=subprocess.DEVNULL,
            stdout=said,
            stderr=subprocess.STDOUT,
        )
        _, status, used = os.wait4(child.pid, 0)
        wall = time.perf_counter() - began
        child.returncode = os.waitstatus_to_exitcode(status)
    if child.returncode:
        talk = log.read_text("utf-8", "replace")[-2000:]
        raise SystemExit(f"{' '.join(command)[:200]} ended with {child.returncode}:\n{talk}")
    told = re.search(rb"^bodies held: (\d+) bytes$", log.read_bytes()[-200:], re.MULTILINE)
    bodies = int(told[1]) / 1024**2 if told else None
    return Cost(wall, used.ru_utime + used.ru_stime, used.ru_maxrss / 1024, bodies)


def alternate(
    contestants: Sequence[Contestant], workload: Workload, rounds: int, log: Path, clean: Callable[[], None]
) -> dict[str, list[Cost]]:
    """Run all, one after the other, round after round, each round beginning with the next, so that a drift meets all.

    Args:
        contestants: Whom to run.
        workload: What each has to do.
        rounds: How often each.
        log: Where what they say is kept until the next.
        clean: Called before each run: removes what the last one left.
    """
    costs: dict[str, list[Cost]] = defaultdict(list)
    for number in range(rounds):
        first = number % len(contestants)
        for contestant in [*contestants[first:], *contestants[:first]]:
            clean()
            costs[contestant.name].append(run(contestant.command(number), contestant.environment, log))
            contestant.proves(workload)
    return dict(costs)


def median(costs: Sequence[Cost]) -> Cost:
    """The medians of each figure, taken apart; of bodies the most."""
    bodies = max((c.bodies for c in costs if c.bodies is not None), default=None)
    wall, cpu, peak = (statistics.median(getattr(cost, figure) for cost in costs) for figure in ("wall", "cpu", "peak"))
    return Cost(wall, cpu, peak, bodies)


@contextlib.contextmanager
def serving(
    command: Sequence[str], address: str | None = None, word: int = -1, started: list[int] | None = None
) -> Iterator[str]:
    """A server for as long as the block runs.

    Args:
        command: Its command line.
        address: Where it will listen; None: its first line of output says it.
        word: Which word of that line.
        started: The server's process id is added to it.

    Yields:
        Its address.
    """
    told = subprocess.PIPE if address is None else subprocess.DEVNULL
    with subprocess.Popen(list(command), stdout=told, stderr=subprocess.DEVNULL, text=True) as process:
        try:
            if started is not None:
                started.append(process.pid)
            if process.stdout is not None:
                address = process.stdout.readline().split()[word]
            _wait_for(address or "")
            yield address or ""
        finally:
            process.send_signal(signal.SIGTERM)
            process.wait()


def family(pid: int) -> list[int]:
    """A process that runs and all that it started, as Linux tells; nothing elsewhere."""
    known = {int(place.name): place / "stat" for place in Path("/proc").glob("[0-9]*")}
    parents = {}
    for child, stat in known.items():
        with contextlib.suppress(OSError):
            parents[child] = int(stat.read_text().rpartition(")")[2].split()[1])
    found = [pid] if pid in known else []
    for member in found:  # grows while it is read
        found += [child for child, parent in parents.items() if parent == member]
    return found


def cpu(pid: int) -> float:
    """User and system seconds of a process so far."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def peak(pid: int) -> float:
    """Most resident memory of a process so far, MiB."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM")) / 1024


def _wait_for(address: str) -> None:
    host, _, port = address.removeprefix("http://").partition("/")[0].partition(":")
    for _ in range(500):
        try:
            socket.create_connection((host, int(port)), 1).close()
        except OSError:
            time.sleep(0.02)
        else:
            return
    raise SystemExit(f"{address} does not answer")
