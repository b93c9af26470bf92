"""Rows for tests of journals, told apart by a number."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from haulier.backends.api import Abilities, CommitMode, IfAbsent, PartsMode, ResumeMode
from haulier.events import UploadQueued
from haulier.journal.api import AbortRow, BackendRow, OwnerRow, PartRow, SealedToken, TaskFilter, TaskRow
from haulier.models import (
    ArtifactRecord,
    Disposal,
    ErrorRecord,
    Identity,
    Proof,
    Receipt,
    ReceiptEntry,
    Role,
    SuspensionReason,
    TaskState,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

    from haulier.journal.api import Transaction

__all__ = [
    "ODD_TEXTS",
    "abort_row",
    "backend_row",
    "everything",
    "full_row",
    "identity",
    "media",
    "owner_row",
    "part_row",
    "queued_event",
    "receipt",
    "sidecar",
    "task_id",
    "task_row",
]

ODD_TEXTS: Mapping[str, str] = {
    "plain": "plain.mp4",
    "accents": "Größe São 録画 \U0001f3a5",
    "undecodable": "rdp_\udcff\udc80.mp4",
    "split pair": "\ud83c\udfa5",  # two surrogates, not the one character they would make together
    "lone high": "\ud800",
    "zero": "a\0b",
    "quotes": 'it\'s "100%" _; --',
    "line ends": "a\r\nb\u2028",
}
"""Text that a file name, or a word of an operating system, may bring."""


def task_id(number: int) -> str:
    """Id of the task with this number."""
    return f"upload_{number:06}"


def identity(number: int) -> Identity:
    """What the task with this number is about."""
    return Identity("here", f"/recordings/{number}.mp4", 1000, 1_700_000_000_000_000_000 + number, f"1:{number}")


def media(number: int) -> ArtifactRecord:
    """The media file of the task with this number."""
    about = identity(number)
    name = f"{number}.mp4"
    return ArtifactRecord(
        0, Role.MEDIA, name, about.path, about.size, about.mtime_ns, about.file_id, f"key/{name}", "video/mp4"
    )


def sidecar(path: str, index: int = 1) -> ArtifactRecord:
    """A sidecar whose content is kept."""
    return ArtifactRecord(index, Role.SIDECAR, "m.json", path, 2, 5, "", "key/m.json", "application/json", b"{}")


def task_row(number: int = 1, **changes: Any) -> TaskRow:
    """A fresh task; ``changes`` are members of its row."""
    fresh = TaskRow(
        id=task_id(number),
        state=TaskState.QUEUED,
        backend="main",
        identity=identity(number),
        group=f"group_{number}",
        artifacts=(media(number),),
        metadata={},
        created_at=1000.0 + number,
        updated_at=1000.0 + number,
    )
    return replace(fresh, **changes)


def full_row(number: int, text: str) -> TaskRow:
    """A task with every member set, ``text`` wherever text goes, numbers at their limits."""
    most = 2**63 - 1
    return TaskRow(
        id=f"{task_id(number)}{text}",
        state=TaskState.RETRYING,
        backend=f"backend {text}",
        identity=Identity(text, f"/recordings/{text}/{number}", most, -most - 1, text),
        group=f"group {text}",
        artifacts=(
            ArtifactRecord(0, Role.MEDIA, text, f"/{text}", most, -1, text, text, text),
            ArtifactRecord(1, Role.SIDECAR, text, f"/s/{text}", 0, most, text, text, text, bytes(range(256))),
        ),
        metadata={text: [text, 2**100, 0.1, None, True, {}], "nested": {"deep": {text: []}}},
        created_at=0.1,
        updated_at=1.7e9 + 0.123456,
        nonce=text,
        token=SealedToken({text: text, "parts": [1, 2]}, b"\x00\xff sealed", 1234.5),
        abilities=Abilities(
            PartsMode.PARALLEL,
            ResumeMode.LIST,
            CommitMode.LAST_PART,
            IfAbsent.ATOMIC,
            frozenset({"md5", "sha1"}),
            frozenset({"sha256"}),
            Proof.CONTENT,
            sidecar_first=True,
            rewinds=True,
            case_folding=True,
            optional=frozenset({"list", "read"}),
        ),
        part_size=most,
        committing=True,
        attempts=3,
        suspicion=2,
        restarts=19,
        not_before=2.5,
        slow_lane=True,
        acknowledged=most,
        high_water=most,
        error=ErrorRecord("server", text, text, text, 99.5),
        disposal=Disposal.KEPT_CHANGED,
        disposal_path=text,
        delete_source=True,
        request=text,
        owner=text,
        epoch=most,
    )


def abort_row(number: int, text: str = "", **changes: Any) -> AbortRow:
    """An owed abort with every member set; ``changes`` are members of it."""
    full = full_row(number, text)
    row = AbortRow(
        backend=f"backend {text}",
        task=full.id,
        item_id=f"item {text}",
        nonce=text,
        artifacts=full.artifacts,
        metadata=full.metadata,
        recorded_at=1.5,
        token=SealedToken({text: text}, b"\x00\xff sealed", 1234.5),
        owed_at=2.5,
        not_before=10.0 + number,
        tries=number,
        owner="",
        error=full.error,
    )
    return replace(row, **changes)


def part_row(number: int, artifact: int = 0, size: int = 10, etag: str = "") -> PartRow:
    """The part with this number, counted from 0."""
    return PartRow(artifact, number, number * size, size, f"{number:064x}", etag)


def receipt(number: int, text: str = "", of_task: str = "") -> Receipt:
    """The receipt with this number in the chain."""
    entry = ReceiptEntry(
        Role.MEDIA, f"{number}.mp4{text}", text, f"mem://{text}", 2**40, "ab" * 32, Proof.SIZE, text, {"md5": text}
    )
    about = identity(number).item_id
    return Receipt(
        of_task or task_id(number), about, "main", "memory", f"/{text}", (entry, entry), 5.5, number, f"{number:064x}"
    )


def backend_row(name: str, text: str = "") -> BackendRow:
    """A suspended backend."""
    error = ErrorRecord("network", text, text, text, 1.5)
    return BackendRow(name, SuspensionReason.CREDENTIALS, 1.5, 2.5, 4.0, error, text, ("upload_1", text), trial=True)


def owner_row(number: int, text: str = "") -> OwnerRow:
    """An owner of leases."""
    return OwnerRow(f"owner{number}{text}", f"/state/owners/{number}{text}.lock", 7.25)


def queued_event(number: int, text: str = "") -> UploadQueued:
    """What is told when the task with this number was submitted."""
    return UploadQueued(at=3.5, backend="main", task=task_id(number), filename=f"{number}.mp4{text}", size=2**40)


def everything(tx: Transaction) -> Mapping[str, Any]:
    """All that a caller can see of a journal, the values named ``a`` and ``b`` among the named ones."""
    rows = tx.tasks(TaskFilter())
    backends = sorted({row.backend for row in rows})
    return {
        "tasks": list(rows),
        "items": [tx.find_item(row.item, row.backend) for row in rows],
        "parts": {row.id: list(tx.parts(row.id)) for row in rows},
        "sidecars": {row.sidecar_path: list(tx.sidecar_users(row.sidecar_path)) for row in rows},
        "ready": {name: list(tx.ready(name, 1e12, 1000)) for name in backends},
        "next": {name: tx.next_time([name]) for name in backends},
        "claims": [tx.claim_of(row.id) for row in rows],
        "flying": {name: tx.flying(name) for name in backends},
        "counts": dict(tx.counts()),
        "events": list(tx.events(0, 1000)),
        "receipts": list(tx.receipts(0, None)),
        "by task": {row.id: tx.receipt(row.id) for row in rows},
        "head": (tx.last_receipt(), tx.chain_head()),
        "aborts": list(tx.aborts()),
        "backends": list(tx.backends()),
        "owners": list(tx.owners()),
        "meta": [tx.meta("a"), tx.meta("b")],
    }
