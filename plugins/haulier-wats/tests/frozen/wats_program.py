"""A host as small as it can be: settings from ``config.json``, one recording, its status at the end."""

import json
import sys
import threading
from pathlib import Path
from types import SimpleNamespace

from wats_app.api import ApiIntegrationManager


def main():
    config, video, metadata = map(Path, sys.argv[1:])
    document = json.loads(config.read_text("utf-8"))
    settings = SimpleNamespace(
        API_ENABLED=document["api"]["enabled"],
        API_BASE_URL=document["api"]["base_url"],
        API_TOKEN=document["api"]["api_token"],
        USER_DATA_DIR=str(config.parent),
        RECORDING_OUTPUT_DIR=str(video.parent),
    )
    ended = threading.Event()
    manager = ApiIntegrationManager(settings)
    manager.on_upload_completed = lambda task_id, file_id: ended.set()
    manager.on_upload_failed = lambda task_id, error: ended.set()
    task_id = manager.upload_recording(video, metadata)
    ended.wait(60)
    status = manager.get_upload_status(task_id)
    manager.shutdown()
    print(json.dumps({"frozen": getattr(sys, "frozen", False), "status": status}))


if __name__ == "__main__":
    main()
