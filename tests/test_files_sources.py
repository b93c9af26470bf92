"""Opening, reading and identifying sources, on the machine's own file system."""

import os
import socket
import threading
import unicodedata

import pytest

from haulier.files import Files, SourceHandle
from haulier.files.posix import PosixSystem

ROOT_EXT4 = "/dev/root / ext4 rw 0 0\n"


@pytest.fixture
def files():
    return Files(PosixSystem(mounts=lambda: ROOT_EXT4))


@pytest.fixture
def source(tmp_path):
    path = tmp_path / "session.mp4"
    path.write_bytes(bytes(range(256)) * 16)
    return path


@pytest.mark.parametrize("positional", [True, False])
def test_reads_any_range_and_stops_at_the_end(source, positional):
    with SourceHandle(os.open(source, os.O_RDONLY), str(source), positional=positional) as handle:
        buffer = bytearray(100)
        assert handle.readinto_at(250, buffer) == 100
        assert bytes(buffer) == source.read_bytes()[250:350]
        assert handle.readinto_at(4090, buffer) == 6
        assert bytes(buffer[:6]) == source.read_bytes()[-6:]
        assert handle.readinto_at(5000, buffer) == 0


@pytest.mark.parametrize("positional", [True, False])
def test_threads_share_one_handle(source, positional):
    whole = source.read_bytes()
    wrong = []

    def read(start):
        buffer = bytearray(64)
        for offset in range(start, len(whole) - 64, 128):
            handle.readinto_at(offset, buffer)
            if bytes(buffer) != whole[offset : offset + 64]:
                wrong.append(offset)

    with SourceHandle(os.open(source, os.O_RDONLY), str(source), positional=positional) as handle:
        threads = [threading.Thread(target=read, args=(start,)) for start in range(0, 128, 16)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert wrong == []


def test_a_closed_handle_refuses_to_read(files, source):
    handle = files.open_source(source)
    handle.close()
    handle.close()
    with pytest.raises(ValueError, match="closed"):
        handle.readinto_at(0, bytearray(1))


def test_an_open_source_survives_rename_and_deletion(files, source, tmp_path):
    with files.open_source(source) as handle:
        before = files.identity_of_handle(handle, "here")
        source.rename(tmp_path / "other")
        (tmp_path / "other").unlink()
        assert files.identity_of_handle(handle, "here") == before
        assert handle.readinto_at(0, bytearray(4096)) == 4096


def test_the_identity_changes_with_content_time_and_file_but_not_by_looking(files, source, tmp_path):
    first = files.identity(source, "here")
    assert files.identity(source, "here") == first
    assert (first.size, first.mtime_ns, first.path) == (4096, source.stat().st_mtime_ns, str(source))
    assert first.file_id

    (tmp_path / "new").write_bytes(source.read_bytes())
    os.utime(tmp_path / "new", ns=(0, first.mtime_ns))
    (tmp_path / "new").replace(source)
    swapped = files.identity(source, "here")
    assert (swapped.size, swapped.mtime_ns) == (first.size, first.mtime_ns)
    assert swapped.item_id != first.item_id


def test_the_file_id_does_not_hold_the_device_number_that_a_restart_may_change(files, source):
    assert files.identity(source, "here").file_id == str(source.stat().st_ino)


@pytest.mark.parametrize("kind", ["vfat", "exfat", "cifs", "fuse.sshfs"])
def test_no_file_id_where_a_volume_makes_them_up_at_each_mount(source, kind):
    files = Files(PosixSystem(mounts=lambda: f"disk / {kind} rw 0 0\n"))
    assert files.identity(source, "here").file_id == ""


def test_what_is_no_file_is_refused_and_a_pipe_never_blocks(files, tmp_path):
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(OSError, match="not a regular file"):
        files.open_source(tmp_path / "pipe")
    with pytest.raises(IsADirectoryError):
        files.open_source(tmp_path)
    with pytest.raises(FileNotFoundError):
        files.open_source(tmp_path / "absent")
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(os.path.relpath(tmp_path / "socket"))
        with pytest.raises(OSError, match="socket"):
            files.open_source(tmp_path / "socket")


def test_a_file_and_its_folder_can_be_told_apart_when_they_are_gone(files, tmp_path):
    (tmp_path / "share").mkdir()
    (tmp_path / "share" / "here.mp4").write_bytes(b"x")
    assert files.is_gone(tmp_path / "share" / "gone.mp4")
    assert not files.is_gone(tmp_path / "share" / "here.mp4")
    assert not files.is_gone(tmp_path / "away" / "gone.mp4")


def test_reading_a_small_file_stops_at_the_limit(files, source):
    assert files.read_bytes(source, 10) == bytes(range(10))
    assert files.read_bytes(source, 10**9) == source.read_bytes()


def test_a_path_has_one_canonical_spelling(files, tmp_path, monkeypatch):
    real = tmp_path / "real"
    real.mkdir()
    (real / "A.mp4").write_bytes(b"x")
    (tmp_path / "link").symlink_to(real)
    monkeypatch.chdir(real)
    spellings = ["A.mp4", "./A.mp4", "../real/A.mp4", tmp_path / "link" / "A.mp4", real / "sub" / ".." / "A.mp4"]
    assert {files.canonical(spelling) for spelling in spellings} == {str(real / "A.mp4")}


def test_a_link_to_a_file_keeps_its_own_name(files, tmp_path):
    (tmp_path / "real.mp4").write_bytes(b"x")
    (tmp_path / "link.mp4").symlink_to("real.mp4")
    assert files.canonical(tmp_path / "link.mp4") == str(tmp_path / "link.mp4")


def test_composition_is_kept_in_paths_and_ignored_in_comparisons(files, tmp_path):
    composed, decomposed = (unicodedata.normalize(form, "São.mp4") for form in ("NFC", "NFD"))
    assert files.canonical(tmp_path / decomposed).endswith(decomposed)
    assert files.comparison_key(decomposed) == files.comparison_key(composed)
    assert files.comparison_key("A") != files.comparison_key("a")
