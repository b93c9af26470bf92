"""``haulier audit`` and ``haulier verify``: what they find, what they say, how they end."""

import json
from contextlib import closing

import apsw
import pytest


def change(work, statement, *values):
    with closing(apsw.Connection(str(work.folder / "state" / "journal.db"))) as connection:
        connection.execute(statement, values)


@pytest.fixture
def sent(work):
    """Five files that were uploaded."""
    for number in range(5):
        work.file(f"session{number}.mp4", b"content %d" % number)
    work.run("send", *[f"session{number}.mp4" for number in range(5)])
    return work


def test_a_whole_chain_is_said_to_be_whole_and_what_that_means(sent):
    document = sent.json("audit")
    text = sent.run("audit").stdout

    assert document["whole"]
    assert (document["receipts"], document["verified"], document["head"]["number"]) == (5, 5, 5)
    assert "whole" in text
    assert "found only against an anchor" in text
    assert "secret.key" in text
    assert "haulier verify" in text


@pytest.mark.parametrize(
    ("statement", "found"),
    [
        ("UPDATE receipt SET body = replace(body, '\"size\":9', '\"size\":8') WHERE number = 3", "does not continue"),
        ("DELETE FROM receipt WHERE number = 3", "receipt 3 is missing"),
        ("DELETE FROM receipt WHERE number < 3", "receipts 1 to 2 are missing"),
        ("UPDATE task SET state = 'failed' WHERE id = (SELECT task FROM receipt WHERE number = 2)", "but is failed"),
        ("DELETE FROM receipt WHERE number = 5", "its receipt is missing"),
    ],
)
def test_what_was_tampered_with_is_found(sent, statement, found):
    change(sent, statement)

    document = sent.json("audit", code=1)

    assert not document["whole"]
    assert found in document["flaws"][0]["what"]
    assert "broken" in sent.run("audit", code=1).stdout


def test_a_receipt_that_somebody_added_is_found(sent):
    with closing(apsw.Connection(str(sent.folder / "state" / "journal.db"))) as connection:
        ((body,),) = connection.execute("SELECT body FROM receipt WHERE number = 5")
        forged = {**json.loads(body), "number": 6, "task": "upload_forged"}
        connection.execute("INSERT INTO receipt VALUES (6, 'upload_forged', 'x', 'archive', ?)", [json.dumps(forged)])

    assert sent.json("audit", code=1)["flaws"][0]["number"] == 6


def test_a_tail_that_was_cut_off_is_found_against_an_anchor_only(sent):
    anchored = sent.json("audit", "--anchor", "anchors.jsonl")["anchored"]
    sent.file("one_more.mp4")
    sent.run("send", "one_more.mp4")
    sent.run("audit", "--anchor", "anchors.jsonl")
    assert sent.json("audit", "--against", "anchors.jsonl")["anchors"] == 2

    change(sent, "DELETE FROM task WHERE id = (SELECT task FROM receipt WHERE number = 6)")
    change(sent, "DELETE FROM receipt WHERE number = 6")

    assert anchored["number"] == 5
    assert sent.json("audit")["whole"]
    found = sent.json("audit", "--against", "anchors.jsonl", code=1)
    assert [flaw["number"] for flaw in found["flaws"]] == [6]


def test_nothing_is_anchored_when_something_is_wrong(sent):
    change(sent, "DELETE FROM receipt WHERE number = 2")

    assert "nothing was anchored" in sent.run("audit", "--anchor", "anchors.jsonl", code=1).stderr
    assert not (sent.folder / "anchors.jsonl").exists()


def test_anchors_of_others_and_lines_that_are_none_are_told_apart(sent):
    sent.run("audit", "--anchor", "anchors.jsonl")
    path = sent.folder / "anchors.jsonl"
    own = path.read_text()
    foreign = json.dumps({**json.loads(own), "source_id": "0" * 32})
    path.write_text(f"{foreign}\n{own}", "utf-8")
    assert sent.json("audit", "--against", "anchors.jsonl")["foreign_anchors"] == 1

    path.write_text(f"{foreign}\n", "utf-8")
    assert "no anchor of this" in sent.json("audit", "--against", "anchors.jsonl", code=1)["flaws"][0]["what"]

    path.write_text(f"{own}{own[:20]}", "utf-8")
    assert "line 2" in sent.json("audit", "--against", "anchors.jsonl", code=1)["flaws"][0]["what"]
    path.unlink()
    assert "cannot be read" in sent.run("audit", "--against", "anchors.jsonl", code=1).stderr


def test_without_the_key_nothing_can_be_said(sent):
    key = sent.folder / "state" / "secret.key"
    own = key.read_text()
    key.unlink()
    missing = sent.run("audit", code=4).stderr
    made_a_key = key.exists()
    key.write_text("ab" * 32)
    foreign = sent.run("audit", code=4).stderr
    key.write_text(own)

    assert "the key of this installation is missing" in missing
    assert not made_a_key
    assert "not one of 5 receipts was written with this key" in foreign
    assert sent.json("audit")["whole"]


def test_before_the_first_upload_there_is_nothing_to_audit(work):
    assert "no journal yet" in work.run("audit", code=1).stderr
    work.run("status")
    assert work.json("audit")["receipts"] == 0
