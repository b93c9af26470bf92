"""Random trouble in virtual time: at the end every file is stored once or explained, whatever happened on the way."""

from __future__ import annotations

import hashlib
import os
import random

import pytest

from haulier.backends.api import CommitMode, PartsMode, ResumeMode
from haulier.backends.memory import MemoryBackend
from haulier.backends.memory_options import MemoryOptions
from haulier.errors import (
    AuthenticationError,
    NetworkError,
    PermissionDeniedError,
    PluginError,
    ServerError,
    ThrottledError,
)
from haulier.journal.memory import MemoryJournal
from haulier.models import TaskState
from haulier.testing.rig import RigSettings, UploadRig
from haulier.threads import Ended
from haulier.transfer.context import RunContext

MODES = (
    (PartsMode.PARALLEL, ResumeMode.LIST, CommitMode.EXPLICIT),
    (PartsMode.SEQUENTIAL, ResumeMode.OFFSET, CommitMode.EXPLICIT),
    (PartsMode.SEQUENTIAL, ResumeMode.OFFSET, CommitMode.LAST_PART),
    (PartsMode.WHOLE, ResumeMode.NONE, CommitMode.EXPLICIT),
    (PartsMode.WHOLE, ResumeMode.NONE, CommitMode.LAST_PART),
)
ERRORS = (
    NetworkError("refused", reached=False),
    NetworkError("reset"),
    ServerError("500"),
    ThrottledError("429", retry_after=30),
    AuthenticationError("401"),
    PermissionDeniedError("403"),
    PluginError("defect"),
)
SEEDS = int(os.environ.get("HAULIER_SOAK_SEEDS", "60"))
BASE = int(os.environ.get("HAULIER_SOAK_BASE", str(random.randrange(10**6))))


class Killed(Ended):
    """The process ends here."""


class Soak:
    def __init__(self, seed, folder):
        self.chance = random.Random(seed)
        self.folder = folder
        parts, resume, commit = self.chance.choice(MODES)
        unasked = self.chance.choice([0, 1500, 10**6])
        self.backend = MemoryBackend("main", MemoryOptions(parts=parts, resume=resume, commit=commit, unasked=unasked))
        self.journal = MemoryJournal()
        self.settings = RigSettings(part_size=512, memory_budget=16 * 1024, window=3)
        self.owners = 0
        self.rig = self.new_rig()
        self.contents = {}
        self.ever = {}

    def new_rig(self):
        self.owners += 1
        old = getattr(self, "rig", None)
        clock = old.clock if old else None
        return UploadRig(self.journal, self.backend, settings=self.settings, clock=clock, owner=f"owner{self.owners}")

    def write(self, number):
        path = self.folder / f"{number}.mp4"
        content = self.chance.randbytes(self.chance.choice([0, 1, 511, 512, 513, 3000]))
        path.write_bytes(content)
        os.utime(path, ns=(0, self.chance.randrange(10**18)))
        self.ever.setdefault(path.name, set()).add(hashlib.sha256(content).hexdigest())
        return path

    def fault(self):
        method = self.chance.choice(["open", "held", "send", "send", "commit", "commit", "settle", "probe", "abort"])
        kind = self.chance.choice(["before", "after", "forget", "keep", "kill", "edit"])
        error = self.chance.choice(ERRORS)
        times = self.chance.choice([1, 1, 1, 2, 5])
        if kind == "edit":
            self.edit_during(method)
        elif kind == "forget":
            self.backend.store.faults.add(method, forget=True)
        elif kind == "keep" and method == "send":
            self.backend.store.faults.add("send", keep=self.chance.randrange(300), after=error)
        elif kind == "kill":
            where = self.chance.choice(["before", "after"])
            self.backend.store.faults.add(method, **{where: Killed()})
        else:
            self.backend.store.faults.add(method, times=times, **{"after" if kind == "after" else "before": error})

    def edit_during(self, method):
        """The source changes at the very moment of a call; the call itself goes well."""
        pending = [self.chance.randrange(6)]

        def when(_):
            if pending:
                self.write(pending.pop())
            return False

        self.backend.store.faults.add(method, when=when)

    def step(self):
        action = self.chance.choice(["submit", "submit", "fault", "fault", "work", "work", "edit", "operate", "time"])
        if action == "submit":
            self.rig.submit(self.write(self.chance.randrange(6)))
        elif action == "fault":
            self.fault()
        elif action == "work":
            self.rig.workers.work_once()
        elif action == "edit" and list(self.folder.iterdir()):
            path = self.chance.choice(sorted(self.folder.iterdir()))
            self.write(int(path.stem))
        elif action == "operate":
            rows = self.rig.rows()
            if rows:
                row = self.chance.choice(rows)
                self.rig.operations.apply(self.chance.choice(["retry", "cancel", "pause", "resume"]), [row.id])
        elif action == "time":
            self.rig.clock.advance(self.chance.choice([1, 10, 100]))
            self.rig.upkeep.probe()

    def live(self):
        """One step of a process; when it is killed, another takes over."""
        try:
            self.step()
        except Killed:
            dead = f"owner{self.owners}"
            self.rig = self.new_rig()
            self.rig.ledger.release_owner(dead)

    def settle_down(self):
        self.backend.store.faults.clear()
        for _ in range(4):
            self.rig.operations.apply("resume", None)
            self.rig.operations.apply("retry", None)
            self.rig.operations.resume_backends(["main"])
            self.rig.work_on(20_000, step=50)

    def check(self):
        objects = {entry.key: entry for entry in self.backend.list("", RunContext())}
        receipts = {}
        for row in self.rig.rows():
            assert row.state not in {TaskState.UPLOADING, TaskState.QUEUED, TaskState.RETRYING}, row
            receipt = self.rig.receipt(row.id)
            assert (receipt is not None) == (row.state is TaskState.COMPLETED)
            if row.state is TaskState.FAILED:
                assert row.error is not None
            if receipt is not None:
                receipts[receipt.key] = receipt
                stored = hashlib.sha256(b"".join(self.backend.read(receipt.key, RunContext()))).hexdigest()
                assert stored == receipt.sha256, "the receipt is about what is stored"
                assert stored in self.ever[row.media.name], "what is stored was once in the file"
        for key in objects:
            owners = [row for row in self.rig.rows() if row.media.key == key]
            assert owners, f"{key} belongs to nobody"
        counts = self.journal.read(lambda tx: tx.counts())
        states = [row.state for row in self.rig.rows()]
        assert all(counts[state] == states.count(state) for state in TaskState)
        for path in self.folder.iterdir():
            assert path.exists()


@pytest.mark.parametrize("seed", [BASE + number for number in range(SEEDS)])
def test_soak(tmp_path, seed):
    folder = tmp_path / "files"
    folder.mkdir()
    soak = Soak(seed, folder)
    for _ in range(60):
        soak.live()
    soak.settle_down()
    soak.check()
