"""The backend against the reference server, from opening to the bytes on its disk."""

from __future__ import annotations

import hashlib
import json
import threading
from dataclasses import replace

import pytest

from haulier.backends.api import Answer, Held, Outcome, Part, PartsMode
from haulier.errors import (
    AuthenticationError,
    CancelledError,
    ConflictError,
    IntegrityError,
    OffsetError,
    SessionLostError,
    ValidationError,
)
from haulier.models import Proof
from haulier_wats.server import ServerSettings, ServerThread, Tokens

MIB = 1024 * 1024
PART = MIB
VIDEO = bytes(range(256)) * (5 * MIB // 256) + b"odd"


@pytest.fixture
def changes():
    return {}


@pytest.fixture
def data(tmp_path):
    return tmp_path / "store"


@pytest.fixture
def wats(data, token, changes):
    with ServerThread(ServerSettings(data, Tokens([token]), **changes)) as server:
        yield server


@pytest.fixture
def backend(new_backend, wats):
    return new_backend(f"{wats.url}/api")


@pytest.fixture
def upload(new_upload):
    return new_upload(video=VIDEO)


@pytest.fixture
def digests(upload):
    return {
        0: {"sha256": hashlib.sha256(VIDEO).hexdigest()},
        1: {"sha256": hashlib.sha256(upload.sidecar.content).hexdigest()},
    }


@pytest.fixture
def transfer(backend, body, context):
    """Send what is missing, in the order and the parts in which the engine does."""

    def transfer(upload, token, abilities, video=VIDEO, held=None):
        prefixes = held.prefixes if held else {}
        for artifact, content in ((upload.sidecar, upload.sidecar.content), (upload.media, video)):
            size = artifact.size if abilities.parts is PartsMode.WHOLE else PART
            start = prefixes.get(artifact.index, 0)
            for offset in range(start, artifact.size, max(size, 1)) if artifact.size else (0,):
                block = content[offset : offset + size]
                part = Part(artifact.index, offset // PART + 1, offset, len(block))
                backend.send(upload, token, part, body(block), context)

    return transfer


def stored_files(data):
    return {
        str(path): path.read_bytes()
        for path in data.rglob("*")
        if path.is_file() and ".incoming" not in path.parts and path.suffix in {".mp4", ".json"}
    }


def test_an_upload_arrives_with_proof_of_its_content(backend, data, upload, transfer, context, digests):
    token, abilities = backend.open(upload, context)
    assert abilities == backend.abilities
    assert token.expires_at > 0
    transfer(upload, token, abilities)
    stored = backend.commit(upload, token, Held(), digests, context)
    assert [entry.digests["sha256"] for entry in stored] == [digests[0]["sha256"], digests[1]["sha256"]]
    assert [entry.size for entry in stored] == [len(VIDEO), upload.sidecar.size]
    assert {entry.item_id for entry in stored} == {upload.item_id}
    assert sorted(stored_files(data).values()) == sorted([VIDEO, upload.sidecar.content])
    assert backend.commit(upload, token, Held(), digests, context) == stored
    assert [backend.stat(entry.key, context) for entry in stored] == list(stored)


def test_an_upload_without_resuming_arrives_acknowledged(new_backend, wats, data, upload, body, context, digests):
    backend = new_backend(wats.url, resumable="never")
    token, abilities = backend.open(upload, context)
    assert (abilities.parts, abilities.proof) == (PartsMode.WHOLE, Proof.ACKNOWLEDGED)
    backend.send(upload, token, Part(1, 1, 0, upload.sidecar.size), body(upload.sidecar.content), context)
    held = backend.send(upload, token, Part(0, 1, 0, len(VIDEO)), body(VIDEO), context)
    stored = backend.commit(upload, token, held, digests, context)
    assert stored[0].digests == digests[0]
    assert sorted(stored_files(data).values()) == sorted([VIDEO, upload.sidecar.content])


def test_a_generated_sidecar_is_taken(backend, data, new_upload, transfer, context, digests):
    upload = backend.complete(new_upload(video=VIDEO, sidecar=None))
    token, abilities = backend.open(upload, context)
    transfer(upload, token, abilities)
    digests[1] = {"sha256": hashlib.sha256(upload.sidecar.content).hexdigest()}
    backend.commit(upload, token, Held(), digests, context)
    sidecars = [json.loads(content) for name, content in stored_files(data).items() if name.endswith(".json")]
    assert sidecars[0]["generated"] is True


def test_an_upload_goes_on_where_it_stopped(backend, data, upload, body, transfer, context, digests):
    token, abilities = backend.open(upload, context)
    backend.send(upload, token, Part(0, 1, 0, PART), body(VIDEO[:PART]), context)
    again, _ = backend.open(upload, context)
    assert again.public["session_id"] == token.public["session_id"]
    held = backend.held(upload, again, context)
    assert held.prefixes == {0: PART, 1: 0}
    transfer(upload, again, abilities, held=held)
    backend.commit(upload, again, Held(), digests, context)
    assert VIDEO in stored_files(data).values()


def test_a_cancelled_part_leaves_a_session_to_go_on_with(backend, upload, body, new_context, context):
    token, _ = backend.open(upload, context)
    stopped = new_context()
    with pytest.raises(CancelledError):
        backend.send(upload, token, Part(0, 1, 0, len(VIDEO)), body(VIDEO, on_read=stopped.cancel), stopped)
    held = backend.held(upload, token, context)
    assert held.prefixes[1] == 0
    assert held.prefixes[0] <= len(VIDEO)


def test_a_wrong_offset_tells_the_right_one(backend, upload, body, context):
    token, _ = backend.open(upload, context)
    with pytest.raises(OffsetError) as caught:
        backend.send(upload, token, Part(0, 2, PART, PART), body(VIDEO[PART : 2 * PART]), context)
    assert caught.value.held.prefixes == {0: 0}


def test_the_same_item_is_stored_once(backend, data, upload, transfer, body, context, digests):
    token, abilities = backend.open(upload, context)
    transfer(upload, token, abilities)
    first = backend.commit(upload, token, Held(), digests, context)
    again = replace(upload, nonce="n2")
    token, abilities = backend.open(again, context)
    assert backend.held(again, token, context).stored == first
    held = backend.send(again, token, Part(0, 1, 0, PART), body(VIDEO[:PART]), context)
    assert held.stored == first
    assert backend.commit(again, token, Held(), digests, context) == first
    assert len(list(backend.list("", context))) == 2


def test_another_size_under_the_same_item_is_a_conflict(backend, new_upload, upload, transfer, context, digests):
    token, abilities = backend.open(upload, context)
    transfer(upload, token, abilities)
    backend.commit(upload, token, Held(), digests, context)
    with pytest.raises(ConflictError):
        backend.open(new_upload(video=b"other", nonce="n2"), context)


def test_other_bytes_than_were_hashed_are_noticed(backend, upload, transfer, context, digests):
    token, abilities = backend.open(upload, context)
    transfer(upload, token, abilities, video=VIDEO[:-3] + b"ODD")
    with pytest.raises(IntegrityError, match="422"):
        backend.commit(upload, token, Held(), digests, context)
    assert backend.settle(upload, token, context).outcome is Outcome.ABSENT


def test_committing_too_early_leads_back_to_sending(backend, upload, body, context, digests):
    token, _ = backend.open(upload, context)
    backend.send(upload, token, Part(0, 1, 0, PART), body(VIDEO[:PART]), context)
    with pytest.raises(OffsetError):
        backend.commit(upload, token, Held(), digests, context)


def test_empty_files_arrive(backend, data, new_upload, transfer, context, digests):
    upload = new_upload(video=b"")
    token, abilities = backend.open(upload, context)
    transfer(upload, token, abilities, video=b"")
    transfer(upload, token, abilities, video=b"", held=backend.held(upload, token, context))
    digests[0] = {"sha256": hashlib.sha256(b"").hexdigest()}
    assert backend.commit(upload, token, Held(), digests, context)[0].size == 0
    assert b"" in stored_files(data).values()


@pytest.mark.parametrize("changes", [{"max_append_size": 300_000}])
def test_a_small_append_limit_is_obeyed(backend, data, upload, transfer, context, digests):
    token, abilities = backend.open(upload, context)
    transfer(upload, token, abilities)
    backend.commit(upload, token, Held(), digests, context)
    assert VIDEO in stored_files(data).values()


def test_settling_follows_the_upload(backend, upload, transfer, context, digests):
    assert backend.settle(upload, None, context).outcome is Outcome.ABSENT
    token, abilities = backend.open(upload, context)
    assert backend.settle(upload, token, context).outcome is Outcome.ABSENT
    transfer(upload, token, abilities)
    assert backend.settle(upload, token, context).outcome is Outcome.ABSENT
    stored = backend.commit(upload, token, Held(), digests, context)
    for known in (token, None):
        settled = backend.settle(upload, known, context)
        assert (settled.outcome, settled.stored) == (Outcome.PRESENT, stored)


def test_a_recording_deleted_since_is_absent(backend, upload, transfer, context, digests):
    token, abilities = backend.open(upload, context)
    transfer(upload, token, abilities)
    stored = backend.commit(upload, token, Held(), digests, context)
    assert backend.delete(stored[0].key, context)
    assert backend.settle(upload, token, context).outcome is Outcome.ABSENT
    with pytest.raises(SessionLostError):
        backend.held(upload, token, context)


def test_an_aborted_session_is_lost(backend, data, upload, body, context):
    token, _ = backend.open(upload, context)
    backend.send(upload, token, Part(0, 1, 0, PART), body(VIDEO[:PART]), context)
    backend.abort(upload, token, context)
    backend.abort(upload, token, context)
    with pytest.raises(SessionLostError):
        backend.held(upload, token, context)
    with pytest.raises(SessionLostError):
        backend.send(upload, token, Part(0, 2, PART, PART), body(VIDEO[PART : 2 * PART]), context)
    assert not any(path.is_file() for path in (data / ".incoming").rglob("*"))


def test_what_is_stored_can_be_listed_read_and_deleted(backend, upload, transfer, context, digests):
    token, abilities = backend.open(upload, context)
    transfer(upload, token, abilities)
    stored = backend.commit(upload, token, Held(), digests, context)
    assert tuple(backend.list("", context)) == stored
    assert b"".join(backend.read(stored[0].key, context)) == VIDEO
    assert backend.delete(stored[0].key, context)
    assert not backend.delete(stored[0].key, context)
    assert not backend.delete(stored[1].key, context)
    assert backend.stat(stored[0].key, context) is None
    assert list(backend.list("", context)) == []


def test_bad_credentials_are_noticed_by_every_call(wats, upload, context):
    from haulier import Secret
    from haulier_wats.backend import WatsBackend
    from haulier_wats.options import WatsOptions

    backend = WatsBackend("archive", WatsOptions(wats.url, Secret("wrong")))
    calls = (
        lambda: backend.probe(context),
        lambda: backend.open(upload, context),
        lambda: backend.stat("x", context),
        lambda: list(backend.list("", context)),
        lambda: list(backend.read("x", context)),
        lambda: backend.delete("x", context),
        lambda: backend.settle(upload, None, context),
    )
    for call in calls:
        with pytest.raises(AuthenticationError) as caught:
            call()
        assert "wrong" not in str(caught.value)
    backend.close()


def test_probe_and_check(backend, context):
    backend.probe(context)
    report = backend.check(context)
    assert (report.rights["reach"], report.rights["list"]) == (Answer.YES, Answer.YES)
    assert not report.remarks


@pytest.mark.parametrize("changes", [{"max_file_size": MIB}])
def test_a_file_that_is_too_large_is_refused_before_a_byte_leaves(backend, upload, context):
    with pytest.raises(Exception, match="413") as caught:
        backend.open(upload, context)
    assert caught.value.code == "quota"


def test_a_request_that_the_server_finds_wrong(backend, new_upload, context):
    sidecar = json.dumps({"session_id": "x" * 5000}).encode()
    with pytest.raises(ValidationError, match="session_id"):
        backend.open(new_upload(sidecar=sidecar), context)


def test_several_uploads_at_once(backend, data, new_upload, transfer, context):
    done = []

    def run(number):
        video = bytes([number]) * (2 * PART + number)
        upload = new_upload(video=video, item_id=f"{number:064x}")
        token, abilities = backend.open(upload, context)
        transfer(upload, token, abilities, video=video)
        contents = {0: video, 1: upload.sidecar.content}
        digests = {index: {"sha256": hashlib.sha256(content).hexdigest()} for index, content in contents.items()}
        done.append(backend.commit(upload, token, Held(), digests, context)[0].size)

    threads = [threading.Thread(target=run, args=(number,)) for number in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(done) == [2 * PART + number for number in range(6)]
    assert len({content for content in stored_files(data).values() if len(content) > PART}) == 6
