"""What every journal must promise about writes: at once or not at all, in one order, whoever else writes."""

# ruff: noqa: S101  these are tests

from __future__ import annotations

import threading
from functools import partial
from typing import TYPE_CHECKING, Any

import pytest

from haulier.errors import JournalError, JournalUnavailableError
from haulier.journal.api import TaskFilter
from haulier.models import TaskState
from haulier.testing.journal_rows import (
    backend_row,
    everything,
    full_row,
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

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from haulier.journal.api import Journal, TaskRow, Transaction

__all__ = ["WriteCases"]

THREADS = 8
EACH = 25


class Stopped(BaseException):
    """Neither an error nor caught as one."""


def fill(tx: Transaction) -> None:
    """Write something of every kind."""
    tx.insert_task(full_row(1, "x"))
    tx.insert_task(task_row(2, artifacts=(media(2), sidecar("/s.json"))))
    tx.insert_task(task_row(3, state=TaskState.FAILED, slow_lane=True, not_before=50.0))
    tx.put_parts(task_id(2), [part_row(0), part_row(1)])
    tx.add_attempt(task_id(2), 1, "me", 1.0)
    tx.add_event(queued_event(1))
    tx.add_receipt(receipt(3))
    tx.put_backend(backend_row("main"))
    tx.put_owner(owner_row(1))
    tx.put_meta("a", "1")


def overturn(tx: Transaction) -> None:
    """Change everything that :func:`fill` wrote, in every way there is."""
    tx.insert_task(task_row(4))
    tx.update_task(task_id(4), suspicion=1)
    tx.delete_task(task_id(4))
    tx.insert_task(task_row(5, artifacts=(media(5), sidecar("/s.json"))))
    tx.update_task(task_id(2), state=TaskState.UPLOADING, identity=identity(8), artifacts=(media(8),))
    tx.put_parts(task_id(2), [part_row(1, size=3), part_row(2)])
    tx.clear_parts(task_id(2))
    tx.put_parts(task_id(2), [part_row(7)])
    tx.end_attempt(task_id(2), 1, 2.0, "failed", None)
    tx.wake_slow_lane("main", 5.0)
    tx.delete_task(task_id(3))
    tx.add_event(queued_event(2))
    tx.add_receipt(receipt(2))
    tx.add_receipt(receipt(5))
    tx.put_backend(backend_row("main", "changed"))
    tx.put_backend(backend_row("other"))
    tx.delete_owner(owner_row(1).id)
    tx.put_owner(owner_row(2))
    tx.put_meta("a", "2")
    tx.put_meta("b", "2")


def run_all(jobs: Iterable[Callable[[], object]]) -> None:
    """Each in a thread of its own; the first error is raised here."""
    errors: list[BaseException] = []

    def run(job: Callable[[], object]) -> None:
        try:
            job()
        except BaseException as error:  # noqa: BLE001  raised below, where the test sees it
            errors.append(error)

    threads = [threading.Thread(target=run, args=(job,)) for job in jobs]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if errors:
        raise errors[0]


class WriteCases:
    """Transactions."""

    def test_a_write_gives_what_its_change_gives(self, journal: Journal) -> None:
        """Durable or not; so does a read."""
        assert journal.write(lambda _: 7) == 7
        assert journal.write(lambda _: None, durable=False) is None
        assert journal.read(lambda _: "x") == "x"

    @pytest.mark.parametrize("error", [ValueError("mine"), JournalError("mine"), Stopped("mine")])
    def test_whatever_a_change_raises_undoes_it(self, journal: Journal, error: BaseException) -> None:
        """All of it, whatever it touched, and the error comes out as it is; what follows is as if it had not been."""
        journal.write(fill)
        before = journal.read(everything)

        def change(tx: Transaction) -> None:
            overturn(tx)
            raise error

        for _ in range(2):
            with pytest.raises(type(error), match="mine") as raised:
                journal.write(change)
            assert raised.value is error
            assert journal.read(everything) == before
        journal.write(overturn)
        after = journal.read(everything)
        assert [row.sequence for row in after["tasks"]] == [1, 2, 5]
        assert [event.sequence for event in after["events"]] == [1, 2]

    def test_a_change_sees_what_it_has_done(self, journal: Journal) -> None:
        """In everything that can be asked."""
        journal.write(fill)

        def change(tx: Transaction) -> Any:
            overturn(tx)
            return everything(tx)

        assert journal.write(change) == journal.read(everything)

    def test_then_follows_once_the_change_stands(self, journal: Journal) -> None:
        """It may read; it is not called for what was undone."""
        seen: list[object] = []

        def then(sequence: int) -> None:
            kept = journal.read(lambda tx: tx.task(task_id(sequence)))
            seen.append(kept and kept.sequence)

        def refused(tx: Transaction) -> int:
            tx.insert_task(task_row(3))
            raise ValueError("mine")

        journal.write(lambda tx: tx.insert_task(task_row(1)).sequence, then=then)
        journal.write(lambda tx: tx.insert_task(task_row(2)).sequence, durable=False, then=then)
        with pytest.raises(ValueError, match="mine"):
            journal.write(refused, then=then)
        assert seen == [1, 2]

    def test_a_query_cannot_write(self, journal: Journal) -> None:
        """It is told so, and nothing changed."""
        journal.write(fill)
        before = journal.read(everything)
        writes: list[Callable[[Transaction], object]] = [
            lambda tx: tx.insert_task(task_row(7)),
            lambda tx: tx.update_task(task_id(2), attempts=9),
            lambda tx: tx.delete_task(task_id(2)),
            lambda tx: tx.wake_slow_lane("main", 1.0),
            lambda tx: tx.put_parts(task_id(2), [part_row(5)]),
            lambda tx: tx.clear_parts(task_id(2)),
            lambda tx: tx.add_attempt(task_id(2), 5, "me", 1.0),
            lambda tx: tx.end_attempt(task_id(2), 1, 1.0, "x", None),
            lambda tx: tx.add_event(queued_event(7)),
            lambda tx: tx.add_receipt(receipt(7)),
            lambda tx: tx.put_backend(backend_row("new")),
            lambda tx: tx.put_owner(owner_row(7)),
            lambda tx: tx.delete_owner(owner_row(1).id),
            lambda tx: tx.put_meta("a", "9"),
        ]
        for write in writes:
            with pytest.raises(JournalError, match="query"):
                journal.read(write)
        assert journal.read(everything) == before

    def test_a_change_that_writes_to_the_journal_is_told_so(self, journal: Journal) -> None:
        """It would wait for itself for ever; so would what follows it, and a query that asks a second one."""
        with pytest.raises(RuntimeError, match="transaction"):
            journal.write(lambda _: journal.write(lambda _: None))
        with pytest.raises(RuntimeError, match="transaction"):
            journal.read(lambda _: journal.read(lambda _: None))
        assert journal.write(lambda tx: tx.insert_task(task_row(1)).sequence) == 1

    def test_threads_that_write_at_once_lose_nothing(self, journal: Journal) -> None:
        """Who raises takes back only what is theirs; results go to whom they belong."""
        numbers: dict[int, int] = {}

        def submit(thread: int) -> None:
            for step in range(EACH):
                number = thread * EACH + step
                durable = step % 2 == 0
                if step % 5 == 4:
                    with pytest.raises(ZeroDivisionError, match=f"^{number}$"):
                        journal.write(_insert_and_raise(number), durable=durable)
                else:
                    inserted = journal.write(_insert(number), durable=durable)
                    assert inserted.id == task_id(number)
                    numbers[number] = inserted.sequence

        run_all([partial(submit, thread) for thread in range(THREADS)])
        rows = journal.read(lambda tx: tx.tasks(TaskFilter()))
        assert {row.id: row.sequence for row in rows} == {task_id(number): seq for number, seq in numbers.items()}
        assert sorted(numbers.values()) == list(range(1, THREADS * EACH * 4 // 5 + 1))
        assert journal.read(lambda tx: tx.counts())[TaskState.QUEUED] == len(rows)

    def test_what_follows_comes_in_the_order_of_the_changes(self, journal: Journal) -> None:
        """Listeners are told in the order of the events' sequences."""
        told: list[int] = []

        def tell() -> None:
            for _ in range(EACH):
                journal.write(lambda tx: tx.add_event(queued_event(1)).sequence, then=told.append, durable=False)

        run_all([tell] * THREADS)
        assert told == list(range(1, THREADS * EACH + 1))

    def test_no_query_sees_half_a_change(self, journal: Journal) -> None:
        """Two rows that are written together are seen together."""
        over = threading.Event()
        torn: list[object] = []

        def both(number: int, tx: Transaction) -> None:
            tx.put_meta("a", str(number))
            tx.insert_task(task_row(number))
            tx.put_meta("b", str(number))

        def write() -> None:
            try:
                for number in range(1, 60):
                    journal.write(partial(both, number), durable=False)
            finally:
                over.set()

        def look() -> None:
            while not over.is_set():
                first, count, second = journal.read(
                    lambda tx: (tx.meta("a"), tx.counts()[TaskState.QUEUED], tx.meta("b"))
                )
                if not first == second == (str(count) if count else None):
                    torn.append((first, count, second))

        run_all([write, look, look])
        assert torn == []

    def test_a_closed_journal_says_so(self, journal: Journal) -> None:
        """Rather than fail in a way of its own."""
        journal.close()
        for call in (journal.write, journal.read):
            with pytest.raises(JournalUnavailableError, match="closed"):
                call(lambda tx: tx.counts())

    def test_a_sound_journal_has_no_findings(self, journal: Journal) -> None:
        """After all kinds of changes."""
        journal.write(fill)
        journal.write(overturn)
        assert list(journal.check()) == []


def _insert(number: int) -> Callable[[Transaction], TaskRow]:
    return lambda tx: tx.insert_task(task_row(number))


def _insert_and_raise(number: int) -> Callable[[Transaction], None]:
    def change(tx: Transaction) -> None:
        tx.insert_task(task_row(number))
        tx.put_parts(task_id(number), [part_row(0)])
        raise ZeroDivisionError(number)

    return change
