"""The filesystem backend on addresses that only fsspec reaches."""

from __future__ import annotations

import threading
from typing import ClassVar

import fsspec
import pytest
from fsspec.implementations.memory import MemoryFileSystem
from fsspec.spec import AbstractFileSystem

from haulier.backends.api import Answer, IfAbsent, PartsMode
from haulier.backends.filesystem import FilesystemBackend, FilesystemOptions
from haulier.config.secrets import Secret
from haulier.errors import (
    ConfigError,
    ConflictError,
    IntegrityError,
    NetworkError,
    PermissionDeniedError,
    QuotaError,
    SessionLostError,
    ValidationError,
)
from haulier.models import Proof

MEDIA = bytes(range(45))
SIDECAR = b'{"case": 1}'


class ScriptedFileSystem(MemoryFileSystem):
    """A memory file system that does not mind its store being swapped, and fails where told."""

    protocol = "scripted"
    fail: ClassVar[dict] = {}
    cut = None

    @classmethod
    def _strip_protocol(cls, path):
        return super()._strip_protocol(path.removeprefix("scripted://"))

    def _open(self, path, mode="rb", **kwargs):
        if mode in self.fail:
            raise self.fail[mode]
        file = super()._open(path, mode, **kwargs)
        if self.cut is not None and mode == "wb":
            file.write = lambda data: type(file).write(file, data[: self.cut])
        return file

    def info(self, path, **kwargs):
        if "info" in self.fail:
            raise self.fail["info"]
        return super().info(path, **kwargs)


@pytest.fixture
def system():
    """A file-system class of this test alone, known as ``scripted://``."""
    own = type("Own", (ScriptedFileSystem,), {"store": {}, "pseudo_dirs": [""], "fail": {}})
    fsspec.register_implementation("scripted", own, clobber=True)
    return own


def remote(**options):
    return FilesystemBackend("archive", FilesystemOptions("scripted://archive", **options))


def stored_keys(system):
    return sorted(path.removeprefix("/archive/") for path in system.store)


def test_it_claims_what_it_can_keep(system):
    abilities = remote().abilities
    assert (abilities.parts, abilities.if_absent) == (PartsMode.WHOLE, IfAbsent.CHECK_THEN_WRITE)
    assert (abilities.proof, remote(read_back=True).abilities.proof) == (Proof.SIZE, Proof.CONTENT)


def test_names_with_brackets_and_stars_are_no_patterns(system, drive_for):
    drive_for(remote(), MEDIA, keys=("2026/a1.mp4",)).run()
    drive_for(remote(), MEDIA[::-1], item="b" * 64, keys=("2026/a[12]*.mp4",)).run()
    assert system.store["/archive/2026/a[12]*.mp4"].getvalue() == MEDIA[::-1]
    assert system.store["/archive/2026/a1.mp4"].getvalue() == MEDIA


def test_where_nothing_can_be_moved_files_are_written_at_once(system, drive_for):
    system.cp_file = AbstractFileSystem.cp_file
    stored = drive_for(remote(), MEDIA, SIDECAR).run()
    assert [entry.size for entry in stored] == [45, 11]
    assert stored_keys(system) == ["2026/a.json", "2026/a.mp4"]


def test_where_nothing_can_be_moved_others_files_still_stay(system, drive_for):
    system.cp_file = AbstractFileSystem.cp_file
    system().pipe_file("/archive/2026/a.mp4", b"theirs")
    with pytest.raises(ConflictError):
        drive_for(remote(), MEDIA).run()
    assert system.store["/archive/2026/a.mp4"].getvalue() == b"theirs"
    system().pipe_file("/archive/2026/a.mp4", MEDIA)
    drive_for(remote(), MEDIA).run()


def test_a_file_that_arrived_short_is_not_committed(system, drive_for):
    system.cut = 20
    with pytest.raises(IntegrityError, match="20 of 45"):
        drive_for(remote(), MEDIA).run()
    assert not [key for key in stored_keys(system) if key.startswith("2026")]


def test_reading_back_finds_other_content_and_does_not_leave_it(system, drive_for):
    drive = drive_for(remote(read_back=True), MEDIA).open().send_some()
    partial = next(path for path in system.store if ".haulier-partial" in path)
    system().pipe_file(partial, MEDIA[::-1])
    with pytest.raises(IntegrityError):
        drive.commit()
    assert stored_keys(system) == []


def test_a_write_that_fails_leaves_nothing(system, drive_for):
    drive = drive_for(remote(), MEDIA).open()

    def fail(_):
        raise ValidationError("the source said no")

    part = drive.parts()[0]
    with pytest.raises(ValidationError):
        drive.backend.send(drive.upload, drive.token, part, drive.body(part, on_read=fail), drive.context)
    assert stored_keys(system) == []


def test_a_commit_without_its_partial_file_is_a_lost_session(system, drive_for):
    drive = drive_for(remote(), MEDIA).open()
    with pytest.raises(SessionLostError):
        drive.commit()


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (PermissionError("denied"), PermissionDeniedError),
        (OSError(28, "No space left on device"), QuotaError),
        (ConnectionResetError("reset"), NetworkError),
    ],
)
def test_errors_while_writing_are_said_in_our_words(system, drive_for, error, expected):
    system.fail["wb"] = error
    with pytest.raises(expected) as caught:
        drive_for(remote(), MEDIA).run()
    assert caught.value.where.startswith("scripted://archive")


def test_only_a_proven_absence_is_one(system, context):
    system.fail["info"] = ConnectionRefusedError("refused")
    with pytest.raises(NetworkError) as caught:
        remote().stat("2026/a.mp4", context)
    assert not caught.value.reached


def test_a_missing_root_is_waited_for_when_it_may_not_be_made(system, context):
    remote().probe(context)
    with pytest.raises(NetworkError, match="missing"):
        remote(create=False).probe(context)


def test_check_tells_each_right(system, context):
    assert set(remote().check(context).rights.values()) == {Answer.YES}
    system.fail["wb"] = PermissionError("denied")
    report = remote().check(context)
    assert (report.rights["write"], report.rights["delete"]) == (Answer.NO, Answer.UNTESTED)


def test_objects_can_be_listed_read_and_deleted(system, drive_for, context):
    backend = remote()
    drive_for(backend, MEDIA, SIDECAR).run()
    drive_for(backend, MEDIA, keys=("2027/b.mp4",)).open().send_some()
    assert [entry.key for entry in backend.list("2026/a", context)] == ["2026/a.json", "2026/a.mp4"]
    assert [entry.key for entry in backend.list("", context)] == ["2026/a.json", "2026/a.mp4"]
    assert list(backend.list("2028/", context)) == []
    assert b"".join(backend.read("2026/a.mp4", context)) == MEDIA
    assert backend.delete("2026/a.mp4", context)
    assert not backend.delete("2026/a.mp4", context)
    with pytest.raises(ValidationError):
        backend.read("2026/a.mp4", context)
    with pytest.raises(ConflictError):
        backend.stat("2026", context)


@pytest.mark.parametrize("key", ["../a.mp4", "/a.mp4", "2026/nul.mp4", ".haulier-partial/x"])
def test_hostile_keys_are_refused(system, drive_for, key):
    with pytest.raises(ValidationError):
        drive_for(remote(), MEDIA, keys=(key,)).open()


def test_an_unknown_protocol_is_a_matter_of_configuration(context):
    with pytest.raises(ConfigError, match="cannot use this address"):
        FilesystemBackend("archive", FilesystemOptions("nosuch://host/folder")).probe(context)


def test_a_missing_package_is_named(context):
    fsspec.register_implementation(
        "lacking", "no_such_package.FileSystem", errtxt="Install no_such_package", clobber=True
    )
    with pytest.raises(ConfigError, match="no_such_package"):
        FilesystemBackend("archive", FilesystemOptions("lacking://host/folder")).probe(context)


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("nosuch://user:pa$$word@host/folder", "nosuch://host/folder"),
        ("nosuch://user:pa/word@host/folder", "nosuch://host/folder"),
        ("nosuch://user@host:22/a@b", "nosuch://host:22/a@b"),
        ("nosuch://bucket/a@b", "nosuch://bucket/a@b"),
        ("nosuch://host/folder?token=abc", "nosuch://host/folder"),
    ],
)
def test_addresses_are_shown_without_credentials(url, shown, context):
    with pytest.raises(ConfigError) as caught:
        FilesystemBackend("archive", FilesystemOptions(url)).probe(context)
    assert caught.value.where == shown
    assert "word" not in str(caught.value)


def test_options_and_secrets_reach_the_file_system_and_are_not_shown(system, context):
    given = {}

    def note(self, *args, **options):
        given.update(options)
        MemoryFileSystem.__init__(self)

    system.__init__ = note
    options = FilesystemOptions("scripted://x", options={"port": 22}, secrets={"password": Secret("hunter2")})
    FilesystemBackend("archive", options).probe(context)
    assert (given["port"], given["password"]) == (22, "hunter2")
    assert "hunter2" not in repr(options)


def test_half_a_character_is_refused_before_anything_is_asked(system, drive_for):
    with pytest.raises(ValidationError, match="half a character"):
        drive_for(remote(), MEDIA, keys=("2026/cl\udc80ip.mp4",)).open()


def test_closing_closes_the_connections_of_every_thread(system, context):
    class Connection:
        closed = 0

        def close(self):
            type(self).closed += 1

    Connection.__module__ = "ftplib"

    def connect(self, *args, **options):
        MemoryFileSystem.__init__(self)
        self.ftp = Connection()

    system.__init__ = connect
    backend = remote()
    threads = [threading.Thread(target=backend.probe, args=(context,)) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    backend.close()
    backend.close()
    assert Connection.closed == 3


def test_a_folder_that_another_made_in_between_is_no_failure(system, drive_for):
    make, lost = system.makedirs, []

    def makedirs(self, path, exist_ok=False):
        if len(lost) < 2:
            lost.append(path)
            raise OSError("File exists")
        make(self, path, exist_ok)

    system.makedirs = makedirs
    drive_for(remote(), MEDIA).run()
    assert len(lost) == 2
