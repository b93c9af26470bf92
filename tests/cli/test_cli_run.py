"""``haulier run`` and ``haulier scan``."""

import json
import os
import signal
import time

import pytest

from haulier.files import Files

WATCH = "\n[watch]\npaths = ['recordings']\n"
OLD = 3600.0


def test_one_run_takes_what_is_whole_and_leaves_the_rest(real):
    real.configure(rest=WATCH)
    real.file("recordings/rdp_1_whole.mp4", age=OLD)
    real.file("recordings/rdp_1_metadata.json", b"{}", age=OLD)
    real.file("recordings/being_written.mp4")

    first = real.json("run", "--once")
    second = real.json("run", "--once")

    assert [task["status"] for task in first["tasks"]] == ["completed"]
    assert real.stored() == ["rdp_1_metadata.json", "rdp_1_whole.mp4"]
    assert second["tasks"] == []


def test_one_run_is_judged_by_what_it_touched(real):
    real.configure('type = "memory"\nmax_object = 3')
    real.file("large.mp4", b"too large")
    real.run("send", "large.mp4", code=1)

    real.run("run", "--once")
    real.run("retry", "--all")
    done = real.run("run", "--once", code=1)

    assert "1 failed" in done.stdout


def test_one_run_leaves_tasks_of_a_destination_that_is_away(real):
    real.away()
    real.file("session.mp4")
    real.run("send", "session.mp4", "--wait", "0", code=75)

    assert real.json("run", "--once", "--wait", "0.2", code=75)["left"] == 1


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 0)])
def test_the_agent_uploads_what_appears_until_it_is_stopped(real, until, number, code):
    real.configure(rest=WATCH)
    real.file("recordings/session.mp4", age=OLD)
    process = real.start("run")
    until(process, "session.mp4: completed")

    process.send_signal(number)
    out, said = process.communicate(timeout=20)

    assert process.returncode == code
    assert "1 completed" in out
    assert ("interrupted" in said) == (number == signal.SIGINT)
    assert real.stored() == ["session.mp4"]


def test_uploading_that_is_switched_off_is_told(real):
    real.configure(upload="enabled = false")
    real.file("session.mp4")

    assert "upload.enabled" in real.run("run", code=4).stderr
    assert real.json("send", "session.mp4", code=75)["tasks"][0]["status"] == "queued"


def test_a_folder_is_scanned_and_uploaded(real):
    real.file("in/rdp_7_a.mp4", age=OLD)
    real.file("in/rdp_7_b.mp4", age=100 * 86_400.0)
    real.file("in/rdp_7_metadata.json", b"{}", age=OLD)
    real.file("in/notes.txt", age=OLD)

    queued = real.json("scan", "in", "--max-age-days", "30", "--queue-only")
    (before,) = queued["tasks"]
    done = real.json("scan", "in")

    assert before["status"] == "queued"
    assert "notes.txt" in queued["ignored"]
    assert [task["status"] for task in done["tasks"]] == ["completed", "completed"]
    assert before["id"] in {task["id"] for task in done["tasks"]}


def test_what_is_not_whole_is_given_time_and_then_left(real):
    real.configure(rest="\n[watch]\nsettle_seconds = 0.1\n")
    path = real.file("in/session.mp4")
    ahead = time.time() + 3600
    os.utime(path, (ahead, ahead))

    left = real.run("scan", "in", "--json", code=75)
    done = real.json("scan", "in", "--settled")

    assert list(json.loads(left.stdout)["waiting"]) == ["session.mp4"]
    assert done["tasks"][0]["status"] == "completed"


def test_a_folder_that_cannot_be_listed_is_told(real):
    assert "nowhere: the folder cannot be listed" in real.run("scan", "nowhere", code=1).stderr


def test_a_broken_sidecar_in_a_folder_is_told_and_the_others_go(real):
    real.file("in/rdp_1_a.mp4", age=OLD)
    real.file("in/rdp_1_metadata.json", b"{", age=OLD)
    real.file("in/rdp_2_a.mp4", age=OLD)

    done = real.json("scan", "in", code=1)

    assert "completed" in [task["status"] for task in done["tasks"]]
    assert done["problems"]


def test_one_run_lets_go_of_what_an_earlier_one_left(real):
    """Another program was disposing then."""
    real.configure(upload="delete_after_upload = true")
    source = real.file("recordings/session.mp4")
    real.json("status")  # makes the state folder
    with Files().lock_file(real.folder / "state" / "disposal.lock"):
        real.run("send", "recordings/session.mp4")
        assert source.exists()
    real.run("run", "--once")
    assert not source.exists()


NOISY = """
import haulier

print("at import")


@haulier.hookimpl
def register_backends():
    print("in a hook")
    return []


@haulier.hookimpl
def upload_queued(event):
    print("in an event")
"""


def test_json_stays_one_document_whatever_a_plugin_prints(real):
    noisy = real.folder / "noisy.py"
    noisy.write_text(NOISY, "utf-8")
    real.configure(rest=f"\n[plugins]\nfiles = [{json.dumps(str(noisy))}]\n")
    real.file("session.mp4")
    (task,) = real.json("send", "session.mp4")["tasks"]
    assert task["status"] == "completed"
