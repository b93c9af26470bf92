"""Two owners whose clocks are an hour apart: waits and probes neither last for ever nor are skipped."""

from __future__ import annotations

import pytest

from haulier.backends.memory import MemoryBackend
from haulier.backends.memory_options import MemoryOptions
from haulier.errors import NetworkError, ServerError
from haulier.journal.memory import MemoryJournal
from haulier.models import TaskState
from haulier.testing.clock import FakeClock
from haulier.testing.rig import UploadRig

HOUR = 3600.0
NOON = 1_800_000_000.0
AWAY = NetworkError("away", reached=False)


class TwoClocks:
    """One owner whose clock is an hour ahead, and one that is right; they share journal and destination."""

    def __init__(self, folder):
        self.store = MemoryBackend("main", MemoryOptions()).store
        self.journal = MemoryJournal()
        self.ahead, self.behind = self._rig("ahead", NOON + HOUR), self._rig("behind", NOON)
        for rig in (self.ahead, self.behind):
            rig.upkeep.step()
        video = folder / "session.mp4"
        video.write_bytes(b"video" * 100)
        self.task = self.ahead.submit(video)

    def _rig(self, owner, now):
        backend = MemoryBackend("main", MemoryOptions(store=self.store))
        return UploadRig(self.journal, backend, owner=owner, clock=FakeClock(now))

    def pass_time(self, seconds, *rigs):
        for _ in range(seconds):
            for rig in rigs:
                rig.clock.advance(1.0)
                rig.upkeep.step()
                rig.work()

    @property
    def row(self):
        return self.behind.row(self.task)


@pytest.mark.parametrize("error", [ServerError("500"), AWAY], ids=["retry", "suspension"])
@pytest.mark.parametrize("first", ["ahead", "behind"])
def test_invariant_9_a_wait_that_one_wrote_before_it_died_ends_for_the_other(tmp_path, first, error):
    both = TwoClocks(tmp_path)
    both.store.faults.add("open", before=error)
    getattr(both, first).work()
    assert both.row.state in {TaskState.RETRYING, TaskState.QUEUED}
    both.pass_time(120, both.behind if first == "ahead" else both.ahead)
    assert both.row.state is TaskState.COMPLETED


def test_invariant_9_trouble_of_ten_seconds_spends_no_ones_attempts(tmp_path):
    both = TwoClocks(tmp_path)
    both.store.faults.add("open", before=ServerError("500"), times=None)
    both.behind.work()
    both.pass_time(10, both.behind, both.ahead)
    assert both.row.state is TaskState.RETRYING
    both.store.faults.clear()
    both.pass_time(20, both.behind, both.ahead)
    assert both.row.state is TaskState.COMPLETED


def test_invariant_9_an_outage_is_probed_by_both_now_and_then(tmp_path):
    both = TwoClocks(tmp_path)
    for method in ("open", "probe"):
        both.store.faults.add(method, before=AWAY, times=None)
    both.behind.work()
    both.pass_time(600, both.behind, both.ahead)
    assert 10 <= both.store.requests["probe"] <= 60
    assert both.row.attempts == 0
    both.store.faults.clear()
    both.pass_time(70, both.behind, both.ahead)
    assert both.row.state is TaskState.COMPLETED
