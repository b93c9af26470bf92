"""The audit log: who did what, when, to what, with which result; appended, set aside, never a secret."""

from __future__ import annotations

import json
import os
import stat
import sys
from dataclasses import replace

import pytest

from haulier_wats.server import ServerSetupError, Tokens
from haulier_wats.server.audit import AuditLog
from haulier_wats.server.storage import Storage

MOMENT = "2024-10-26T13:40:22.123456Z"


@pytest.fixture
def entries(data_dir):
    """What the log holds, without the starts and stops of the server."""

    def entries(path=data_dir / ".server" / "audit.jsonl"):
        found = [json.loads(line) for line in path.read_text("ascii").splitlines()]
        return [entry for entry in found if entry["action"] not in {"startServer", "stopServer"}]

    return entries


@pytest.fixture
def wire(start):
    return start(tokens=Tokens(["t0ken-of-the-tests name=agent-7", "watching read"]))


def test_an_upload_from_its_beginning_to_its_end(wire, entries):
    stored = wire.store(b"video", b"{}", item_id="i")
    wire("GET", f"/recordings/{stored['file_id']}/content")
    wire("DELETE", f"/recordings/{stored['file_id']}")
    session, recording = {"session_id": stored["session_id"]}, {"file_id": stored["file_id"]}
    who = {"time": MOMENT, "who": "agent-7", "address": "127.0.0.1"}
    assert entries() == [
        {"action": "createSession", "status": 201} | session | who,
        {"action": "append", "status": 204} | session | who,
        {"action": "append", "status": 204} | session | who,
        {"action": "finalize", "status": 200} | session | recording | who,
        {"action": "getContent", "status": 200} | recording | who,
        {"action": "deleteRecording", "status": 200} | recording | who,
    ]


def test_parts_and_polls_do_not_fill_it(wire, entries):
    session = wire.open(10)
    url = session["resumable"]["video_url"]
    wire.patch(url, b"01234", 0)
    wire.patch(url, b"01234", 0)
    wire.head(url)
    wire.status(session)
    wire("GET", "/health")
    wire("GET", "/metrics")
    assert [entry["action"] for entry in entries()] == ["createSession"]


def test_what_is_refused_or_fails_is_in_it(wire, entries):
    stored = wire.store()
    limited = {"Authorization": "Bearer watching"}
    wire("DELETE", f"/recordings/{stored['file_id']}", headers=limited)
    wire.head(f"/uploads/{stored['session_id']}/resources/video")
    wire("GET", f"/uploads/{stored['session_id']}/status", headers=limited)
    wire("DELETE", "/recordings/unknown")
    *_, deleted, polled, unknown = entries()
    assert (deleted["action"], deleted["status"], deleted["file_id"]) == ("deleteRecording", 403, stored["file_id"])
    assert deleted["who"].startswith("sha256:")
    assert (polled["action"], polled["status"]) == ("sessionStatus", 403)
    assert (unknown["action"], unknown["status"], unknown["file_id"]) == ("deleteRecording", 404, "unknown")


def test_strangers_are_noted_but_cannot_fill_it(wire, entries):
    for _ in range(20):
        wire("GET", "/recordings", headers={"Authorization": "Bearer guessed"})
    assert entries() == [{"time": MOMENT, "action": "refused", "address": "127.0.0.1", "status": 401, "count": 1}]


def test_no_token_is_ever_in_it(wire, entries, token, data_dir):
    wire.store()
    wire("GET", "/recordings", headers={"Authorization": "Bearer guessed"})
    wire("GET", f"/recordings?session_id={token}", headers={"Authorization": "Bearer watching"})
    text = (data_dir / ".server" / "audit.jsonl").read_text("ascii")
    assert len(entries()) == 5
    assert not [secret for secret in (token, "watching", "guessed") if secret in text]


def test_it_tells_what_the_server_did_by_itself(start, clock, data_dir):
    wire = start(session_ttl=10, sweep_interval=3600)
    session = wire.create().json()
    clock.now += 11
    wire.create()
    start()
    lines = (data_dir / ".server" / "audit.jsonl").read_text("ascii").splitlines()
    told = [(entry["action"], entry.get("session_id")) for entry in map(json.loads, lines) if "who" not in entry]
    assert told == [
        ("startServer", None),
        ("expireSession", session["session_id"]),
        ("stopServer", None),
        ("startServer", None),
    ]


def test_ids_from_clients_cannot_break_its_lines(wire, entries):
    wire("DELETE", "/recordings/a%0A%7B%22who%22:%22b%22%7D%E2%80%A8")
    assert entries()[-1]["file_id"] == 'a\n{"who":"b"}\u2028'


def test_it_lies_where_the_operator_wants(settings, tmp_path):
    path = tmp_path / "log" / "wats.jsonl"
    storage = Storage(replace(settings, audit_log=path))
    storage.close()
    assert path.exists()
    if sys.platform != "win32":
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
    (tmp_path / "file").write_text("")
    with pytest.raises(ServerSetupError, match=r"audit log .*x\.jsonl cannot be opened"):
        Storage(replace(settings, audit_log=tmp_path / "file" / "x.jsonl"))
    Storage(settings).close()


def test_a_full_file_is_set_aside_and_never_written_over(tmp_path, clock):
    path = tmp_path / "audit.jsonl"
    log = AuditLog(path, 200, clock)
    for number in range(12):
        log.write("deleteRecording", file_id=f"{number:032}", status=200)
    log.close()
    files = sorted(tmp_path.iterdir())
    assert {file.name for file in files} >= {
        "audit.jsonl",
        "audit-20241026T134022.jsonl",
        "audit-20241026T134022-2.jsonl",
    }
    ids = [int(json.loads(line)["file_id"]) for file in files for line in file.read_text().splitlines()]
    assert sorted(ids) == list(range(12))
    assert all(file.stat().st_size <= 200 for file in files)


def test_a_line_that_a_crash_cut_short_spoils_no_other(tmp_path, clock):
    path = tmp_path / "audit.jsonl"
    path.write_bytes(b'{"time": "2024-10')
    log = AuditLog(path, 1 << 20, clock)
    log.write("finalize", status=200)
    log.close()
    cut, whole = path.read_text().splitlines()
    assert (cut, json.loads(whole)["action"]) == ('{"time": "2024-10', "finalize")


def test_what_cannot_be_written_is_counted_and_goes_to_the_program_s_log(wire, data_dir, caplog, monkeypatch):
    def full(_descriptor, _data):
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patches:
        patches.setattr(os, "write", full)
        caplog.clear()
        stored = wire("DELETE", "/recordings/some-id")
    assert stored.status_code == 404
    assert wire("GET", "/metrics").json()["audit"]["failures"] == 1
    assert '"file_id":"some-id"' in caplog.text
