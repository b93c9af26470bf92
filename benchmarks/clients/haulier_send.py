"""Haulier, a folder to one backend, until all have their receipts: CONFIG FOLDER."""

import sys
from pathlib import Path

from haulier import TaskState, UploadManager

config, folder = sys.argv[1:]
with UploadManager.open(config) as uploads:
    tasks = [uploads.submit(path) for path in sorted(Path(folder).iterdir())]
    for task in tasks:
        uploads.wait(task, timeout=3600)
    counts = uploads.status().counts
if counts[TaskState.COMPLETED] != len(tasks):
    raise SystemExit(f"not all completed: {counts}")
