"""A damaged journal on the command line: rebuilt at the next start, by hand, and confirmed."""

import json
from contextlib import closing

import apsw
import pytest


def overwrite(path, content):
    with path.open("r+b") as file:
        file.write(content)


@pytest.fixture
def damaged(work):
    """One file stored, one queued, and a journal whose first page is garbage."""
    work.configure(upload="delete_after_upload = true\nsidecar_grace = 0")
    work.file("stored.mp4")
    work.file("in/queued.mp4", b"other content")
    work.run("send", "stored.mp4")
    work.run("scan", "in", "--queue-only", "--settled")
    assert not (work.folder / "stored.mp4").exists()
    work.file("stored.mp4")
    overwrite(work.folder / "state" / "journal.db", b"\xff" * 4096)
    return work


def test_the_agent_goes_on_with_a_damaged_journal_and_deletes_nothing(damaged):
    checked = damaged.run("journal", "check", code=4)
    ran = damaged.run("run", "--once")
    told = damaged.run("status")
    document = damaged.json("status")
    examined = damaged.json("doctor")

    assert "haulier journal rebuild" in checked.stderr
    assert "the journal was damaged" in ran.stderr
    assert "nothing is deleted after upload" in told.stdout
    assert "haulier journal confirm" in told.stdout
    assert document["counts"]["completed"] == 2
    assert document["rebuilt"]["confirmed_at"] is None
    assert document["rebuilt"]["receipts"] == 1
    assert {finding["check"]: finding["grade"] for finding in examined["findings"]}["disposal"] == "warning"
    assert damaged.stored() == ["queued.mp4", "stored.mp4"]
    assert (damaged.folder / "in" / "queued.mp4").exists()
    assert damaged.json("audit")["receipts"] == 2

    confirmed = damaged.run("journal", "confirm")
    damaged.file("more.mp4", b"more")
    damaged.run("send", "more.mp4")

    assert "confirmed" in confirmed.stdout
    assert not (damaged.folder / "in" / "queued.mp4").exists()
    assert "nothing is deleted" not in damaged.run("status").stdout
    assert "nothing to confirm" in damaged.run("journal", "confirm").stdout


def test_a_journal_is_rebuilt_by_hand_and_a_sound_one_left_as_it_is(damaged):
    done = damaged.json("journal", "rebuild")
    again = damaged.json("journal", "rebuild")

    assert (done["rebuilt"], done["tasks"], done["receipts"]) == (True, 2, 1)
    assert (damaged.folder / "state" / done["aside"]).read_bytes()[:4096] == b"\xff" * 4096
    assert not again["rebuilt"]
    assert damaged.json("journal", "check")["sound"]


def test_what_only_a_thorough_check_finds_is_rebuilt_by_hand(work):
    work.file("stored.mp4")
    work.run("send", "stored.mp4")
    with closing(apsw.Connection(str(work.folder / "state" / "journal.db"))) as connection:
        connection.execute("UPDATE counter SET tasks = 7")
    work.run("status")
    work.run("journal", "check", code=4)

    done = work.json("journal", "rebuild")

    assert "counter" in done["why"]
    assert work.json("journal", "check")["sound"]
    assert work.json("status")["counts"]["completed"] == 1


def test_lost_receipts_are_told_until_they_are_taken_for_known(work):
    for number in range(4):
        work.file(f"{number}.mp4", b"%d" % number)
        work.run("send", f"{number}.mp4")
    path = work.folder / "state" / "journal.db"
    with closing(apsw.Connection(str(path))) as connection:
        connection.execute("UPDATE receipt SET body = 'gone' WHERE number = 2")
    overwrite(path, b"\xff" * 100)
    work.run("run", "--once")

    broken = work.json("audit", code=1)
    work.run("journal", "confirm")
    known = work.json("audit")
    with closing(apsw.Connection(str(path))) as connection:
        ((text,),) = connection.execute("SELECT value FROM meta WHERE name = 'receipt_breaks'")
        forged = {**json.loads(text), "hash": "0" * 64}
        connection.execute("UPDATE meta SET value = ? WHERE name = 'receipt_breaks'", [json.dumps(forged)])

    # Of receipt 3 nobody can say what it continued; its task asked the destination again, as that of receipt 2 did.
    assert [(each["number"], each["missing"], each["accepted"]) for each in broken["breaks"]] == [(4, 2, False)]
    assert broken["flaw_count"] == 0
    assert known["whole"]
    assert work.json("status")["counts"]["completed"] == 4
    assert work.stored() == ["0.mp4", "1.mp4", "2.mp4", "3.mp4"]
    assert "missing" in work.json("audit", code=1)["flaws"][0]["what"]


def test_there_is_nothing_to_rebuild_before_the_first_upload(work):
    assert "no journal yet" in work.run("journal", "rebuild", code=1).stderr
    assert "no journal yet" in work.run("journal", "confirm", code=1).stderr
