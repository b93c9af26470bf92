"""The rebuild itself: killed anywhere it is finished by the next one; nobody else's journal is touched."""

from __future__ import annotations

import hashlib
import subprocess
import sys
import threading
from contextlib import closing
from dataclasses import replace

import apsw
import pytest

from haulier.errors import JournalDamagedError, JournalUnavailableError, JournalVersionError, StateFolderError
from haulier.files import Files
from haulier.journal.api import SealedToken, TaskFilter
from haulier.models import Disposal, TaskState
from haulier.service.auditing import audit_receipts
from haulier.service.chain import BREAKS
from haulier.service.opening import StateFolder
from haulier.service.rebuilt import awaits_confirmation, confirm, rebuilt, strays
from haulier.service.state import Keys, open_journal, source_id, state_folder
from haulier.testing.clock import FakeClock
from haulier.testing.journal_rows import abort_row, identity, media, part_row, sidecar, task_row
from haulier.testing.steps import StepProxy
from haulier.transfer.ledger import Ledger
from haulier.transfer.policy import Policy

TASKS = 40


class KilledError(BaseException):
    """Ends everything here, as a kill would."""


@pytest.fixture
def state(tmp_path):
    return tmp_path / "state"


def fresh_row(number, **changes):
    artifacts = (media(number), sidecar(f"/recordings/{number}.json"))
    return task_row(number, identity=identity(number), artifacts=artifacts, **changes)


def fill(state, tasks=TASKS, receipts=10):
    """A journal with tasks, the first of them completed with receipts that continue one another; it is closed."""
    with closing(open_journal(state, Files())) as journal:
        keys = Keys.load(state, Files())
        source_id(journal, keys)
        journal.write(lambda tx: [tx.insert_task(fresh_row(number)) for number in range(1, tasks + 1)])
        ledger = Ledger(
            journal,
            policy=Policy(),
            clock=FakeClock(),
            owner="one",
            chain_key=keys.derive("receipts"),
            new_nonce=lambda: "ab" * 16,
        )
        for lease in ledger.claim(["main"], receipts):
            ledger.complete(lease, entries_of(lease.row), "memory", Disposal.KEPT)
        ledger.release_owner("one")
    return keys


def entries_of(row):
    from haulier.models import Proof, ReceiptEntry

    return tuple(
        ReceiptEntry(each.role, each.name, each.key, f"mem://{each.key}", each.size, "ab" * 32, Proof.CONTENT)
        for each in row.artifacts
    )


def damage_header(state):
    with (state / "journal.db").open("r+b") as file:
        file.write(b"\xff" * 100)


def rows_of(journal):
    return {row.id: row for row in journal.read(lambda tx: tx.tasks(TaskFilter()))}


def receipts_of(journal):
    return journal.read(lambda tx: tx.receipts(0, None))


def execute(state, statement, *values):
    with closing(apsw.Connection(str(state / "journal.db"))) as connection:
        connection.execute(statement, values)


def digest_of(path):
    return hashlib.sha256(path.read_bytes()).hexdigest()


# -- kills


def at_each_step(tell):
    """Files whose calls are told before they happen: a kill after one call is a kill before the next."""
    return StepProxy(Files(), "files", lambda name: None if name.endswith(":done") else tell(name))


def test_a_rebuild_that_is_killed_at_any_step_is_finished_by_the_next(tmp_path):
    fill(tmp_path / "whole", tasks=5, receipts=3)
    with closing(open_journal(tmp_path / "whole", Files())) as journal:
        receipts = receipts_of(journal)
    damage_header(tmp_path / "whole")
    broken = digest_of(tmp_path / "whole" / "journal.db")
    for step in range(1000):
        state = tmp_path / f"killed{step}"
        copy_folder(tmp_path / "whole", state)
        if not is_killed(state, step):
            break
        with closing(open_journal(state, Files())) as journal:
            assert len(rows_of(journal)) == 5
            assert receipts_of(journal) == receipts
            assert journal.read(awaits_confirmation)
        (aside,) = state.glob("journal.db.damaged-*")
        assert digest_of(aside) == broken
        left = {path.name for path in state.iterdir()} - {"journal.db-wal", "journal.db-shm"}
        assert left == {"journal.db", aside.name, "secret.key", "owners", "opening.lock"}
    assert step > 15


def is_killed(state, step):
    """Open a damaged journal and be killed at this step; False when it was done before."""
    left = iter(range(step))

    def kill(name):
        if next(left, None) is None:
            raise KilledError(name)

    try:
        state_folder(state, at_each_step(kill)).open().close()
    except KilledError:
        return True
    return False


def copy_folder(source, target):
    target.mkdir()
    (target / "owners").mkdir()
    for path in source.iterdir():
        if path.is_file():
            (target / path.name).write_bytes(path.read_bytes())


# -- others


def test_a_journal_that_somebody_has_open_is_not_set_aside(state):
    fill(state)
    with closing(open_journal(state, Files())) as open_elsewhere:
        open_elsewhere.read(lambda tx: tx.counts())
        damage_header(state)
        broken = digest_of(state / "journal.db")
        with pytest.raises(JournalDamagedError, match="Stop the other programs"):
            open_journal(state, Files())
        with pytest.raises(JournalDamagedError, match="in use"):
            state_folder(state, Files()).rebuild()
        assert digest_of(state / "journal.db") == broken
    assert list(state.glob("journal.db.damaged-*")) == []


OPENER = """
import sys
from pathlib import Path
from haulier.files import Files
from haulier.journal.api import TaskFilter
from haulier.service.rebuilt import awaits_confirmation
from haulier.service.state import open_journal
journal = open_journal(Path(sys.argv[1]), Files())
print(len(journal.read(lambda tx: tx.tasks(TaskFilter()))), journal.read(awaits_confirmation))
journal.close()
"""


def test_two_processes_that_find_it_at_once_set_it_aside_once(state):
    fill(state)
    damage_header(state)
    command = [sys.executable, "-c", OPENER, str(state)]
    processes = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(2)]
    assert [process.communicate(timeout=120)[0].split() for process in processes] == [[str(TASKS), "True"]] * 2
    assert len(list(state.glob("journal.db.damaged-*"))) == 1


def test_who_waits_too_long_for_a_rebuild_is_told_to_try_later(state):
    fill(state)
    clock = FakeClock()
    with Files().lock_file(state / "opening.lock"), pytest.raises(JournalUnavailableError, match="rebuilding"):
        StateFolder(state, Files(), keys=lambda: None, clock=clock, sleep=lambda _: clock.advance(60)).open()


def test_a_submit_while_another_rebuilds_waits_and_is_kept(state):
    fill(state)
    damage_header(state)
    held = threading.Event()
    told = []

    def slow(name):
        if name == "files.rename_no_replace":
            held.set()
        told.append(name)

    rebuilding = threading.Thread(
        target=lambda: state_folder(state, StepProxy(Files(), "files", slow)).open().close(), daemon=True
    )
    rebuilding.start()
    assert held.wait(30)
    with closing(open_journal(state, Files())) as journal:
        journal.write(lambda tx: tx.insert_task(fresh_row(TASKS + 1)))
    rebuilding.join(30)
    with closing(open_journal(state, Files())) as journal:
        assert len(rows_of(journal)) == TASKS + 1
    assert len(list(state.glob("journal.db.damaged-*"))) == 1


def test_a_newer_journal_is_never_set_aside(state):
    fill(state)
    execute(state, "PRAGMA user_version=999")
    for call in (lambda: open_journal(state, Files()), lambda: state_folder(state, Files()).rebuild()):
        with pytest.raises(JournalVersionError):
            call()
    assert list(state.glob("journal.db.damaged-*")) == []


def test_two_damaged_journals_of_one_second_are_both_kept(state):
    fill(state)
    for _ in range(2):
        damage_header(state)
        clock = FakeClock()
        StateFolder(state, Files(), keys=lambda: Keys.load(state, Files()), clock=clock).open().close()
    assert len(list(state.glob("journal.db.damaged-*"))) == 2


# -- what is salvaged


def test_receipts_are_taken_as_they_are_and_the_chain_goes_on(state):
    keys = fill(state)
    with closing(open_journal(state, Files())) as journal:
        before = receipts_of(journal)
    damage_header(state)
    with closing(open_journal(state, Files())) as journal:
        assert receipts_of(journal) == before
        audit = audit_receipts(journal, keys)
        assert (audit.is_whole, audit.verified, audit.breaks) == (True, 10, [])
        completed = [row for row in rows_of(journal).values() if row.state is TaskState.COMPLETED]
        assert {row.id for row in completed} == {receipt.task for receipt in before}


def test_a_receipt_that_somebody_changed_is_not_taken_and_the_gap_is_told(state):
    keys = fill(state)
    execute(state, "UPDATE receipt SET body = replace(body, 'ababab', 'cdcdcd') WHERE number = 4")
    damage_header(state)
    with closing(open_journal(state, Files())) as journal:
        assert [receipt.number for receipt in receipts_of(journal)] == [1, 2, 3, 5, 6, 7, 8, 9, 10]
        audit = audit_receipts(journal, keys)
        (gap,) = audit.breaks
        assert (gap.number, gap.missing, gap.accepted, audit.is_whole) == (5, 1, False, False)
        assert audit.flaw_count == 0
        (asked_again,) = [row for row in rows_of(journal).values() if row.id == "upload_000004"]
        assert (asked_again.state, asked_again.committing, asked_again.token) == (TaskState.QUEUED, True, None)
        confirm(journal, keys, 7.0)
        assert audit_receipts(journal, keys).is_whole
        stolen = journal.read(lambda tx: tx.meta(BREAKS))
        journal.write(lambda tx: tx.put_meta(BREAKS, stolen.replace('"hash": "', '"hash": "0')))
        assert audit_receipts(journal, keys).flaw_count == 1


def test_a_gap_stays_known_through_another_rebuild(state):
    keys = fill(state)
    execute(state, "DELETE FROM receipt WHERE number = 4")
    execute(state, "UPDATE receipt SET body = 'x' WHERE number = 5")
    damage_header(state)
    with closing(open_journal(state, Files())) as journal:
        confirm(journal, keys, 7.0)
        first = audit_receipts(journal, keys)
    damage_header(state)
    with closing(open_journal(state, Files())) as journal:
        again = audit_receipts(journal, keys)
    assert first.breaks == again.breaks
    assert [(each.number, each.missing) for each in again.breaks] == [(7, 3)]
    assert again.is_whole


def test_states_as_an_operator_left_them_are_kept(state):
    fill(state, receipts=0)
    kept = {TaskState.PAUSED, TaskState.CANCELLED, TaskState.FAILED}
    for number, left in enumerate([*kept, TaskState.UPLOADING, TaskState.RETRYING], 1):
        execute(state, "UPDATE task SET state = ?, epoch = 3 WHERE sequence = ?", str(left), number)
    execute(state, "UPDATE task SET request = 'cancel' WHERE state = 'uploading'")
    damage_header(state)
    with closing(open_journal(state, Files())) as journal:
        rows = list(rows_of(journal).values())
        assert {row.state for row in rows[:3]} == kept
        assert [row.state for row in rows[3:5]] == [TaskState.CANCELLED, TaskState.QUEUED]
        assert all(row.committing and row.epoch >= 0 for row in rows)
        assert journal.check() == []


def test_a_session_goes_on_only_if_its_token_can_be_unsealed(state):
    keys = fill(state, tasks=3, receipts=0)
    sealed = {"a": keys.seal({"grant": "one"}), "b": b"sealed with another key", "c": b""}
    with closing(open_journal(state, Files())) as journal:
        for (name, secret), row in zip(sealed.items(), rows_of(journal).values(), strict=True):
            token = SealedToken({"session": name}, secret)
            journal.write(lambda tx, row=row, token=token: tx.update_task(row.id, token=token, part_size=10))
            journal.write(lambda tx, row=row: tx.put_parts(row.id, [part_row(0), part_row(1)]))
    damage_header(state)
    with closing(open_journal(state, Files())) as journal:
        rows = list(rows_of(journal).values())
        assert [row.token and row.token.public["session"] for row in rows] == ["a", None, "c"]
        assert [row.committing for row in rows] == [False, True, False]
        assert [len(journal.read(lambda tx, row=row: tx.parts(row.id))) for row in rows] == [2, 0, 2]


def test_what_destinations_were_owed_they_still_are(state):
    keys = fill(state, tasks=5, receipts=0)
    token = SealedToken({"session": "a"}, keys.seal({"grant": "one"}))
    with closing(open_journal(state, Files())) as journal:
        known = abort_row(1, backend="main", owner="one", token=token)
        journal.write(lambda tx: tx.put_abort(known))
        first, second, third, *_ = rows_of(journal)
        for task_id in (first, second, third):
            journal.write(lambda tx, task_id=task_id: tx.update_task(task_id, token=token, nonce=f"of {task_id}"))
        journal.write(lambda tx: tx.update_task(first, state=TaskState.UPLOADING, request="cancel"))
        asked = {"state": TaskState.UPLOADING, "request": "cancel", "committing": True}
        journal.write(lambda tx: tx.update_task(second, **asked))
    damage_header(state)
    with closing(open_journal(state, Files())) as journal:
        rows = rows_of(journal)
        owed = {each.nonce: each for each in journal.read(lambda tx: tx.aborts())}
        assert rows[first].state is TaskState.CANCELLED
        assert [rows[each].token is None for each in (first, second, third)] == [True, False, False]
        assert set(owed) == {known.nonce, f"of {first}"}, "what may be stored, or goes on, is not aborted"
        assert {(each.owner, each.tries) for each in owed.values()} == {("", 0)}
        assert owed[known.nonce].token == token
        assert journal.check() == []


def test_a_source_that_was_on_its_way_out_gets_its_name_back(state, tmp_path):
    fill(state, tasks=1, receipts=1)
    source, private = tmp_path / "a.mp4", tmp_path / ".haulier-disposal-ab-a.mp4"
    private.write_bytes(b"content")
    with closing(open_journal(state, Files())) as journal:
        (row,) = rows_of(journal).values()
        about = replace(row.identity, path=str(source))
        artifacts = (replace(row.media, path=str(source)),)
        journal.write(
            lambda tx: tx.update_task(
                row.id, identity=about, artifacts=artifacts, disposal=Disposal.PENDING, disposal_path=str(private)
            )
        )
    execute(state, "DELETE FROM receipt")
    damage_header(state)
    open_journal(state, Files()).close()
    assert source.read_bytes() == b"content"
    assert not private.exists()


def test_a_task_without_its_artifacts_is_told_as_a_stray(state):
    fill(state, tasks=2, receipts=0)
    execute(state, "DELETE FROM artifact WHERE task = 'upload_000001'")
    damage_header(state)
    with closing(open_journal(state, Files())) as journal:
        assert set(rows_of(journal)) == {"upload_000002"}
        assert journal.read(strays) == {"/recordings/1.mp4": "main"}


def test_a_task_that_was_tampered_with_is_not_taken(state):
    fill(state, tasks=2, receipts=0)
    execute(state, "UPDATE task SET identity = replace(identity, '1.mp4', '9.mp4') WHERE sequence = 1")
    damage_header(state)
    with closing(open_journal(state, Files())) as journal:
        assert set(rows_of(journal)) == {"upload_000002"}


def test_events_are_numbered_on(state):
    fill(state)
    with closing(open_journal(state, Files())) as journal:
        last = journal.read(lambda tx: tx.events(0, 1000))[-1]
    damage_header(state)
    with closing(open_journal(state, Files())) as journal:
        assert journal.write(lambda tx: tx.add_event(last)).sequence == last.sequence + 1


# -- the installation's id


def test_an_installation_has_its_id_again_when_nothing_can_be_read(state):
    fill(state)
    with closing(open_journal(state, Files())) as journal:
        before = source_id(journal, Keys.load(state, Files()))
    (state / "journal.db").write_bytes(b"nothing" * 1000)
    with closing(open_journal(state, Files())) as journal:
        assert source_id(journal, Keys.load(state, Files())) == before


def test_an_older_installation_keeps_the_id_it_was_given(state):
    fill(state)
    execute(state, "UPDATE meta SET value = ? WHERE name = 'source_id'", "ab" * 16)
    damage_header(state)
    with closing(open_journal(state, Files())) as journal:
        assert source_id(journal, Keys.load(state, Files())) == "ab" * 16


def test_an_id_that_was_lost_is_found_in_the_tasks(state):
    fill(state)
    execute(state, "DELETE FROM meta WHERE name = 'source_id'")
    damage_header(state)
    with closing(open_journal(state, Files())) as journal:
        assert source_id(journal, Keys.load(state, Files())) == identity(1).source_id


def test_without_a_readable_key_nothing_is_set_aside(state):
    fill(state)
    damage_header(state)
    (state / "secret.key").write_text("no key")
    with pytest.raises(StateFolderError):
        open_journal(state, Files())
    assert list(state.glob("journal.db.damaged-*")) == []


def test_a_rebuild_says_what_it_did(state):
    fill(state)
    damage_header(state)
    with closing(open_journal(state, Files())) as journal:
        told = journal.read(rebuilt)
    assert (told.tasks, told.receipts, told.strays, told.confirmed_at) == (TASKS, 10, 0, None)
    assert (state / told.aside).exists()
    assert "not a database" in told.why
