"""The journal in a file: the suite, its schema and versions, damage, checks and copies."""

import shutil
import threading
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import apsw
import pytest

from haulier.errors import JournalDamagedError, JournalError, JournalVersionError, StateFolderError
from haulier.journal.api import TaskFilter
from haulier.journal.sqlite import SqliteJournal, migrations
from haulier.testing.journal_rows import ODD_TEXTS, everything, full_row, media, sidecar, task_id, task_row
from haulier.testing.journal_suite import JournalSuite
from haulier.testing.journal_writes import fill, overturn

PAGE = 4096


@pytest.fixture
def path(tmp_path):
    return tmp_path / "journal.db"


class TestSqliteJournal(JournalSuite):
    @pytest.fixture
    def journal(self, path):
        made = SqliteJournal(path)
        yield made
        made.close()


def open_journal(path, **more):
    return closing(SqliteJournal(path, **more))


def raw(path):
    return closing(apsw.Connection(str(path)))


def bytes_of(folder):
    """What the files hold; the shared memory beside a WAL holds nothing of its own."""
    found = {entry.name: entry.read_bytes() for entry in Path(folder).iterdir() if not entry.name.endswith("-shm")}
    return {name: content for name, content in found.items() if content}


def fill_pages(path, tasks=300):
    """A journal of some hundred pages, closed; its bytes."""
    with open_journal(path) as journal:
        rows = [task_row(number, artifacts=(media(number), sidecar(f"/s/{number}"))) for number in range(tasks)]
        journal.write(lambda tx: [tx.insert_task(row) for row in rows])
    return path.read_bytes()


# -- what stays


def test_everything_is_there_after_closing_and_opening(path):
    with open_journal(path) as journal:
        journal.write(fill)
        journal.write(overturn)
        odd = [full_row(number, text) for number, text in enumerate(ODD_TEXTS.values(), start=20)]
        journal.write(lambda tx: [tx.insert_task(row) for row in odd])
        before = journal.read(everything)
    with open_journal(path) as journal:
        assert journal.read(everything) == before
        assert journal.check() == []
    assert [entry.name for entry in path.parent.iterdir()] == ["journal.db"]


def test_sequences_go_on_after_closing_and_opening(path):
    with open_journal(path) as journal:
        journal.write(lambda tx: [tx.insert_task(task_row(1)), tx.insert_task(task_row(2)), tx.delete_task(task_id(2))])
    with open_journal(path) as journal:
        assert journal.write(lambda tx: tx.insert_task(task_row(2))).sequence == 3


def test_it_is_in_wal_mode(path):
    with open_journal(path), raw(path) as connection:
        assert connection.pragma("journal_mode") == "wal"


def test_the_folder_is_synced_whoever_created_the_file(path):
    synced = []
    for _ in range(2):
        with open_journal(path, sync_folder=synced.append):
            pass
    assert synced == [path.parent, path.parent]


def test_a_path_that_cannot_be_opened_is_refused(tmp_path):
    for path in (tmp_path / "missing" / "journal.db", tmp_path, tmp_path / "\udcff.db"):
        with pytest.raises(StateFolderError):
            SqliteJournal(path)
    assert list(tmp_path.iterdir()) == []


# -- versions


def schema(path):
    with raw(path) as connection:
        return connection.pragma("user_version"), connection.execute(
            "SELECT type, name, tbl_name, sql FROM sqlite_schema ORDER BY type, name"
        ).fetchall()


NEXT = migrations()[-1][0] + 1
NEXT_STEP = (NEXT, "ALTER TABLE task ADD COLUMN colour TEXT; CREATE INDEX task_colour ON task (colour);")


@pytest.mark.parametrize("steps", [migrations(), [*migrations(), NEXT_STEP]], ids=["present", "one to come"])
def test_step_by_step_and_at_once_make_the_same_schema(tmp_path, steps):
    for count in range(1, len(steps) + 1):
        with open_journal(tmp_path / "old.db", steps=steps[:count]):
            pass
    with open_journal(tmp_path / "fresh.db", steps=steps):
        pass
    assert schema(tmp_path / "old.db") == schema(tmp_path / "fresh.db")
    assert schema(tmp_path / "fresh.db")[0] == steps[-1][0]


def test_steps_are_numbered_from_1_without_holes():
    assert [version for version, _ in migrations()] == list(range(1, NEXT))


def test_a_migration_keeps_what_is_there(path):
    with open_journal(path) as journal:
        journal.write(fill)
        before = journal.read(everything)
    with open_journal(path, steps=[*migrations(), NEXT_STEP]) as journal:
        assert journal.read(everything) == before
        assert journal.check() == []


def test_items_of_an_older_schema_are_found_by_their_time_a_damaged_one_is_in_nobodys_way(path):
    older = [step for step in migrations() if step[0] < 6]
    first, damaged = task_row(1), task_row(2)
    with open_journal(path, steps=older) as journal:
        journal.write(lambda tx: tx.insert_tasks([first, damaged]))
    with raw(path) as connection:
        connection.execute("UPDATE task SET state = 'paused', identity = '{' WHERE id = ?", (damaged.id,))
    with open_journal(path) as journal:
        assert journal.read(lambda tx: tx.find_item(first.item, first.backend)).id == first.id
        assert journal.read(lambda tx: tx.find_item(damaged.item, damaged.backend)) is None
        with pytest.raises(JournalError):
            journal.write(lambda tx: tx.insert_task(replace(task_row(3), identity=first.identity)))


def test_a_migration_that_fails_leaves_the_journal_as_it_was(path):
    with open_journal(path) as journal:
        journal.write(fill)
    before = schema(path)
    with pytest.raises(apsw.SQLError):
        SqliteJournal(path, steps=[*migrations(), NEXT_STEP, (NEXT + 1, "CREATE TABLE half (a); NO SQL")])
    assert schema(path) == before


def test_a_newer_journal_is_refused_and_left_as_it_is(tmp_path):
    with open_journal(tmp_path / "new.db", steps=[*migrations(), NEXT_STEP]) as journal:
        journal.write(fill)
        left = tmp_path / "as left by a kill"
        left.mkdir()
        for suffix in ("", "-wal"):
            shutil.copy(tmp_path / f"new.db{suffix}", left / f"journal.db{suffix}")
    before = bytes_of(left)
    for _ in range(2):
        with pytest.raises(JournalVersionError, match=f"schema {NEXT}"):
            SqliteJournal(left / "journal.db")
        assert bytes_of(left) == before
    with open_journal(left / "journal.db", steps=[*migrations(), NEXT_STEP]) as journal:
        assert len(journal.read(lambda tx: tx.tasks(TaskFilter()))) == 3


# -- damage


@pytest.mark.parametrize(
    "damage",
    [
        pytest.param(lambda content: b"\xff" * 100 + content[100:], id="garbage header"),
        pytest.param(lambda _: b"this is a letter, no journal\n" * 1000, id="another file"),
        pytest.param(lambda content: content[: len(content) // 2], id="half of it"),
        pytest.param(lambda content: content[:100] + b"\xff" * (PAGE - 100) + content[PAGE:], id="garbage first page"),
    ],
)
def test_a_damaged_file_is_refused_with_its_bytes_kept(path, damage):
    broken = damage(fill_pages(path))
    path.write_bytes(broken)
    for _ in range(2):
        with pytest.raises(JournalDamagedError, match=r"journal\.db: the journal is damaged"):
            SqliteJournal(path)
        assert bytes_of(path.parent) == {"journal.db": broken}


def root_page(path, name):
    with raw(path) as connection:
        return connection.execute("SELECT rootpage FROM sqlite_schema WHERE name = ?", (name,)).fetchone()[0]


def test_a_damaged_page_in_the_middle_is_found_and_its_bytes_kept(path):
    content = fill_pages(path)
    start = (root_page(path, "task") - 1) * PAGE
    broken = content[:start] + b"\xff" * PAGE + content[start + PAGE :]
    path.write_bytes(broken)
    with open_journal(path) as journal:
        assert journal.check() != []
        with pytest.raises(JournalDamagedError, match=r"journal\.db"):
            journal.read(lambda tx: tx.tasks(TaskFilter()))
        with pytest.raises(JournalDamagedError, match=r"journal\.db"):
            journal.write(lambda tx: tx.insert_task(task_row(9999)))
        assert journal.read(lambda tx: tx.receipts(0, None)) == []
    assert bytes_of(path.parent) == {"journal.db": broken}


@pytest.mark.parametrize("page", ["leaf", "freed"])
def test_check_looks_at_pages_that_nobody_asks_for(path, page):
    content = fill_pages(path)
    middle = len(content) // PAGE // 2
    if page == "leaf":
        broken = content[: middle * PAGE] + bytes(range(256)) * (PAGE // 256) + content[(middle + 1) * PAGE :]
    else:  # the header counts a free page that no list holds
        broken = content[:36] + b"\0\0\0\x05" + content[40:]
    path.write_bytes(broken)
    with open_journal(path) as journal:
        assert journal.check() != []


@pytest.mark.parametrize(
    "change",
    [
        "UPDATE task SET state = 'paused', identity = '{'",
        "UPDATE task SET state = 'qeued'",
        "UPDATE task SET token = '[]'",
        "UPDATE artifact SET role = 'x'",
        "UPDATE event SET body = 'null'",
        "UPDATE receipt SET body = '{}'",
        "UPDATE backend SET body = '{\"name\": 1}'",
    ],
)
def test_a_row_that_nobody_wrote_so_is_damage(path, change):
    with open_journal(path) as journal:
        journal.write(fill)
        with raw(path) as connection:
            connection.execute(change)
        with pytest.raises(JournalDamagedError, match=r"journal\.db: a row"):
            journal.read(everything)


@pytest.mark.parametrize(
    ("change", "finding"),
    [
        ("UPDATE counter SET tasks = 7 WHERE state = 'queued'", "the counter of queued tasks is wrong"),
        ("DELETE FROM counter WHERE state = 'failed'", "the counter of failed tasks is wrong"),
        ("INSERT INTO part VALUES ('upload_none', 0, 0, 0, 1, '', '', 0)", "a row of part belongs to no task"),
    ],
)
def test_check_finds_what_does_not_fit_together(path, change, finding):
    with open_journal(path) as journal:
        journal.write(fill)
        with raw(path) as connection:
            connection.execute(change)
        assert journal.check() == [finding]


# -- copies


def test_a_backup_is_an_equal_journal(path, tmp_path):
    with open_journal(path) as journal:
        journal.write(fill)
        journal.write(overturn)
        journal.backup(tmp_path / "copy.db")
        before = journal.read(everything)
    assert schema(path) == schema(tmp_path / "copy.db")
    with open_journal(tmp_path / "copy.db") as copy:
        assert copy.read(everything) == before
        assert copy.check() == []
        assert copy.write(lambda tx: tx.insert_task(task_row(99))).sequence == before["tasks"][-1].sequence + 1


def test_a_backup_taken_while_work_goes_on_is_one_moment_of_it(path, tmp_path):
    fill_pages(path, tasks=1000)
    copied, started = threading.Event(), threading.Event()
    with open_journal(path) as journal:

        def write():
            number = 1000
            while not copied.is_set():
                journal.write(lambda tx, n=number: (tx.insert_task(task_row(n)), tx.put_meta("last", str(n))))
                number += 1
                started.set()

        writer = threading.Thread(target=write)
        writer.start()
        started.wait()
        try:
            journal.backup(tmp_path / "copy.db")
        finally:
            copied.set()
            writer.join()
        assert journal.check() == []
    with open_journal(tmp_path / "copy.db") as copy:
        rows = copy.read(lambda tx: tx.tasks(TaskFilter()))
        assert [row.id for row in rows] == [task_id(number) for number in range(len(rows))]
        assert rows[-1].id == task_id(int(copy.read(lambda tx: tx.meta("last"))))
        assert copy.check() == []


def test_a_backup_goes_over_no_other_file(path, tmp_path):
    other = tmp_path / "other"
    other.write_bytes(b"mine")
    with open_journal(path) as journal:
        for target in (other, path, tmp_path / "missing" / "copy.db"):
            with pytest.raises(JournalError, match="copy cannot be made"):
                journal.backup(target)
        assert journal.check() == []
    assert other.read_bytes() == b"mine"
