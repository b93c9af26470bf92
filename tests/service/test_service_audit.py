"""The audit of the receipts' chain: what it finds, what only an anchor shows, and that it holds little at a time."""

from __future__ import annotations

import json
import tracemalloc
from dataclasses import replace

import pytest

from haulier.errors import InputError, StateFolderError
from haulier.files import Files
from haulier.journal.memory import MemoryJournal
from haulier.models import TaskState
from haulier.service.auditing import Anchor, append_anchor, audit_receipts, read_anchors
from haulier.service.chain import BREAKS, Break, encode_breaks
from haulier.service.state import Keys
from haulier.testing.journal_rows import receipt, task_row
from haulier.transfer.ledger import chain_hash

KEYS = Keys(b"k" * 32)
KEY = KEYS.derive("receipts")


def chained(count, start=1, previous=""):
    """Receipts that continue one another."""
    made = []
    for number in range(start, start + count):
        bare = replace(receipt(number), chain="")
        made.append(replace(bare, chain=chain_hash(KEY, previous, bare)))
        previous = made[-1].chain
    return made


def journal_of(receipts, *rows, source_id=KEYS.source_id):
    journal = MemoryJournal()

    def change(tx):
        tx.put_meta("source_id", source_id)
        for each in receipts:
            tx.add_receipt(each)
        for row in rows:
            tx.insert_task(row)

    journal.write(change)
    return journal


def flaws(journal, anchors=None):
    audit = audit_receipts(journal, KEYS, anchors)
    assert audit.is_whole is (audit.flaw_count == 0)
    return [flaw.what for flaw in audit.flaws]


def test_receipts_that_continue_one_another_are_whole():
    audit = audit_receipts(journal_of(chained(5)), KEYS)
    assert (audit.is_whole, audit.receipts, audit.verified) == (True, 5, 5)
    assert audit.head == (5, chained(5)[-1].chain)


def test_no_receipts_are_whole():
    assert audit_receipts(journal_of([]), KEYS).is_whole


@pytest.mark.parametrize(
    ("tamper", "found"),
    [
        (lambda made: [*made[:2], replace(made[2], completed_at=6.5), *made[3:]], "it, or the one before"),
        (lambda made: [*made[:2], *made[3:]], "receipt 3 is missing"),
        (lambda made: made[3:], "receipts 1 to 3 are missing"),
        (lambda made: [*made, replace(made[-1], number=6, task="upload_x")], "it, or the one before"),
        (lambda made: [*made[:-1], *chained(1, 5, "forged")], "it, or the one before"),
    ],
    ids=["edited", "removed", "head removed", "added", "replaced"],
)
def test_what_was_done_to_the_middle_is_found(tamper, found):
    (what,) = flaws(journal_of(tamper(chained(5))))
    assert found in what


def test_a_completed_task_without_receipt_and_a_receipt_of_another_are_found():
    done = task_row(1, state=TaskState.COMPLETED)
    assert flaws(journal_of(chained(1), done)) == []
    assert "its receipt is missing" in flaws(journal_of([], done))[0]
    assert "but is queued" in flaws(journal_of(chained(1), task_row(1)))[0]


def test_a_cut_off_tail_is_found_against_an_anchor_only():
    made = chained(5)
    anchor = Anchor(5, made[-1].chain, 1.0, KEYS.source_id)
    assert flaws(journal_of(made[:3])) == []
    assert "not in the chain" in flaws(journal_of(made[:3]), lambda: iter([(1, anchor)]))[0]
    assert flaws(journal_of(made), lambda: iter([(1, anchor)])) == []


def test_a_chain_forged_with_the_key_is_found_against_an_anchor():
    made = chained(5)
    anchor = Anchor(3, made[2].chain, 1.0, KEYS.source_id)
    forged = [*made[:2], *chained(3, 3, made[0].chain)]
    assert flaws(journal_of(forged), lambda: iter([(1, anchor)])) != []


def test_another_journal_put_in_place_is_found_against_an_anchor():
    anchor = Anchor(0, "", 1.0, KEYS.source_id)
    elsewhere = journal_of([], source_id="ab" * 16)
    assert "no anchor of this installation" in flaws(elsewhere, lambda: iter([(1, anchor)]))[0]


def test_a_gap_that_a_rebuild_wrote_down_is_told_and_one_that_nobody_accepted_is_broken():
    made = chained(6)
    gap = Break(5, 2, made[3].chain, "journal.db.damaged-x", 1.0)
    journal = journal_of([*made[:2], *made[4:]])
    for accepted in (False, True):
        journal.write(lambda tx, a=accepted: tx.put_meta(BREAKS, encode_breaks([replace(gap, accepted=a)], KEY)))
        audit = audit_receipts(journal, KEYS)
        assert (audit.flaw_count, audit.is_whole) == (0, accepted)
        assert [each.missing for each in audit.breaks] == [2]
    journal.write(lambda tx: tx.put_meta(BREAKS, encode_breaks([gap], b"of somebody else")))
    assert audit_receipts(journal, KEYS).flaw_count == 1


def test_a_foreign_key_is_an_error_of_its_own():
    with pytest.raises(StateFolderError, match="not one of 3 receipts"):
        audit_receipts(journal_of(chained(3)), Keys(b"x" * 32))


def test_under_the_right_key_a_single_forged_receipt_is_a_flaw():
    made = replace(receipt(1), chain="00")
    assert audit_receipts(journal_of([made]), KEYS).flaw_count == 1


def test_flaws_beyond_the_first_hundred_are_counted():
    audit = audit_receipts(journal_of([], *(task_row(n, state=TaskState.COMPLETED) for n in range(1, 151))), KEYS)
    assert (len(audit.flaws), audit.flaw_count) == (100, 150)


def test_anchors_are_lines_that_a_cut_off_one_does_not_spoil(tmp_path):
    path = tmp_path / "anchors.jsonl"
    synced = []
    append_anchor(path, Anchor(1, "aa", 1.0, "me"), synced.append)
    with path.open("ab") as file:
        file.write(b'{"number": 2, "cha')
    append_anchor(path, Anchor(3, "cc", 3.0, "me"), Files().fsync_folder)
    assert [anchor and anchor.number for _, anchor in read_anchors(path)] == [1, None, 3]
    assert json.loads(path.read_text().splitlines()[0]) == {"number": 1, "chain": "aa", "at": 1.0, "source_id": "me"}
    assert synced == [tmp_path]


def test_anchors_that_cannot_be_read_or_written_are_errors_in_words(tmp_path):
    with pytest.raises(InputError, match="cannot be read"):
        list(read_anchors(tmp_path / "none"))
    with pytest.raises(InputError, match="cannot be written"):
        append_anchor(tmp_path, Anchor(1, "aa", 1.0, "me"), lambda _: None)


class ManyReceipts:
    """A journal of as many receipts as one likes, which are made when they are asked for."""

    def __init__(self, count):
        self.count = count
        self.made = iter(chained_for_ever())

    def read(self, query):
        return query(self)

    def meta(self, name):
        return {"source_id": KEYS.source_id}.get(name)

    def tasks(self, query):
        return []

    def receipts(self, after, limit):
        return [next(self.made) for _ in range(min(limit, self.count - after))]


def chained_for_ever():
    previous, number = "", 0
    while True:
        number += 1
        (made,) = chained(1, number, previous)
        previous = made.chain
        yield made


def test_ten_times_as_many_receipts_need_no_more_memory(monkeypatch):
    monkeypatch.setattr("haulier.service.auditing.BATCH", 50)
    peaks = []
    for count in (100, 1000):
        tracemalloc.start()
        audit = audit_receipts(ManyReceipts(count), KEYS)
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
        assert audit.verified == count
    assert peaks[1] < 2 * peaks[0]
