"""What starting costs, and what an agent costs that has nothing to do."""

from __future__ import annotations

import argparse
import os
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from benchmarks.processes import median, run

CONFIG = """
[upload]
state_dir = 'state'
backend = "store"

[watch]
paths = ['watched']

[backends.store]
type = "filesystem"
url = 'store'
"""


def switches(pid: int) -> int:
    """How often the threads of a process went to sleep by themselves: how often they woke."""
    total = 0
    for status in Path(f"/proc/{pid}/task").glob("*/status"):
        found = [line for line in status.read_text().splitlines() if line.startswith("voluntary_ctxt_switches")]
        total += int(found[0].split()[1])
    return total


def cpu(pid: int) -> float:
    """User and system seconds of a process so far."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def idle(home: Path, seconds: float) -> str:
    """An agent with a watched folder and nothing to do."""
    agent = subprocess.Popen([sys.executable, "-m", "haulier", "-q", "run"], cwd=home, stdin=subprocess.DEVNULL)
    try:
        time.sleep(10)
        woken, used = switches(agent.pid), cpu(agent.pid)
        time.sleep(seconds)
        woken, used = switches(agent.pid) - woken, cpu(agent.pid) - used
        lines = Path(f"/proc/{agent.pid}/status").read_text().splitlines()
        peak = next(int(line.split()[1]) for line in lines if line.startswith("VmHWM")) / 1024
        share = used / seconds * 100
        return f"idle agent: {share:.2f} % CPU, {woken / seconds:.1f} wake-ups/s, peak {peak:.0f} MiB"
    finally:
        agent.send_signal(signal.SIGTERM)
        agent.wait()


def main() -> None:
    """Run each some times and print a table."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.starting", description=__doc__)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--seconds", type=float, default=60)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="haulier-bench-", dir=Path.cwd()) as name:
        home = Path(name)
        (home / "watched").mkdir()
        (home / "haulier.toml").write_text(CONFIG)
        haulier = [sys.executable, "-m", "haulier", "--config", str(home / "haulier.toml")]
        known = {
            "python -c pass": [sys.executable, "-c", "pass"],
            "import haulier": [sys.executable, "-c", "import haulier"],
            "haulier --help": [*haulier, "--help"],
            "haulier status": [*haulier, "status"],
        }
        print("| | wall s | CPU s | peak MiB |\n|---|---|---|---|")
        for label, command in known.items():
            cost = median([run(command, None, home / "log") for _ in range(arguments.rounds)])
            print(f"| `{label}` | {cost.wall:.3f} | {cost.cpu:.3f} | {cost.peak:.0f} |")
        print(f"\n{idle(home, arguments.seconds)}")


if __name__ == "__main__":
    main()
