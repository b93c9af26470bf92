"""Looking at tasks, receipts and what lies at the destination; steering tasks."""

import json

STATES = {"queued", "uploading", "retrying", "paused", "completed", "failed", "cancelled"}


def test_status_tells_counts_backends_and_the_newest_tasks(work):
    work.file("one.mp4")
    work.file("two.mp4")
    (one, two) = work.json("send", "one.mp4", "two.mp4")["tasks"]

    everything = work.json("status")
    newest = work.json("status", "--limit", "1")
    named = work.json("status", one["id"])

    assert set(everything) == {"counts", "backends", "tasks", "groups"}
    assert set(everything["counts"]) == STATES
    assert everything["counts"]["completed"] == 2
    assert everything["backends"] == [
        {
            "name": "archive",
            "type": "filesystem",
            "suspended": None,
            "since": None,
            "probe_at": None,
            "error": None,
            "aborts_owed": 0,
        }
    ]
    assert [task["id"] for task in everything["tasks"]] == [two["id"], one["id"]]
    assert [task["id"] for task in newest["tasks"]] == [two["id"]]
    assert [task["id"] for task in named["tasks"]] == [one["id"]]
    assert "2 completed" in work.run("status").stdout


def test_receipts_and_verify_tell_what_is_there(work):
    work.file("same.mp4", b"same")
    work.file("other.mp4", b"other")
    work.file("gone.mp4", b"gone")
    sent = work.json("send", "same.mp4", "other.mp4", "gone.mp4")["tasks"]

    receipts = work.json("receipts")["receipts"]
    work.run("verify", "--read")
    (same, other, gone) = sent
    (work.archive / other["receipt"]["key"]).write_bytes(b"OTHER")
    (work.archive / gone["receipt"]["key"]).unlink()
    found = work.json("verify", "--read", code=1)["artifacts"]

    assert [receipt["task"] for receipt in receipts] == [
        receipt["receipt"]["task"] for receipt in sorted_by_number(sent)
    ]
    assert {one["task"]: one["verdict"] for one in found} == {
        same["id"]: "same",
        other["id"]: "differs",
        gone["id"]: "missing",
    }
    assert {one["task"]: one["by"] for one in found}[same["id"]] == "content"
    assert work.json("verify", same["id"])["artifacts"][0]["by"] == "size"


def sorted_by_number(sent):
    return sorted(sent, key=lambda task: task["receipt"]["number"])


def test_verify_says_when_nobody_can_tell(work):
    work.file("session.mp4")
    work.run("send", "session.mp4")
    work.config.write_text("[upload]\nstate_dir = 'state'\n[backends.other]\ntype = 'memory'\n", "utf-8")

    (found,) = work.json("verify", code=4)["artifacts"]

    assert found["verdict"] == "cannot tell"


def test_objects_are_listed_fetched_and_removed(work):
    work.file("session.mp4", b"frames")
    key = work.json("send", "session.mp4")["tasks"][0]["receipt"]["key"]

    listed = work.json("ls")["objects"]
    piped = work.run("get", key).stdout
    fetched = work.json("get", key, "--output", "copy.mp4")
    work.run("get", key, "--output", "copy.mp4", code=1)
    work.run("rm", key, code=2)
    work.run("rm", key, "--yes")

    assert [(stored["key"], stored["size"]) for stored in listed] == [(key, 6)]
    assert piped == "frames"
    assert (work.folder / "copy.mp4").read_bytes() == b"frames"
    assert fetched["size"] == 6
    assert work.json("ls")["objects"] == []
    assert "no such object" in work.run("rm", key, "--yes", code=1).stderr


def test_tasks_are_steered(work):
    work.away()
    work.file("session.mp4")
    left = work.run("send", "session.mp4", "--wait", "0", "--json", code=75)
    (task,) = json.loads(left.stdout)["tasks"]

    paused = work.json("pause", task["id"])
    still = work.run("send", "session.mp4", code=75)
    resumed = work.json("resume", "--all", "--backend", "archive")
    cancelled = work.json("cancel", "--all")
    again = work.json("cancel", task["id"])
    work.archive.mkdir()
    done = work.json("send", "session.mp4")
    too_late = work.run("cancel", task["id"], code=1)

    assert paused == {"action": "pause", "tasks": [task["id"]], "skipped": []}
    assert "is paused" in still.stderr
    assert resumed["tasks"] == cancelled["tasks"] == [task["id"]]
    assert again["skipped"] == [task["id"]]
    assert done["tasks"][0]["status"] == "completed"
    assert "It is completed" in too_late.stderr
