"""What starting costs, and what an agent costs that has nothing to do."""

from __future__ import annotations

import argparse
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from benchmarks.figures import Held, note
from benchmarks.processes import cpu, median, peak, run
from benchmarks.table import rows

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


def idle(home: Path, settle: float, seconds: float) -> str:
    """An agent with a watched folder and nothing to do."""
    agent = subprocess.Popen([sys.executable, "-m", "haulier", "-q", "run"], cwd=home, stdin=subprocess.DEVNULL)
    try:
        time.sleep(settle)
        woken, used = switches(agent.pid), cpu(agent.pid)
        time.sleep(seconds)
        woken, used = switches(agent.pid) - woken, cpu(agent.pid) - used
        most = peak(agent.pid)
        note(Held("An agent with a watched folder and nothing to do", most, None))
        share = used / seconds * 100
        return f"Idle agent with a watched folder: {share:.2f} % CPU, {woken / seconds:.1f} wake-ups/s, {most:.0f} MiB."
    finally:
        agent.send_signal(signal.SIGTERM)
        agent.wait()


def main() -> None:
    """Run each some times and print a table."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.starting", description=__doc__)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--seconds", type=float, default=60, help="of doing nothing that are looked at")
    parser.add_argument("--settle", type=float, default=10, help="seconds after the start before that")
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
        lines = []
        for label, command in known.items():
            cost = median([run(command, None, home / "log") for _ in range(arguments.rounds)])
            lines.append((f"`{label}`", f"{cost.wall:.3f}", f"{cost.cpu:.3f}", f"{cost.peak:.0f}"))
        print(f"Medians of {arguments.rounds}.\n\n{rows(('', 'wall s', 'CPU s', 'peak MiB'), lines)}")
        print(f"\n{idle(home, arguments.settle, arguments.seconds)}")


if __name__ == "__main__":
    main()
