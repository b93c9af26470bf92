"""What every journal must answer when a worker asks for its next task."""

# ruff: noqa: S101  these are tests

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from haulier.journal.api import Flying, TaskFilter
from haulier.models import Identity, TaskState
from haulier.testing.journal_rows import task_id, task_row

if TYPE_CHECKING:
    from haulier.journal.api import Journal

__all__ = ["ClaimCases"]

NOW = 1000.0
QUEUED, RETRYING, FAILED = TaskState.QUEUED, TaskState.RETRYING, TaskState.FAILED


def enter(journal: Journal, *rows: dict[str, Any]) -> None:
    """Add tasks 1, 2, 3, ... that differ from fresh ones as told."""
    journal.write(
        lambda tx: [tx.insert_task(task_row(number, **changes)) for number, changes in enumerate(rows, start=1)]
    )


def ready(journal: Journal, limit: int = 100, now: float = NOW, backend: str = "main") -> list[int]:
    """Numbers of the claimable tasks."""
    found = journal.read(lambda tx: tx.ready(backend, now, limit))
    return [int(row.id.removeprefix("upload_")) for row in found]


def retrying(at: float | None, **more: Any) -> dict[str, Any]:
    """Members of a task that waits for its next try."""
    return {"state": RETRYING, "not_before": at, **more}


def slow(at: float | None, **more: Any) -> dict[str, Any]:
    """Members of a task in the slow lane."""
    return {"state": FAILED, "slow_lane": True, "not_before": at, **more}


def recorded(name: str, at: float, **more: Any) -> dict[str, Any]:
    """Members of a task whose media file was modified then, in seconds since the epoch."""
    return {"identity": Identity("here", f"/recordings/{name}.mp4", 1000, int(at * 1e9), name), **more}


class ClaimCases:
    """Order of claims, times to wait for, the slow lane."""

    def test_due_retries_then_queued_then_the_slow_lane(self, journal: Journal) -> None:
        """Retries and the slow lane go by their time, the queue by submission."""
        enter(journal, slow(5.0), {}, retrying(900.0), slow(4.0), retrying(800.0), {})
        assert ready(journal) == [5, 3, 2, 6, 4, 1]
        for limit in range(7):
            assert ready(journal, limit) == [5, 3, 2, 6, 4, 1][:limit]

    def test_the_suspected_go_last_the_most_suspected_at_the_end(self, journal: Journal) -> None:
        """Whatever lane they wait in."""
        enter(
            journal,
            {"suspicion": 2},
            retrying(1.0, suspicion=1),
            {"suspicion": 1},
            slow(1.0),
            retrying(2.0, suspicion=3),
            slow(0.0, suspicion=1),
            {},
        )
        assert ready(journal) == [7, 4, 2, 3, 6, 1, 5]
        for limit in range(8):
            assert ready(journal, limit) == [7, 4, 2, 3, 6, 1, 5][:limit]

    def test_whose_time_has_not_come_waits(self, journal: Journal) -> None:
        """To the instant, in each lane; others are not held up by it."""
        later = NOW + 0.5
        enter(
            journal,
            retrying(later),
            {"not_before": later},
            slow(later),
            retrying(later, suspicion=1),
            retrying(NOW, suspicion=2),
            {"suspicion": 1, "not_before": NOW},
        )
        assert ready(journal) == [6, 5]
        assert ready(journal, now=later) == [1, 2, 3, 4, 6, 5]

    def test_no_time_means_at_once(self, journal: Journal) -> None:
        """Nobody waits for ever."""
        enter(journal, retrying(3.0), retrying(None), slow(3.0), slow(None))
        assert ready(journal) == [2, 1, 4, 3]

    def test_equal_times_go_by_submission(self, journal: Journal) -> None:
        """So that the order is one."""
        enter(journal, retrying(3.0), retrying(3.0), slow(3.0), slow(3.0))
        journal.write(lambda tx: tx.update_task(task_id(3), attempts=1))
        journal.write(lambda tx: tx.update_task(task_id(1), attempts=1))
        assert ready(journal) == [1, 2, 3, 4]

    def test_the_oldest_recordings_go_first(self, journal: Journal) -> None:
        """They are what a recorder's rotation would delete next, however late they were submitted."""
        enter(journal, recorded("a", 30.0), recorded("b", 10.0), recorded("c", 20.0), recorded("d", 10.0))
        assert ready(journal) == [2, 4, 3, 1]

    def test_a_recording_from_the_future_waits_no_longer_than_one_of_now(self, journal: Journal) -> None:
        """Else it would wait behind everything that comes."""
        enter(journal, recorded("a", NOW * 9), recorded("b", NOW + 500.0, created_at=NOW + 500.0))
        assert ready(journal) == [1, 2]

    def test_new_content_takes_the_place_of_its_own_time(self, journal: Journal) -> None:
        """Compression makes an old recording young."""
        enter(journal, recorded("a", 10.0), recorded("b", 20.0))
        journal.write(lambda tx: tx.update_task(task_id(1), **recorded("a", 30.0)))
        assert ready(journal) == [2, 1]

    def test_other_states_and_other_backends_are_not_claimable(self, journal: Journal) -> None:
        """Nor are the failed that somebody must look at."""
        others = [{"state": state} for state in TaskState if state not in {QUEUED, RETRYING}]
        enter(journal, *others, {"backend": "second"}, {"slow_lane": True})
        assert ready(journal) == [7]
        assert ready(journal, backend="second") == [6]
        assert ready(journal, backend="none") == []

    def test_a_claim_takes_the_task_out_and_a_release_puts_it_back(self, journal: Journal) -> None:
        """In the place that its submission gives it."""
        enter(journal, {}, {}, {})
        journal.write(lambda tx: tx.update_task(task_id(2), state=TaskState.UPLOADING))
        assert ready(journal) == [1, 3]
        journal.write(lambda tx: tx.update_task(task_id(2), state=QUEUED))
        assert ready(journal) == [1, 2, 3]
        journal.write(lambda tx: tx.update_task(task_id(2), suspicion=1))
        assert ready(journal) == [1, 3, 2]
        journal.write(lambda tx: tx.update_task(task_id(1), backend="second"))
        assert ready(journal) == [3, 2]

    def test_the_next_time_is_the_earliest_of_any_lane(self, journal: Journal) -> None:
        """Of the backends that were named, past times too; the settled wait for nothing."""
        enter(
            journal,
            {},
            retrying(50.0),
            {"not_before": 40.0, "backend": "second"},
            slow(30.0, suspicion=1, backend="third"),
            {"state": FAILED, "not_before": 1.0},
            {"state": TaskState.PAUSED, "not_before": 1.0},
            retrying(None, backend="fourth"),
        )

        def next_time(*backends: str) -> float | None:
            return journal.read(lambda tx: tx.next_time(backends))

        assert next_time("main") == 50.0
        assert next_time("main", "second") == 40.0
        assert next_time("second", "main", "third") == 30.0
        assert next_time("fourth") is None
        assert next_time("none") is None
        assert next_time() is None

    def test_the_leased_of_a_backend_are_counted(self, journal: Journal) -> None:
        """As long as they are uploading, and how suspect the worst of them is."""
        flying = {"state": TaskState.UPLOADING}
        enter(journal, {**flying, "suspicion": 2}, {"suspicion": 5}, {**flying, "backend": "second"}, flying)
        assert journal.read(lambda tx: tx.flying("main")) == Flying(2, 2)
        journal.write(lambda tx: tx.update_task(task_id(1), state=TaskState.COMPLETED))
        assert journal.read(lambda tx: tx.flying("main")) == Flying(1, 0)
        assert journal.read(lambda tx: tx.flying("nobody's")) == Flying(0, 0)

    def test_waking_makes_the_slow_lane_of_one_backend_due(self, journal: Journal) -> None:
        """Who is due already keeps the place; retries and the rest are not touched."""
        enter(
            journal,
            slow(NOW + 60),
            slow(NOW - 60),
            slow(NOW + 60, backend="second"),
            retrying(NOW + 60),
            {"state": FAILED, "not_before": NOW + 60},
            slow(None),
        )
        journal.write(lambda tx: tx.wake_slow_lane("main", NOW))
        rows = journal.read(lambda tx: tx.tasks(TaskFilter()))
        assert [row.not_before for row in rows] == [NOW, NOW - 60, NOW + 60, NOW + 60, NOW + 60, None]
        assert ready(journal) == [6, 2, 1]

    @pytest.mark.parametrize("count", [300])
    def test_many_claims_in_turn_empty_the_queue_in_order(self, journal: Journal, count: int) -> None:
        """Each claim gets the next one."""
        enter(journal, *({} for _ in range(count)))

        def claim(tx: Any) -> str:
            (row,) = tx.ready("main", NOW, 1)
            tx.update_task(row.id, state=TaskState.UPLOADING, owner="me", epoch=row.epoch + 1)
            return str(row.id)

        claimed = [journal.write(claim, durable=False) for _ in range(count)]
        assert claimed == [task_id(number) for number in range(1, count + 1)]
        assert ready(journal) == []
