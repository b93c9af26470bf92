"""What it costs to go on after a kill: 90 % of a file acknowledged, the process killed, another one started.

Over S3, to a server that keeps no content but knows which parts it was sent: directly, and over a link of 100 MB/s.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks.figures import Reached, note
from benchmarks.files import Workload
from benchmarks.limited_link import limited
from benchmarks.processes import run, serving
from benchmarks.programs import CLIENTS
from benchmarks.s3 import ACCESS, BUCKET, CONFIG
from benchmarks.table import rows

if TYPE_CHECKING:
    from collections.abc import Iterator

    from benchmarks.limited_link import Bucket

SHARE = 0.9
LINK = 100e6  # bytes a second


@dataclass(frozen=True)
class Round:
    """One upload left alone, and one that was killed and continued.

    Attributes:
        whole: Seconds of the one left alone.
        rest: Seconds of going on.
        reading: Seconds of reading and hashing what the destination held.
        cpu: CPU seconds of the whole upload.
        rest_cpu: CPU seconds of going on.
        passed: Bytes that went over the link for the rest.
    """

    whole: float
    rest: float
    reading: float
    cpu: float
    rest_cpu: float
    passed: int


def script(name: str, *given: str) -> list[str]:
    """The command line of a client."""
    return [sys.executable, str(CLIENTS / name), *given]


def configured(home: Path, name: str, endpoint: str) -> str:
    """A configuration with a state folder of its own."""
    config = home / f"{name}.toml"
    config.write_text(
        CONFIG.format(state=f"'{home / name}'", threads=8, bucket=BUCKET, endpoint=endpoint, checksum="crc64nvme")
    )
    return str(config)


def killed(command: list[str]) -> None:
    """Run what kills itself.

    Raises:
        SystemExit: It ended in another way.
    """
    done = subprocess.run(command, env={**os.environ, **ACCESS}, capture_output=True, text=True, check=False)
    if done.returncode != -signal.SIGKILL:
        raise SystemExit(f"the upload was not killed but ended with {done.returncode}: {done.stderr[-2000:]}")


def once(home: Path, number: int, endpoint: str, bucket: Bucket | None) -> Round:
    """One upload that is left alone, and one that is killed and continued."""
    source, log = str(home / "source"), home / "log"
    whole = run(script("haulier_send.py", configured(home, f"whole-{number}", endpoint), source), ACCESS, log)
    config = configured(home, f"killed-{number}", endpoint)
    killed(script("haulier_killed.py", config, source, str(SHARE)))
    before = bucket.passed if bucket else 0
    rest = run(script("haulier_send.py", config, source), ACCESS, log)
    passed = bucket.passed - before if bucket else 0
    reading = run(script("digest_alone.py", source, str(SHARE)), None, log)
    return Round(whole.wall, rest.wall, reading.wall, whole.cpu, rest.cpu, passed)


@contextlib.contextmanager
def server(rate: float | None) -> Iterator[tuple[str, Bucket | None]]:
    """The sink, directly or behind a link."""
    with serving([sys.executable, "-m", "benchmarks.held_sink"]) as endpoint:
        if rate is None:
            yield endpoint, None
        else:
            with limited(endpoint, rate) as found:
                yield found


def line(name: str, workload: Workload, found: list[Round]) -> list[str]:
    """The medians, and how they stand to the bar."""
    whole, rest, reading, cpu, rest_cpu, passed = (
        statistics.median(getattr(one, figure) for one in found)
        for figure in ("whole", "rest", "reading", "cpu", "rest_cpu", "passed")
    )
    linked = name != "sink"
    most = 0.3 * whole if linked else reading + 0.2 * whole
    told = "<= 0.3 of the whole" if linked else "<= re-hash time + 0.2 of the whole"
    figure = f"{rest / whole:.2f} of the whole" if linked else f"{rest:.2f} s, where the bar is at {most:.2f} s"
    note(Reached(f"Continue {workload} after a kill at 90 %, {name}", "wall", told, figure, rest <= most))
    sent = f"{passed / 1024**2:.0f}" if linked else ""
    walls = (f"{whole:.2f}", f"{rest:.2f}", f"{rest / whole:.2f}", f"{reading:.2f}", f"{most:.2f}")
    return [name, *walls, f"{cpu:.2f}", f"{rest_cpu:.2f}", sent]


def main() -> None:
    """Run and print a table."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.continuing", description=__doc__)
    parser.add_argument("--workload", type=Workload.parse, default=Workload.parse("1x1GiB"))
    parser.add_argument("--rounds", type=int, default=3)
    arguments = parser.parse_args()
    lines = []
    with tempfile.TemporaryDirectory(prefix="haulier-bench-", dir=Path.cwd()) as name:
        home = Path(name)
        arguments.workload.make(home / "source")
        for place, rate in (("sink", None), ("link of 100 MB/s", LINK)):
            with server(rate) as (endpoint, bucket):
                found = [once(home, number, endpoint, bucket) for number in range(arguments.rounds)]
            lines.append(line(place, arguments.workload, found))
            for left in (*home.glob("whole-*"), *home.glob("killed-*")):
                shutil.rmtree(left) if left.is_dir() else left.unlink()
    heads = (
        "",
        "whole",
        "rest",
        "rest to whole",
        "reading what was held",
        "bar at",
        "CPU of the whole",
        "CPU of the rest",
        "MiB sent for the rest",
    )
    print(f"### Continue {arguments.workload} after a kill at 90 %\n")
    print(f"Medians of {arguments.rounds}; wall in seconds, start of the process included.\n")
    print(rows(heads, lines))


if __name__ == "__main__":
    main()
