"""A folder of very many files: queued by a scan, and scanned again when all of them are known."""

from __future__ import annotations

import argparse
import shutil
import sys
import tempfile
from pathlib import Path

from benchmarks.files import Workload
from benchmarks.folder import CONFIG
from benchmarks.processes import Cost, run
from benchmarks.table import rows

LISTING = "import os, sys; [entry.stat() for entry in os.scandir(sys.argv[1])]"


def line(name: str, count: int, cost: Cost) -> list[str]:
    """What one took."""
    return [name, f"{cost.wall:.2f}", f"{cost.cpu:.2f}", f"{cost.peak:.0f}", f"{count / cost.wall:,.0f}"]


def main() -> None:
    """Fill a folder, scan it twice, and print a table."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.scanning", description=__doc__)
    parser.add_argument("--workload", type=Workload.parse, default=Workload.parse("200000x16"))
    arguments = parser.parse_args()
    count = arguments.workload.count
    with tempfile.TemporaryDirectory(prefix="haulier-bench-", dir=Path.cwd()) as name:
        home, log = Path(name), Path(name) / "log"
        arguments.workload.make(home / "source")
        config = home / "haulier.toml"
        config.write_text(CONFIG.format(state=home / "state", threads=2, store=home / "store"))
        source = str(home / "source")
        scan = ("-m", "haulier", "-q", "--config", str(config), "scan", source, "--settled", "--queue-only")
        known = {
            "list the folder, ask for size and times": ("-c", LISTING, source),
            "`haulier scan`, all queued durably": scan,
            "`haulier scan` again, nothing queued": scan,
        }
        lines = [line(name, count, run((sys.executable, *given), None, log)) for name, given in known.items()]
        journal = sum(file.stat().st_size for file in (home / "state").rglob("*.db*"))
        shutil.rmtree(home / "source")
    print(f"### Scan of a folder of {count:,} files\n")
    print("One run each; wall and CPU in seconds, memory in MiB.\n")
    print(rows(("", "wall", "CPU", "peak", "files/s"), lines))
    print(f"State folder afterwards: {journal / count:,.0f} bytes a file.")


if __name__ == "__main__":
    main()
