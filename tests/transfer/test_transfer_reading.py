"""How often a source is read."""

from __future__ import annotations

import hashlib

import pytest

from haulier.backends.api import Abilities, Artifact, CommitMode, Held, PartsMode, ResumeMode
from haulier.backends.memory import MemoryBackend, MemoryOptions
from haulier.errors import NetworkError
from haulier.files import Files
from haulier.journal.api import PartRow
from haulier.journal.memory import MemoryJournal
from haulier.models import Role, TaskState
from haulier.testing.rig import RigSettings, UploadRig
from haulier.transfer.parts import make_plan

MODES = [
    (PartsMode.PARALLEL, ResumeMode.LIST, CommitMode.EXPLICIT),
    (PartsMode.SEQUENTIAL, ResumeMode.OFFSET, CommitMode.EXPLICIT),
    (PartsMode.SEQUENTIAL, ResumeMode.OFFSET, CommitMode.LAST_PART),
    (PartsMode.WHOLE, ResumeMode.NONE, CommitMode.EXPLICIT),
    (PartsMode.WHOLE, ResumeMode.NONE, CommitMode.LAST_PART),
]
BUDGETS = {"roomy": 64 * 1024, "one part at a time": 2048, "parts too large to hold": 1500}


class CountingFiles(Files):
    """Counts the bytes that are read of sources."""

    def __init__(self):
        super().__init__()
        self.count = 0

    def open_source(self, path, **options):
        handle = super().open_source(path, **options)
        read = handle.readinto_at

        def readinto_at(offset, buffer):
            count = read(offset, buffer)
            self.count += count
            return count

        handle.readinto_at = readinto_at
        return handle


@pytest.mark.parametrize("budget", BUDGETS.values(), ids=BUDGETS)
@pytest.mark.parametrize("mode", MODES, ids="-".join)
def test_what_arrives_is_what_was_read_whatever_the_memory(tmp_path, mode, budget):
    parts, resume, commit = mode
    destination = MemoryBackend("main", MemoryOptions(parts=parts, resume=resume, commit=commit))
    files = CountingFiles()
    rig = UploadRig(MemoryJournal(), destination, files=files, settings=RigSettings(memory_budget=budget))
    content = bytes(index * 7 % 251 for index in range(10_000))
    (tmp_path / "session.mp4").write_bytes(content)
    task = rig.submit(tmp_path / "session.mp4")
    rig.work()
    assert rig.row(task).state is TaskState.COMPLETED
    assert rig.receipt(task).sha256 == hashlib.sha256(content).hexdigest()
    if budget > 1500 or parts is PartsMode.WHOLE:
        assert files.count == len(content), "an undisturbed upload reads each byte once"


@pytest.mark.parametrize("mode", MODES[:3], ids="-".join)
def test_after_a_break_what_is_held_is_read_once_more_and_the_rest_once(tmp_path, mode):
    parts, resume, commit = mode
    destination = MemoryBackend("main", MemoryOptions(parts=parts, resume=resume, commit=commit))
    files = CountingFiles()
    rig = UploadRig(MemoryJournal(), destination, files=files)
    (tmp_path / "session.mp4").write_bytes(bytes(10_000))
    destination.store.faults.add("send", part=5, before=NetworkError("reset"))
    task = rig.submit(tmp_path / "session.mp4")
    rig.work_on(60)
    assert rig.row(task).state is TaskState.COMPLETED
    assert files.count <= 10_000 + 10_000 + 5 * 1024


def test_invariant_5_an_empty_file_that_is_held_is_read_again_for_its_digest():
    empty = Artifact(0, Role.MEDIA, "empty.mp4", "k/empty.mp4", 0, "video/mp4")
    abilities = Abilities(parts=PartsMode.SEQUENTIAL, resume=ResumeMode.OFFSET)
    plan = make_plan([empty], abilities, 1024, Held({0: 0}), [PartRow(0, 1, 0, 0, "e3b0c442", "")])
    assert plan.missing == ()
    assert plan.reread == {0}
