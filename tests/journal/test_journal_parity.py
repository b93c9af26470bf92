"""Whatever is done to them, the journal in a file and the one in memory answer the same."""

import tempfile
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st

from haulier.errors import JournalError
from haulier.journal.api import TaskFilter, item_of
from haulier.journal.memory import MemoryJournal
from haulier.journal.sqlite import SqliteJournal
from haulier.models import Disposal, TaskState
from haulier.testing.journal_rows import (
    backend_row,
    everything,
    identity,
    media,
    owner_row,
    part_row,
    queued_event,
    receipt,
    sidecar,
    task_id,
    task_row,
)

NUMBERS = st.integers(1, 8)
NAMES = st.sampled_from(["main", "second"])
TIMES = st.none() | st.sampled_from([0.0, 1.0, 5.0, 5.5, 1e6])
NOWS = st.sampled_from([0.0, 5.0, 5.2, 2e6])
LIMITS = st.integers(0, 5)
TEXTS = st.text(st.characters(), max_size=4)  # surrogates among them
JSON = st.dictionaries(TEXTS, st.none() | st.booleans() | st.integers() | TEXTS | st.lists(TEXTS), max_size=2)
ARTIFACTS = st.builds(
    lambda number, path: (media(number), sidecar(path)) if path is not None else (media(number),),
    NUMBERS,
    st.none() | st.sampled_from(["/a", "/b", "/\udcff"]),
)
STATES = st.sampled_from([*TaskState, TaskState.RETRYING, TaskState.RETRYING, TaskState.FAILED])
LANE = {
    "state": STATES,
    "backend": NAMES,
    "suspicion": st.integers(0, 2),
    "not_before": TIMES,
    "slow_lane": st.booleans(),
    "disposal": st.sampled_from(Disposal),
    "group": st.sampled_from(["", "g", "h"]),
    "artifacts": ARTIFACTS,
}
MORE = {
    "identity": st.builds(identity, NUMBERS),
    "metadata": JSON,
    "nonce": TEXTS,
    "epoch": st.integers(-(2**63), 2**63 - 1),
}
MEMBERS = st.fixed_dictionaries({}, optional={**LANE, **MORE})
IDS = st.builds(task_id, NUMBERS)
PARTS = st.lists(st.builds(part_row, st.integers(0, 3), st.integers(0, 1), st.integers(1, 9)), max_size=3)
FILTERS = st.builds(
    TaskFilter,
    states=st.frozensets(st.sampled_from(TaskState), max_size=3),
    backend=st.sampled_from(["", "main", "second"]),
    after=st.integers(0, 8),
    limit=st.none() | LIMITS,
    disposal=st.none() | st.sampled_from(Disposal),
    group=st.sampled_from(["", "g"]),
    newest_first=st.booleans(),
)


def call(method, *args, **named):
    return st.tuples(st.just(method), st.tuples(*args), st.fixed_dictionaries(named))


INSERT = st.builds(
    lambda number, members: ("insert_task", (task_row(number, **members),), {}),
    NUMBERS,
    st.fixed_dictionaries(LANE, optional=MORE),
)
INSERTS = st.builds(
    lambda numbers, members: ("insert_tasks", ([task_row(number, **members) for number in numbers],), {}),
    st.lists(NUMBERS, max_size=3),
    st.fixed_dictionaries(LANE, optional=MORE),
)
ITEMS = st.lists(NUMBERS.map(lambda number: item_of(identity(number))), max_size=3)
UPDATE = st.builds(lambda name, members: ("update_task", (name,), members), IDS, MEMBERS)
CALLS = st.one_of(
    INSERT,
    INSERTS,
    UPDATE,
    call("delete_task", IDS),
    call("wake_slow_lane", NAMES, NOWS),
    call("put_parts", IDS, PARTS),
    call("clear_parts", IDS),
    call("add_attempt", IDS, st.integers(1, 2), TEXTS, NOWS),
    call("end_attempt", IDS, st.integers(1, 2), NOWS, TEXTS, st.none()),
    call("add_event", st.builds(queued_event, NUMBERS, TEXTS)),
    call("add_receipt", st.builds(receipt, NUMBERS, TEXTS, st.sampled_from(["", "upload_other"]))),
    call("put_backend", st.builds(backend_row, NAMES, TEXTS)),
    call("put_owner", st.builds(owner_row, NUMBERS, TEXTS)),
    call("delete_owner", st.builds("owner{}".format, NUMBERS)),
    call("put_meta", st.sampled_from("ab"), TEXTS),
    call("tasks", FILTERS),
    call("ready", NAMES, NOWS, LIMITS),
    call("next_time", st.lists(NAMES, max_size=2)),
    call("sidecar_users", st.sampled_from(["/a", "/b", "/\udcff"])),
    call("events", st.integers(0, 4), LIMITS),
    call("receipts", st.integers(0, 4), st.none() | LIMITS),
    call("task", IDS),
    call("find_items", ITEMS, NAMES),
    call("item_states", ITEMS, NAMES),
    call("counts"),
)
WRITES = st.tuples(st.lists(CALLS, min_size=3, max_size=12), st.sampled_from([False, False, True]))


def claims(tx):
    """Who would be claimed at some times, when the next could be, whose source is to go."""
    times = (0.0, 5.0, 5.2, 2e6)
    ready = [tx.ready(name, now, limit) for name in ("main", "second") for now in times for limit in (1, 9)]
    pending = [tx.tasks(TaskFilter(disposal=Disposal.PENDING, limit=limit)) for limit in (1, None)]
    return ready, pending, [tx.next_time([name]) for name in ("main", "second")]


class GivenUpError(Exception):
    pass


def run(journal, calls, undone):
    """What each call answered, and what a look from outside shows afterwards."""
    answers = []

    def change(tx):
        for method, args, named in calls:
            try:
                answers.append(getattr(tx, method)(*args, **named))
            except JournalError as refused:
                answers.append(type(refused))
        answers.extend([everything(tx), claims(tx)])
        if undone:
            raise GivenUpError

    try:
        journal.write(change, durable=False)
    except GivenUpError:
        answers.append("undone")
    return answers, journal.read(everything), journal.read(claims)


@settings(deadline=None, max_examples=50)
@given(st.lists(INSERT, min_size=4, max_size=10), st.lists(WRITES, min_size=1, max_size=5))
def test_both_journals_answer_the_same(inserts, writes):
    with tempfile.TemporaryDirectory() as folder:
        file, memory = SqliteJournal(Path(folder) / "journal.db"), MemoryJournal()
        try:
            for calls, undone in [(inserts, False), *writes]:
                assert run(file, calls, undone) == run(memory, calls, undone)
            assert file.check() == []
        finally:
            file.close()
