"""Invariant 3: what users are told, of progress and of proof, happened before."""

from __future__ import annotations

import threading
from dataclasses import replace

import pytest

from haulier.backends.api import CommitMode, PartsMode, ResumeMode
from haulier.backends.memory import MemoryBackend
from haulier.backends.memory_options import MemoryOptions
from haulier.errors import NetworkError
from haulier.models import Proof, TaskState
from haulier.testing.rig import UploadRig
from haulier.transfer.ledger import chain_hash

SEQUENTIAL = {"parts": PartsMode.SEQUENTIAL, "resume": ResumeMode.OFFSET}
WHOLE = {"parts": PartsMode.WHOLE, "resume": ResumeMode.NONE}


def there(backend):
    """Bytes that the destination has, of all sessions."""
    sessions = backend.store.sessions.values()
    return sum(piece.size for one in sessions for got in one.artifacts.values() for piece in got.pieces.values())


@pytest.mark.parametrize("mode", [{}, SEQUENTIAL, WHOLE], ids=["parallel", "sequential", "whole"])
def test_invariant_3_acknowledged_bytes_are_at_the_destination(journal, record, mode):
    backend = MemoryBackend("main", MemoryOptions(**mode))
    backend.store.faults.add("send", part=5, keep=300, after=NetworkError("reset"))
    rig = UploadRig(journal, backend)
    told = []
    counting = threading.Lock()

    def tell(events):
        with counting:
            told.extend((event.acknowledged, there(backend), event.sent) for event in events)

    rig.workers.tell = tell
    task = rig.submit(record())
    rig.work_on(60)
    assert rig.row(task).state is TaskState.COMPLETED
    assert told
    assert [claim for claim in told if claim[0] > claim[1]] == []
    assert [claim for claim in told if claim[0] > claim[2]] == []


@pytest.mark.parametrize("commit", list(CommitMode))
def test_invariant_3_a_task_is_never_done_to_a_hundred_percent_before_its_receipt(journal, record, commit):
    backend = MemoryBackend("main", MemoryOptions(**SEQUENTIAL, commit=commit))
    rig = UploadRig(journal, backend)
    task = rig.submit(record(size=10 * 1024))
    seen = []
    backend.store.faults.add("commit", when=lambda _: seen.append(rig.row(task).snapshot().progress))
    rig.work()
    assert seen[0] in range(85, 100)
    assert rig.row(task).snapshot().progress == 100


@pytest.mark.parametrize("proof", list(Proof))
def test_invariant_3_a_receipt_claims_what_was_shown_and_no_more(journal, record, proof):
    rig = UploadRig(journal, MemoryBackend("main", MemoryOptions(proof=proof)))
    task = rig.submit(record())
    rig.work()
    assert rig.receipt(task).proof is proof


def test_invariant_3_another_size_at_the_destination_is_never_called_completed(journal, record):
    backend = MemoryBackend("main", MemoryOptions(proof=Proof.SIZE))
    rig = UploadRig(journal, backend)
    task = rig.submit(record())
    write = backend.store.write
    backend.store.write = lambda new: write(replace(new, size=new.size - 1))
    rig.work_on(60)
    assert rig.row(task).state is TaskState.FAILED
    assert rig.receipt(task) is None


def test_invariant_3_a_receipt_cannot_be_forged_without_the_key(journal, record):
    rig = UploadRig(journal, MemoryBackend("main", MemoryOptions()))
    tasks = [rig.submit(record(f"{number}.mp4")) for number in range(2)]
    rig.work()
    first, second = (rig.receipt(task) for task in tasks)
    assert first.chain == chain_hash(b"key", "", replace(first, chain=""))
    assert second.chain == chain_hash(b"key", first.chain, replace(second, chain=""))
    assert second.chain not in {chain_hash(key, first.chain, replace(second, chain="")) for key in (b"", b"yek")}
    assert second.chain != chain_hash(b"key", "", replace(second, chain="")), "it stands on the one before"
