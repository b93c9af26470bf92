"""A WATS client in about sixty lines, written from docs/reference/wats-protocol.md alone."""

from __future__ import annotations

import base64
import hashlib
from pathlib import Path
from urllib.parse import quote, urljoin

import requests

PIECE = 256 * 1024


class SmallClient:
    def __init__(self, base_url, token):
        self.base = base_url.rstrip("/")
        self.http = requests.Session()
        self.http.headers["Authorization"] = f"Bearer {token}"

    def call(self, method, *segments, **options):
        path = "/".join(quote(segment, safe="") for segment in segments)
        answer = self.http.request(method, f"{self.base}/{path}", timeout=30, allow_redirects=False, **options)
        if answer.status_code // 100 != 2:
            raise RuntimeError(f"{answer.status_code}: {answer.json()['detail']}")
        return answer.json() if answer.content else None

    def upload(self, item_id, session_id, video, metadata):
        files = {"metadata": Path(metadata), "video": Path(video)}
        declared = {kind: {"name": path.name, "size": path.stat().st_size} for kind, path in files.items()}
        request = {"session_id": session_id, "file_size": declared["video"]["size"]}
        session = self.call(
            "POST",
            "uploads",
            "create-session",
            json=request | {"item_id": item_id, "files": declared},
            headers={"Idempotency-Key": f'"{item_id}:1"'},
        )
        if "recording" in session:
            return session["recording"]
        for kind, path in files.items():
            if offer := session.get("resumable"):
                self.append(offer[f"{kind}_url"], path, min(PIECE, offer["max_append_size"]))
            else:
                self.post(session[f"{kind}_upload_url"], path)
        claims = {kind: {"size": declared[kind]["size"], "sha256": sha256(files[kind]).hex()} for kind in files}
        return self.call("POST", "uploads", session["session_id"], "finalize", json={"files": claims})

    def append(self, url, path, most):
        url = urljoin(f"{self.base}/", url)
        content = path.read_bytes()
        offset = int(self.http.head(url, timeout=30).headers["Upload-Offset"])
        while True:
            piece = content[offset : offset + most]
            digest = base64.b64encode(hashlib.sha256(piece).digest()).decode()
            fields = {"Content-Type": "application/partial-upload", "Upload-Offset": str(offset)}
            fields["Upload-Complete"] = "?1" if offset + len(piece) == len(content) else "?0"
            fields["Content-Digest"] = f"sha-256=:{digest}:"
            answer = self.http.patch(url, piece, headers=fields, timeout=30)
            if answer.status_code not in {204, 409}:
                raise RuntimeError(answer.text)
            offset = int(answer.headers["Upload-Offset"])
            if answer.headers["Upload-Complete"] == "?1":
                return

    def post(self, url, path):
        with path.open("rb") as stream:
            form = {"file": (path.name, stream, "application/octet-stream")}
            self.http.post(urljoin(f"{self.base}/", url), files=form, timeout=30).raise_for_status()


def sha256(path):
    return hashlib.sha256(path.read_bytes()).digest()
