"""Which folders are synced at a commit, and which were before."""

from __future__ import annotations

import os

import pytest

from haulier.backends.filesystem import FilesystemBackend, FilesystemOptions
from haulier.backends.lasting_folders import SETTLED, LastingFolders
from haulier.backends.local_disk import LocalDisk
from haulier.errors import TransferError


class NotingDisk(LocalDisk):
    """Remembers which folders were synced; may be told to fail."""

    def __init__(self):
        super().__init__()
        self.synced = []
        self.broken = False

    def sync_folder(self, path):
        if self.broken:
            raise OSError(5, "Input/output error")
        self.synced.append(path)
        super().sync_folder(path)


@pytest.fixture
def disk():
    return NotingDisk()


def changed_at(path, seconds):
    os.utime(path, (seconds, seconds))


def test_a_folder_that_did_not_change_is_synced_once(tmp_path, disk):
    lasting = LastingFolders(disk, now=lambda: 1000.0)
    changed_at(tmp_path, 900)
    for _ in range(3):
        lasting.keep(str(tmp_path))
    assert disk.synced == [str(tmp_path)]


def test_invariant_3_a_folder_that_changed_is_synced_again_whoever_changed_it(tmp_path, disk):
    lasting = LastingFolders(disk, now=lambda: 1000.0)
    changed_at(tmp_path, 900)
    lasting.keep(str(tmp_path))
    (tmp_path / "of another process").mkdir()
    lasting.keep(str(tmp_path))
    assert len(disk.synced) == 2


@pytest.mark.parametrize("age", [0.0, SETTLED, -60.0], ids=["now", "a clock's step ago", "in the future"])
def test_invariant_3_a_folder_whose_time_may_not_tell_the_next_change_is_synced_each_time(tmp_path, disk, age):
    lasting = LastingFolders(disk, now=lambda: 1000.0)
    changed_at(tmp_path, 1000 - age)
    lasting.keep(str(tmp_path))
    lasting.keep(str(tmp_path))
    assert len(disk.synced) == 2


def test_invariant_3_another_folder_of_the_same_name_is_synced(tmp_path, disk):
    lasting = LastingFolders(disk, now=lambda: 1000.0)
    folder = tmp_path / "day"
    folder.mkdir()
    changed_at(folder, 900)
    lasting.keep(str(folder))
    folder.rename(tmp_path / "before")
    folder.mkdir()
    changed_at(folder, 900)
    lasting.keep(str(folder))
    assert len(disk.synced) == 2


def test_invariant_3_a_sync_that_failed_is_made_up_for(tmp_path, disk):
    lasting = LastingFolders(disk, now=lambda: 1000.0)
    changed_at(tmp_path, 900)
    disk.broken = True
    with pytest.raises(TransferError):
        lasting.keep(str(tmp_path))
    disk.broken = False
    lasting.keep(str(tmp_path))
    assert disk.synced == [str(tmp_path)]


def test_what_is_remembered_is_bounded(tmp_path, disk):
    lasting = LastingFolders(disk, now=lambda: 1000.0, most=2)
    folders = [tmp_path / str(number) for number in range(3)]
    for folder in folders:
        folder.mkdir()
        changed_at(folder, 900)
        lasting.keep(str(folder))
    lasting.keep(str(folders[0]))
    assert disk.synced[-1] == str(folders[0]), "forgotten, and so synced again"


class EarlyDisk(LocalDisk):
    """Remembers which bytes the device was given before the file was synced."""

    def __init__(self):
        super().__init__()
        self.begun = []

    def begin_sync(self, file, offset, size):
        self.begun.append((offset, offset + size))
        super().begin_sync(file, offset, size)


def test_a_large_part_goes_to_the_device_while_it_arrives(tmp_path, drive_for):
    disk = EarlyDisk()
    backend = FilesystemBackend("archive", FilesystemOptions(str(tmp_path / "archive")), disk=disk)
    content = bytes(range(256)) * (36 * 4096)
    drive = drive_for(backend, content, part_size=18 << 20)
    drive.run()
    ends = [end >> 20 for _, end in disk.begun]
    assert ends == [4, 8, 12, 16, 22, 26, 30, 34]
    assert (tmp_path / "archive/2026/a.mp4").read_bytes() == content
