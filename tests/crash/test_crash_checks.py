"""The matrix's own checks: each finds what it is there for."""

from __future__ import annotations

from dataclasses import replace

import pytest

from haulier.testing.crash.cases import SETTINGS, Case, Setting, sample
from haulier.testing.crash.checks import Kind, check_interrupted, check_outcome
from haulier.testing.crash.matrix import Matrix
from haulier.testing.crash.memory import MemoryDestination
from haulier.testing.crash.zygote import Zygote, can_fork

pytestmark = pytest.mark.skipif(not can_fork(), reason="children are forked, and this system has no fork")

SHARED = Setting(delete=False, shared=True)


@pytest.fixture(scope="module")
def outcome(tmp_path_factory):
    """What an undisturbed run left behind."""
    folder = tmp_path_factory.mktemp("checks")
    with Zygote(folder / "log") as zygote, Matrix(MemoryDestination("memory-parallel"), folder, zygote) as matrix:
        room = matrix._room(SHARED)
        assert matrix.run_agent(room, SHARED, None) == ""
        yield room, matrix._seen(room, SHARED)


@pytest.fixture
def seen(outcome):
    return outcome[1]


def kinds(seen):
    return {finding.kind for finding in check_outcome(seen)}


def recorded(seen, **changes):
    return replace(seen, recorded=replace(seen.recorded, **changes))


def test_an_undisturbed_run_shows_nothing(seen):
    assert check_outcome(seen) == []
    assert len(seen.stored) == 5  # three recordings, and the shared sidecar once for each of two


def test_a_missing_object_is_lost(seen):
    key = seen.recorded.receipts[0].key
    assert Kind.LOST in kinds(replace(seen, stored={k: v for k, v in seen.stored.items() if k != key}))


def test_other_bytes_under_a_key_are_wrongly_reported(seen):
    key = seen.recorded.receipts[0].key
    assert Kind.WRONGLY_REPORTED in kinds(replace(seen, stored={**seen.stored, key: b"other"}))


def test_an_object_that_no_receipt_names_is_doubled(seen):
    content = next(iter(seen.stored.values()))
    assert Kind.DOUBLED in kinds(replace(seen, stored={**seen.stored, "another": content}))


def test_a_task_that_is_gone_is_lost_and_two_of_one_file_are_doubled(seen):
    first, *rest = seen.recorded.tasks
    assert Kind.LOST in kinds(recorded(seen, tasks=rest))
    assert Kind.DOUBLED in kinds(recorded(seen, tasks=[first, first, *rest]))


def test_a_session_is_found_unless_the_rule_allows_one(seen):
    assert kinds(replace(seen, pending=["a session"])) == {Kind.SESSION_LEFT}
    assert kinds(replace(seen, pending=["a session"], may_leave_session=True)) == set()


def test_bytes_beyond_those_in_flight_are_found(seen):
    assert kinds(replace(seen, received=seen.received + seen.most_sent_again + 1)) == {Kind.SENT_AGAIN}


def test_a_changed_receipt_breaks_the_chain(seen):
    first, *rest = seen.recorded.receipts
    assert Kind.BROKEN_CHAIN in kinds(recorded(seen, receipts=[replace(first, completed_at=0.0), *rest]))


def test_events_out_of_order_or_told_twice_are_illegal(seen):
    events = list(seen.recorded.events)
    assert Kind.ILLEGAL_EVENTS in kinds(recorded(seen, events=events[::-1]))
    again = replace(events[-1], sequence=events[-1].sequence + 1)
    assert Kind.ILLEGAL_EVENTS in kinds(recorded(seen, events=[*events, again]))


def test_a_source_that_goes_although_it_was_to_be_kept_or_without_a_receipt_is_found(outcome, seen, tmp_path):
    SHARED.write(tmp_path / "sources")
    elsewhere = replace(seen, folder=tmp_path / "sources")
    assert check_outcome(elsewhere) == []
    name = next(iter(SHARED.media()))
    (tmp_path / "sources" / name).unlink()
    assert kinds(elsewhere) == {Kind.DELETED_WITHOUT_PROOF}
    nothing = tmp_path / "no state"
    assert {each.kind for each in check_interrupted(SHARED, tmp_path / "sources", nothing)} == {
        Kind.DELETED_WITHOUT_PROOF
    }
    assert check_interrupted(SHARED, tmp_path / "sources", outcome[0].state) == []


def test_all_bases_together_run_every_case_and_ids_name_them():
    cases = [Case("there", setting, "client", "step:done", number) for setting in SETTINGS for number in range(25)]
    drawn = [case for base in range(8) for case in sample(cases, 13, base)]
    assert set(drawn) == set(cases)
    assert [Case.parse(case.id) for case in cases] == cases
