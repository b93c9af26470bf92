"""What is journalled of parts that are read in order, and that a changed source is found out by it."""

from __future__ import annotations

import hashlib
import os
from dataclasses import replace

import pytest

from haulier.backends.api import PartsMode, ResumeMode
from haulier.backends.memory import MemoryBackend, MemoryOptions
from haulier.errors import NetworkError
from haulier.journal.memory import MemoryJournal
from haulier.models import TaskState
from haulier.testing.rig import UploadRig

MODES = [(PartsMode.PARALLEL, ResumeMode.LIST), (PartsMode.SEQUENTIAL, ResumeMode.OFFSET)]
PART = 1024
CONTENT = bytes(index * 7 % 251 for index in range(10_000))


@pytest.fixture(params=MODES, ids="-".join)
def interrupted(request, tmp_path):
    """An upload whose fifth part broke once; its rig, task and source."""
    parts, resume = request.param
    destination = MemoryBackend("main", MemoryOptions(parts=parts, resume=resume))
    rig = UploadRig(MemoryJournal(), destination)
    source = tmp_path / "session.mp4"
    source.write_bytes(CONTENT)
    destination.store.faults.add("send", part=5, before=NetworkError("reset"))
    task = rig.submit(source)
    rig.work()
    return rig, task, source


def rows_of(rig, task):
    return rig.journal.read(lambda tx: tx.parts(task))


def change_byte(source, offset):
    """In place, so that no look at the file tells it: the same inode, size and time."""
    before = source.stat()
    with source.open("r+b") as file:
        file.seek(offset)
        file.write(bytes([CONTENT[offset] ^ 1]))
    os.utime(source, ns=(before.st_atime_ns, before.st_mtime_ns))
    return source.read_bytes()


def range_digest(row):
    return hashlib.sha256(CONTENT[row.offset : row.offset + row.size]).hexdigest()


def test_what_is_read_in_order_is_journalled_with_the_digest_of_all_up_to_it(interrupted):
    rig, task, _ = interrupted
    rows = rows_of(rig, task)
    assert len(rows) >= 4
    assert all(row.prefix for row in rows)
    assert {row.sha256 for row in rows} == {
        hashlib.sha256(CONTENT[: row.offset + row.size]).hexdigest() for row in rows
    }
    rig.work_on(60)
    assert rig.row(task).state is TaskState.COMPLETED
    assert rig.receipt(task).sha256 == hashlib.sha256(CONTENT).hexdigest()


@pytest.mark.parametrize("held", [0, 1, 3])
@pytest.mark.parametrize("older", [False, True], ids=["prefixes", "ranges"])
def test_invariant_7_a_change_in_any_held_part_is_found_out(interrupted, held, older):
    rig, task, source = interrupted
    if older:  # as journalled where parts are read by themselves, and by versions before
        alone = [replace(row, sha256=range_digest(row), prefix=False) for row in rows_of(rig, task)]
        rig.journal.write(lambda tx: tx.put_parts(task, alone))
    changed = change_byte(source, held * PART + 5)
    rig.work_on(3600)
    assert rig.row(task).state is TaskState.COMPLETED
    assert rig.row(task).restarts == 1, "what was sent of the old content is not used"
    assert rig.receipt(task).sha256 == hashlib.sha256(changed).hexdigest()


def test_what_is_not_held_may_be_another_by_now(interrupted):
    rig, task, source = interrupted
    changed = change_byte(source, 9 * PART + 5)
    rig.work_on(60)
    assert rig.row(task).state is TaskState.COMPLETED
    assert rig.row(task).restarts == 0
    assert rig.receipt(task).sha256 == hashlib.sha256(changed).hexdigest()


def test_parts_that_are_read_by_themselves_are_journalled_and_compared_so(interrupted):
    rig, task, source = interrupted
    store = rig.destinations.get("main").store
    store.faults.add("send", part=8, before=NetworkError("reset"))
    rig.clock.advance(60)
    rig.work()
    apart = [row for row in rows_of(rig, task) if not row.prefix]
    assert apart
    assert all(row.sha256 == range_digest(row) for row in apart)
    changed = change_byte(source, apart[0].offset + 5)
    rig.work_on(3600)
    assert rig.row(task).restarts == 1
    assert rig.receipt(task).sha256 == hashlib.sha256(changed).hexdigest()
