"""A lease that ends while its owner lives: at whatever step, one object and one receipt, and no word of the old owner."""

from __future__ import annotations

import pytest

from haulier.backends.api import CommitMode, PartsMode, ResumeMode
from haulier.backends.memory import MemoryBackend
from haulier.backends.memory_options import MemoryOptions
from haulier.journal.memory import MemoryJournal
from haulier.models import TaskState
from haulier.testing.clock import FakeClock
from haulier.testing.rig import UploadRig
from haulier.testing.steps import StepProxy

MODES = {
    "parallel": {},
    "sequential": {"parts": PartsMode.SEQUENTIAL, "resume": ResumeMode.OFFSET},
    "last part": {"parts": PartsMode.SEQUENTIAL, "resume": ResumeMode.OFFSET, "commit": CommitMode.LAST_PART},
    "whole": {"parts": PartsMode.WHOLE, "resume": ResumeMode.NONE},
}


class TwoOwners:
    """A slow owner, and a quick one that takes its task away at the slow one's n-th step.

    Args:
        folder: For the source.
        nth: The step; a name stands for the first step of that name, 0 for never.
        then: What the quick one does next.
        options: Of the memory backend, whose store they share.
    """

    def __init__(self, folder, nth=0, then=lambda both: both.quick.work(), **options):
        self.nth, self.then, self.steps, self.taken_at = nth, then, 0, ""
        self.options = options
        self.store = MemoryBackend("main", MemoryOptions(**options)).store
        self.clock = FakeClock()
        self.journal = MemoryJournal()
        self.quick = self._rig("quick", lambda _, port: port)
        self.slow = self._rig("slow", lambda name, port: StepProxy(port, name, self._step))
        video = folder / "session.mp4"
        video.write_bytes(bytes(range(250)) * 12)
        self.task = self.quick.submit(video)

    def _rig(self, owner, wrap):
        backend = MemoryBackend("main", MemoryOptions(**self.options, store=self.store))
        return UploadRig(self.journal, backend, owner=owner, wrap=wrap, clock=self.clock)

    def _step(self, name):
        self.steps += 1
        if self.nth in {self.steps, name} and self.row.owner == "slow":
            self.taken_at = name
            self.quick.ledger.release_owner("slow")
            self.then(self)

    @property
    def row(self):
        return self.quick.row(self.task)

    @property
    def receipts(self):
        return [receipt.task for receipt in self.journal.read(lambda tx: tx.receipts(0, None))]

    @property
    def written(self):
        """All that a worker could have written about the task."""
        return self.journal.read(
            lambda tx: (tx.task(self.task), tx.parts(self.task), tx.events(0, 1000), tx.receipts(0, None))
        )


def steps_of(folder, options):
    undisturbed = TwoOwners(folder, **options)
    undisturbed.slow.work()
    assert undisturbed.row.state is TaskState.COMPLETED
    return range(1, undisturbed.steps + 1)


@pytest.mark.parametrize("options", MODES.values(), ids=MODES)
def test_invariant_4_a_lease_that_ends_at_any_step_costs_nothing_but_its_owners_work(tmp_path, options):
    taken_at = set()
    for nth in steps_of(tmp_path, options):
        both = TwoOwners(tmp_path, nth, **options)
        both.slow.work()
        both.quick.work_on(60)
        assert both.row.state is TaskState.COMPLETED, both.taken_at
        assert len(both.store.objects) == 1, both.taken_at
        assert both.receipts == [both.task], both.taken_at
        assert both.store.requests["abort"] == 0, both.taken_at
        taken_at.add(both.taken_at)
    assert {"ledger.intend_commit:done", "backend.commit:done", "ledger.complete"} <= taken_at


@pytest.mark.parametrize("options", MODES.values(), ids=MODES)
def test_invariant_4_whoever_lost_its_lease_writes_nothing(tmp_path, options):
    """The new owner has the task and has not begun: whatever is written from then on would be the old one's."""
    for nth in steps_of(tmp_path, options):
        claimed = []

        def claim(both, claimed=claimed):
            both.quick.ledger.claim(["main"])
            claimed.append(both.written)

        both = TwoOwners(tmp_path, nth, claim, **options)
        both.slow.work()
        assert not claimed or both.written == claimed[0], both.taken_at


@pytest.mark.parametrize("options", MODES.values(), ids=MODES)
def test_invariant_4_whoever_lost_its_lease_before_the_commit_was_noted_commits_nothing(tmp_path, options):
    for nth in steps_of(tmp_path, options):
        both = TwoOwners(tmp_path, nth, lambda both: both.quick.ledger.claim(["main"]), **options)
        both.slow.work()
        if both.taken_at in {"", "ledger.intend_commit:done"} or both.row.committing:
            continue
        assert both.store.requests["commit"] == 0, both.taken_at


def test_invariant_4_where_the_destination_cannot_tell_the_new_owner_repeats_nothing_blindly(tmp_path):
    """The old owner wakes up between its commit and the receipt, and nobody can say what became of the commit."""
    both = TwoOwners(tmp_path, "backend.commit:done", settles=False)
    both.slow.work()
    both.quick.work_on(60)
    assert both.row.state is TaskState.FAILED
    assert both.row.error.code == "outcome_unknown"
    assert both.store.requests["commit"] == 1
    assert both.receipts == []


@pytest.mark.parametrize("reason", ["cancel", "source"])
def test_invariant_4_whoever_lost_its_lease_drops_no_session(tmp_path, reason):
    """What would end its session for the old owner ends nothing for the new one, who goes on with it."""
    options = MODES["sequential"]
    for nth in steps_of(tmp_path, options):

        def disturb(both):
            both.quick.ledger.claim(["main"])
            if reason == "cancel":
                both.slow.workers.interrupt(both.task, "cancel")
            else:
                (tmp_path / "session.mp4").write_bytes(b"other")

        both = TwoOwners(tmp_path, nth, disturb, **options)
        both.slow.work()
        assert both.store.requests["abort"] == 0, both.taken_at
        assert both.row.owner in {"quick", ""}, both.taken_at
