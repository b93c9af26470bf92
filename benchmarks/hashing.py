"""What digests cost: alone on this machine, and SHA-256 of a file beside its upload."""

from __future__ import annotations

import argparse
import hashlib
import os
import shutil
import sys
import tempfile
import threading
import time
import zlib
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks.files import MIB, Workload
from benchmarks.processes import Contestant, alternate, median, serving
from benchmarks.programs import CLIENTS
from benchmarks.s3 import contestants
from benchmarks.table import rows

if TYPE_CHECKING:
    from collections.abc import Callable

SECONDS = 0.5


def rate(digest: Callable[[bytes], object], block: bytes, threads: int = 1) -> float:
    """MB a second of a digest over one block again and again, all threads together."""
    passed = [0] * threads
    end = time.perf_counter() + SECONDS

    def work(turn: int) -> None:
        while time.perf_counter() < end:
            digest(block)
            passed[turn] += len(block)

    began = time.perf_counter()
    running = [threading.Thread(target=work, args=(turn,)) for turn in range(threads)]
    for thread in running:
        thread.start()
    for thread in running:
        thread.join()
    return sum(passed) / (time.perf_counter() - began) / 1e6


def digests() -> dict[str, Callable[[bytes], object]]:
    """All that Haulier and the services it meets use, by name."""
    known: dict[str, Callable[[bytes], object]] = {
        "SHA-256": lambda block: hashlib.sha256(block).digest(),
        "MD5": lambda block: hashlib.md5(block).digest(),
        "CRC32 (zlib)": zlib.crc32,
    }
    try:
        from awscrt import checksums
    except ImportError:
        return known
    known["CRC64NVME (awscrt)"] = checksums.crc64nvme
    known["SHA-256 and CRC64NVME"] = lambda block: (hashlib.sha256(block).digest(), checksums.crc64nvme(block))
    return known


def alone() -> str:
    """A table of rates."""
    block = os.urandom(MIB)
    lines = [
        [name, *(f"{rate(digest, block, threads):,.0f}" for threads in (1, 2))] for name, digest in digests().items()
    ]
    return rows(("blocks of 1 MiB, MB/s", "one thread", "two threads"), lines)


def beside(workload: Workload, rounds: int) -> str:
    """An upload to the sink, and SHA-256 of the same files alone, in alternation."""
    with tempfile.TemporaryDirectory(prefix="haulier-bench-", dir=Path.cwd()) as name:
        home = Path(name)
        workload.make(home / "source")
        digest = [sys.executable, str(CLIENTS / "digest_alone.py"), str(home / "source"), "1"]
        with serving([sys.executable, "-m", "benchmarks.held_sink"]) as endpoint:
            chosen = [
                contestants(endpoint, home / "source", home, 8, "crc64nvme")[0],
                Contestant("digest", lambda _: digest, ""),
            ]
            costs = alternate(chosen, workload, rounds, home / "log", lambda: None)
        shutil.rmtree(home / "source")
    upload, hashed = median(costs["haulier"]), median(costs["digest"])
    lines = [
        ["upload to the sink", f"{upload.wall:.2f}", f"{upload.cpu:.2f}", ""],
        ["SHA-256 of the files alone", f"{hashed.wall:.2f}", f"{hashed.cpu:.2f}", f"{hashed.cpu / upload.cpu:.2f}"],
    ]
    heads = (f"{workload}, medians of {rounds}", "wall s", "CPU s", "share of the upload's CPU")
    return rows(heads, lines)


def main() -> None:
    """Print both tables."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.hashing", description=__doc__)
    parser.add_argument("--workload", type=Workload.parse, default=Workload.parse("1x1GiB"))
    parser.add_argument("--rounds", type=int, default=3)
    arguments = parser.parse_args()
    print(f"### Digests\n\n{alone()}\n{beside(arguments.workload, arguments.rounds)}")


if __name__ == "__main__":
    main()
