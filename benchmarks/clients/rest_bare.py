"""The calls of the resumable WATS protocol in a bare loop over requests, nothing kept or checked: URL TOKEN FOLDER."""

import sys
from pathlib import Path

import requests

APPEND = 4 * 1024 * 1024
METADATA = b"{}"

url, token, folder = sys.argv[1:]
http = requests.Session()
http.headers["Authorization"] = f"Bearer {token}"
for path in sorted(Path(folder).iterdir()):
    size, offset = path.stat().st_size, 0
    asked = {
        "session_id": path.stem,
        "connection_info": {},
        "file_size": size,
        "metadata": {},
        "files": {
            "video": {"name": path.name, "size": size},
            "metadata": {"name": f"{path.stem}.json", "size": len(METADATA)},
        },
    }
    made = http.post(f"{url}/uploads/create-session", json=asked)
    made.raise_for_status()
    session = made.json()
    with path.open("rb") as stream:
        while block := stream.read(APPEND):
            last = offset + len(block) == size
            fields = {
                "Content-Type": "application/partial-upload",
                "Upload-Offset": str(offset),
                "Upload-Complete": "?1" if last else "?0",
            }
            http.patch(session["resumable"]["video_url"], data=block, headers=fields).raise_for_status()
            offset += len(block)
    metadata = {"Content-Type": "application/partial-upload", "Upload-Offset": "0", "Upload-Complete": "?1"}
    http.patch(session["resumable"]["metadata_url"], data=METADATA, headers=metadata).raise_for_status()
    http.post(f"{url}/uploads/{session['session_id']}/finalize").raise_for_status()
