"""The state folder: where it may lie, its key, sealed tokens, who is alive."""

from __future__ import annotations

import os
import stat
import sys

import pytest

from haulier.backends.api import CommitMode, PartsMode, ResumeMode, Token
from haulier.backends.memory import MemoryBackend
from haulier.backends.memory_options import MemoryOptions
from haulier.clock import SystemClock
from haulier.errors import NetworkError, StateFolderError
from haulier.files import Files
from haulier.journal.sqlite import SqliteJournal
from haulier.models import Identity, TaskState
from haulier.service.keys import key_from_template, safe_key
from haulier.service.state import Keys, Owner, open_journal, source_id
from haulier.testing.rig import UploadRig


class Elsewhere(Files):
    """Says that every folder is on a network share, or in a synchronised one."""

    def __init__(self, network=False, synchronised=False):
        super().__init__()
        self._answers = (network, synchronised)

    def is_network_path(self, path):
        return self._answers[0]

    def is_synchronised_folder(self, path):
        return self._answers[1]


@pytest.mark.parametrize("where", [{"network": True}, {"synchronised": True}], ids=["share", "cloud folder"])
def test_a_journal_on_a_share_or_in_a_cloud_folder_is_refused_and_the_default_is_named(tmp_path, where):
    with pytest.raises(StateFolderError) as refused:
        open_journal(tmp_path / "state", Elsewhere(**where))
    assert "--state-dir" in str(refused.value)
    assert "haulier" in refused.value.advice
    assert not (tmp_path / "state").exists()


def test_the_id_of_an_installation_stays(tmp_path):
    journal = open_journal(tmp_path / "state", Files())
    first = source_id(journal)
    journal.close()
    journal = open_journal(tmp_path / "state", Files())
    assert source_id(journal) == first
    journal.close()


def test_the_key_is_made_once_and_readable_by_its_owner_alone(tmp_path):
    first = Keys.load(tmp_path, Files())
    again = Keys.load(tmp_path, Files())
    assert first.secret == again.secret
    if sys.platform != "win32":
        assert stat.S_IMODE((tmp_path / "secret.key").stat().st_mode) == 0o600
    assert [path.name for path in tmp_path.iterdir()] == ["secret.key"]


def test_a_key_store_is_used_when_there_is_one(tmp_path):
    kept = {}

    class Keyring:
        @staticmethod
        def get_password(service, name):
            return kept.get((service, name))

        @staticmethod
        def set_password(service, name, value):
            kept[service, name] = value

    assert Keys.load(tmp_path, Files(), Keyring).secret == Keys.load(tmp_path, Files(), Keyring).secret
    assert not (tmp_path / "secret.key").exists()


def test_a_damaged_key_file_is_an_error_in_words(tmp_path):
    (tmp_path / "secret.key").write_text("no key")
    with pytest.raises(StateFolderError, match="key"):
        Keys.load(tmp_path, Files())


class SecretSessions(MemoryBackend):
    """Its tokens hold an address that grants rights."""

    def open(self, upload, context):
        token, abilities = super().open(upload, context)
        return Token(token.public, {**token.secret, "url": "https://store.example/?signature=LETMEIN"}), abilities


def test_invariant_10_what_grants_rights_is_sealed_in_the_journal_and_opened_again(tmp_path):
    journal = SqliteJournal(tmp_path / "journal.db")
    options = MemoryOptions(parts=PartsMode.SEQUENTIAL, resume=ResumeMode.OFFSET, commit=CommitMode.EXPLICIT)
    backend = SecretSessions("main", options)
    keys = Keys(os.urandom(32))
    rig = UploadRig(journal, backend)
    rig.engine.seal, rig.engine.unseal = keys.seal, keys.unseal
    video = tmp_path / "session.mp4"
    video.write_bytes(b"x" * 5000)
    task = rig.submit(video)
    backend.store.faults.add("send", nth=3, before=NetworkError("reset"))
    rig.work()
    assert rig.row(task).token is not None
    on_disk = b"".join(path.read_bytes() for path in tmp_path.glob("journal.db*"))
    assert b"LETMEIN" not in on_disk
    rig.work_on(60)
    assert rig.row(task).state is TaskState.COMPLETED
    assert backend.store.requests["open"] == 1, "the session went on"
    journal.close()


def test_a_session_sealed_with_a_lost_key_is_opened_anew(tmp_path):
    journal = SqliteJournal(tmp_path / "journal.db")
    backend = SecretSessions("main", MemoryOptions())
    rig = UploadRig(journal, backend)
    video = tmp_path / "session.mp4"
    video.write_bytes(b"x" * 5000)
    task = rig.submit(video)
    rig.engine.seal, rig.engine.unseal = Keys(os.urandom(32)).seal, Keys(os.urandom(32)).unseal
    backend.store.faults.add("send", nth=3, before=NetworkError("reset"))
    rig.work_on(60)
    assert rig.row(task).state is TaskState.COMPLETED
    journal.close()


def test_invariant_1_an_owner_is_alive_while_its_lock_is_held_and_only_then(tmp_path):
    journal = open_journal(tmp_path / "state", Files())
    first = Owner(journal, tmp_path / "state", Files(), SystemClock(), "first")
    second = Owner(journal, tmp_path / "state", Files(), SystemClock(), "second")
    buried = []
    second.bury_the_dead(lambda owner: buried.append(owner) or 0)
    assert buried == []
    first.close()
    second.bury_the_dead(lambda owner: buried.append(owner) or 1)
    assert buried == ["first"]
    second.close()
    journal.close()


@pytest.mark.parametrize(
    ("given", "made"),
    [
        ("a/b.mp4", "a/b.mp4"),
        ("/etc/passwd", "etc/passwd"),
        ("../../x.mp4", "_.._/_.._/x.mp4"),
        ("CON.mp4", "_CON.mp4"),
        ("com1", "_com1"),
        ("name. ", "name. _"),
        ("a:b?.mp4", "a_b_.mp4"),
        ("tab\there", "tab_here"),
        ("C:\\x", "C__x"),
        ("", "_"),
        ("ação.mp4", "ação.mp4"),
        ("bad\udcff.mp4", "bad_udcff.mp4"),
    ],
)
def test_keys_cannot_escape_and_name_no_device(given, made):
    key = safe_key(given)
    assert key == made
    assert ".." not in key.split("/")


def test_a_long_name_keeps_its_suffix():
    key = safe_key("ã" * 300 + ".mp4")
    assert key.endswith(".mp4")
    assert len(key.encode()) <= 200


def test_the_default_key_is_the_same_on_every_machine():
    identity = Identity("here", "/r/one.mp4", 5, 1_729_954_822_000_000_000)
    key = key_from_template("{mtime:%Y/%m/%d}/{id16}/{name}", identity, "one.mp4", "main")
    assert key == f"2024/10/26/{identity.item_id[:16]}/one.mp4"
