"""Listing, renaming, locking and deleting, on the machine's own file system."""

import errno
import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from haulier.files import Files, is_private_name, private_name
from haulier.files.posix import PosixSystem


def no_such_call(code):
    def rename(src, dst):
        raise OSError(code, os.strerror(code), src)

    return PosixSystem(rename=rename)


@pytest.fixture
def files():
    return Files()


@pytest.fixture(params=["one call", "link and unlink"])
def either_rename(request):
    return Files(PosixSystem() if request.param == "one call" else no_such_call(errno.EINVAL))


def test_rename_moves_the_file(either_rename, tmp_path):
    (tmp_path / "a").write_text("content")
    either_rename.rename_no_replace(tmp_path / "a", tmp_path / "b")
    assert [entry.name for entry in tmp_path.iterdir()] == ["b"]
    assert (tmp_path / "b").read_text() == "content"


def test_rename_never_replaces_another_file(either_rename, tmp_path):
    (tmp_path / "a").write_text("ours")
    (tmp_path / "b").write_text("theirs")
    with pytest.raises(FileExistsError):
        either_rename.rename_no_replace(tmp_path / "a", tmp_path / "b")
    assert ((tmp_path / "a").read_text(), (tmp_path / "b").read_text()) == ("ours", "theirs")


def test_rename_of_what_is_gone_says_so(either_rename, tmp_path):
    with pytest.raises(OSError, match=r"\ba\b"):
        either_rename.rename_no_replace(tmp_path / "a", tmp_path / "b")


def test_a_volume_with_neither_call_keeps_the_file_under_its_name(tmp_path, monkeypatch):
    def refuse(*args, **kwargs):
        raise PermissionError(errno.EPERM, "Operation not permitted")

    monkeypatch.setattr(os, "link", refuse)
    (tmp_path / "a").write_text("content")
    with pytest.raises(OSError, match="sure not to replace") as caught:
        Files(no_such_call(errno.ENOSYS)).rename_no_replace(tmp_path / "a", tmp_path / "b")
    assert caught.value.errno == errno.ENOTSUP
    assert (tmp_path / "a").exists()


def test_other_failures_of_the_one_call_are_not_papered_over(tmp_path):
    (tmp_path / "a").write_text("content")
    with pytest.raises(OSError, match="Read-only"):
        Files(no_such_call(errno.EROFS)).rename_no_replace(tmp_path / "a", tmp_path / "b")
    assert not (tmp_path / "b").exists()


def test_replace_and_remove(files, tmp_path):
    (tmp_path / "a").write_text("new")
    (tmp_path / "b").write_text("old")
    files.replace(tmp_path / "a", tmp_path / "b")
    assert (tmp_path / "b").read_text() == "new"
    files.remove(tmp_path / "b")
    assert list(tmp_path.iterdir()) == []
    with pytest.raises(FileNotFoundError):
        files.remove(tmp_path / "b")


def test_a_name_is_taken_or_free(files, tmp_path):
    (tmp_path / "a").write_text("content")
    (tmp_path / "dangling").symlink_to("nowhere")
    assert files.exists(tmp_path / "a")
    assert files.exists(tmp_path / "dangling")
    assert not files.exists(tmp_path / "b")
    assert not files.exists(tmp_path / "a" / "below a file")


def test_a_volume_that_does_not_answer_is_not_a_missing_file(files, tmp_path, monkeypatch):
    def stale(path):
        raise OSError(errno.ESTALE, os.strerror(errno.ESTALE), path)

    monkeypatch.setattr(os, "lstat", stale)
    with pytest.raises(OSError, match="Stale"):
        files.exists(tmp_path / "a")


def test_a_private_name_hides_in_the_same_folder_and_is_recognised(files, tmp_path):
    source = tmp_path / "São Paulo.mp4"
    private = private_name(source, "0f3a")
    assert private == str(tmp_path / ".haulier-disposal-0f3a-São Paulo.mp4")
    assert is_private_name(".haulier-disposal-0f3a-São Paulo.mp4")
    source.write_text("content")
    files.rename_no_replace(source, private)
    assert [entry.name for entry in files.scan_folder(tmp_path)] == [".haulier-disposal-0f3a-São Paulo.mp4"]


@pytest.mark.parametrize(
    "name", ["session.mp4", ".haulier-disposal-", ".haulier-disposal-0f-", "haulier-disposal-0f-a"]
)
def test_other_names_are_not_private(name):
    assert not is_private_name(name)


def test_a_private_name_is_never_too_long_for_the_volume(files, tmp_path):
    source = tmp_path / ("ç" * 125 + ".mp4")
    source.write_text("content")
    private = Path(files.private_name(source, "a" * 32))
    files.rename_no_replace(source, private)
    assert list(tmp_path.iterdir()) == [private]
    assert is_private_name(private.name)
    assert private.name.endswith("ç.mp4")


def test_a_nonce_that_is_no_hexadecimal_is_refused():
    with pytest.raises(ValueError, match="hexadecimal"):
        private_name("a.mp4", "../x")


def test_a_folder_lists_its_files_in_order_with_what_is_known_of_each(files, tmp_path):
    (tmp_path / "b.mp4").write_bytes(b"12345")
    (tmp_path / "a").mkdir()
    os.utime(tmp_path / "b.mp4", ns=(0, 1_700_000_000_123_456_789))
    folder, media = files.scan_folder(tmp_path)
    assert (folder.name, folder.is_file) == ("a", False)
    assert (media.name, media.is_file, media.size, media.mtime_ns) == ("b.mp4", True, 5, 1_700_000_000_123_456_789)


def test_links_count_only_within_their_folder(files, tmp_path):
    folder = tmp_path / "folder"
    folder.mkdir()
    (tmp_path / "secret").write_text("elsewhere")
    (folder / "real").write_text("here")
    (folder / "inside").symlink_to("real")
    (folder / "outside").symlink_to(tmp_path / "secret")
    (folder / "dangling").symlink_to("nowhere")
    entries = {entry.name: entry for entry in files.scan_folder(folder)}
    assert set(entries) == {"real", "inside", "outside"}
    assert entries["inside"].is_file
    assert not entries["outside"].is_file
    assert "leads out" in entries["outside"].problem


def test_links_inside_a_folder_that_is_itself_reached_by_a_link(files, tmp_path):
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "real").write_text("here")
    (tmp_path / "folder" / "inside").symlink_to("real")
    (tmp_path / "way").symlink_to("folder")
    assert all(entry.is_file for entry in files.scan_folder(tmp_path / "way"))


def test_a_folder_that_is_away_cannot_be_listed(files, tmp_path):
    with pytest.raises(FileNotFoundError):
        files.scan_folder(tmp_path / "share")


def test_a_lock_excludes_everybody_until_released(files, tmp_path):
    path = tmp_path / "owner.lock"
    assert not files.is_locked(path)
    lock = files.lock_file(path)
    assert files.is_locked(path)
    assert Files(sleep=lambda seconds: None).lock_file(path) is None
    lock.release()
    lock.release()
    assert not files.is_locked(path)
    with files.lock_file(path):
        assert files.is_locked(path)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_a_look_at_a_lock_does_not_make_its_owner_fail(files, tmp_path):
    path = tmp_path / "owner.lock"
    look = os.open(path, os.O_RDWR | os.O_CREAT)
    PosixSystem().try_lock(look, shared=True)
    patient = Files(sleep=lambda seconds: os.close(look))
    with patient.lock_file(path):
        assert files.is_locked(path)


def test_a_lock_ends_with_the_process_that_held_it(files, tmp_path):
    path = tmp_path / "owner.lock"
    code = f"from haulier.files import Files; lock = Files().lock_file({str(path)!r}); print(1, flush=True); input()"
    with subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as owner:
        assert owner.stdout.readline() == b"1\n"
        assert files.is_locked(path)
        owner.kill()
        owner.wait()
    assert not files.is_locked(path)


def test_a_private_folder_is_closed_to_others_and_an_existing_one_stays_as_it_is(files, tmp_path):
    state = tmp_path / "parents" / "state"
    assert files.make_private_dir(state) == str(state)
    assert stat.S_IMODE(state.stat().st_mode) == 0o700
    state.chmod(0o750)
    files.make_private_dir(state)
    assert stat.S_IMODE(state.stat().st_mode) == 0o750


def test_a_private_file_is_closed_to_others_and_takes_the_place_of_an_old_one(files, tmp_path):
    path = tmp_path / "token"
    path.write_text("old")
    path.chmod(0o644)
    files.write_private(path, b"new")
    assert path.read_bytes() == b"new"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert list(tmp_path.iterdir()) == [path]


def test_a_private_file_stays_as_it_is_when_it_may_not_be_replaced(files, tmp_path):
    path = tmp_path / "secret.key"
    files.write_private(path, b"first", over=False)
    with pytest.raises(FileExistsError):
        files.write_private(path, b"second", over=False)
    assert path.read_bytes() == b"first"
    assert list(tmp_path.iterdir()) == [path]


def test_a_private_file_that_cannot_be_synced_leaves_the_old_one_and_nothing_else(tmp_path):
    class FullDisk(PosixSystem):
        def fsync_file(self, fd):
            raise OSError(errno.ENOSPC, "no space left on device")

    path = tmp_path / "token"
    path.write_text("old")
    with pytest.raises(OSError, match="no space"):
        Files(FullDisk()).write_private(path, b"new")
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_syncing_a_file_and_its_folder(files, tmp_path):
    with (tmp_path / "a").open("wb") as stream:
        files.fsync_file(stream.fileno())
    files.fsync_folder(tmp_path)
    with pytest.raises(FileNotFoundError):
        files.fsync_folder(tmp_path / "gone")


def test_free_space_is_what_the_volume_says(files, tmp_path):
    assert 0 <= files.free_bytes(tmp_path) <= os.statvfs(tmp_path).f_frsize * os.statvfs(tmp_path).f_blocks
