"""A plain WATS server, written from docs/reference/wats-protocol.md alone: forms, no digests, no keys, no item ids.

It keeps recordings in memory and trusts nobody: it is what a server has to be at the least.
"""

from __future__ import annotations

import json
import secrets
import threading
from datetime import UTC, datetime, timedelta
from email.parser import BytesHeaderParser
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, unquote, urlsplit

KINDS = {"video", "metadata"}


class PlainServer:
    """Serves below ``/api`` on loopback. A context manager.

    Attributes:
        storage: Origin of an object storage for which upload addresses are signed; empty for none.
        forgets: Whether a session is unknown once it was finalized, as at the plainest servers.
        sessions: By id, ``{"files": {kind: bytes}, "recording_session", "file_id"}``.
        recordings: By id, ``{"video", "metadata"}`` as bytes, and ``session_id``.
    """

    def __init__(self, token):
        self.token = token
        self.storage = ""
        self.forgets = False
        self.sessions = {}
        self.recordings = {}
        self.lock = threading.Lock()
        handler = type("Handler", (_Handler,), {"owner": self})
        self.httpd = ThreadingHTTPServer(("127.0.0.1", 0), handler)
        self.httpd.daemon_threads = True
        self.url = f"http://127.0.0.1:{self.httpd.server_port}"
        self._thread = threading.Thread(target=self.httpd.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)

    def __enter__(self):
        self._thread.start()
        return self

    def __exit__(self, *_):
        self.httpd.shutdown()
        self.httpd.server_close()
        self._thread.join()


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    owner: PlainServer

    def log_message(self, *_):
        pass

    def do_GET(self):
        self._route()

    def do_POST(self):
        self._route()

    def do_DELETE(self):
        self._route()

    def _route(self):
        self.body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        path = [unquote(segment) for segment in urlsplit(self.path).path.removeprefix("/api/").split("/")]
        if path != ["health"] and self.headers.get("Authorization") != f"Bearer {self.owner.token}":
            return self._problem(401, "a known token is needed")
        with self.owner.lock:
            match (self.command, *path):
                case "GET", "health":
                    return self._answer(200, {"status": "ok"})
                case "POST", "uploads", "create-session":
                    return self._create()
                case "POST", "uploads", sid, ("video" | "metadata") as kind if sid in self.owner.sessions:
                    self.owner.sessions[sid]["files"][kind] = self._file_of_form()
                    return self._answer(204)
                case "POST", "uploads", sid, "finalize" if sid in self.owner.sessions:
                    return self._finalize(sid)
                case "GET", "uploads", sid, "status" if sid in self.owner.sessions:
                    done = self.owner.sessions[sid]["file_id"]
                    return self._answer(200, {"session_id": sid, "status": "completed" if done else "open"})
                case "GET", "recordings":
                    return self._list()
                case "DELETE", "recordings", file_id if self.owner.recordings.pop(file_id, None):
                    return self._answer(204)
        return self._problem(404, "there is nothing here")

    def _create(self):
        request = json.loads(self.body)
        if not isinstance(request.get("session_id"), str):
            return self._problem(422, "session_id is missing")
        sid = f"s/{secrets.token_hex(8)}"  # an id is one segment, whatever it holds
        self.owner.sessions[sid] = {"files": {}, "recording_session": request["session_id"], "file_id": None}
        address = f"uploads/{sid.replace('/', '%2F')}"
        expires = datetime.now(UTC) + timedelta(hours=1)
        answer = {"session_id": sid, "expires_at": expires.isoformat().replace("+00:00", "Z")}
        if self.owner.storage:  # signed by whoever holds the storage's key, which needs no token then
            answer |= {f"{kind}_upload_url": f"{self.owner.storage}/{sid}/{kind}?X-Amz-Signature=a1" for kind in KINDS}
        else:
            answer |= {f"{kind}_upload_url": f"{address}/{kind}" for kind in KINDS}
        return self._answer(201, answer)

    def _finalize(self, sid):
        session = self.owner.sessions[sid]
        missing = sorted(KINDS - set(session["files"]))
        if missing and not self.owner.storage:
            return self._problem(409, "not complete yet", missing=missing)
        if not session["file_id"]:  # repeated, it stores nothing again
            session["file_id"] = secrets.token_hex(8)
            self.owner.recordings[session["file_id"]] = session["files"] | {"session_id": session["recording_session"]}
        if self.owner.forgets:
            del self.owner.sessions[sid]
        return self._answer(200)

    def _list(self):
        query = parse_qs(urlsplit(self.path).query)
        start, count = int(query.get("offset", ["0"])[0]), int(query.get("limit", ["50"])[0])
        entries = [
            {"file_id": file_id, "session_id": each["session_id"], "size": len(each["video"])}
            for file_id, each in reversed(self.owner.recordings.items())
        ]
        return self._answer(200, entries[start : start + count])

    def _file_of_form(self):
        boundary = self.headers.get_param("boundary").encode()
        part = self.body.split(b"--" + boundary + b"\r\n", 1)[1].rsplit(b"\r\n--" + boundary + b"--", 1)[0]
        head, content = part.split(b"\r\n\r\n", 1)
        assert BytesHeaderParser().parsebytes(head).get_param("name", header="content-disposition") == "file"
        return content

    def _problem(self, status, detail, **members):
        body = {"type": "about:blank", "title": self.responses[status][0], "status": status, "detail": detail}
        self._answer(status, body | members, "application/problem+json")

    def _answer(self, status, value=None, content_type="application/json"):
        body = b"" if value is None else json.dumps(value).encode()
        self.send_response(status)
        self.send_header("Cache-Control", "no-store")
        self.send_header("Content-Type", content_type)
        if status != 204:
            self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
