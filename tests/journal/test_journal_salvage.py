"""Salvage: every row of a page that can be read, and no row that nobody wrote."""

from __future__ import annotations

import random
import shutil
from contextlib import closing
from dataclasses import replace

import apsw
import pytest

from haulier.journal.api import PartRow, SealedToken, TaskFilter
from haulier.journal.examine import damage
from haulier.journal.salvage import Salvage
from haulier.journal.sqlite import SqliteJournal, migrations
from haulier.journal.wal import has_lost_commits
from haulier.models import ArtifactRecord, Role
from haulier.testing.journal_rows import ODD_TEXTS, abort_row, media, part_row, receipt, sidecar, task_row

PAGE = 4096
TASKS = 60
NEWEST = migrations()[-1][0]


def large_sidecar(number):
    """One whose content continues on pages of its own."""
    content = bytes(range(256)) * 80
    return ArtifactRecord(
        1, Role.SIDECAR, "m.json", f"/s/{number}", len(content), 5, "", "key/m.json", "text/plain", content
    )


def write(path, odd=""):
    with closing(SqliteJournal(path)) as journal:
        rows = [
            task_row(
                number,
                artifacts=(media(number), large_sidecar(number) if number % 10 == 0 else sidecar(f"/s/{number}{odd}")),
                metadata={"note": odd},
                nonce=odd,
            )
            for number in range(1, TASKS + 1)
        ]
        journal.write(lambda tx: [tx.insert_task(row) for row in rows])
        journal.write(lambda tx: [tx.add_receipt(receipt(number, odd)) for number in range(1, TASKS + 1)])
        journal.write(lambda tx: tx.put_parts(rows[0].id, [part_row(number) for number in range(100)]))
        return everything_of(journal)


def everything_of(journal):
    rows = {row.id: row for row in journal.read(lambda tx: tx.tasks(TaskFilter()))}
    receipts = {each.number: each for each in journal.read(lambda tx: tx.receipts(0, None))}
    return rows, receipts


def salvaged(path, tmp_path):
    scratch = tmp_path / "scratch"
    scratch.unlink(missing_ok=True)
    with closing(Salvage(path, path.with_name("journal.db-wal"), scratch)) as found:
        rows = {each.row.id: each.row for each in found.tasks()}
        return rows, dict(found.receipts())


def alone(row):
    """A task of whose sidecar nothing was left, neither its row nor its place in the index."""
    return replace(row, artifacts=row.artifacts[:1])


@pytest.fixture
def path(tmp_path):
    return tmp_path / "journal.db"


@pytest.mark.parametrize("odd", [text for name, text in ODD_TEXTS.items() if name != "zero"])
def test_of_a_sound_journal_everything_is_read_as_it_is(path, tmp_path, odd):
    rows, receipts = write(path, odd)
    found_rows, found_receipts = salvaged(path, tmp_path)
    assert found_rows == rows
    assert found_receipts == {number: [each] for number, each in receipts.items()}


def test_parts_are_read_as_they_are_those_of_an_older_schema_too(path, tmp_path):
    *_, (last, _) = steps = [step for step in migrations() if step[0] < 5]
    row = task_row(1, token=SealedToken({"upload": "1"}, b"", None))
    with closing(SqliteJournal(path, steps=steps)) as old:
        old.write(lambda tx: tx.insert_task(row))
    with closing(apsw.Connection(str(path))) as raw:
        assert raw.pragma("user_version") == last
        raw.execute("INSERT INTO part VALUES (?,0,1,0,10,?,'')", (row.id, "ab" * 32))
    new = replace(part_row(1), prefix=True)
    with closing(SqliteJournal(path)) as journal:
        journal.write(lambda tx: tx.put_parts(row.id, [new]))
        written = journal.read(lambda tx: tx.parts(row.id))
    assert written == [PartRow(0, 1, 0, 10, "ab" * 32), new]
    with closing(Salvage(path, path.with_name("journal.db-wal"), tmp_path / "scratch")) as found:
        assert [each.parts for each in found.tasks()] == [tuple(written)]


@pytest.mark.parametrize("odd", [text for name, text in ODD_TEXTS.items() if name != "zero"])
def test_owed_aborts_are_read_as_they_are(path, tmp_path, odd):
    write(path)
    with closing(SqliteJournal(path)) as journal:
        given = [journal.write(lambda tx, number=number: tx.put_abort(abort_row(number, odd))) for number in range(9)]
    with closing(Salvage(path, path.with_name("journal.db-wal"), tmp_path / "scratch")) as found:
        assert list(found.aborts()) == given


@pytest.mark.parametrize("seed", range(12))
def test_of_pages_full_of_garbage_nothing_is_made_up(path, tmp_path, seed):
    rows, receipts = write(path)
    chance = random.Random(seed)
    content = bytearray(path.read_bytes())
    pages = len(content) // PAGE
    for page in chance.sample(range(pages), pages // 4):
        content[page * PAGE : (page + 1) * PAGE] = chance.randbytes(PAGE)
    path.write_bytes(content)

    found_rows, found_receipts = salvaged(path, tmp_path)

    assert all(row in (rows[row.id], alone(rows[row.id])) for row in found_rows.values())
    assert all(candidates == [receipts[number]] for number, candidates in found_receipts.items())
    assert found_rows or found_receipts


@pytest.mark.parametrize("seed", range(12))
def test_bytes_that_flipped_anywhere_stop_nothing(path, tmp_path, seed):
    write(path)
    chance = random.Random(seed)
    content = bytearray(path.read_bytes())
    for _ in range(200):
        content[chance.randrange(len(content))] ^= 1 << chance.randrange(8)
    path.write_bytes(content)
    rows, _ = salvaged(path, tmp_path)
    assert all(row.identity.item_id == row.item_id for row in rows.values())


def test_a_log_is_laid_over_its_file(path, tmp_path):
    journal = SqliteJournal(path)
    journal.write(lambda tx: [tx.insert_task(task_row(number)) for number in range(1, 5)])
    journal.write(lambda tx: tx.update_task("upload_000001", nonce="newest"))
    copy = tmp_path / "copy" / "journal.db"
    copy.parent.mkdir()
    for name in ("journal.db", "journal.db-wal"):
        shutil.copy(tmp_path / name, copy.with_name(name))
    rows, _ = everything_of(journal)
    journal.close()

    assert salvaged(copy, tmp_path)[0] == rows
    copy.unlink()
    assert salvaged(copy, tmp_path)[0] == rows


@pytest.mark.parametrize("place", ["header", "middle", "end", "nowhere"])
def test_a_log_with_a_hole_is_told_from_one_that_ends_early(path, tmp_path, place):
    journal = SqliteJournal(path)
    for number in range(1, 20):
        journal.write(lambda tx, number=number: tx.insert_task(task_row(number)))
    log = tmp_path / "copied-wal"
    shutil.copy(tmp_path / "journal.db-wal", log)
    journal.close()
    content = bytearray(log.read_bytes())
    offset = {"header": 16, "middle": 32 + 4120 * 10 + 2000, "end": len(content) - 2000, "nowhere": None}[place]
    if place == "end":  # as when the machine stopped in the middle of the last write
        content = content[:offset]
    elif offset is not None:
        content[offset] ^= 0xFF
    log.write_bytes(content)
    assert has_lost_commits(log) is (place in {"header", "middle"})


def test_a_look_at_a_sound_journal_finds_nothing_and_changes_nothing(path):
    write(path)
    before = path.read_bytes()
    assert damage(path, was_used=True, newest_schema=NEWEST) == ""
    assert path.read_bytes() == before


def test_an_empty_file_is_damage_only_where_something_was(path):
    assert damage(path, was_used=True, newest_schema=NEWEST) == ""
    path.touch()
    assert damage(path, was_used=False, newest_schema=NEWEST) == ""
    assert "empty" in damage(path, was_used=True, newest_schema=NEWEST)
