"""A destination folder that is yet to be made."""

from __future__ import annotations

import shutil

from haulier.backends.filesystem import FilesystemBackend, FilesystemOptions
from haulier.errors import ServerError
from haulier.journal.memory import MemoryJournal
from haulier.testing.rig import UploadRig


class StopsAfterOnePart(FilesystemBackend):
    def send(self, upload, token, part, body, context):
        if part.number > 1:
            raise ServerError("the disk hangs")
        return super().send(upload, token, part, body, context)


def test_a_task_that_asks_first_is_sent_to_a_folder_that_is_yet_to_be_made(tmp_path):
    (tmp_path / "a.mp4").write_bytes(b"x" * 3000)
    rig = UploadRig(MemoryJournal(), FilesystemBackend("main", FilesystemOptions(url=str(tmp_path / "archive"))))
    task = rig.submit(tmp_path / "a.mp4")
    rig.journal.write(lambda tx: tx.update_task(task, committing=True))
    rig.work_on(600)
    assert rig.row(task).state == "completed"


def test_a_task_goes_on_after_its_destination_folder_was_removed_with_all_in_it(tmp_path):
    source = tmp_path / "a.mp4"
    source.write_bytes(b"x" * 3000)
    archive = tmp_path / "archive"
    journal = MemoryJournal()
    rig = UploadRig(journal, StopsAfterOnePart("main", FilesystemOptions(url=str(archive))))
    task = rig.submit(source)
    rig.work()
    assert rig.row(task).acknowledged == 1024
    shutil.rmtree(archive)
    later = UploadRig(journal, FilesystemBackend("main", FilesystemOptions(url=str(archive))), clock=rig.clock)
    later.work_on(600)
    assert later.row(task).state == "completed"
