"""The memory backend: every mode of the contract, and its scripted faults."""

from __future__ import annotations

import itertools
import threading

import pytest
from pydantic import TypeAdapter
from pydantic import ValidationError as PydanticError

from haulier.backends.api import Held, Outcome
from haulier.backends.memory import Gate, MemoryBackend, MemoryOptions, MemoryStore
from haulier.errors import (
    CancelledError,
    ConfigError,
    ConflictError,
    IntegrityError,
    NetworkError,
    OffsetError,
    QuotaError,
    SessionLostError,
    ValidationError,
)

MEDIA = bytes(range(37))
SIDECAR = b'{"case": 1}'
MODES = [
    {"parts": parts, "resume": resume, "commit": commit}
    for parts, resume, commit in itertools.product(
        ("parallel", "sequential", "whole"), ("list", "offset", "none"), ("explicit", "last_part")
    )
    if (parts, resume) != ("parallel", "offset")
]


def memory(store=None, **options):
    return MemoryBackend("archive", MemoryOptions(store=store, **options))


@pytest.mark.parametrize("keep", [True, False], ids=["content", "digests"])
@pytest.mark.parametrize("mode", MODES, ids=lambda mode: "-".join(mode.values()))
def test_every_mode_stores_what_was_sent_and_goes_on_after_a_kill(mode, keep, drive_for, sha256):
    store = MemoryStore(keep_content=keep)
    first = drive_for(memory(store, **mode), MEDIA, SIDECAR).open().send_some(2)
    second = first.resume(memory(store, **mode))
    stored = second.finish()
    assert [entry.size for entry in stored] == [37, 11]
    assert [entry.digests["sha256"] for entry in stored] == [sha256(MEDIA), sha256(SIDECAR)]
    if keep:
        assert (store.content("2026/a.mp4"), store.content("2026/a.json")) == (MEDIA, SIDECAR)
    if first.resumable:
        assert not set(first.sent) & set(second.sent)


def test_parts_may_arrive_in_any_order_without_keeping_content(drive_for, sha256):
    store = MemoryStore(keep_content=False)
    drive = drive_for(memory(store), MEDIA).open()
    for part in reversed(drive.parts()):
        drive.send(part)
    assert drive.commit()[0].digests["sha256"] == sha256(MEDIA)
    assert all(piece.data is None for piece in next(iter(store.sessions.values())).artifacts[0].pieces.values())


def test_a_part_sent_again_replaces_itself(drive_for):
    drive = drive_for(memory(), MEDIA).open()
    damaged = drive_for(drive.backend, b"x" * 37).open()
    damaged.send(damaged.parts()[1])
    drive.send_some()
    drive.commit()
    assert drive.backend.store.content("2026/a.mp4") == MEDIA


def test_a_sequential_destination_says_where_it_stands(drive_for):
    drive = drive_for(memory(parts="sequential", resume="offset"), MEDIA).open().send_some(2)
    skipped = drive.parts()[1]
    with pytest.raises(OffsetError) as caught:
        drive.send(skipped)
    assert caught.value.held == Held(prefixes={0: 20})


def test_a_cut_part_leaves_its_beginning_where_prefixes_are_held(drive_for):
    drive = drive_for(memory(parts="sequential", resume="offset"), MEDIA).open()
    drive.backend.store.faults.add("send", part=2, keep=4)
    drive.send(drive.parts()[0])
    with pytest.raises(OffsetError) as caught:
        drive.send(drive.parts()[0])
    assert caught.value.held.prefixes == {0: 14}
    drive.take(caught.value.held)
    drive.finish()
    assert drive.backend.store.content("2026/a.mp4") == MEDIA


def test_a_cut_part_leaves_nothing_where_parts_are_held(drive_for):
    drive = drive_for(memory(), MEDIA).open()
    drive.backend.store.faults.add("send", part=1, keep=4, after=NetworkError("reset"))
    with pytest.raises(NetworkError):
        drive.send(drive.parts()[0])
    assert drive.backend.held(drive.upload, drive.token, drive.context).parts == {0: {}}
    assert drive.backend.store.bytes_received == {"send": 4}


def test_a_lost_commit_answer_is_settled_by_asking(drive_for):
    drive = drive_for(memory(), MEDIA, SIDECAR).open().send_some()
    drive.backend.store.faults.add("commit", after=NetworkError("silence"))
    assert drive.backend.settle(drive.upload, drive.token, drive.context).outcome is Outcome.ABSENT
    with pytest.raises(NetworkError):
        drive.commit()
    settled = drive.backend.settle(drive.upload, None, drive.context)
    assert settled.outcome is Outcome.PRESENT
    assert drive.backend.held(drive.upload, drive.token, drive.context).stored == settled.stored == drive.commit()
    assert drive.backend.store.requests["commit"] == 2


def test_it_can_be_told_not_to_know(drive_for):
    drive = drive_for(memory(settles=False, proof="acknowledged"), MEDIA)
    stored = drive.run()
    assert (stored[0].size, stored[0].digests) == (None, {})
    assert drive.backend.settle(drive.upload, drive.token, drive.context).outcome is Outcome.UNKNOWN


def test_a_fault_before_the_effect_leaves_nothing(drive_for):
    drive = drive_for(memory(), MEDIA)
    fault = drive.backend.store.faults.add("open", times=2, before=NetworkError("refused", reached=False))
    for _ in range(2):
        with pytest.raises(NetworkError) as caught:
            drive.open()
        assert not caught.value.reached
    assert not drive.backend.store.sessions
    drive.run()
    assert drive.backend.store.faults.struck(fault) == 2


def test_faults_choose_their_calls(drive_for):
    drive = drive_for(memory(), MEDIA, SIDECAR).open()
    faults = drive.backend.store.faults
    faults.add("send", item="someone else", before=NetworkError("no"))
    faults.add("send", when=lambda call: call.artifact == 1, before=NetworkError("sidecar"))
    faults.add("send", artifact=0, nth=3, before=NetworkError("third"))
    parts = drive.parts()
    drive.send(parts[0])
    drive.send(parts[1])
    with pytest.raises(NetworkError, match="third"):
        drive.send(parts[2])
    with pytest.raises(NetworkError, match="sidecar"):
        drive.send(parts[-1])
    faults.clear()
    drive.finish()


def test_a_forgotten_session_is_lost(drive_for):
    drive = drive_for(memory(), MEDIA).open().send_some(1)
    drive.backend.store.faults.add("held", forget=True)
    with pytest.raises(SessionLostError):
        drive.resume(drive.backend)
    drive.backend.abort(drive.upload, drive.token, drive.context)
    drive.run()


def test_a_token_without_its_secret_opens_nothing(drive_for):
    drive = drive_for(memory(), MEDIA).open()
    drive.token = type(drive.token)(drive.token.public)
    with pytest.raises(SessionLostError, match="secret"):
        drive.send_some()


def test_wrong_digests_are_told_to_whoever_compares(drive_for):
    drive = drive_for(memory(), MEDIA).open().send_some()
    drive.backend.store.faults.add("commit", wrong_digests=True)
    told = drive.commit()[0].digests["sha256"]
    assert told != drive.backend.stat("2026/a.mp4", drive.context).digests["sha256"]


def test_a_gate_holds_a_call_until_it_is_released(drive_for):
    drive = drive_for(memory(), MEDIA).open()
    gate = Gate()
    drive.backend.store.faults.add("send", part=1, gate=gate)
    thread = threading.Thread(target=drive.send, args=(drive.parts()[0],))
    thread.start()
    assert gate.wait_reached()
    assert not drive.sent
    gate.release()
    thread.join(30)
    assert len(drive.sent) == 1


def test_a_gate_lets_a_cancelled_call_go(drive_for):
    drive = drive_for(memory(), MEDIA).open()
    gate, raised = Gate(), []
    drive.backend.store.faults.add("send", gate=gate)

    def send():
        try:
            drive.send(drive.parts()[0])
        except CancelledError as error:
            raised.append(error)

    thread = threading.Thread(target=send)
    thread.start()
    assert gate.wait_reached()
    drive.context.cancel()
    thread.join(30)
    assert raised


def test_between_check_and_write_somebody_else_can_come(drive_for):
    """Why ``check_then_write`` is weaker than ``atomic``."""
    drive = drive_for(memory(if_absent="check_then_write"), MEDIA).open().send_some()
    store, gate = drive.backend.store, Gate()
    store.faults.add("write", gate=gate)
    thread = threading.Thread(target=drive.commit)
    thread.start()
    assert gate.wait_reached()
    store.put("2026/a.mp4", b"theirs")
    gate.release()
    thread.join(30)
    assert store.content("2026/a.mp4") == MEDIA


@pytest.mark.parametrize("if_absent", ["atomic", "check_then_write"])
def test_a_conflict_in_one_artifact_leaves_both_alone(if_absent, drive_for):
    drive = drive_for(memory(if_absent=if_absent), MEDIA, SIDECAR).open().send_some()
    drive.backend.store.put("2026/a.json", b"theirs", "somebody")
    with pytest.raises(ConflictError):
        drive.commit()
    assert drive.backend.store.content("2026/a.json") == b"theirs"
    assert drive.backend.store.get("2026/a.mp4") is None


def test_without_protection_it_overwrites(drive_for):
    backend = memory(if_absent="none")
    backend.store.put("2026/a.mp4", b"theirs", "somebody")
    drive_for(backend, MEDIA).run()
    assert backend.store.content("2026/a.mp4") == MEDIA


def test_equal_content_of_another_item_is_as_good(drive_for):
    backend = memory()
    drive_for(backend, MEDIA, item="b" * 64).run()
    stored = drive_for(backend, MEDIA).run()
    assert stored[0].item_id == ""
    assert len(backend.store.objects) == 1


def test_keys_that_differ_in_case_meet_where_the_store_folds(drive_for):
    backend = memory(case_folding=True)
    backend.store.put("2026/A.MP4", b"theirs", "somebody")
    assert backend.abilities.case_folding
    with pytest.raises(ConflictError):
        drive_for(backend, MEDIA).run()


def test_limits_are_kept(drive_for):
    backend = memory(min_part=5, max_part=20, multiple_of=5, max_parts=4, max_object=100)
    with pytest.raises(QuotaError):
        drive_for(backend, bytes(101)).open()
    with pytest.raises(ValidationError, match="too small"):
        drive_for(backend, MEDIA, part_size=3).run()
    with pytest.raises(ValidationError, match="too large"):
        drive_for(backend, MEDIA, part_size=25).run()
    with pytest.raises(ValidationError, match="multiple"):
        drive_for(backend, MEDIA, part_size=12).run()
    with pytest.raises(ValidationError, match="too many"):
        drive_for(backend, bytes(60), part_size=10).run()
    drive_for(backend, MEDIA).run()


def test_part_digests_are_checked(drive_for):
    drive = drive_for(memory(part_digests=frozenset({"md5"})), MEDIA).open()
    part = drive.parts()[0]
    body = drive.body(part)
    body.digest = lambda _: "0" * 32
    with pytest.raises(IntegrityError, match="md5"):
        drive.backend.send(drive.upload, drive.token, part, body, drive.context)
    drive.finish()


def test_commit_compares_with_the_digests_it_is_given(drive_for):
    drive = drive_for(memory(), MEDIA).open().send_some()
    drive.contents[0] = MEDIA[::-1]
    with pytest.raises(IntegrityError):
        drive.commit()
    assert not drive.backend.store.objects


def test_commit_before_everything_is_there_says_what_is_held(drive_for):
    drive = drive_for(memory(parts="sequential", resume="offset"), MEDIA).open().send_some(1)
    with pytest.raises(OffsetError) as caught:
        drive.commit()
    assert caught.value.held.prefixes == {0: 10}


def test_objects_can_be_listed_read_and_deleted(drive_for, context):
    backend = memory()
    drive_for(backend, MEDIA, SIDECAR).run()
    assert [entry.key for entry in backend.list("2026/", context)] == ["2026/a.json", "2026/a.mp4"]
    assert b"".join(backend.read("2026/a.mp4", context)) == MEDIA
    assert backend.delete("2026/a.mp4", context)
    assert not backend.delete("2026/a.mp4", context)
    assert backend.stat("2026/a.mp4", context) is None
    with pytest.raises(ValidationError):
        backend.read("2026/a.mp4", context)


def test_options_validate_from_a_table():
    adapter = TypeAdapter(MemoryOptions)
    options = adapter.validate_python({"parts": "sequential", "resume": "offset", "part_digests": ["md5"]})
    assert MemoryBackend("m", options).abilities.part_digests == {"md5"}
    assert adapter.validate_python({"store": MemoryStore()}).store is not None
    with pytest.raises(PydanticError):
        adapter.validate_python({"store": "there"})
    assert adapter.json_schema()["properties"]["parts"]


def test_options_that_exclude_each_other_are_refused():
    with pytest.raises(ConfigError, match="resume"):
        memory(parts="parallel", resume="offset")
