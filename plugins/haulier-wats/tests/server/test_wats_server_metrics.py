"""Numbers for a monitor, and sessions that end by themselves."""

from __future__ import annotations

from haulier_wats.server.metrics import Metrics

HOUR = 3600.0


def requests_in(wire):
    counted = wire("GET", "/metrics").json()["requests"]
    return {(each["route"], each["method"], each["status"]): each["count"] for each in counted}


def test_requests_are_counted_by_route_method_and_status(wire):
    stored = wire.store()
    wire("GET", f"/recordings/{stored['file_id']}")
    wire("GET", "/recordings/one")
    wire("GET", "/recordings/two")
    wire("GET", "/nothing/at/all")
    wire("BREW", "/recordings")
    wire("GET", "/recordings", headers={"Authorization": "Bearer wrong"})
    assert requests_in(wire) == {
        ("/uploads/create-session", "POST", 201): 1,
        ("/uploads/{session_id}/resources/{kind}", "PATCH", 204): 1,
        ("/uploads/{session_id}/finalize", "POST", 200): 1,
        ("/recordings/{file_id}", "GET", 200): 1,
        ("/recordings/{file_id}", "GET", 404): 2,
        ("other", "*", 404): 1,
        ("other", "*", 405): 1,
        ("other", "*", 401): 1,
    }
    assert requests_in(wire)["/metrics", "GET", 200] == 1


def test_a_request_that_fails_is_counted_as_failed(wire, monkeypatch):
    from haulier_wats.server.recording_table import RecordingTable

    def fault(*_):
        raise RuntimeError("a defect")

    with monkeypatch.context() as patches:
        patches.setattr(RecordingTable, "get", fault)
        assert wire("GET", "/recordings/one").status_code == 500
    assert requests_in(wire)["/recordings/{file_id}", "GET", 500] == 1


def test_what_is_there_and_what_came(wire, clock):
    before = wire("GET", "/metrics").json()
    wire.store(b"0123456789")
    wire.open(10)
    after = wire("GET", "/metrics").json()
    assert (before["sessions"], after["sessions"]) == ({"open": 0, "expired": 0}, {"open": 1, "expired": 0})
    assert (before["recordings"], after["recordings"]) == ({"stored": 0}, {"stored": 1})
    assert before["bytes_received"] == 0
    assert after["bytes_received"] > 10
    assert after["disk"]["free_bytes"] > 0
    clock.now += 25 * HOUR
    wire.create()
    assert wire("GET", "/metrics").json()["sessions"] == {"open": 1, "expired": 1}


def test_uptime_is_told_by_a_clock_that_never_jumps():
    moments = iter([100.0, 107.5])
    assert Metrics(lambda: next(moments)).uptime() == 7.5


def test_a_session_ends_though_nobody_calls(start, clock, data_dir, until):
    wire = start(session_ttl=10, sweep_interval=0.01)
    session = wire.open(10)
    wire.patch(session["resumable"]["video_url"], b"01234", 0)
    folder = data_dir / ".incoming" / session["session_id"]
    assert folder.exists()
    clock.now += 11
    until(lambda: not folder.exists())
    assert wire.status(session)["status"] == "expired"


def test_looking_for_overdue_sessions_goes_on_after_a_fault(start, clock, monkeypatch, until, data_dir, caplog):
    from haulier_wats.server.session_table import SessionTable

    overdue, faults = SessionTable.overdue, [OSError(5, "the disk is asleep")]

    def sometimes(self, now):
        if faults:
            raise faults.pop()
        return overdue(self, now)

    monkeypatch.setattr(SessionTable, "overdue", sometimes)
    faults.clear()
    wire = start(session_ttl=10, sweep_interval=0.01)
    session = wire.open(10)
    wire.patch(session["resumable"]["video_url"], b"01234", 0)
    faults.append(OSError(5, "the disk is asleep"))
    until(lambda: "tried again" in caplog.text)
    clock.now += 11
    until(lambda: not (data_dir / ".incoming" / session["session_id"]).exists())
