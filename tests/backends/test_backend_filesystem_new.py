"""A destination folder that is yet to be made."""

from __future__ import annotations

from haulier.backends.filesystem import FilesystemBackend, FilesystemOptions
from haulier.journal.memory import MemoryJournal
from haulier.testing.rig import UploadRig


def test_a_task_that_asks_first_is_sent_to_a_folder_that_is_yet_to_be_made(tmp_path):
    (tmp_path / "a.mp4").write_bytes(b"x" * 3000)
    rig = UploadRig(MemoryJournal(), FilesystemBackend("main", FilesystemOptions(url=str(tmp_path / "archive"))))
    task = rig.submit(tmp_path / "a.mp4")
    rig.journal.write(lambda tx: tx.update_task(task, committing=True))
    rig.work_on(600)
    assert rig.row(task).state == "completed"
