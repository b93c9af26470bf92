"""What the figures were measured on: the machine, and the version of everything that took part."""

from __future__ import annotations

import contextlib
import importlib.metadata
import os
import platform
import re
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from benchmarks.programs import beside_python
from benchmarks.table import rows

PACKAGES = (
    *("haulier", "haulier-s3", "haulier-azure", "haulier-wats", "boto3", "botocore", "awscrt", "obstore", "awscli"),
    *("azure-storage-blob", "requests", "urllib3", "starlette", "uvicorn"),
)
SYNCS = 50


def described() -> str:
    """Both tables."""
    return f"{rows(('machine', ''), machine())}\n{rows(('version of', ''), versions())}"


def machine() -> list[tuple[str, str]]:
    """What can be told of the machine without rights."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return [
        ("date", time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime())),
        ("processor", f"{_processor()}, {cores} cores"),
        ("memory", _memory()),
        ("system", f"{platform.system()} {platform.release()}, {platform.machine()}"),
        ("disk", _disk(Path.cwd())),
        ("network", "loopback, plain HTTP"),
        ("load before", f"{os.getloadavg()[0]:.1f} processes ready to run, in the minute before"),
    ]


def versions() -> list[tuple[str, str]]:
    """Of Haulier, what it runs on, and who stands beside it."""
    import apsw

    found = [("Python", platform.python_version()), ("SQLite", f"{apsw.sqlite_lib_version()} (apsw)")]
    commit = _said("git", "describe", "--always", "--dirty")
    for name in PACKAGES:
        with contextlib.suppress(importlib.metadata.PackageNotFoundError):
            more = f", commit {commit}" if name == "haulier" and commit else ""
            found.append((name, importlib.metadata.version(name) + more))
    for name in ("s5cmd", "rclone"):
        with contextlib.suppress(SystemExit):
            found.append((name, _said(beside_python(name), "version").partition("\n")[0]))
    azurite = sorted(Path(".servers").glob("azurite-*/package.json"))
    return [*found, *(("Azurite", place.parent.name.removeprefix("azurite-")) for place in azurite)]


def _processor() -> str:
    with contextlib.suppress(OSError):
        told = Path("/proc/cpuinfo").read_text("utf-8")
        if model := re.search(r"^model name\s*:\s*(.+)$", told, re.MULTILINE):
            return model[1]
    return platform.processor() or "unknown"


def _memory() -> str:
    if not hasattr(os, "sysconf"):
        return "unknown"
    return f"{os.sysconf('SC_PAGE_SIZE') * os.sysconf('SC_PHYS_PAGES') / 1024**3:.0f} GiB"


def _disk(folder: Path) -> str:
    """Kind and file system, and how long a sync takes, which says more."""
    return f"{_kind(folder)}; 4 KiB written and synced in {_sync_seconds(folder) * 1000:.2f} ms (median of {SYNCS})"


def _kind(folder: Path) -> str:
    device = folder.stat().st_dev
    block = Path(f"/sys/dev/block/{os.major(device)}:{os.minor(device)}")
    known = []
    with contextlib.suppress(OSError):
        queue = next(place for place in (block / "queue", block.resolve().parent / "queue") if place.exists())
        spins = (queue / "rotational").read_text().strip() == "1"
        known.append(f"{block.resolve().name}, {'said to rotate' if spins else 'does not rotate'}")
    with contextlib.suppress(OSError):
        mounts = [line.split() for line in Path("/proc/mounts").read_text().splitlines()]
        holding = [mount for mount in mounts if folder.resolve().is_relative_to(mount[1])]
        known.append(max(holding, key=lambda mount: len(mount[1]))[2])
    return ", ".join(known) or sys.platform


def _sync_seconds(folder: Path) -> float:
    taken = []
    with tempfile.TemporaryFile(dir=folder) as stream:
        for _ in range(SYNCS):
            began = time.perf_counter()
            os.pwrite(stream.fileno(), bytes(4096), 0)
            os.fsync(stream.fileno())
            taken.append(time.perf_counter() - began)
    return statistics.median(taken)


def _said(*command: str) -> str:
    try:
        return subprocess.run(command, capture_output=True, text=True, check=True, timeout=30).stdout.strip()
    except (OSError, subprocess.SubprocessError):
        return ""
