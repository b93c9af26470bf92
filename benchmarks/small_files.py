"""Many small files to a local folder: Haulier beside a plain copy that syncs and compares, in one run."""

from __future__ import annotations

import argparse
import hashlib
import os
import resource
import shutil
import tempfile
import time
from pathlib import Path

from haulier import TaskState, UploadManager


def make_files(folder: Path, count: int, size: int) -> None:
    folder.mkdir()
    for number in range(count):
        (folder / f"rec_{number:06}.mp4").write_bytes(os.urandom(size))


def plain_copy(source: Path, target: Path) -> None:
    """What the same guarantees cost without a queue: write, fsync, fsync the folder, read back, compare."""
    for path in sorted(source.iterdir()):
        content = path.read_bytes()
        folder = target / hashlib.sha256(path.name.encode()).hexdigest()[:16]
        folder.mkdir(parents=True)
        copy = folder / path.name
        with copy.open("wb") as stream:
            stream.write(content)
            stream.flush()
            os.fsync(stream.fileno())
        descriptor = os.open(folder, os.O_RDONLY)
        os.fsync(descriptor)
        os.close(descriptor)
        if hashlib.sha256(copy.read_bytes()).digest() != hashlib.sha256(content).digest():
            raise SystemExit(f"{copy} differs")


def timed(label: str, count: int, work) -> float:
    wall, cpu = time.perf_counter(), time.process_time()
    work()
    wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
    print(f"{label:<28}{wall:8.2f} s wall {cpu:8.2f} s CPU {count / wall:10.0f} files/s")
    return wall


def check(store: Path, source: Path) -> None:
    stored = {path.name: path.read_bytes() for path in store.rglob("*.mp4")}
    if stored != {path.name: path.read_bytes() for path in source.iterdir()}:
        raise SystemExit("the store does not hold what was sent")
    if sum(1 for _ in store.rglob("*.mp4")) != len(stored):
        raise SystemExit("something was stored twice")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--files", type=int, default=10_000)
    parser.add_argument("--size", type=int, default=4096)
    parser.add_argument("--workers", type=int, default=2)
    arguments = parser.parse_args()
    home = Path(tempfile.mkdtemp(prefix="haulier-bench-", dir=Path.cwd()))
    try:
        source, store = home / "source", home / "store"
        make_files(source, arguments.files, arguments.size)
        copy = timed("plain copy, fsync, compare", arguments.files, lambda: plain_copy(source, home / "copy"))
        manager = UploadManager.open(
            {
                "upload": {"state_dir": str(home / "state"), "max_concurrent_uploads": arguments.workers},
                "backends": {"store": {"type": "filesystem", "url": str(store)}},
            }
        )
        queued = timed("haulier: scan and queue", arguments.files, lambda: manager.scan(source, settled=True))

        def upload() -> None:
            manager.start()
            while manager.status().counts[TaskState.COMPLETED] < arguments.files:
                time.sleep(0.05)

        uploaded = timed("haulier: upload, receipts", arguments.files, upload)
        timed("haulier: scan again", arguments.files, lambda: manager.scan(source, settled=True))
        began = time.perf_counter()
        status = manager.status()
        print(f"status of {sum(status.counts.values())} tasks: {(time.perf_counter() - began) * 1000:.2f} ms")
        manager.close()
        check(store, source)
        print(f"ratio to the plain copy: {(queued + uploaded) / copy:.2f}")
        print(f"peak memory {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024:.0f} MiB; store compared: equal")
    finally:
        shutil.rmtree(home)


if __name__ == "__main__":
    main()
