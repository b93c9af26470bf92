"""Invariant 8: memory for bodies is bounded, whatever the sizes of files and parts."""

from __future__ import annotations

import threading
import tracemalloc

import pytest

from haulier.backends.api import PartsMode, ResumeMode
from haulier.backends.memory import MemoryBackend
from haulier.backends.memory_options import MemoryOptions
from haulier.errors import CancelledError
from haulier.journal.sqlite import SqliteJournal
from haulier.models import TaskState
from haulier.testing.rig import RigSettings, UploadRig
from haulier.transfer.buffers import BufferPool
from haulier.transfer.context import RunContext

KIB = 1024
BUDGET = 256 * KIB


@pytest.mark.parametrize("part_size", [16 * KIB, 100 * KIB, 4096 * KIB], ids=["small", "medium", "beyond the budget"])
@pytest.mark.parametrize("parts", list(PartsMode))
def test_invariant_8_uploads_at_once_stay_within_the_budget(tmp_path, parts, part_size):
    journal = SqliteJournal(tmp_path / "journal.db")
    resume = {PartsMode.PARALLEL: ResumeMode.LIST, PartsMode.SEQUENTIAL: ResumeMode.OFFSET}
    options = MemoryOptions(parts=parts, resume=resume.get(parts, ResumeMode.NONE), keep_content=False)
    settings = RigSettings(part_size=part_size, memory_budget=BUDGET, window=4)
    rig = UploadRig(journal, MemoryBackend("main", options), settings=settings)
    for number in range(4):
        path = tmp_path / f"{number}.mp4"
        path.write_bytes(bytes([number]) * 3000 * KIB)
        rig.submit(path)
    tracemalloc.start()
    before = tracemalloc.get_traced_memory()[0]
    workers = [threading.Thread(target=rig.work) for _ in range(4)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    peak = tracemalloc.get_traced_memory()[1] - before
    tracemalloc.stop()
    assert {row.state for row in rig.rows()} == {TaskState.COMPLETED}
    blocks = 4 * 3 * 1024 * KIB  # each upload reads, sends and receives streamed bytes through blocks of 1 MiB
    assert peak < BUDGET + blocks + 1024 * KIB
    assert rig.engine.pool.peak <= BUDGET
    journal.close()


def test_who_waits_for_memory_gets_it_when_another_lets_go():
    pool = BufferPool(100)
    first = pool.acquire(80, RunContext())
    got = []
    waiting = threading.Thread(target=lambda: got.append(pool.acquire(60, RunContext())))
    waiting.start()
    assert not got
    pool.release(first)
    waiting.join(10)
    assert len(got[0]) == 60


def test_who_waits_for_memory_can_be_cancelled():
    pool = BufferPool(100)
    pool.acquire(100, RunContext())
    context = RunContext()
    ended = []

    def wait():
        with pytest.raises(CancelledError):
            pool.acquire(10, context)
        ended.append(True)

    waiting = threading.Thread(target=wait)
    waiting.start()
    context.stop("cancel")
    waiting.join(10)
    assert ended


def test_invariant_8_a_request_larger_than_the_budget_is_served_alone():
    pool = BufferPool(100)
    assert len(pool.acquire(500, RunContext())) == 500
