"""What the journal promised is on the disk, not only with the operating system: nothing unsynced is there afterwards."""

from __future__ import annotations

import itertools
import sqlite3
from contextlib import closing
from pathlib import Path

import apsw
import pytest

from haulier.backends.api import PartsMode, ResumeMode
from haulier.backends.memory import MemoryBackend
from haulier.backends.memory_options import MemoryOptions
from haulier.files import Files
from haulier.journal.sqlite import SqliteJournal
from haulier.models import TaskState
from haulier.testing.rig import RigSettings, UploadRig

NUMBERS = itertools.count()


class Drive(apsw.VFS):
    """The platform's files, and beside them what of each was synced: all that a power cut leaves in the worst case."""

    def __init__(self):
        self.name = f"drive{next(NUMBERS)}"
        self.synced = {}
        super().__init__(self.name, "")

    def xOpen(self, name, flags):  # noqa: N802  the name SQLite gives it
        return DriveFile(self, name, flags)

    def xDelete(self, name, sync_folder):  # noqa: N802
        super().xDelete(name, sync_folder)
        self.synced.pop(Path(name).name, None)

    def cut_the_power(self, folder):
        """A journal made of what is left."""
        folder.mkdir()
        for name, content in self.synced.items():
            (folder / name).write_bytes(content)
        return SqliteJournal(folder / "journal.db")


class DriveFile(apsw.VFSFile):
    def __init__(self, drive, name, flags):
        self._drive = drive
        self._name = Path(name.filename() if isinstance(name, apsw.URIFilename) else name or "").name
        super().__init__("", name, flags)

    def xSync(self, flags):  # noqa: N802
        super().xSync(flags)
        self._drive.synced[self._name] = self.xRead(self.xFileSize(), 0)


@pytest.fixture
def drive():
    made = Drive()
    yield made
    made.unregister()


@pytest.fixture
def journal(tmp_path, drive):
    with closing(SqliteJournal(tmp_path / "journal.db", vfs=drive.name)) as opened:
        yield opened


@pytest.fixture
def left(tmp_path, drive):
    """Asks the journal that a power cut now would leave."""
    folders = itertools.count()

    def ask(query):
        with closing(drive.cut_the_power(tmp_path / f"left-{next(folders)}")) as journal:
            return journal.read(query)

    return ask


def test_invariant_1_what_submit_returned_is_there_after_a_power_cut(journal, record, left):
    rig = UploadRig(journal, MemoryBackend("main", MemoryOptions()))
    for number in range(3):
        task = rig.submit(record(f"{number}.mp4"))
        found = left(lambda tx, task=task: tx.task(task))
        assert found is not None
        assert found.state is TaskState.QUEUED


def test_invariant_1_the_journals_name_is_synced_into_its_folder(tmp_path):
    synced = []
    SqliteJournal(tmp_path / "journal.db", sync_folder=synced.append).close()
    assert synced == [tmp_path]


def test_invariant_1_the_copy_of_a_journal_is_one_that_can_be_used(journal, record, tmp_path):
    task = UploadRig(journal, MemoryBackend("main", MemoryOptions())).submit(record())
    journal.backup(tmp_path / "copy.db")
    with closing(sqlite3.connect(tmp_path / "copy.db")) as copy:
        assert copy.execute("SELECT state FROM task WHERE id = ?", (task,)).fetchall() == [("queued",)]


def test_invariant_2_a_source_goes_only_when_its_receipt_would_outlive_a_power_cut(journal, record, left):
    video = record()
    found = []

    class Watched(Files):
        def remove(self, path):
            found.append(left(lambda tx: tx.receipt(task)))
            super().remove(path)

    rig = UploadRig(
        journal, MemoryBackend("main", MemoryOptions()), files=Watched(), settings=RigSettings(delete_source=True)
    )
    task = rig.submit(video)
    rig.work()
    rig.disposer.step()
    assert not video.exists()
    assert [receipt and receipt.sha256 for receipt in found] == [rig.receipt(task).sha256]


def test_invariant_3_what_is_called_completed_is_so_after_a_power_cut(journal, record, left):
    rig = UploadRig(journal, MemoryBackend("main", MemoryOptions()))
    told = []
    publish = rig.told.extend
    rig.ledger._publish = lambda events: (
        publish(events),
        told.extend(left(lambda tx, at=event: tx.task(at.task)).state for event in events),
    )
    rig.submit(record())
    rig.work()
    assert rig.kinds() == ["upload_queued", "upload_started", "upload_completed"]
    assert told[-1] is TaskState.COMPLETED


def test_invariant_4_that_a_commit_may_have_arrived_is_known_after_a_power_cut(journal, record, left):
    backend = MemoryBackend("main", MemoryOptions())
    rig = UploadRig(journal, backend)
    task = rig.submit(record())
    known = []
    backend.store.faults.add("commit", when=lambda _: known.append(left(lambda tx: tx.task(task)).committing))
    rig.work()
    assert known == [True]


def test_invariant_5_the_resume_token_is_on_the_disk_before_the_first_byte(journal, record, left):
    backend = MemoryBackend("main", MemoryOptions(parts=PartsMode.SEQUENTIAL, resume=ResumeMode.OFFSET))
    rig = UploadRig(journal, backend)
    task = rig.submit(record())
    tokens = []
    backend.store.faults.add("send", when=lambda _: tokens.append(left(lambda tx: tx.task(task)).token))
    rig.work()
    assert rig.row(task).state is TaskState.COMPLETED
    (session,) = backend.store.sessions
    assert [token and token.public["session"] for token in tokens] == [session] * 10
