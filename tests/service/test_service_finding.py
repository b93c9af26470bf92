"""Where a recording is: receipts found by name, glob, part of a path or digest, and destinations asked about them."""

from __future__ import annotations

from dataclasses import replace

import apsw
import pytest

from haulier import UploadManager
from haulier.errors import InputError, TaskNotFoundError
from haulier.journal.memory import MemoryJournal
from haulier.journal.rows import dump
from haulier.journal.sqlite import SqliteJournal, migrations
from haulier.models import Proof, Receipt, ReceiptEntry, Role, Verdict
from haulier.service.finding import find_receipts

SHA = "0123456789abcdef" * 4


def entry(name, key="", role=Role.MEDIA, sha256=SHA):
    return ReceiptEntry(role, name, key or f"2026/11/23/{name}", f"mem://{name}", 3, sha256, Proof.CONTENT)


def receipt(number, source, backend="main", sidecar="", sha256=SHA):
    name = source.replace("\\", "/").rpartition("/")[2]
    artifacts = (entry(name, sha256=sha256), *([entry(sidecar, role=Role.SIDECAR)] if sidecar else []))
    return Receipt(f"upload_{number}", f"{number:064x}", backend, "memory", source, artifacts, 1.0, number, "00")


RECEIPTS = (
    receipt(1, "/rec/rdp_1.mp4", sidecar="rdp_1.json"),
    receipt(2, "/rec/rdp_1.mp4", "archive", sidecar="rdp_1.json"),
    receipt(3, "/rec/rdp_10.mp4", sha256="f" * 64),
    receipt(4, "/other/rec/rdp_1.mp4"),
    receipt(5, "D:\\WATS\\Größe [1].mp4"),
    receipt(6, "/rec/odd_\udcff.mp4"),
    receipt(7, '/rec/it\'s "100%".mp4'),
)


@pytest.fixture(params=["sqlite", "memory"])
def journal(request, tmp_path):
    made = SqliteJournal(tmp_path / "journal.db") if request.param == "sqlite" else MemoryJournal()
    for one in RECEIPTS:
        made.write(lambda tx, one=one: tx.add_receipt(one))
    yield made
    made.close()


@pytest.mark.parametrize(
    ("text", "numbers"),
    [
        ("rdp_1.mp4", [1, 2, 4]),
        ("rdp_10.mp4", [3]),
        ("rdp_1", []),
        ("*rdp_1*", [1, 2, 3, 4]),
        ("rdp_?0.mp4", [3]),
        ("rdp_1[0-9].mp4", [3]),
        ("rdp_1.json", [1, 2]),
        ("/rec/rdp_1.mp4", [1, 2]),
        ("rec/rdp_1.mp4", [1, 2, 4]),
        ("./rec/rdp_1.mp4", [1, 2, 4]),
        ("ec/rdp_1.mp4", []),
        ("/rec/", [1, 2, 3, 6, 7]),
        ("other/rec", [4]),
        ("/rec/*_1.mp4", [1, 2]),
        ("rec/rdp_1?.mp4", [3]),
        ("2026/11/23/rdp_10.mp4", [3]),
        ("Größe [1].mp4", [5]),
        ("WATS\\Größe [1].mp4", [5]),
        ("WATS\\Größe [[]1].mp4", [5]),
        ("D:\\WATS", [5]),
        ("D:\\WATS\\", [5]),
        ("WATS/", [5]),
        ("odd_\udcff.mp4", [6]),
        ('it\'s "100%".mp4', [7]),
        ('*"100%*', [7]),
        ("ffffffff", [3]),
        ("fffffff", []),
        (f"{2:064x}", [2]),
        ("RDP_1.mp4", []),
        ("*", [1, 2, 3, 4, 5, 6, 7]),
    ],
)
def test_a_recording_is_found_by_what_people_know_of_it(journal, text, numbers):
    found = journal.read(lambda tx: find_receipts(tx, text))
    assert [one.number for one in found] == numbers


@pytest.mark.parametrize("text", ["", "/", "./"])
def test_nothing_to_look_for_is_said(journal, text):
    with pytest.raises(InputError, match="nothing to look for"):
        journal.read(lambda tx: find_receipts(tx, text))


def test_receipts_of_an_older_journal_are_found_by_name(tmp_path):
    path = tmp_path / "journal.db"
    before = [step for step in migrations() if step[0] < 4]
    SqliteJournal(path, steps=before).close()
    connection = apsw.Connection(str(path))
    for one in RECEIPTS:
        body = dump(one.to_dict()).encode("utf-8", "surrogatepass")
        given = body if one.number == 6 else body.decode()
        values = (one.number, one.task, one.item_id, one.backend, given)
        connection.execute("INSERT INTO receipt (number, task, item_id, backend, body) VALUES (?,?,?,?,?)", values)
    connection.close()
    journal = SqliteJournal(path)
    try:
        named = {
            name: [one.number for one in journal.read(lambda tx, name=name: tx.receipts_named(name))]
            for name in ("rdp_1.mp4", "Größe [1].mp4")
        }
        assert named == {"rdp_1.mp4": [1, 2, 4], "Größe [1].mp4": [5]}
        assert [one.number for one in journal.read(lambda tx: find_receipts(tx, "odd_\udcff.mp4"))] == [6]
        assert journal.check() == []
    finally:
        journal.close()


def test_the_manager_finds_and_verifies_in_all_backends(tmp_path):
    folders = [tmp_path / "one", tmp_path / "two"]
    tables = {folder.name: {"type": "filesystem", "url": str(folder)} for folder in folders}
    upload = {"backend": "one", "also": ["two"], "state_dir": str(tmp_path / "state")}
    video = tmp_path / "session.mp4"
    video.write_bytes(b"content")
    with UploadManager.open({"upload": upload, "backends": tables}) as uploads:
        task = uploads.submit(video)
        for one in uploads.tasks(group=task.group):
            uploads.wait(one, timeout=20)
        found = uploads.find_receipts("session.mp4")
        assert {one.backend for one in found} == {"one", "two"}
        assert {one.verdict for one in uploads.verify(found)} == {Verdict.SAME}
        next(folders[1].rglob("session.mp4")).write_bytes(b"another")
        assert {one.receipt.backend: one.verdict for one in uploads.verify(found, read=True)} == {
            "one": Verdict.SAME,
            "two": Verdict.DIFFERS,
        }
        (unknown,) = uploads.verify([replace(found[0], backend="gone")])
        assert unknown.verdict is Verdict.CANNOT_TELL
        group = uploads.group(task)
        assert group.may_go
        assert [(one.backend, one.proof) for one in group.members] == [("one", Proof.CONTENT), ("two", Proof.CONTENT)]
        with pytest.raises(TaskNotFoundError):
            uploads.group("upload_0")
