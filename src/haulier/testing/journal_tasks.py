"""What every journal must do with the rows of tasks."""

# ruff: noqa: S101  these are tests

from __future__ import annotations

from collections import Counter
from dataclasses import fields, replace
from typing import TYPE_CHECKING, Any

import pytest

from haulier.errors import JournalError
from haulier.journal.api import ItemKey, TaskFilter, TaskRow, item_of
from haulier.models import Disposal, ErrorRecord, TaskState
from haulier.testing.journal_rows import (
    ODD_TEXTS,
    everything,
    full_row,
    identity,
    media,
    part_row,
    receipt,
    sidecar,
    task_id,
    task_row,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    from haulier.journal.api import Journal, Transaction

__all__ = ["TaskCases"]

TEXTS = pytest.mark.parametrize("text", ODD_TEXTS.values(), ids=ODD_TEXTS)


def insert(journal: Journal, *rows: TaskRow) -> list[TaskRow]:
    """Add rows in one write."""
    return journal.write(lambda tx: [tx.insert_task(row) for row in rows])


def update(journal: Journal, of_task: str, **changes: Any) -> TaskRow:
    """Change a row in a write of its own; what it is then."""
    journal.write(lambda tx: tx.update_task(of_task, **changes))
    row = journal.read(lambda tx: tx.task(of_task))
    assert row is not None
    return row


def listed(journal: Journal, **query: Any) -> list[str]:
    """Ids of the tasks that fit."""
    return [row.id for row in journal.read(lambda tx: tx.tasks(TaskFilter(**query)))]


def ids(*numbers: int) -> Sequence[str]:
    """Ids of these tasks."""
    return [task_id(number) for number in numbers]


class TaskCases:
    """Insert, find, update, list, delete."""

    def test_an_inserted_task_is_found_by_id_and_by_item(self, journal: Journal) -> None:
        """Both ways give the row that ``insert_task`` gave."""
        (inserted,) = insert(journal, task_row(1))
        assert inserted == replace(task_row(1), sequence=inserted.sequence)
        assert journal.read(lambda tx: tx.task(task_id(1))) == inserted
        assert journal.read(lambda tx: tx.find_item(item_of(identity(1)), "main")) == inserted

    def test_nobody_is_found_in_an_empty_journal(self, journal: Journal) -> None:
        """Absence is None, not an error."""
        assert journal.read(lambda tx: tx.task(task_id(1))) is None
        assert journal.read(lambda tx: tx.find_item(item_of(identity(1)), "main")) is None
        assert listed(journal) == []

    def test_sequences_grow_and_a_given_one_counts_for_nothing(self, journal: Journal) -> None:
        """The journal numbers, from 1, without holes within a write."""
        first, second = insert(journal, task_row(1, sequence=77), task_row(2, sequence=5))
        (third,) = insert(journal, task_row(3))
        assert [first.sequence, second.sequence, third.sequence] == [1, 2, 3]

    @TEXTS
    def test_every_member_comes_back(self, journal: Journal, text: str) -> None:
        """Surrogates of undecodable names, zeros and numbers at the limit of 64 bits included."""
        row = full_row(1, text)
        (inserted,) = insert(journal, row)
        kept = journal.read(lambda tx: tx.task(row.id))
        for member in fields(TaskRow):
            expected = inserted if member.name == "sequence" else row
            assert getattr(kept, member.name) == getattr(expected, member.name), member.name

    @TEXTS
    def test_rows_are_found_by_odd_text(self, journal: Journal, text: str) -> None:
        """Each way of looking up takes what was written."""
        row = full_row(1, text)
        (inserted,) = insert(journal, row)
        assert journal.read(lambda tx: tx.find_item(row.item, row.backend)) == inserted
        assert journal.read(lambda tx: tx.sidecar_users(f"/s/{text}")) == [inserted]
        assert journal.read(lambda tx: tx.tasks(TaskFilter(group=row.group, backend=row.backend))) == [inserted]
        assert journal.read(lambda tx: tx.ready(row.backend, 3.0, 5)) == [inserted]
        assert journal.read(lambda tx: tx.next_time([row.backend])) == 2.5

    @TEXTS
    def test_every_member_can_be_changed(self, journal: Journal, text: str) -> None:
        """From nothing to everything and back to nothing."""
        (empty,) = insert(journal, task_row(1))
        full = replace(full_row(1, text), id=empty.id, sequence=empty.sequence)
        members = [member.name for member in fields(TaskRow) if member.name not in {"id", "sequence"}]
        for row in (full, empty):
            changes = {name: getattr(row, name) for name in members}
            assert update(journal, empty.id, **changes) == row
            assert journal.read(lambda tx: tx.task(empty.id)) == row

    def test_an_update_changes_what_it_names_and_nothing_else(self, journal: Journal) -> None:
        """Neither other members nor other tasks."""
        first, second = insert(journal, full_row(1, "x"), full_row(2, "y"))
        update(journal, first.id, acknowledged=5)
        assert journal.read(lambda tx: tx.task(first.id)) == replace(first, acknowledged=5)
        assert journal.read(lambda tx: tx.task(second.id)) == second

    def test_an_update_of_nothing_gives_the_row(self, journal: Journal) -> None:
        """It is no error."""
        (row,) = insert(journal, task_row(1))
        assert update(journal, row.id) == row

    def test_an_update_of_an_unknown_task_is_refused(self, journal: Journal) -> None:
        """Whatever it would have changed."""
        for changes in ({}, {"attempts": 1}, {"artifacts": (media(1),)}):
            with pytest.raises(JournalError, match="no such task"):
                update(journal, "upload_none", **changes)

    @pytest.mark.parametrize("name", ["id", "sequence", "item_id", "colour"])
    def test_what_is_no_member_or_fixed_cannot_be_changed(self, journal: Journal, name: str) -> None:
        """A misspelt name is a mistake in the program."""
        (row,) = insert(journal, task_row(1))
        with pytest.raises(TypeError, match=name):
            update(journal, row.id, **{name: 3})
        assert journal.read(lambda tx: tx.task(row.id)) == row

    def test_a_new_identity_is_found_and_the_old_one_no_longer(self, journal: Journal) -> None:
        """As after the source changed; the old item may then be queued again."""
        insert(journal, task_row(1))
        renewed = (replace(media(1), size=5),)
        changed = update(journal, task_id(1), identity=identity(9), artifacts=renewed)
        assert changed.artifacts == renewed
        assert journal.read(lambda tx: tx.find_item(item_of(identity(9)), "main")) == changed
        assert journal.read(lambda tx: tx.find_item(item_of(identity(1)), "main")) is None
        insert(journal, task_row(2, identity=identity(1)))

    def test_one_item_goes_to_one_backend_once(self, journal: Journal) -> None:
        """The guard against queueing twice: the second is refused, another backend is not."""
        insert(journal, task_row(1))
        with pytest.raises(JournalError, match="already"):
            insert(journal, task_row(2, identity=identity(1)))
        insert(journal, task_row(3, identity=identity(1), backend="second"))
        assert listed(journal) == ids(1, 3)

    def test_an_id_is_given_once(self, journal: Journal) -> None:
        """Two tasks never share one."""
        insert(journal, task_row(1))
        with pytest.raises(JournalError, match="already"):
            insert(journal, task_row(1, identity=identity(2)))
        assert len(listed(journal)) == 1

    @pytest.mark.parametrize("changes", [{"identity": identity(1)}, {"identity": identity(3), "backend": "second"}])
    def test_an_update_cannot_take_anothers_item(self, journal: Journal, changes: dict[str, Any]) -> None:
        """Both rows stay as they are."""
        rows = insert(journal, task_row(1), task_row(2), task_row(3, backend="second"))
        with pytest.raises(JournalError, match="already"):
            update(journal, task_id(2), attempts=7, artifacts=(media(7),), **changes)
        assert journal.read(lambda tx: tx.tasks(TaskFilter())) == rows

    def test_a_refusal_that_is_caught_undoes_itself_alone(self, journal: Journal) -> None:
        """What the change did before and does after stands, and no sequence is lost."""
        insert(journal, task_row(1))

        def change(tx: Any) -> None:
            tx.update_task(task_id(1), attempts=1)
            for refused in (task_row(2, identity=identity(1)), task_row(1, identity=identity(5))):
                with pytest.raises(JournalError):
                    tx.insert_task(refused)
            with pytest.raises(JournalError):
                tx.insert_task(task_row(2, artifacts=(media(2), media(2))))
            assert tx.insert_task(task_row(2)).sequence == 2
            with pytest.raises(JournalError):
                tx.update_task(task_id(2), identity=identity(1), attempts=5)
            tx.add_receipt(receipt(1))
            with pytest.raises(JournalError):
                tx.add_receipt(receipt(1, of_task="upload_other"))

        journal.write(change)
        kept = journal.read(lambda tx: tx.tasks(TaskFilter()))
        assert [(row.id, row.attempts, row.artifacts) for row in kept] == [
            (task_id(1), 1, (media(1),)),
            (task_id(2), 0, (media(2),)),
        ]
        assert journal.read(lambda tx: tx.receipts(0, None)) == [receipt(1)]

    @TEXTS
    def test_many_are_inserted_as_each_alone(self, journal: Journal, text: str) -> None:
        """The sequences are given in order; what is kept is what was given."""
        insert(journal, task_row(1))
        rows = [
            full_row(2, text),
            task_row(3),
            task_row(4, state=TaskState.FAILED, artifacts=(media(4), sidecar("/s"))),
        ]
        assert list(journal.write(lambda tx: tx.insert_tasks(rows))) == [2, 3, 4]
        assert list(journal.write(lambda tx: tx.insert_tasks([]))) == []
        kept = journal.read(lambda tx: tx.tasks(TaskFilter(after=1)))
        assert kept == [replace(row, sequence=number) for number, row in enumerate(rows, start=2)]

    @pytest.mark.parametrize(
        "refused",
        [
            task_row(9, identity=identity(1)),
            task_row(1, identity=identity(9)),
            task_row(9, identity=identity(3)),
            task_row(3, identity=identity(9)),
            task_row(9, artifacts=(media(9), media(9))),
        ],
        ids=["item of an earlier write", "id of an earlier write", "item of another", "id of another", "artifacts"],
    )
    def test_of_many_with_one_that_is_refused_none_is_inserted(self, journal: Journal, refused: TaskRow) -> None:
        """The error names it; what the change did before and does after stands, no number is lost, counts are right."""
        insert(journal, task_row(1))

        def change(tx: Any) -> None:
            tx.insert_task(task_row(2))
            before = tx.tasks(TaskFilter())
            with pytest.raises(JournalError) as raised:
                tx.insert_tasks([task_row(3), refused, task_row(4)])
            assert raised.value.where == refused.id
            assert tx.tasks(TaskFilter()) == before
            assert list(tx.insert_tasks([task_row(5), task_row(3)])) == [3, 4]

        journal.write(change)
        assert listed(journal) == [*ids(1, 2, 5, 3)]
        assert journal.read(lambda tx: tx.counts())[TaskState.QUEUED] == len(ids(1, 2, 5, 3))
        assert journal.check() == []

    def test_counts_are_those_of_a_full_count(self, journal: Journal) -> None:
        """Whatever was inserted alone or with others, changed, refused, deleted."""
        states = list(TaskState)
        many = [task_row(number, state=states[number % len(states)]) for number in range(100)]
        journal.write(lambda tx: tx.insert_tasks(many))
        for number in range(0, 100, 3):
            update(journal, task_id(number), state=states[number % 5])

        def forget(tx: Transaction) -> None:
            for gone in ids(*range(0, 100, 10)):
                tx.delete_task(gone)

        journal.write(forget)
        with pytest.raises(JournalError):
            journal.write(lambda tx: tx.insert_tasks([task_row(100), task_row(1)]))
        counted = Counter(row.state for row in journal.read(lambda tx: tx.tasks(TaskFilter())))
        assert journal.read(lambda tx: tx.counts()) == {state: counted[state] for state in states}

    def test_items_are_found_many_at_once(self, journal: Journal) -> None:
        """At one backend, those without a task left out; or only how they stand."""
        failed = {"state": TaskState.FAILED, "error": ErrorRecord("server", "it said no")}
        rows = insert(journal, task_row(1), task_row(2, **failed), task_row(3, backend="second"))
        wanted = [item_of(identity(number)) for number in (3, 2, 9, 1, 2)]
        assert journal.read(lambda tx: tx.find_items(wanted, "main")) == {row.item_id: row for row in rows[:2]}
        assert journal.read(lambda tx: tx.find_items([], "main")) == {}
        assert journal.read(lambda tx: tx.item_states(wanted, "main")) == {
            rows[0].item_id: (TaskState.QUEUED, ""),
            rows[1].item_id: (TaskState.FAILED, "server"),
        }

    def test_artifacts_come_in_the_order_of_their_index(self, journal: Journal) -> None:
        """However they were given; each index once."""
        parts = (sidecar("/b", 2), sidecar("/a", 1), media(1))
        insert(journal, task_row(1, artifacts=parts))
        kept = journal.read(lambda tx: tx.task(task_id(1)))
        assert kept is not None
        assert kept.artifacts == parts[::-1]
        with pytest.raises(JournalError, match="index"):
            update(journal, task_id(1), artifacts=(media(1), sidecar("/c", 0)))

    def test_a_sidecar_knows_the_tasks_that_name_it(self, journal: Journal) -> None:
        """In order of submission, in any state, until they name it no longer."""
        shared = (sidecar("/s.json"),)
        first, _, third = insert(
            journal,
            task_row(1, artifacts=(media(1), *shared), state=TaskState.CANCELLED),
            task_row(2, artifacts=(replace(media(2), path="/s.json"),)),
            task_row(3, artifacts=(media(3), *shared)),
        )
        assert journal.read(lambda tx: tx.sidecar_users("/s.json")) == [first, third]
        update(journal, task_id(1), artifacts=(media(1),))
        assert journal.read(lambda tx: tx.sidecar_users("/s.json")) == [third]
        journal.write(lambda tx: tx.delete_task(task_id(3)))
        assert journal.read(lambda tx: tx.sidecar_users("/s.json")) == []

    def test_what_was_given_and_what_was_read_may_be_changed(self, journal: Journal) -> None:
        """The journal's own is out of reach."""
        metadata = {"a": [1]}
        insert(journal, task_row(1, metadata=metadata))
        metadata["a"].append(2)
        kept = journal.read(lambda tx: tx.task(task_id(1)))
        assert kept is not None
        assert kept.metadata == {"a": [1]}
        kept.metadata["a"].append(3)
        again = journal.read(lambda tx: tx.task(task_id(1)))
        assert again is not None
        assert again.metadata == {"a": [1]}

    def test_metadata_that_is_no_json_is_refused(self, journal: Journal) -> None:
        """At once, not when it is read."""
        with pytest.raises(TypeError):
            insert(journal, task_row(1, metadata={"a": object()}))
        assert listed(journal) == []

    def test_a_deleted_task_is_forgotten_but_for_its_receipt(self, journal: Journal) -> None:
        """Parts go with it; the item may come again under a new sequence."""
        insert(journal, task_row(1))

        def change(tx: Any) -> None:
            tx.put_parts(task_id(1), [part_row(0)])
            tx.add_attempt(task_id(1), 1, "me", 5.0)
            tx.add_receipt(receipt(1))
            tx.delete_task(task_id(1))
            tx.delete_task("upload_none")

        journal.write(change)
        assert journal.read(lambda tx: tx.task(task_id(1))) is None
        assert journal.read(lambda tx: tx.find_item(item_of(identity(1)), "main")) is None
        assert journal.read(lambda tx: tx.receipt(task_id(1))) == receipt(1)
        assert journal.read(lambda tx: tx.counts())[TaskState.QUEUED] == 0
        (again,) = insert(journal, task_row(1))
        assert again.sequence == 2
        assert journal.read(lambda tx: tx.parts(task_id(1))) == []

    def test_filters_tell_tasks_apart(self, journal: Journal) -> None:
        """Alone and together."""
        insert(
            journal,
            task_row(1, group="g"),
            task_row(2, state=TaskState.COMPLETED, disposal=Disposal.PENDING),
            task_row(3, backend="second", group="g"),
            task_row(4, state=TaskState.FAILED, group="g", disposal=Disposal.REMOVED),
            task_row(5, state=TaskState.COMPLETED, backend="second", disposal=Disposal.PENDING),
        )
        states = frozenset({TaskState.COMPLETED, TaskState.FAILED})
        assert listed(journal) == ids(1, 2, 3, 4, 5)
        assert listed(journal, states=states) == ids(2, 4, 5)
        assert listed(journal, states=states, newest_first=True) == ids(5, 4, 2)
        assert listed(journal, backend="second") == ids(3, 5)
        assert listed(journal, group="g") == ids(1, 3, 4)
        assert listed(journal, disposal=Disposal.PENDING) == ids(2, 5)
        assert listed(journal, disposal=Disposal.KEPT) == ids(1, 3)
        assert listed(journal, states=states, backend="main", group="g") == ids(4)
        assert listed(journal, disposal=Disposal.PENDING, backend="second", states=states) == ids(5)
        assert listed(journal, group="none") == []

    def test_tasks_of_one_item_are_found_whatever_their_backend(self, journal: Journal) -> None:
        """And whatever their group."""
        first = task_row(1, backend="main", group="g")
        insert(
            journal,
            first,
            replace(task_row(2, backend="second", group="h"), identity=first.identity),
            task_row(3, backend="second", group="g"),
        )
        assert listed(journal, item=first.item) == ids(1, 2)
        assert listed(journal, item=first.item, group="h") == ids(2)
        assert listed(journal, item=ItemKey(first.item.mtime_ns, "none")) == []

    def test_tasks_that_wait_for_a_time_are_found(self, journal: Journal) -> None:
        """In whatever state."""
        insert(
            journal,
            task_row(1, state=TaskState.RETRYING, not_before=5.0),
            task_row(2),
            task_row(3, state=TaskState.PAUSED, not_before=7.0),
        )
        assert listed(journal, waiting=True) == ids(1, 3)

    def test_pages_follow_one_another(self, journal: Journal) -> None:
        """Forward and backward, until nothing is left."""
        insert(journal, *(task_row(number, backend="ab"[number % 2]) for number in range(1, 11)))
        assert listed(journal, limit=3) == ids(1, 2, 3)
        assert listed(journal, limit=3, after=3) == ids(4, 5, 6)
        assert listed(journal, limit=3, after=9) == ids(10)
        assert listed(journal, limit=3, after=10) == []
        assert listed(journal, limit=0) == []
        assert listed(journal, limit=2, newest_first=True) == ids(10, 9)
        assert listed(journal, limit=2, newest_first=True, after=9) == ids(8, 7)
        assert listed(journal, newest_first=True, after=1) == []
        assert listed(journal, limit=2, backend="a", after=4) == ids(6, 8)
        assert listed(journal, limit=2, states=frozenset({TaskState.QUEUED}), after=8) == ids(9, 10)

    def test_counts_name_every_state(self, journal: Journal) -> None:
        """They follow inserts, moves and deletions."""
        assert journal.read(lambda tx: tx.counts()) == dict.fromkeys(TaskState, 0)
        insert(journal, *(task_row(number) for number in range(4)))

        def change(tx: Any) -> None:
            tx.update_task(task_id(0), state=TaskState.UPLOADING)
            tx.update_task(task_id(1), state=TaskState.UPLOADING)
            tx.update_task(task_id(1), state=TaskState.FAILED)
            tx.update_task(task_id(2), state=TaskState.QUEUED, attempts=1)
            tx.delete_task(task_id(3))

        journal.write(change)
        counts = journal.read(everything)["counts"]
        expected = {TaskState.QUEUED: 1, TaskState.UPLOADING: 1, TaskState.FAILED: 1}
        assert counts == {**dict.fromkeys(TaskState, 0), **expected}
