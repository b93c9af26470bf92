"""Haulier, a folder to one backend, killed when so much was acknowledged: CONFIG FOLDER SHARE. Ends by SIGKILL."""

import os
import signal
import sys
import time

from haulier import UploadManager

config, folder, share = sys.argv[1:]
with UploadManager.open(config) as uploads:
    tasks, _ = uploads.scan(folder, settled=True)
    while (task := uploads.task(tasks[0].id)).acknowledged < task.size * float(share):
        if task.state.settled:
            raise SystemExit(f"it was {task.state} before it could be killed")
        time.sleep(0.002)
    os.kill(os.getpid(), signal.SIGKILL)
