"""What one agent, one server, a thousand agents and a fleet would carry: a simulation of a working day.

Recordings end at random within the day, most around its middle, and pass one station after the other; each station
serves in order of arrival. Nothing is measured here: the seconds that a station needs come from the results of the
benchmarks, or are assumptions, and are all in `Figures`. Seeded: the same figures give the same table.
"""

from __future__ import annotations

import argparse
import heapq
import random
from collections import defaultdict
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmarks.page import write
from benchmarks.table import rows

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

HOUR = 3600.0


@dataclass(frozen=True)
class Figures:
    """Seconds and counts. Those above the line of assumptions are measured: see the page of measurements.

    Attributes:
        agent_recording: CPU of an agent for each recording.
        agent_mb: CPU of an agent for each MB, hashed and sent.
        server_recording: CPU of the server for each recording.
        server_mb: CPU of the server for each MB.
        rows: Rows in an agent's journal that a completed recording leaves.
        row_bytes: Bytes of its journal for each recording.
        server_cores: Cores of one server.
        disk_mb: Of the server's disk, written and synced, for each MB.
        link_mb: Of an agent's link, for each MB: 100 Mbit/s.
        network_mb: Of one server's network, for each MB: 10 Gbit/s.
        nodes: Servers of a fleet.
        commit: Of PostgreSQL, for each transaction.
        commits: Transactions for each recording.
        connections: Transactions of PostgreSQL at once.
        put: Of object storage, answering one request.
        puts: Requests for each recording.
        lanes: Requests of the fleet under way at once, for each node.
        store_mb: Of the fleet's way into object storage, for each MB and node: 10 Gbit/s.
        recordings: Of one agent in a day.
        size_mb: Mean size of a recording.
        spread: Of the sizes' logarithm.
        hours: Of a working day.
    """

    agent_recording: float = 0.010
    agent_mb: float = 0.004
    server_recording: float = 0.018
    server_mb: float = 0.006
    rows: int = 8
    row_bytes: int = 5200
    # what follows is assumed
    server_cores: int = 8
    disk_mb: float = 1 / 400
    link_mb: float = 1 / 12.5
    network_mb: float = 1 / 1250
    nodes: int = 8
    commit: float = 0.002
    commits: int = 4
    connections: int = 16
    put: float = 0.03
    puts: int = 6
    lanes: int = 64
    store_mb: float = 1 / 1250
    recordings: float = 24
    size_mb: float = 120
    spread: float = 1.0
    hours: float = 8


@dataclass(frozen=True)
class Station:
    """Serves so many at once, each for some seconds and some more for each MB; `own` is one that each agent has."""

    name: str
    servers: int
    recording: float
    mb: float
    own: bool = False

    def seconds(self, size_mb: float) -> float:
        """What a recording of this size takes here."""
        return self.recording + self.mb * size_mb

    def most(self, size_mb: float) -> float:
        """Recordings a second that it can serve."""
        return self.servers / self.seconds(size_mb)


def agent(figures: Figures) -> list[Station]:
    """An agent and its link."""
    own = Station("agent's CPU", 1, figures.agent_recording, figures.agent_mb, own=True)
    return [own, Station("agent's link", 1, 0, figures.link_mb, own=True)]


def server(figures: Figures, nodes: int = 1) -> list[Station]:
    """The network and the processors of servers."""
    cores = Station("servers' CPU", figures.server_cores * nodes, figures.server_recording, figures.server_mb)
    return [Station("servers' network", nodes, 0, figures.network_mb), cores]


def setups(figures: Figures) -> dict[str, list[Station]]:
    """What a recording passes, by setup."""
    disk = Station("server's disk", 1, 0, figures.disk_mb)
    database = Station("PostgreSQL", figures.connections, figures.commit * figures.commits, 0)
    lanes, pipe = figures.lanes * figures.nodes, figures.nodes
    storage = [
        Station("object storage's answers", lanes, figures.put * figures.puts, 0),
        Station("servers' way to it", pipe, 0, figures.store_mb),
    ]
    return {
        "one agent": agent(figures),
        "one server": [*agent(figures), *server(figures), disk],
        f"fleet of {figures.nodes}": [*agent(figures), *server(figures, figures.nodes), *storage, database],
    }


def arrivals(figures: Figures, agents: int, chance: random.Random) -> Iterator[tuple[float, int, float]]:
    """When a recording ends, whose it is, and its size in MB."""
    middle = figures.hours * HOUR / 2
    mean = figures.size_mb
    for number in range(round(agents * figures.recordings)):
        size = chance.lognormvariate(0, figures.spread) * mean / 2.718281828 ** (figures.spread**2 / 2)
        yield chance.triangular(0, 2 * middle, middle), number % agents, size


@dataclass(frozen=True)
class Day:
    """What a day was like: seconds from the end of a recording to its receipt, and the share of the busiest station."""

    recordings: int
    mb: float
    median: float
    late: float
    busiest: str
    share: float


def day(figures: Figures, stations: Sequence[Station], agents: int, seed: int = 7) -> Day:
    """Let a day pass."""
    began = list(arrivals(figures, agents, random.Random(seed)))
    events = [(when, number, 0) for number, (when, _, _) in enumerate(began)]
    heapq.heapify(events)
    free: dict[tuple[int, int], list[float]] = defaultdict(list)
    busy: dict[tuple[int, int], float] = defaultdict(float)
    waits = []
    while events:
        now, number, stage = heapq.heappop(events)
        if stage == len(stations):
            waits.append(now - began[number][0])
            continue
        station = stations[stage]
        lane = free[stage, began[number][1] if station.own else -1]
        start = now if len(lane) < station.servers else max(now, heapq.heappop(lane))
        end = start + station.seconds(began[number][2])
        heapq.heappush(lane, end)
        busy[stage, int(start // HOUR)] += end - start
        heapq.heappush(events, (end, number, stage + 1))
    shares = {
        (stations[stage].name, hour): used / (HOUR * stations[stage].servers * (agents if stations[stage].own else 1))
        for (stage, hour), used in busy.items()
    }
    busiest = max(shares, key=lambda key: shares[key])
    waits.sort()
    late = waits[int(len(waits) * 0.99)]
    sent = sum(size for _, _, size in began)
    return Day(len(began), sent, waits[len(waits) // 2], late, busiest[0], shares[busiest])


def limits(figures: Figures) -> str:
    """Where the first limit of each setup is, with as many agents as it takes: what its slowest station serves."""
    lines = []
    for name, stations in setups(figures).items():
        known = [one for one in stations if not one.own] or stations
        cells = [name]
        for size in (0.0655, figures.size_mb):
            first = min(known, key=lambda one: one.most(size))
            rate = first.most(size)
            cells += [f"{rate:,.1f}", f"{rate * 24 * HOUR:,.0f}", f"{rate * size:,.0f}", first.name]
        lines.append(cells)
    rest = ("a day", "MB/s", "first limit")
    return rows(("", "of 64 KiB a second", *rest, f"of {figures.size_mb:g} MB a second", *rest), lines)


def days(figures: Figures, sizes: Sequence[int]) -> str:
    """A day with ever more agents."""
    lines = []
    for name, stations in list(setups(figures).items())[1:]:
        for agents in sizes:
            found = day(figures, stations, agents)
            lines.append(
                [
                    name,
                    f"{agents:,}",
                    f"{found.recordings:,}",
                    f"{found.mb / figures.hours / HOUR:,.0f}",
                    f"{found.busiest}, {found.share:.0%}",
                    f"{found.median:,.0f} s",
                    f"{found.late:,.0f} s",
                    f"{found.recordings * figures.rows:,}",
                    f"{found.recordings * figures.row_bytes / 1e6:,.0f}",
                ]
            )
    busiest = "busiest station, share in its busiest hour"
    waits = ("median wait for the receipt", "of 1 % longer than")
    return rows(
        ("", "agents", "recordings/day", "MB/s, mean", busiest, *waits, "journal rows/day", "journal MB/day"), lines
    )


def main() -> None:
    """Print both tables, or write them into a page."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.scale", description=__doc__.partition("\n")[0])
    parser.add_argument(
        "--figure", action="append", default=[], metavar="NAME=NUMBER", help="instead of the built-in one"
    )
    parser.add_argument("--agents", type=int, action="append", help="default: 100, 1000, 3000, 10000")
    parser.add_argument("--write", type=Path, metavar="PAGE", help="replace the results in this page")
    arguments = parser.parse_args()
    kinds = {one.name: int if one.type == "int" else float for one in fields(Figures)}
    given = dict(text.partition("=")[::2] for text in arguments.figure)
    if unknown := set(given) - set(kinds):
        raise SystemExit(f"no such figure: {', '.join(sorted(unknown))}; there are {', '.join(kinds)}")
    numbers: dict[str, Any] = {name: kinds[name](float(text)) for name, text in given.items()}
    figures = replace(Figures(), **numbers)
    used = rows(("figure", "used"), [(f"`{one.name}`", f"{getattr(figures, one.name):.4g}") for one in fields(figures)])
    told = f"{limits(figures)}\n{days(figures, arguments.agents or (100, 1000, 3000, 10000))}\n{used}"
    if arguments.write:
        write(arguments.write, "scale", told)
    else:
        print(told)


if __name__ == "__main__":
    main()
