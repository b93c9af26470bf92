"""The filesystem backend on a local disk: crashes, hostile keys, and what the operating system may refuse."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
from pathlib import Path

import pytest

from haulier.backends.api import Answer, Outcome
from haulier.backends.filesystem import FilesystemBackend, FilesystemOptions
from haulier.backends.local_disk import LocalDisk
from haulier.errors import (
    CancelledError,
    ConflictError,
    IntegrityError,
    NetworkError,
    OffsetError,
    PermissionDeniedError,
    QuotaError,
    ServerError,
    ValidationError,
)
from haulier.models import Proof

MEDIA = bytes(range(45))
SIDECAR = b'{"case": 1}'


class Killed(BaseException):
    """The process ends here."""


class ScriptedDisk(LocalDisk):
    """Notes its calls, and fails or dies at one of them."""

    def __init__(self, fail=None, die_at=None, flip=False):
        super().__init__()
        self.calls = []
        self.fail = fail or {}
        self.die_at = die_at
        self.flip = flip

    def _note(self, name, path=""):
        if len(self.calls) == self.die_at:
            raise Killed(name)
        self.calls.append((name, os.fspath(path)))
        if name in self.fail:
            number = self.fail[name]
            raise OSError(number, os.strerror(number), path)

    def make_folder(self, path):
        self._note("make_folder", path)
        return super().make_folder(path)

    def is_folder(self, path):
        self._note("is_folder", path)
        return super().is_folder(path)

    def file_size(self, path):
        self._note("file_size", path)
        return super().file_size(path)

    def open_for_writing(self, path, *, create):
        self._note("open_for_writing", path)
        return super().open_for_writing(path, create=create)

    def open_for_reading(self, path):
        self._note("open_for_reading", path)
        return super().open_for_reading(path)

    def write(self, file, block):
        self._note("write")
        return super().write(file, block[:6])

    def readinto(self, file, block):
        self._note("readinto")
        count = super().readinto(file, block)
        if self.flip and count:
            block[0] ^= 1
        return count

    def sync_file(self, file):
        self._note("sync_file")
        super().sync_file(file)

    def sync_folder(self, path):
        self._note("sync_folder", path)
        super().sync_folder(path)

    def rename_no_replace(self, source, target):
        self._note("rename", target)
        super().rename_no_replace(source, target)
        self._note("renamed", target)

    def remove(self, path):
        self._note("remove", path)
        return super().remove(path)

    def entries(self, path):
        self._note("entries", path)
        return super().entries(path)


@pytest.fixture
def root(tmp_path):
    return tmp_path / "archive"


def folder(root, disk=None, platform="linux", **options):
    return FilesystemBackend("archive", FilesystemOptions(str(root), **options), disk=disk, platform=platform)


def everything_below(path):
    return sorted(found.relative_to(path).as_posix() for found in path.rglob("*") if not found.is_dir())


# -- crashes -----------------------------------------------------------------------------------------------------


def steps_of_an_upload(root, drive_for):
    disk = ScriptedDisk()
    drive_for(folder(root, disk), MEDIA, SIDECAR).run()
    return len(disk.calls)


def test_killed_at_any_call_to_the_disk_it_is_finished_by_the_next_process(root, drive_for, tmp_path):
    for step in range(steps_of_an_upload(tmp_path / "undisturbed", drive_for)):
        place = tmp_path / f"killed-at-{step}"
        drive = drive_for(folder(place, ScriptedDisk(die_at=step)), MEDIA, SIDECAR)
        with pytest.raises(Killed):
            drive.run()
        if drive.token is None:
            drive_for(folder(place), MEDIA, SIDECAR).run()
        else:
            later = folder(place)
            settled = later.settle(drive.upload, drive.token, drive.context)
            after = drive.resume(later)
            after.finish()
            assert not set(drive.sent) & set(after.sent)
            if settled.outcome is Outcome.PRESENT:
                assert not after.sent
        assert everything_below(place) == ["2026/a.json", "2026/a.mp4"]
        assert (place / "2026/a.mp4").read_bytes() == MEDIA
        assert (place / "2026/a.json").read_bytes() == SIDECAR


def test_killed_at_any_call_a_visible_media_file_is_whole_and_has_its_sidecar(drive_for, tmp_path):
    for step in range(steps_of_an_upload(tmp_path / "undisturbed", drive_for)):
        place = tmp_path / f"killed-at-{step}"
        with pytest.raises(Killed):
            drive_for(folder(place, ScriptedDisk(die_at=step)), MEDIA, SIDECAR).run()
        if (place / "2026/a.mp4").exists():
            assert (place / "2026/a.mp4").read_bytes() == MEDIA
            assert (place / "2026/a.json").read_bytes() == SIDECAR


def test_invariant_5_each_part_is_synced_before_it_is_acknowledged(root, drive_for):
    disk = ScriptedDisk()
    drive = drive_for(folder(root, disk), MEDIA).open()
    for part in drive.parts():
        drive.send(part)
        assert disk.calls[-1][0] == "sync_file"


def test_invariant_3_names_are_synced_up_to_the_root_after_the_rename(root, drive_for):
    disk = ScriptedDisk()
    drive_for(folder(root, disk), MEDIA, keys=("2026/11/a.mp4",)).run()
    renamed = next(index for index, (name, _) in enumerate(disk.calls) if name == "renamed")
    before = [name for name, _ in disk.calls[:renamed]]
    assert "sync_file" in before[len(before) - before[::-1].index("write") :]
    after = [path for name, path in disk.calls[renamed:] if name == "sync_folder"]
    assert after[:3] == [str(root / "2026/11"), str(root / "2026"), str(root)]


def test_resume_may_cut_back(root, drive_for):
    drive = drive_for(folder(root), MEDIA).open()
    parts = drive.parts()
    for part in parts[:3]:
        drive.send(part)
    drive.send(parts[1])
    assert folder(root).held(drive.upload, drive.token, drive.context).prefixes == {0: 20}
    drive.finish()
    assert (root / "2026/a.mp4").read_bytes() == MEDIA


def test_a_part_behind_the_end_says_where_the_end_is(root, drive_for):
    drive = drive_for(folder(root), MEDIA).open()
    with pytest.raises(OffsetError) as caught:
        drive.send(drive.parts()[2])
    assert caught.value.held.prefixes == {0: 0}


def test_a_cancelled_part_stops_at_once(root, drive_for):
    drive = drive_for(folder(root), MEDIA).open()
    part = drive.parts()[0]
    body = drive.body(part, on_read=lambda _: drive.context.cancel())
    with pytest.raises(CancelledError):
        drive.backend.send(drive.upload, drive.token, part, body, drive.context)


# -- proof -------------------------------------------------------------------------------------------------------


def test_invariant_3_what_was_read_back_is_the_proof(root, drive_for, sha256):
    stored = drive_for(folder(root), MEDIA, SIDECAR).run()
    assert [entry.digests for entry in stored] == [{"sha256": sha256(MEDIA)}, {"sha256": sha256(SIDECAR)}]
    assert stored[0].location == str(root / "2026/a.mp4")
    assert folder(root).abilities.proof is Proof.CONTENT


def test_invariant_3_a_byte_that_flipped_on_the_disk_is_found_before_the_file_is_visible(root, drive_for):
    drive = drive_for(folder(root), MEDIA, SIDECAR).open().send_some()
    partial = next(path for path in (root / ".haulier-partial").iterdir() if path.name.endswith("-0"))
    damaged = bytearray(partial.read_bytes())
    damaged[20] ^= 1
    partial.write_bytes(damaged)
    with pytest.raises(IntegrityError):
        drive.commit()
    assert not (root / "2026").exists()
    drive.resume(folder(root)).finish()
    assert (root / "2026/a.mp4").read_bytes() == MEDIA


def test_a_byte_that_flips_while_it_is_read_back_is_found(root, drive_for):
    with pytest.raises(IntegrityError):
        drive_for(folder(root, ScriptedDisk(flip=True)), MEDIA).run()


def test_without_reading_back_it_claims_sizes_only(root, drive_for):
    backend = folder(root, ScriptedDisk(fail={"open_for_reading": errno.EIO}), read_back=False)
    stored = drive_for(backend, MEDIA).run()
    assert (backend.abilities.proof, stored[0].size, stored[0].digests) == (Proof.SIZE, 45, {})


def test_invariant_4_two_writers_who_commit_at_once_do_not_overwrite_each_other(root, drive_for):
    """The other's file appears between the look and the rename."""

    class LateGuest(LocalDisk):
        def rename_no_replace(self, source, target):
            Path(target).write_bytes(b"theirs")
            super().rename_no_replace(source, target)

    drive = drive_for(folder(root, LateGuest()), MEDIA)
    with pytest.raises(ConflictError):
        drive.run()
    assert (root / "2026/a.mp4").read_bytes() == b"theirs"
    assert folder(root).settle(drive.upload, drive.token, drive.context).outcome is Outcome.ABSENT


# -- keys --------------------------------------------------------------------------------------------------------

HOSTILE = [
    "../a.mp4",
    "2026/../../a.mp4",
    "/etc/a.mp4",
    "C:/a.mp4",
    "c:a.mp4",
    "2026\\..\\a.mp4",
    "2026//a.mp4",
    "2026/",
    "./a.mp4",
    "",
    "2026/a\n.mp4",
    "2026/a\x00.mp4",
    "2026/a\x85.mp4",
    "CON",
    "2026/nul.mp4",
    "com1.txt/a.mp4",
    "LPT¹.mp4",
    "2026/a.mp4.",
    "2026/a.mp4 ",
    "2026 /a.mp4",
    ".haulier-partial/a.mp4",
    ".HAULIER-Partial/a.mp4",
    "2026/" + "ä" * 128,
]


@pytest.mark.parametrize("key", HOSTILE)
def test_hostile_keys_are_refused_by_every_method(root, drive_for, context, key):
    backend = folder(root)
    drive_for(backend, MEDIA).run()
    attempts = (
        lambda: drive_for(backend, MEDIA, keys=(key,)).open(),
        lambda: backend.stat(key, context),
        lambda: backend.read(key, context),
        lambda: backend.delete(key, context),
    )
    for attempt in attempts:
        with pytest.raises(ValidationError):
            attempt()
    assert everything_below(root.parent) == ["archive/2026/a.mp4"]


@pytest.mark.parametrize("key", ["2026/a:b.mp4", "2026/what?.mp4", '2026/"a".mp4'])
def test_some_characters_are_refused_on_windows_alone(root, drive_for, key):
    with pytest.raises(ValidationError, match="Windows"):
        drive_for(folder(root, platform="win32"), MEDIA, keys=(key,)).open()
    drive_for(folder(root), MEDIA, keys=(key,)).run()
    assert (root / key).read_bytes() == MEDIA


@pytest.mark.parametrize("key", ["a", "x/y/z/ä.mp4", "console.mp4", "2026/[1]*.mp4", "comet/com10.mp4", "a..b"])
def test_ordinary_keys_are_taken(root, drive_for, key):
    drive_for(folder(root), MEDIA, keys=(key,)).run()
    assert everything_below(root) == [key]


def test_a_link_does_not_lead_out_of_the_root(root, drive_for, tmp_path, context):
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "a.mp4").write_bytes(b"secret")
    root.mkdir()
    (root / "2026").symlink_to(outside)
    backend = folder(root)
    for attempt in (
        lambda: drive_for(backend, MEDIA).open(),
        lambda: backend.read("2026/a.mp4", context),
        lambda: backend.delete("2026/a.mp4", context),
    ):
        with pytest.raises(ValidationError, match="out of the root"):
            attempt()
    assert everything_below(outside) == ["a.mp4"]
    assert list(backend.list("", context)) == []


def test_a_link_within_the_root_is_followed(root, drive_for):
    (root / "real").mkdir(parents=True)
    (root / "2026").symlink_to("real")
    drive_for(folder(root), MEDIA).run()
    assert (root / "real/a.mp4").read_bytes() == MEDIA


def test_a_link_under_the_key_is_something_else(root, drive_for, tmp_path):
    precious = tmp_path / "precious"
    precious.write_bytes(MEDIA)
    (root / "2026").mkdir(parents=True)
    (root / "2026/a.mp4").symlink_to(precious)
    with pytest.raises(ConflictError):
        drive_for(folder(root), MEDIA).run()
    assert precious.read_bytes() == MEDIA


def test_the_folder_for_unfinished_uploads_is_no_link(root, drive_for, tmp_path):
    root.mkdir()
    (root / ".haulier-partial").symlink_to(tmp_path)
    with pytest.raises(ValidationError, match="link"):
        drive_for(folder(root), MEDIA).open()


def test_a_file_where_a_folder_is_needed_is_a_conflict(root, drive_for):
    root.mkdir()
    (root / "2026").write_bytes(b"theirs")
    with pytest.raises(ConflictError):
        drive_for(folder(root), MEDIA).run()
    assert (root / "2026").read_bytes() == b"theirs"


@pytest.mark.parametrize(("platform", "folds"), [("linux", False), ("win32", True), ("darwin", True)])
def test_case_folding_is_declared(root, platform, folds):
    assert folder(root, platform=platform).abilities.case_folding is folds


# -- refusals ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("call", "number", "expected"),
    [
        ("write", errno.ENOSPC, QuotaError),
        ("sync_file", errno.EDQUOT, QuotaError),
        ("open_for_writing", errno.EACCES, PermissionDeniedError),
        ("make_folder", errno.EPERM, PermissionDeniedError),
        ("open_for_writing", errno.EROFS, PermissionDeniedError),
        ("open_for_writing", errno.ENAMETOOLONG, ValidationError),
        ("rename", errno.EXDEV, ValidationError),
        ("rename", errno.ENOTSUP, ValidationError),
        ("open_for_writing", errno.EMFILE, ServerError),
    ],
)
def test_what_the_disk_refuses_is_said_in_our_words(root, drive_for, call, number, expected):
    drive = drive_for(folder(root, ScriptedDisk(fail={call: number})), MEDIA)
    with pytest.raises(expected) as caught:
        drive.run()
    assert str(root) in caught.value.where
    assert caught.value.__cause__.errno == number


@pytest.mark.parametrize("number", [errno.EIO, errno.ESTALE, errno.ENODEV, errno.ENOTCONN, errno.EHOSTDOWN])
@pytest.mark.parametrize("call", ["is_folder", "write", "sync_file", "rename", "sync_folder", "readinto"])
def test_a_disk_that_went_away_suspends_the_backend(root, drive_for, call, number):
    with pytest.raises(NetworkError) as caught:
        drive_for(folder(root, ScriptedDisk(fail={call: number})), MEDIA).run()
    assert not caught.value.reached


def test_a_file_that_another_windows_program_holds_is_tried_again(root, drive_for):
    class Shared(LocalDisk):
        def rename_no_replace(self, source, target):
            error = PermissionError(errno.EACCES, "in use")
            error.winerror = 32
            raise error

    with pytest.raises(ServerError, match="another program"):
        drive_for(folder(root, Shared()), MEDIA).run()


def test_a_full_disk_keeps_what_was_acknowledged(root, drive_for):
    disk = ScriptedDisk()
    drive = drive_for(folder(root, disk), MEDIA).open().send_some(2)
    disk.fail = {"write": errno.ENOSPC}
    with pytest.raises(QuotaError):
        drive.send_some(1)
    later = drive.resume(folder(root))
    later.finish()
    assert later.sent[0].offset >= 20
    assert (root / "2026/a.mp4").read_bytes() == MEDIA


def test_a_root_that_vanished_is_away_and_not_empty(root, drive_for, context):
    drive = drive_for(folder(root), MEDIA).open().send_some(1)
    root.rename(root.with_name("unmounted"))
    backend = folder(root, create=False)
    for attempt in (
        lambda: backend.probe(context),
        lambda: backend.stat("2026/a.mp4", context),
        lambda: backend.list("", context),
        lambda: backend.delete("2026/a.mp4", context),
        lambda: backend.held(drive.upload, drive.token, context),
        lambda: backend.settle(drive.upload, drive.token, context),
        lambda: drive.resume(backend),
        lambda: drive.send(drive.parts()[0]),
        lambda: drive_for(backend, MEDIA).open(),
    ):
        with pytest.raises(NetworkError) as caught:
            attempt()
        assert not caught.value.reached


def test_the_root_is_made_only_when_its_parent_is_there(root, tmp_path, drive_for, context):
    folder(root).probe(context)
    assert not root.exists()
    with pytest.raises(NetworkError, match="missing"):
        drive_for(folder(tmp_path / "no/such/parent"), MEDIA).open()
    drive_for(folder(root), MEDIA).run()


def test_check_tells_each_right(root, context):
    report = folder(root).check(context)
    assert set(report.rights.values()) == {Answer.YES}
    refused = folder(root, ScriptedDisk(fail={"write": errno.EROFS})).check(context)
    assert (refused.rights["write"], refused.rights["read"]) == (Answer.NO, Answer.UNTESTED)
    assert "not allowed" in refused.remarks[0]
    unreadable = folder(root, ScriptedDisk(fail={"readinto": errno.EACCES})).check(context)
    assert (unreadable.rights["read"], unreadable.rights["delete"]) == (Answer.NO, Answer.YES)


# -- objects -----------------------------------------------------------------------------------------------------


def test_listing_is_in_key_order_below_a_prefix(root, drive_for, context):
    keys = ["2026/a/1.mp4", "2026/a.mp4", "2026/ab.mp4", "2025/z.mp4", "b.mp4"]
    for number, key in enumerate(keys):
        drive_for(folder(root), MEDIA, keys=(key,), nonce=f"n{number}").run()
    backend = folder(root)
    assert [entry.key for entry in backend.list("", context)] == sorted(keys)
    assert [entry.key for entry in backend.list("2026/a", context)] == ["2026/a.mp4", "2026/a/1.mp4", "2026/ab.mp4"]
    assert [entry.key for entry in backend.list("2026/a/", context)] == ["2026/a/1.mp4"]
    assert list(backend.list("2024", context)) == []


def test_objects_can_be_read_and_deleted(root, drive_for, context):
    backend = folder(root)
    drive_for(backend, MEDIA).run()
    assert b"".join(backend.read("2026/a.mp4", context)) == MEDIA
    assert backend.delete("2026/a.mp4", context)
    assert not backend.delete("2026/a.mp4", context)
    with pytest.raises(ValidationError):
        backend.read("2026/a.mp4", context)


# -- options -----------------------------------------------------------------------------------------------------


def test_a_file_address_is_a_local_folder(root, drive_for):
    drive_for(FilesystemBackend("archive", FilesystemOptions(f"file://{root}")), MEDIA).run()
    assert (root / "2026/a.mp4").read_bytes() == MEDIA


@pytest.mark.parametrize("url", ["", "archive", "./archive", "file://archive"])
def test_a_relative_path_is_refused(url):
    with pytest.raises(ValueError, match="absolute"):
        FilesystemOptions(url)


@pytest.mark.parametrize("url", ["C:/archive", "C:\\archive", "\\\\server\\share", "~/archive", "file:///archive"])
def test_absolute_paths_of_all_systems_are_local(url):
    assert FilesystemBackend("archive", FilesystemOptions(url)).abilities.proof is Proof.CONTENT


def test_importing_the_backends_is_light():
    code = (
        "import sys, haulier.backends.builtin, haulier.backends.filesystem, haulier.backends.memory;"
        "import haulier.backends.put; print(sorted({'fsspec', 'pydantic', 'requests'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_the_core_registers_its_own_through_the_hook():
    import pluggy

    from haulier.backends import builtin
    from haulier.hooks.spec import PROJECT, HookSpecs

    manager = pluggy.PluginManager(PROJECT)
    manager.add_hookspecs(HookSpecs)
    manager.register(builtin)
    assert [[backend.type for backend in found] for found in manager.hook.register_backends()] == [
        ["filesystem", "memory"]
    ]
