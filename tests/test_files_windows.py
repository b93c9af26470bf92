"""The Windows calls, against stand-ins for the system's libraries."""

import os
from pathlib import Path

import pytest

from haulier.files import Files
from haulier.files.names import extended_path, plain_path
from haulier.files.windows import WindowsCalls, WindowsSystem, native_calls

SHARING_VIOLATION = 32
LONG = "D:\\" + "\\".join(["folder"] * 50)


class Libraries:
    """What kernel32 and the C runtime would do, written down, over files of this machine."""

    def __init__(self):
        self.opened, self.closed, self.locked = [], [], {}
        self.refuse_handle = self.refuse_fd = False
        self.drives = {}
        self.paths = {}

    def create_file(self, path, access, share, security, disposition, flags, template):
        self.opened.append((path, access, share, disposition, flags))
        if self.refuse_handle:
            return 2**64 - 1
        handle = 1000 + len(self.paths)
        self.paths[handle] = path
        return handle

    def open_osfhandle(self, handle, flags):
        self.flags = flags
        if self.refuse_fd:
            raise OSError("too many files")
        return os.open(self.paths[handle], os.O_RDONLY)

    def locking(self, fd, mode, count):
        key = os.fstat(fd).st_ino
        where = os.lseek(fd, 0, os.SEEK_CUR)
        assert (mode, count) == (2, 1)
        assert where >= 2**30
        if self.locked.get(key) not in {None, fd}:
            raise PermissionError(13, "Permission denied")
        self.locked[key] = fd

    def system(self):
        return WindowsSystem(
            WindowsCalls(
                create_file=self.create_file,
                drive_type=lambda root: self.drives.get(root, 3),
                close_handle=self.closed.append,
                open_osfhandle=self.open_osfhandle,
                locking=self.locking,
                error=lambda path: FileNotFoundError(2, "The system cannot find the file specified", path),
            ),
            handle_bits=64,
        )


@pytest.fixture
def libraries():
    return Libraries()


@pytest.fixture
def source(tmp_path):
    path = tmp_path / "session.mp4"
    path.write_bytes(b"recording")
    return path


def test_a_source_is_opened_so_that_others_may_rename_and_delete_it(libraries, source):
    with Files(libraries.system()).open_source(source) as handle:
        buffer = bytearray(9)
        assert handle.readinto_at(0, buffer) == 9
    path, access, share, disposition, _ = libraries.opened[0]
    assert path == str(source)
    assert access == 0x8000_0000
    assert share == 1 | 2 | 4
    assert disposition == 3
    assert libraries.flags & 0x8000, "text mode would change the bytes"
    assert libraries.flags & 0x0080, "children must not inherit it"


def test_a_refused_handle_raises_the_systems_error(libraries, source):
    libraries.refuse_handle = True
    with pytest.raises(FileNotFoundError, match=r"session\.mp4"):
        Files(libraries.system()).open_source(source)


def test_no_handle_is_leaked_when_there_is_no_descriptor_left(libraries, source):
    libraries.refuse_fd = True
    with pytest.raises(OSError, match="too many files"):
        Files(libraries.system()).open_source(source)
    assert libraries.closed == [1000]


def test_the_identity_holds_the_volume_serial_and_the_file_index(libraries, source):
    found = source.stat()
    assert Files(libraries.system()).identity(source, "here").file_id == f"{found.st_dev}:{found.st_ino}"


def test_a_lock_is_one_byte_beyond_the_content(libraries, tmp_path):
    files = Files(libraries.system(), sleep=lambda seconds: None)
    with files.lock_file(tmp_path / "owner.lock"):
        assert files.is_locked(tmp_path / "owner.lock")
        assert files.lock_file(tmp_path / "owner.lock") is None


def held_open(times, code=SHARING_VIOLATION):
    """A rename that fails some times as if a virus scanner held the file."""
    left = [times]

    def rename(src, dst):
        if left[0]:
            left[0] -= 1
            error = PermissionError(13, "The process cannot access the file", src)
            error.winerror = code
            raise error
        os.link(src, dst)
        Path(src).unlink()

    return rename


@pytest.mark.parametrize(("call", "method"), [("replace", "replace"), ("rename", "rename_no_replace")])
def test_a_file_held_open_for_moments_is_waited_for(libraries, source, tmp_path, monkeypatch, call, method):
    waits = []
    monkeypatch.setattr(os, call, held_open(3))
    getattr(Files(libraries.system(), sleep=waits.append), method)(source, tmp_path / "new.mp4")
    assert (tmp_path / "new.mp4").read_bytes() == b"recording"
    assert len(waits) == 3
    assert waits == sorted(waits)


def test_the_wait_is_bounded(libraries, source, tmp_path, monkeypatch):
    waits = []
    monkeypatch.setattr(os, "replace", held_open(10**6))
    with pytest.raises(PermissionError):
        Files(libraries.system(), sleep=waits.append).replace(source, tmp_path / "new.mp4")
    assert sum(waits) < 5


def test_other_failures_are_not_waited_for(libraries, source, tmp_path, monkeypatch):
    monkeypatch.setattr(os, "replace", held_open(10**6, code=17))
    with pytest.raises(PermissionError):
        Files(libraries.system(), sleep=pytest.fail).replace(source, tmp_path / "new.mp4")


def test_a_name_is_looked_for_as_the_system_does_and_only_in_a_folder_that_lists(libraries, source):
    files = Files(libraries.system())
    assert not files.is_gone(source.with_name(source.name.upper()))
    assert files.is_gone(source.with_name("another.mp4"))
    assert not files.is_gone(source.parent / "away" / source.name)


def test_folders_are_not_synced_since_windows_cannot(libraries, tmp_path):
    Files(libraries.system()).fsync_folder(tmp_path / "never looked at")


@pytest.mark.parametrize(
    ("path", "kind"),
    [
        ("C:\\state", ""),
        ("Z:\\state", "remote"),
        ("\\\\server\\share\\state", "remote"),
        ("\\\\?\\UNC\\server\\share\\state", "remote"),
        ("\\\\?\\C:\\state", ""),
    ],
)
def test_shares_and_mapped_drives_are_on_the_network(libraries, path, kind):
    libraries.drives = {"Z:\\": 4}
    assert libraries.system().volume_type(path) == kind


@pytest.mark.parametrize(
    ("path", "extended"),
    [
        ("C:\\short.mp4", "C:\\short.mp4"),
        (LONG, "\\\\?\\" + LONG),
        ("\\\\server" + LONG[2:], "\\\\?\\UNC\\server" + LONG[2:]),
        ("\\\\?\\" + LONG, "\\\\?\\" + LONG),
        (LONG.replace("\\", "/"), "\\\\?\\" + LONG),
    ],
)
def test_only_long_paths_are_extended(path, extended):
    assert extended_path(path) == extended


def test_an_extended_path_and_a_plain_one_name_the_same_file():
    for path in (LONG, "\\\\server" + LONG[2:]):
        assert plain_path(extended_path(path)) == path
    volume = "\\\\?\\Volume{01234567-89ab-cdef-0123-456789abcdef}\\a"
    assert plain_path(volume) == volume


def test_names_that_differ_in_case_are_one_file(libraries):
    files = Files(libraries.system())
    assert files.comparison_key("D:\\Sessão.MP4") == files.comparison_key("d:\\SESSÃO.mp4")


def test_the_real_libraries_exist_on_windows_only():
    with pytest.raises(NotImplementedError):
        native_calls()
