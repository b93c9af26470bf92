"""The journal and its disk: what is synced when, and a disk that is full, broken or not writable for a while."""

import itertools
import threading
from contextlib import closing

import apsw
import pytest

from haulier.errors import JournalError, JournalUnavailableError
from haulier.journal.api import TaskFilter
from haulier.journal.sqlite import SqliteJournal
from haulier.testing.journal_rows import everything, task_id, task_row
from haulier.testing.journal_writes import fill, overturn, run_all

NUMBERS = itertools.count()
TROUBLES = [apsw.FullError, apsw.IOError, apsw.ReadOnlyError]


class Disk(apsw.VFS):
    """The platform's own files, with calls counted by file kind and, when told so, refused.

    ``refuse_after`` calls that write go well, then each raises ``trouble``; None for no trouble.
    """

    def __init__(self):
        self.name = f"disk{next(NUMBERS)}"
        self.trouble = apsw.FullError
        self.refuse_after = None
        self.syncs = []
        super().__init__(self.name, "")

    def xOpen(self, name, flags):  # noqa: N802  the name SQLite gives it
        return DiskFile(self, name, flags)

    def writes(self):
        if self.refuse_after is None:
            return
        if self.refuse_after == 0:
            raise self.trouble
        self.refuse_after -= 1


class DiskFile(apsw.VFSFile):
    def __init__(self, disk, name, flags):
        self.disk = disk
        self.kind = "wal" if flags[0] & apsw.SQLITE_OPEN_WAL else "main"
        super().__init__("", name, flags)

    def xWrite(self, data, offset):  # noqa: N802
        self.disk.writes()
        super().xWrite(data, offset)

    def xTruncate(self, size):  # noqa: N802
        self.disk.writes()
        super().xTruncate(size)

    def xSync(self, flags):  # noqa: N802
        self.disk.writes()
        self.disk.syncs.append(self.kind)
        super().xSync(flags)


@pytest.fixture
def disk():
    made = Disk()
    yield made
    made.unregister()


@pytest.fixture
def journal(tmp_path, disk):
    with closing(SqliteJournal(tmp_path / "journal.db", vfs=disk.name)) as made:
        made.write(lambda tx: tx.put_meta("a", "opened"))  # the first write to a WAL syncs its header
        disk.syncs.clear()
        yield made
        disk.refuse_after = None


def insert(journal, number, **more):
    return journal.write(lambda tx: tx.insert_task(task_row(number)), **more)


# -- what is synced


def test_a_durable_write_is_synced_before_it_returns(journal, disk):
    for number in range(3):
        insert(journal, number)
        assert disk.syncs == ["wal"] * (number + 1)


def test_a_write_that_need_not_be_durable_is_not_synced(journal, disk):
    for number in range(3):
        insert(journal, number, durable=False)
    assert disk.syncs == []


def test_a_durable_write_syncs_what_came_before_it(journal, disk):
    insert(journal, 1, durable=False)
    insert(journal, 2)
    insert(journal, 3, durable=False)
    assert disk.syncs == ["wal"]


def hold(journal, followers):
    """A write that goes on until all ``followers`` wait behind it."""

    def change(tx):
        while len(journal._group._waiting) < followers:
            threading.Event().wait(0.001)
        return tx.insert_task(task_row(0))

    journal.write(change)


def test_writes_of_many_threads_share_a_sync(journal, disk):
    followers = [lambda number=number: insert(journal, number) for number in range(1, 20)]
    run_all([lambda: hold(journal, len(followers)), *followers])
    assert len(journal.read(lambda tx: tx.tasks(TaskFilter()))) == 20
    assert disk.syncs == ["wal", "wal"]


def test_one_durable_change_makes_its_company_durable(journal, disk):
    followers = [lambda n=number: insert(journal, n, durable=n == 5) for number in range(1, 10)]
    run_all([lambda: hold(journal, len(followers)), *followers])
    assert disk.syncs == ["wal", "wal"]


# -- a disk in trouble


@pytest.mark.parametrize("trouble", TROUBLES)
def test_a_disk_in_trouble_takes_nothing_and_is_used_again_afterwards(journal, disk, trouble):
    journal.write(fill)
    before = journal.read(everything)
    disk.trouble, disk.refuse_after = trouble, 0
    for durable in (True, False):
        with pytest.raises(JournalUnavailableError, match=r"journal\.db"):
            journal.write(overturn, durable=durable)
        assert journal.read(everything) == before
    disk.refuse_after = None
    journal.write(overturn)
    assert [row.sequence for row in journal.read(everything)["tasks"]] == [1, 2, 5]
    assert journal.check() == []


@pytest.mark.parametrize("trouble", TROUBLES)
def test_wherever_the_trouble_begins_a_write_stands_or_does_not(journal, disk, trouble):
    disk.trouble = trouble
    for number in itertools.count(1):
        disk.refuse_after = number - 1
        try:
            insert(journal, number)
        except JournalUnavailableError:
            disk.refuse_after = None
            assert journal.read(lambda tx, n=number: tx.task(task_id(n))) is None
            insert(journal, number)
        else:
            break
    assert number > 3
    rows = journal.read(lambda tx: tx.tasks(TaskFilter()))
    assert [(row.id, row.sequence) for row in rows] == [(task_id(n), n) for n in range(1, number + 1)]
    assert journal.check() == []


def test_a_full_disk_fails_every_change_of_a_group(journal, disk):
    outcomes = []

    def full():
        disk.refuse_after = 0

    def follow(number):
        try:
            outcomes.append(insert(journal, number))
        except JournalError as error:
            outcomes.append(type(error))

    def lead(tx):
        while len(journal._group._waiting) < 5:
            threading.Event().wait(0.001)
        return tx.insert_task(task_row(0))

    followers = [lambda n=number: follow(n) for number in range(1, 6)]
    run_all([lambda: journal.write(lead, then=lambda _: full()), *followers])
    assert outcomes == [JournalUnavailableError] * 5
    disk.refuse_after = None
    assert [row.id for row in journal.read(lambda tx: tx.tasks(TaskFilter()))] == [task_id(0)]
    assert insert(journal, 9).sequence == 2


def test_a_full_disk_at_the_start_is_told_and_leaves_nothing_in_the_way(tmp_path, disk):
    path = tmp_path / "journal.db"
    for refuse_after in itertools.count():
        disk.refuse_after = refuse_after
        try:
            made = SqliteJournal(path, vfs=disk.name)
        except JournalUnavailableError:
            continue
        break
    disk.refuse_after = None
    with closing(made):
        assert insert(made, 1).sequence == 1
        assert made.check() == []
    assert refuse_after > 5


def test_a_backup_that_finds_no_room_leaves_no_piece(journal, disk, tmp_path):
    journal.write(fill)
    disk.refuse_after = 2
    with pytest.raises(JournalUnavailableError, match=r"copy\.db"):
        journal.backup(tmp_path / "copy.db")
    assert not (tmp_path / "copy.db").exists()
    disk.refuse_after = None
    journal.backup(tmp_path / "copy.db")
    with closing(SqliteJournal(tmp_path / "copy.db")) as copy:
        assert copy.read(everything) == journal.read(everything)
