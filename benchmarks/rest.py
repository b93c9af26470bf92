"""WATS's REST protocol: Haulier beside the same calls in a bare loop over requests, and over a raw socket."""

from __future__ import annotations

import argparse
import shutil
import sys
import tempfile
from pathlib import Path

from benchmarks.files import Workload
from benchmarks.processes import Contestant, alternate, cpu, family, peak, serving
from benchmarks.programs import CLIENTS
from benchmarks.table import report

WORKLOADS = ("1x1GiB", "2000x64KiB")
BARS = {"1x1GiB": {"requests": 1.5}, "2000x64KiB": {"requests": 2.0}}
"""The most that Haulier's wall time is to be of that of others."""
TOKEN = "a-token-for-benchmarks"
CONFIG = """
[upload]
state_dir = '{state}'
backend = "wats"
max_concurrent_uploads = {threads}

[backends.wats]
base_url = "{url}"
api_token = "env:BENCHMARK_TOKEN"
"""


def contestants(url: str, source: Path, home: Path, threads: int) -> list[Contestant]:
    """All that run, each with what it does beside sending."""

    def haulier(number: int) -> list[str]:
        config = home / "haulier.toml"
        config.write_text(CONFIG.format(state=home / f"state-{number}", threads=threads, url=url))
        return [sys.executable, str(CLIENTS / "haulier_send.py"), str(config), str(source)]

    def bare(name: str) -> list[str]:
        return [sys.executable, str(CLIENTS / name), url, TOKEN, str(source)]

    does = "durable queue and receipts; SHA-256 of each part and of the whole, compared by the server"
    return [
        Contestant("haulier", haulier, does, environment={"BENCHMARK_TOKEN": TOKEN}),
        Contestant("requests", lambda _: bare("rest_bare.py"), "nothing, one file after the other"),
        Contestant("raw socket", lambda _: bare("rest_socket.py"), "nothing, one file after the other"),
    ]


def served(pid: int, workload: Workload, runs: int) -> str:
    """What the server spent on all runs, of whomever."""
    members = family(pid)
    if not members:
        return ""
    used, most = sum(map(cpu, members)), max(map(peak, members))
    files, sent = workload.count * runs, workload.total * runs / 1e6
    each = f"{used / files * 1000:.1f} ms a recording, {used / sent * 1000:.2f} ms a MB"
    return f"The server, all runs together: {used:.1f} s CPU ({each}), {most:.0f} MiB in its largest process.\n"


def main() -> None:
    """Run what was asked for and print a table for each workload."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.rest", description=__doc__)
    parser.add_argument("--workload", action="append", type=Workload.parse, help=f"default: {', '.join(WORKLOADS)}")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--threads", type=int, default=8, help="uploads at once")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="haulier-bench-", dir=Path.cwd()) as name:
        for workload in arguments.workload or map(Workload.parse, WORKLOADS):
            home = Path(name) / "run"
            workload.make(home / "source")
            (home / "tokens").write_text(TOKEN)
            serve = [sys.executable, "-m", "haulier", "wats", "serve", "--port", "0", "--data", str(home / "data")]

            def clean(home: Path = home) -> None:
                for state in home.glob("state-*"):
                    shutil.rmtree(state)

            started: list[int] = []
            with serving([*serve, "--token-file", str(home / "tokens")], word=4, started=started) as url:
                chosen = contestants(f"{url}/api", home / "source", home, arguments.threads)
                costs = alternate(chosen, workload, arguments.rounds, home / "log", clean)
                told = served(started[0], workload, arguments.rounds * len(chosen))
            print(report(f"REST, {workload}, to the reference server", workload, chosen, costs, workload.of(BARS)))
            print(told)
            shutil.rmtree(home)


if __name__ == "__main__":
    main()
