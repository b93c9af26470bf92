"""``haulier send`` as its user sees it."""

import json
import os
import signal

import pytest

SENT = {"id", "status", "file", "backend", "error", "receipt"}
RECEIPT = {"task", "backend", "key", "location", "size", "sha256", "proof", "artifacts"}


def test_a_file_is_stored_and_its_receipt_shown(real):
    real.file("session.mp4", b"frames")

    done = real.run("send", "session.mp4")

    (stored,) = real.archive.rglob("session.mp4")
    assert stored.read_bytes() == b"frames"
    assert "session.mp4  completed" in done.stdout
    assert str(stored) in done.stdout
    assert "session.mp4: completed" in done.stderr


def test_json_is_one_document_and_nothing_else(real):
    path = real.file("session.mp4", b"frames")

    done = real.run("--json", "send", "session.mp4")

    (task,) = json.loads(done.stdout)["tasks"]
    assert set(task) == SENT
    assert (task["status"], task["file"], task["backend"], task["error"]) == ("completed", str(path), "archive", None)
    assert task["id"].startswith("upload_")
    assert set(task["receipt"]) >= RECEIPT
    assert (task["receipt"]["size"], task["receipt"]["proof"]) == (6, "content")
    assert done.stderr == ""


def test_an_unchanged_file_is_not_sent_again(real):
    real.file("session.mp4")
    first = real.json("send", "session.mp4")

    again = real.json("send", "session.mp4")

    assert again == first
    assert real.stored() == ["session.mp4"]


def test_invariant_6_what_cannot_be_read_does_not_stop_the_others(real):
    real.file("good.mp4")
    (real.folder / "folder").mkdir()
    (real.folder / "dangling.mp4").symlink_to(real.folder / "nowhere")

    done = real.run("send", "missing.mp4", "folder", "dangling.mp4", "good.mp4", "--json", code=1)

    tasks = json.loads(done.stdout)["tasks"]
    assert sorted(task["status"] for task in tasks) == ["completed", "refused", "refused", "refused"]
    errors = [json.loads(line)["error"] for line in done.stderr.splitlines()]
    assert [error["code"] for error in errors] == ["input"] * 3
    assert [error["message"] for error in errors] == [
        "there is no such file",
        "this is a folder",
        "there is no such file",
    ]
    assert all(set(error) == {"code", "message", "where", "advice"} for error in errors)
    assert real.stored() == ["good.mp4"]


def test_an_empty_file_is_sent(real):
    real.file("empty.mp4", b"")

    (task,) = real.json("send", "empty.mp4")["tasks"]

    assert (task["status"], task["receipt"]["size"]) == ("completed", 0)


@pytest.mark.parametrize("option", ["--sidecar", "--metadata"])
def test_a_sidecar_goes_with_its_file(real, option):
    real.file("session.mp4")
    real.file("session.json", b'{"case": 7}')

    (task,) = real.json("send", "session.mp4", option, "session.json")["tasks"]

    assert [entry["role"] for entry in task["receipt"]["artifacts"]] == ["media", "sidecar"]
    assert real.stored() == ["session.json", "session.mp4"]


def test_a_broken_sidecar_is_told_and_nothing_is_queued(real):
    real.file("session.mp4")
    real.file("session.json", b"{")

    done = real.run("send", "session.mp4", "--sidecar", "session.json", code=1)

    assert "session.json: the sidecar is not JSON" in done.stderr
    assert sum(real.json("status")["counts"].values()) == 0


def test_tasks_stay_queued_while_the_destination_is_away_and_go_on_when_it_is_back(real):
    real.away()
    real.file("session.mp4")

    left = real.run("send", "session.mp4", "--json", "--wait", "0.2", code=75)
    real.archive.mkdir()
    (done,) = real.json("send", "session.mp4")["tasks"]

    (task,) = json.loads(left.stdout)["tasks"]
    assert (task["status"], task["id"]) == ("queued", done["id"])
    assert "stays queued" in json.loads(left.stderr)["error"]["message"]
    assert done["status"] == "completed"


def test_refused_credentials_end_it_at_once(real):
    real.stage("refuse")
    real.file("session.mp4")

    done = real.run("send", "session.mp4", code=5)

    assert "the token is not accepted" in done.stderr
    assert real.json("status")["backends"][0]["suspended"] == "credentials"
    real.run("doctor", code=5)


def test_what_failed_earlier_is_tried_again(real):
    real.configure('type = "memory"\nmax_object = 3')
    real.file("session.mp4", b"too large")
    failed = real.run("send", "session.mp4", "--json", code=1)
    real.configure('type = "memory"')

    (done,) = real.json("send", "session.mp4")["tasks"]

    (task,) = json.loads(failed.stdout)["tasks"]
    assert (task["status"], task["error"]["code"], task["id"]) == ("failed", "quota", done["id"])
    assert done["status"] == "completed"


def test_strange_names_reach_any_console(real):
    path = real.file("caf\u00e9\n\x1b[31m\u2192.mp4")
    unwritable = os.fsdecode(b"missing\xff.mp4")

    done = real.run("send", path, unwritable, code=1, PYTHONIOENCODING="cp1252")

    assert "\x1b" not in done.stdout + done.stderr
    assert "caf\u00e9\\n\\x1b[31m\\u2192.mp4  completed" in done.stdout
    assert r"missing\udcff.mp4: there is no such file" in done.stderr


@pytest.mark.parametrize("behaviour", ["hang", "deaf"])
def test_ctrl_c_keeps_the_work(real, until, behaviour):
    real.stage(behaviour)
    real.file("session.mp4")
    process = real.start("send", "session.mp4")
    until(process, "started")

    process.send_signal(signal.SIGINT)
    _, said = process.communicate(timeout=20)

    assert process.returncode == 130
    assert "1 task stays queued" in said
    counts = real.json("status")["counts"]
    assert counts["queued"] + counts["uploading"] == 1


def test_ctrl_c_twice_ends_it_at_once(real, until):
    real.stage("deaf")
    real.file("session.mp4")
    process = real.start("send", "session.mp4")
    until(process, "started")

    process.send_signal(signal.SIGINT)
    until(process, "stays queued")
    process.send_signal(signal.SIGINT)

    assert process.wait(timeout=20) == 130
