"""Haulier, a folder to one backend, until all have their receipts: CONFIG FOLDER. Tells what its bodies took."""

import sys
from typing import Any

import haulier
from haulier.transfer import buffers

made: list[buffers.BufferPool] = []


class RememberedPool(buffers.BufferPool):
    """The manager's own, to which nothing else leads."""

    def __init__(self, *given: Any, **named: Any) -> None:
        super().__init__(*given, **named)
        made.append(self)


buffers.BufferPool = RememberedPool  # type: ignore[misc]  # before the manager's module is imported, which is now

config, folder = sys.argv[1:]
with haulier.UploadManager.open(config) as uploads:
    tasks, _ = uploads.scan(folder, settled=True)
    counts = uploads.wait_all(tasks, timeout=3600)
if not tasks or counts.get(haulier.TaskState.COMPLETED) != len(tasks):
    raise SystemExit(f"not all completed: {counts}")
if made:
    print(f"bodies held: {sum(pool.peak for pool in made)} bytes")
