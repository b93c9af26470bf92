"""The calls of `rest_bare.py` over one raw socket, bodies by `sendfile`: URL TOKEN FOLDER."""

import json
import socket
import sys
from pathlib import Path
from typing import Any, BinaryIO
from urllib.parse import urlsplit

APPEND = 4 * 1024 * 1024
METADATA = b"{}"

url, token, folder = sys.argv[1:]
place = urlsplit(url)
wire = socket.create_connection((place.hostname or "", place.port or 80))
wire.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)


def call(
    method: str,
    path: str,
    headers: dict[str, str],
    length: int,
    body: bytes = b"",
    source: BinaryIO | None = None,
    offset: int = 0,
) -> dict[str, Any]:
    """One call; the JSON of its answer, which must be a success."""
    fields = {"Host": place.netloc, "Authorization": f"Bearer {token}", "Content-Length": str(length), **headers}
    head = f"{method} {path} HTTP/1.1\r\n" + "".join(f"{name}: {value}\r\n" for name, value in fields.items())
    wire.sendall(head.encode() + b"\r\n" + body)
    if source is not None:
        wire.sendfile(source, offset, length)
    told = b""
    while b"\r\n\r\n" not in told:
        if not (block := wire.recv(65536)):
            raise SystemExit("the server hung up")
        told += block
    first, _, content = told.partition(b"\r\n\r\n")
    lines = first.decode("latin-1").lower().split("\r\n")
    if not lines[0].split()[1].startswith("2"):
        raise SystemExit(f"{method} {path}: {lines[0]}")
    size = next((int(line.partition(":")[2]) for line in lines if line.startswith("content-length:")), 0)
    while len(content) < size:
        content += wire.recv(65536)
    answer: dict[str, Any] = json.loads(content) if content else {}
    return answer


for path in sorted(Path(folder).iterdir()):
    size = path.stat().st_size
    asked = json.dumps(
        {
            "session_id": path.stem,
            "connection_info": {},
            "file_size": size,
            "metadata": {},
            "files": {
                "video": {"name": path.name, "size": size},
                "metadata": {"name": f"{path.stem}.json", "size": len(METADATA)},
            },
        }
    ).encode()
    as_json = {"Content-Type": "application/json"}
    made = call("POST", f"{place.path}/uploads/create-session", as_json, len(asked), asked)
    target = urlsplit(made["resumable"]["video_url"]).path
    with path.open("rb") as stream:
        for offset in range(0, size, APPEND):
            length = min(APPEND, size - offset)
            fields = {
                "Content-Type": "application/partial-upload",
                "Upload-Offset": str(offset),
                "Upload-Complete": "?1" if offset + length == size else "?0",
            }
            call("PATCH", target, fields, length, source=stream, offset=offset)
    whole = {"Content-Type": "application/partial-upload", "Upload-Offset": "0", "Upload-Complete": "?1"}
    call("PATCH", urlsplit(made["resumable"]["metadata_url"]).path, whole, len(METADATA), METADATA)
    call("POST", f"{place.path}/uploads/{made['session_id']}/finalize", {}, 0)
