"""The journal and its processes: several at once lose nothing, a killed one loses nothing it was told stands."""

import subprocess
import sys
import threading
from contextlib import closing

import pytest

from haulier.errors import JournalUnavailableError
from haulier.journal.api import TaskFilter
from haulier.journal.group_commit import Change, GroupCommit
from haulier.journal.sqlite import SqliteJournal
from haulier.testing.journal_rows import part_row, receipt, task_id, task_row
from haulier.testing.journal_writes import run_all

# Submits tasks from `first` on, `count` of them; prints each number once its write returned.
WRITER = """
import sys
from pathlib import Path
from haulier.journal.sqlite import SqliteJournal
from haulier.testing.journal_rows import part_row, receipt, task_row

path, first, count = Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])
sys.stdin.readline()
journal = SqliteJournal(path)

def change(tx, number):
    row = tx.insert_task(task_row(number))
    tx.put_parts(row.id, [part_row(number)])
    head = tx.last_receipt()
    tx.add_receipt(receipt(head.number + 1 if head else 1, of_task=row.id))

for number in range(first, first + count):
    journal.write(lambda tx: change(tx, number), durable=number % 2 == 0)
    print(number, flush=True)
journal.close()
"""


@pytest.fixture
def start(tmp_path):
    started = []

    def start(first, count):
        command = [sys.executable, "-c", WRITER, str(tmp_path / "journal.db"), str(first), str(count)]
        process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        started.append(process)
        return process

    yield start
    for process in started:
        process.kill()
        process.communicate()


def numbers(journal):
    return [int(row.id.removeprefix("upload_")) for row in journal.read(lambda tx: tx.tasks(TaskFilter()))]


def test_processes_that_write_at_once_lose_nothing(tmp_path, start):
    """They begin together, so that they also create the file and its schema together."""
    writers = [start(first, 40) for first in (1, 101, 201, 301)]
    for writer in writers:
        writer.stdin.write("go\n")
        writer.stdin.flush()
    for writer in writers:
        writer.communicate()
        assert writer.returncode == 0
    with closing(SqliteJournal(tmp_path / "journal.db")) as journal:
        expected = [first + step for first in (1, 101, 201, 301) for step in range(40)]
        assert sorted(numbers(journal)) == expected
        assert [row.number for row in journal.read(lambda tx: tx.receipts(0, None))] == list(range(1, 161))
        assert journal.check() == []


def test_two_connections_of_one_process_see_each_other(tmp_path):
    path = tmp_path / "journal.db"
    with closing(SqliteJournal(path)) as first, closing(SqliteJournal(path)) as second:
        journals = [first, second]

        def submit(number):
            journal = journals[number % 2]
            for step in range(20):
                journal.write(lambda tx, n=number * 100 + step: tx.insert_task(task_row(n)), durable=False)

        run_all([lambda number=number: submit(number) for number in range(4)])
        assert numbers(first) == numbers(second)
        assert sorted(numbers(first)) == [number * 100 + step for number in range(4) for step in range(20)]


def test_what_was_acknowledged_before_a_kill_is_there(tmp_path, start):
    acknowledged = []
    for round_number in range(3):
        writer = start(1 + round_number * 10_000, 10_000)
        writer.stdin.write("go\n")
        writer.stdin.flush()
        acknowledged += [int(writer.stdout.readline()) for _ in range(30)]
        writer.kill()
        acknowledged += [int(line) for line in writer.stdout]  # communicate() would miss what was read ahead
        writer.wait()
        with closing(SqliteJournal(tmp_path / "journal.db")) as journal:
            present = numbers(journal)
            assert set(acknowledged) <= set(present)
            assert len(present) <= len(acknowledged) + round_number + 1  # what stood when its answer was cut off
            for count, number in enumerate(present, start=1):
                assert journal.read(lambda tx, n=number: tx.parts(task_id(n))) == [part_row(number)]
                kept = journal.read(lambda tx, n=number: tx.receipt(task_id(n)))
                assert kept == receipt(count, of_task=task_id(number))
            assert journal.check() == []


def test_an_interrupted_leader_leaves_nobody_waiting(tmp_path):
    """Ctrl-C may end a thread's write for others: they are told, whatever they were told holds, and work goes on."""
    outcomes = {}
    with closing(SqliteJournal(tmp_path / "journal.db")) as journal:

        def lead(tx):
            while len(journal._group._waiting) < 5:
                threading.Event().wait(0.001)
            tx.insert_task(task_row(0))

        def follow(number):
            def change(tx):
                tx.insert_task(task_row(number))
                if number == 3:
                    raise KeyboardInterrupt

            try:
                journal.write(change)
                outcomes[number] = "stands"
            except (KeyboardInterrupt, JournalUnavailableError) as error:
                outcomes[number] = type(error)

        followers = [lambda number=number: follow(number) for number in range(1, 6)]
        run_all([lambda: journal.write(lead), *followers])
        assert sorted(map(str, outcomes.values())) == sorted(
            map(str, [KeyboardInterrupt, *[JournalUnavailableError] * 4])
        )
        assert numbers(journal) == [0]
        journal.write(lambda tx: tx.insert_task(task_row(9)))


def test_a_group_has_a_most():
    """So that who leads gets its answer while others keep coming."""
    sizes = []
    held = threading.Event()

    def commit(group):
        sizes.append(len(group))
        for change in group:
            change.result = change.run(None)

    groups = GroupCommit(commit, most=4)

    def lead(_):
        while len(groups._waiting) < 10:
            held.wait(0.001)
        return 0

    followers = [lambda n=number: groups.submit(Change(lambda _: n, durable=True)) for number in range(10)]
    run_all([lambda: groups.submit(Change(lead, durable=True)), *followers])
    assert sum(sizes) == 11
    assert max(sizes) == 4
