"""The journal at scale: queueing, claiming, asking, with a thousand tasks and with many more."""

from __future__ import annotations

import argparse
import os
import resource
import secrets
import shutil
import statistics
import tempfile
import time
from dataclasses import replace
from pathlib import Path

from haulier.events import UploadQueued
from haulier.journal.api import TaskFilter, TaskRow
from haulier.journal.sqlite import SqliteJournal
from haulier.models import TaskState
from haulier.testing.journal_rows import task_row

BATCH = 1000
CLAIMS = 900
PAGE = 50
OWNER = "benchmark"


def fresh(number: int) -> TaskRow:
    """A task as an intake makes it: its id begins with its millisecond and goes on at random."""
    name = f"upload_{1_700_000_000_000 + number // 20}_{secrets.token_hex(6)}"
    return replace(task_row(number), id=name, group=name)


def queued(journal: SqliteJournal, first: int, count: int) -> tuple[float, float]:
    """So many more tasks and their events, a batch in each durable transaction; its seconds, by the wall and of CPU."""
    wall = cpu = 0.0
    for start in range(first, first + count, BATCH):
        rows = [fresh(number) for number in range(start, min(start + BATCH, first + count))]
        told = [UploadQueued(backend=row.backend, task=row.id, filename=row.media.name, size=row.size) for row in rows]
        began, spent = time.perf_counter(), time.process_time()
        journal.write(lambda tx, rows=rows, told=told: (tx.insert_tasks(rows), tx.add_events(told)))
        wall, cpu = wall + time.perf_counter() - began, cpu + time.process_time() - spent
    return wall, cpu


def claimed(journal: SqliteJournal) -> float:
    """Seconds of one claim: the best task of a backend becomes ours."""
    began = time.perf_counter()

    def change(tx) -> None:
        row = tx.ready("main", 1e12, 1)[0]
        tx.update_task(row.id, state=TaskState.UPLOADING, owner=OWNER, epoch=row.epoch + 1)

    journal.write(change, durable=False)
    return time.perf_counter() - began


def milliseconds(work, times: int = 20) -> float:
    """The median of some runs."""
    taken = []
    for _ in range(times):
        began = time.perf_counter()
        work()
        taken.append(time.perf_counter() - began)
    return statistics.median(taken) * 1000


def counted(journal: SqliteJournal) -> int:
    """Tasks, counted one by one, a page at a time."""
    count = after = 0
    while page := journal.read(lambda tx, after=after: tx.tasks(TaskFilter(after=after, limit=BATCH))):
        count, after = count + len(page), page[-1].sequence
    return count


def line(journal: SqliteJournal, path: Path, count: int, rate: float, cost: float) -> str:
    """What it costs to claim and to ask now, once what queueing wrote has reached the disk."""
    os.sync()
    claims = sorted(claimed(journal) * 1000 for _ in range(CLAIMS))
    status = milliseconds(lambda: journal.read(lambda tx: tx.counts()))
    waiting = TaskFilter(frozenset({TaskState.QUEUED}), limit=PAGE)
    page = milliseconds(lambda: journal.read(lambda tx: tx.tasks(waiting)))
    counts = journal.read(lambda tx: tx.counts())
    if sum(counts.values()) != counted(journal):
        raise SystemExit("the counters differ from a full count")
    size = sum(file.stat().st_size for file in path.parent.glob(f"{path.name}*")) / count
    cells = (
        f"{rate:,.0f}",
        f"{cost * 1e6:.0f}",
        f"{claims[len(claims) // 2]:.2f}",
        f"{claims[int(len(claims) * 0.99)]:.2f}",
    )
    return f"| {count:,} | " + " | ".join([*cells, f"{status:.2f}", f"{page:.2f}", f"{size:,.0f}"]) + " |"


def main() -> None:
    """Fill a journal and print a line at a thousand tasks and one at the end."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.journal", description=__doc__)
    parser.add_argument("--tasks", type=int, default=1_000_000)
    parser.add_argument("--folder", type=Path, default=Path.cwd(), help="where the journal lies meanwhile")
    arguments = parser.parse_args()
    home = Path(tempfile.mkdtemp(prefix="haulier-bench-", dir=arguments.folder))
    journal = SqliteJournal(home / "journal.db")
    try:
        print(f"Queued {BATCH} in each durable transaction; {CLAIMS} claims; status and a page of {PAGE}: medians.\n")
        print("| tasks | queued/s | CPU us a task | claim p50 ms | claim p99 ms | status ms | page ms | bytes a task |")
        print("|---|---|---|---|---|---|---|---|")
        present = 0
        for goal in (1000, arguments.tasks):
            more = goal - present
            wall, cpu = queued(journal, present + 1, more)
            present = goal
            print(line(journal, home / "journal.db", present, more / wall, cpu / more), flush=True)
    finally:
        journal.close()
        shutil.rmtree(home)
    print(f"\nPeak memory {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024:.0f} MiB.")


if __name__ == "__main__":
    main()
