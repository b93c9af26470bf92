"""What every journal must do with parts, events, receipts, backends, owners and named values."""

# ruff: noqa: S101  these are tests

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from haulier import events
from haulier.errors import JournalError
from haulier.journal.api import BackendRow
from haulier.models import ErrorRecord, Proof, SuspensionReason
from haulier.testing.journal_rows import (
    ODD_TEXTS,
    abort_row,
    backend_row,
    owner_row,
    part_row,
    queued_event,
    receipt,
    task_id,
    task_row,
)

if TYPE_CHECKING:
    from collections.abc import Iterable

    from haulier.events import Event
    from haulier.journal.api import Journal
    from haulier.models import Receipt

__all__ = ["RecordCases"]

TEXTS = pytest.mark.parametrize("text", ODD_TEXTS.values(), ids=ODD_TEXTS)
ONE = task_id(1)


def all_events(text: str) -> Iterable[Event]:
    """One of each kind."""
    error = ErrorRecord("server", text, text, text, 4.5)
    about: dict[str, Any] = {"at": 2.5, "backend": text, "task": text, "filename": text}
    yield queued_event(1, text)
    yield events.UploadStarted(**about, attempt=2)
    yield events.UploadRetrying(**about, error=error, next_at=7.5, attempt=2)
    yield events.UploadCompleted(**about, key=text, location=text, size=2**63, sha256="ab", proof=Proof.CONTENT)
    yield events.UploadFailed(**about, error=error)
    yield events.UploadFailed(**about, error=error, next_at=3.5)
    yield events.UploadCancelled(**about)
    reason = SuspensionReason.FAILING
    yield events.BackendSuspended(at=1.5, backend=text, reason=reason, error=error, probe_at=9.5)
    yield events.BackendResumed(at=1.5, backend=text)


def add_event(journal: Journal, event: Event) -> Event:
    """Append an event in a write of its own."""
    return journal.write(lambda tx: tx.add_event(event))


def _named(number: int, name: str) -> Receipt:
    given = receipt(number)
    return replace(given, artifacts=(replace(given.media, name=name), *given.artifacts[1:]))


def add_receipt(journal: Journal, one: Receipt) -> None:
    """Append a receipt in a write of its own."""
    journal.write(lambda tx: tx.add_receipt(one))


def put_meta(journal: Journal, name: str, value: str) -> None:
    """Name a value in a write of its own."""
    journal.write(lambda tx: tx.put_meta(name, value))


class RecordCases:
    """Rows besides the tasks' own."""

    @pytest.fixture
    def with_task(self, journal: Journal) -> Journal:
        """The journal with one task."""
        journal.write(lambda tx: tx.insert_task(task_row(1)))
        return journal

    # -- parts and attempts

    def test_parts_come_by_artifact_and_offset(self, with_task: Journal) -> None:
        """However they were put, in one go or several."""
        parts = [part_row(2), part_row(0, artifact=1), part_row(0), replace(part_row(1, etag='"\udcff"'), prefix=True)]
        with_task.write(lambda tx: tx.put_parts(ONE, parts[:2]))
        with_task.write(lambda tx: tx.put_parts(ONE, iter(parts[2:])))
        assert with_task.read(lambda tx: tx.parts(ONE)) == [parts[2], parts[3], parts[0], parts[1]]
        assert with_task.read(lambda tx: tx.parts("upload_none")) == []

    def test_a_part_at_the_same_offset_replaces(self, with_task: Journal) -> None:
        """As when a part was sent again, perhaps in another size and under another number."""
        again = replace(part_row(1), number=7, size=3, sha256="cd")
        with_task.write(lambda tx: tx.put_parts(ONE, [part_row(0), part_row(1)]))
        with_task.write(lambda tx: tx.put_parts(ONE, [again]))
        assert with_task.read(lambda tx: tx.parts(ONE)) == [part_row(0), again]

    def test_cleared_parts_are_gone_for_one_task(self, with_task: Journal) -> None:
        """New ones may follow in the same change."""

        def change(tx: Any) -> None:
            tx.insert_task(task_row(2))
            tx.put_parts(task_id(2), [part_row(0)])
            tx.put_parts(ONE, [part_row(0), part_row(1)])
            tx.clear_parts(ONE)
            tx.clear_parts("upload_none")
            tx.put_parts(ONE, [part_row(5)])

        with_task.write(change)
        assert with_task.read(lambda tx: tx.parts(ONE)) == [part_row(5)]
        assert with_task.read(lambda tx: tx.parts(task_id(2))) == [part_row(0)]

    def test_parts_and_attempts_belong_to_a_task(self, journal: Journal) -> None:
        """One that is there."""
        with pytest.raises(JournalError, match="no such task"):
            journal.write(lambda tx: tx.put_parts(ONE, [part_row(0)]))
        with pytest.raises(JournalError, match="no such task"):
            journal.write(lambda tx: tx.add_attempt(ONE, 1, "me", 5.0))

    @TEXTS
    def test_attempts_begin_and_end(self, with_task: Journal, text: str) -> None:
        """Also one that began twice, or never."""

        def change(tx: Any) -> None:
            tx.add_attempt(ONE, 1, text, 5.0)
            tx.add_attempt(ONE, 1, text, 6.0)
            tx.end_attempt(ONE, 1, 7.0, text, ErrorRecord("server", text))
            tx.end_attempt(ONE, 2, 7.0, "completed", None)

        with_task.write(change)

    # -- events

    @TEXTS
    def test_events_come_back_as_they_were_told(self, journal: Journal, text: str) -> None:
        """Each kind with all its members, numbered in order."""
        given = list(all_events(text))
        added = journal.write(lambda tx: [tx.add_event(event) for event in given])
        assert added == [replace(event, sequence=number) for number, event in enumerate(given, start=1)]
        assert journal.read(lambda tx: tx.events(0, 100)) == added

    def test_many_events_are_told_as_each_alone(self, journal: Journal) -> None:
        """In order, after those before."""
        journal.write(lambda tx: tx.add_event(queued_event(9)))
        given = list(all_events("x"))
        added = journal.write(lambda tx: [*tx.add_events(given), *tx.add_events([])])
        assert added == [replace(event, sequence=number) for number, event in enumerate(given, start=2)]
        assert journal.read(lambda tx: tx.events(1, 100)) == added

    def test_events_are_read_page_by_page(self, journal: Journal) -> None:
        """From any sequence on."""
        added = [add_event(journal, queued_event(number)) for number in range(10)]
        assert [event.sequence for event in added] == list(range(1, 11))
        assert journal.read(lambda tx: tx.events(0, 3)) == added[:3]
        assert journal.read(lambda tx: tx.events(3, 3)) == added[3:6]
        assert journal.read(lambda tx: tx.events(9, 3)) == added[9:]
        assert journal.read(lambda tx: tx.events(10, 3)) == []
        assert journal.read(lambda tx: tx.events(99, 3)) == []

    # -- receipts

    @TEXTS
    def test_receipts_come_back_member_by_member(self, journal: Journal, text: str) -> None:
        """By task, as a list and as the head of the chain."""
        given = receipt(1, text, of_task=f"upload_{text}")
        journal.write(lambda tx: tx.add_receipt(given))
        assert journal.read(lambda tx: tx.receipt(given.task)) == given
        assert journal.read(lambda tx: tx.receipts(0, None)) == [given]
        assert journal.read(lambda tx: tx.last_receipt()) == given

    def test_the_chain_is_read_in_order(self, journal: Journal) -> None:
        """In pages; its head is the greatest number."""
        assert journal.read(lambda tx: tx.last_receipt()) is None
        assert journal.read(lambda tx: tx.receipt(ONE)) is None
        given = {number: receipt(number) for number in (2, 1, 4, 3)}
        for one in given.values():
            add_receipt(journal, one)
        ordered = [given[number] for number in (1, 2, 3, 4)]
        assert journal.read(lambda tx: tx.receipts(0, None)) == ordered
        assert journal.read(lambda tx: tx.receipts(1, 2)) == ordered[1:3]
        assert journal.read(lambda tx: tx.receipts(4, 2)) == []
        assert journal.read(lambda tx: tx.last_receipt()) == given[4]

    @TEXTS
    def test_receipts_are_found_by_the_name_of_their_media_file(self, journal: Journal, text: str) -> None:
        """Exactly, in order."""
        names = (f"{text}.mp4", "other.mp4", f"{text}.mp4")
        given = [_named(number, name) for number, name in enumerate(names, 1)]
        for one in given:
            add_receipt(journal, one)
        assert journal.read(lambda tx: tx.receipts_named(names[0])) == [given[0], given[2]]
        assert journal.read(lambda tx: tx.receipts_named(".mp4")) == []

    @TEXTS
    def test_receipts_are_found_by_a_text_that_they_hold(self, journal: Journal, text: str) -> None:
        """None that holds it is left out."""
        given = [_named(1, f"a {text} b.mp4"), _named(2, "other.mp4"), _named(3, f"{text}.mp4")]
        for one in given:
            add_receipt(journal, one)
        found = journal.read(lambda tx: tx.receipts_with(f"{text}."))
        assert given[2] in found
        assert [one.number for one in found] == sorted(one.number for one in found)
        assert journal.read(lambda tx: tx.receipts_with(f"a {text} b")) == [given[0]]
        assert journal.read(lambda tx: tx.receipts_with("nowhere to be found")) == []

    @pytest.mark.parametrize("second", [receipt(1, of_task="upload_other"), receipt(2, of_task=ONE)])
    def test_a_task_and_a_number_have_one_receipt(self, journal: Journal, second: Any) -> None:
        """The first one stands."""
        journal.write(lambda tx: tx.add_receipt(receipt(1)))
        with pytest.raises(JournalError, match="already"):
            journal.write(lambda tx: tx.add_receipt(second))
        assert journal.read(lambda tx: tx.receipts(0, None)) == [receipt(1)]

    # -- owed aborts

    @TEXTS
    def test_owed_aborts_come_back_member_by_member(self, journal: Journal, text: str) -> None:
        """Their tasks need not be there."""
        given = abort_row(1, text)
        added = journal.write(lambda tx: tx.put_abort(given))
        assert added == replace(given, sequence=added.sequence)
        assert added.sequence > 0
        assert journal.read(lambda tx: tx.aborts()) == [added]
        assert dict(journal.read(lambda tx: tx.abort_counts())) == {given.backend: 1}

    def test_owed_aborts_are_given_in_the_order_in_which_they_may_be_tried(self, journal: Journal) -> None:
        """Then in that in which they were added; those that somebody tries are not due."""
        rows = [abort_row(number, not_before=at, backend="main") for number, at in enumerate((3.0, 1.0, 3.0, 2.0))]
        first, second, third, fourth = [journal.write(lambda tx, row=row: tx.put_abort(row)) for row in rows]  # type: ignore[misc]
        other = journal.write(lambda tx: tx.put_abort(abort_row(9, backend="other", not_before=0.0)))
        assert journal.read(lambda tx: tx.aborts()) == [other, second, fourth, first, third]
        assert journal.read(lambda tx: tx.aborts("main")) == [second, fourth, first, third]
        assert journal.read(lambda tx: tx.aborts("main", limit=2)) == [second, fourth]
        assert journal.read(lambda tx: tx.aborts("main", due=2.0)) == [second, fourth]
        assert journal.read(lambda tx: tx.aborts("none")) == []
        taken = journal.write(lambda tx: tx.put_abort(replace(second, owner="me", tries=7)))
        assert journal.read(lambda tx: tx.aborts("main", due=2.0, limit=1)) == [fourth]
        assert journal.read(lambda tx: tx.aborts("main")) == [taken, fourth, first, third]
        assert dict(journal.read(lambda tx: tx.abort_counts())) == {"main": 4, "other": 1}

    def test_an_owed_abort_that_is_gone_stays_gone(self, journal: Journal) -> None:
        """Who tries it may be late; its number is nobody else's."""
        first = journal.write(lambda tx: tx.put_abort(abort_row(1)))
        journal.write(lambda tx: tx.delete_abort(first.sequence))
        journal.write(lambda tx: tx.delete_abort(first.sequence))
        journal.write(lambda tx: tx.put_abort(replace(first, tries=9)))
        assert journal.read(lambda tx: tx.aborts()) == []
        assert journal.write(lambda tx: tx.put_abort(abort_row(2))).sequence != first.sequence

    def test_an_owed_abort_goes_with_the_change_that_failed(self, journal: Journal) -> None:
        """All or nothing, as for every row."""
        kept = journal.write(lambda tx: tx.put_abort(abort_row(1)))

        def change(tx: Any) -> None:
            tx.put_abort(abort_row(2))
            tx.delete_abort(kept.sequence)
            raise JournalError("no")

        with pytest.raises(JournalError, match="no"):
            journal.write(change)
        assert journal.read(lambda tx: tx.aborts()) == [kept]
        with pytest.raises(JournalError):
            journal.read(lambda tx: tx.put_abort(abort_row(3)))
        with pytest.raises(JournalError):
            journal.read(lambda tx: tx.delete_abort(kept.sequence))

    # -- backends, owners, named values

    @TEXTS
    def test_backends_come_back_by_name(self, journal: Journal, text: str) -> None:
        """A name nobody wrote gives a fresh row."""
        assert journal.read(lambda tx: tx.backend(text)) == BackendRow(text)
        given = backend_row(text, text)
        journal.write(lambda tx: tx.put_backend(given))
        journal.write(lambda tx: tx.put_backend(BackendRow("a")))
        assert journal.read(lambda tx: tx.backend(text)) == given
        assert journal.read(lambda tx: tx.backends()) == sorted([BackendRow("a"), given], key=lambda row: row.name)
        journal.write(lambda tx: tx.put_backend(BackendRow(text)))
        assert journal.read(lambda tx: tx.backend(text)) == BackendRow(text)

    @TEXTS
    def test_owners_come_and_go(self, journal: Journal, text: str) -> None:
        """In order of their ids; leaving twice does no harm."""
        first, second = owner_row(1, text), owner_row(2, text)
        journal.write(lambda tx: tx.put_owner(second))
        journal.write(lambda tx: tx.put_owner(first))
        assert journal.read(lambda tx: tx.owners()) == [first, second]
        renewed = replace(second, started_at=8.5)
        for _ in range(2):
            journal.write(lambda tx: tx.delete_owner(first.id))
        journal.write(lambda tx: tx.put_owner(renewed))
        assert journal.read(lambda tx: tx.owners()) == [renewed]

    @TEXTS
    def test_named_values_are_kept(self, journal: Journal, text: str) -> None:
        """The empty one too."""
        assert journal.read(lambda tx: tx.meta(text)) is None
        for value in (text, "", "again"):
            put_meta(journal, text, value)
            assert journal.read(lambda tx: tx.meta(text)) == value
