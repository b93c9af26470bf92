"""A local folder: Haulier beside a copy of the same guarantees and `rclone copy`, in alternation."""

from __future__ import annotations

import argparse
import shutil
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks.files import Workload
from benchmarks.processes import Contestant, alternate
from benchmarks.programs import CLIENTS, beside_python
from benchmarks.table import report

if TYPE_CHECKING:
    from collections.abc import Callable

WORKLOADS = ("1x1GiB", "20000x4KiB")
BARS = {"1x1GiB": {"copy": 1.3}, "20000x4KiB": {"copy": 1.3}}
"""The most that Haulier's wall time is to be of that of others."""
CONFIG = """
[upload]
state_dir = '{state}'
backend = "store"
max_concurrent_uploads = {threads}

[backends.store]
type = "filesystem"
url = '{store}'
"""


def contestants(source: Path, home: Path, threads: int) -> list[Contestant]:
    """All that run, each with what it does beside copying."""
    store = home / "store"

    def haulier(_: int) -> list[str]:
        config = home / "haulier.toml"
        config.write_text(CONFIG.format(state=home / "state", threads=threads, store=store))
        return [sys.executable, str(CLIENTS / "haulier_send.py"), str(config), str(source)]

    copy = [sys.executable, str(CLIENTS / "copy_synced.py"), str(source), str(store)]
    rclone = [beside_python("rclone"), "--config", "/dev/null", "copy", "--no-traverse", str(source), str(store)]
    return [
        Contestant(
            "haulier",
            haulier,
            "durable queue and receipts; each file synced, read back past the cache, compared",
            stored(store),
        ),
        Contestant(
            "copy", lambda _: copy, "each file and folder synced, read back past the cache, compared", stored(store)
        ),
        Contestant("rclone", lambda _: rclone, "MD5 compared; nothing synced", stored(store)),
    ]


def stored(store: Path) -> Callable[[Workload], None]:
    """What looks whether the store holds as many files as were sent."""

    def look(workload: Workload) -> None:
        found = [path.stat().st_size for path in store.rglob("rec_*.mp4")]
        if found != [workload.size] * workload.count:
            raise SystemExit(f"the store holds {len(found)} files, {sum(found)} bytes")

    return look


def main() -> None:
    """Run what was asked for and print a table for each workload."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.folder", description=__doc__)
    parser.add_argument("--workload", action="append", type=Workload.parse, help=f"default: {', '.join(WORKLOADS)}")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--threads", type=int, default=8, help="uploads at once")
    parser.add_argument("--only", action="append", help="run these alone")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="haulier-bench-", dir=Path.cwd()) as name:
        for workload in arguments.workload or map(Workload.parse, WORKLOADS):
            home = Path(name) / "run"
            workload.make(home / "source")

            def clean(home: Path = home) -> None:
                for left in ("store", "state"):
                    shutil.rmtree(home / left, ignore_errors=True)

            known = contestants(home / "source", home, arguments.threads)
            chosen = [one for one in known if not arguments.only or one.name in arguments.only]
            costs = alternate(chosen, workload, arguments.rounds, home / "log", clean)
            print(report(f"Folder, {workload}", workload, chosen, costs, workload.of(BARS)))
            shutil.rmtree(home)


if __name__ == "__main__":
    main()
