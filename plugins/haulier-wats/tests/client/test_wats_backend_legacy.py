"""The backend against a server of the first client's time: whole files, acknowledged, and nothing more is claimed."""

from __future__ import annotations

import pytest

from haulier.backends.api import Outcome, Part, PartsMode, ResumeMode
from haulier.errors import NetworkError, ServerError, SessionLostError
from haulier.models import Proof

DIGESTS = {0: {"sha256": "00" * 32}, 1: {"sha256": "11" * 32}}


@pytest.fixture
def opened(backend, legacy, upload, context):
    return backend.open(upload, context)


@pytest.fixture
def session(opened):
    return opened[0]


def send_all(backend, upload, token, body, context, video=b"video bytes"):
    held = None
    for artifact, data in ((upload.sidecar, upload.sidecar.content), (upload.media, video)):
        part = Part(artifact.index, 1, 0, artifact.size, last=artifact.index == 0)
        held = backend.send(upload, token, part, body(data), context)
    return held


def test_a_session_without_resuming_is_narrowed(opened, backend):
    token, abilities = opened
    assert (abilities.parts, abilities.resume, abilities.proof) == (
        PartsMode.WHOLE,
        ResumeMode.NONE,
        Proof.ACKNOWLEDGED,
    )
    assert not abilities.part_digests
    assert abilities.sidecar_first
    assert token.public["session_id"] == "legacy 1"
    assert token.expires_at is None
    assert not token.secret


def test_an_upload_comes_through(backend, legacy, session, upload, body, context):
    held = send_all(backend, upload, session, body, context)
    stored = backend.commit(upload, session, held, DIGESTS, context)
    assert legacy.files == {"video": b"video bytes", "metadata": upload.sidecar.content}
    assert [entry.key for entry in stored] == ["rec-1", "rec-1/metadata"]
    assert stored[0].location == f"{legacy.server.url}/recordings/rec-1"
    assert (stored[0].size, stored[0].digests) == (11, {})


def test_an_empty_acknowledgement_names_what_the_form_was_called(backend, legacy, session, upload, body, context):
    legacy.server.on("POST", "/api/uploads/legacy%201/finalize", (200, {}, b""))
    held = send_all(backend, upload, session, body, context)
    media, sidecar = backend.commit(upload, session, held, DIGESTS, context)
    assert (media.key, sidecar.key) == ("file-video", "legacy 1/metadata")
    assert (media.size, media.digests) == (None, {})


def test_nothing_is_held_of_an_open_session(backend, session, upload, context):
    held = backend.held(upload, session, context)
    assert not held.prefixes
    assert not held.stored


def test_a_completed_session_is_stored(backend, legacy, session, upload, context):
    legacy.status = {"status": "completed", "file_id": "rec-9"}
    legacy.server.on("GET", "/api/recordings/rec-9", {"file_id": "rec-9", "size": 11})
    assert [entry.key for entry in backend.held(upload, session, context).stored] == ["rec-9", "rec-9/metadata"]


@pytest.mark.parametrize("status", ["expired", "cancelled"])
def test_a_session_that_ended_is_lost(backend, legacy, session, upload, context, status):
    legacy.status = {"status": status}
    with pytest.raises(SessionLostError):
        backend.held(upload, session, context)


def test_a_session_that_nobody_knows_is_lost(backend, legacy, session, upload, context):
    legacy.server.on("GET", "/api/uploads/legacy%201/status", 404)
    with pytest.raises(SessionLostError):
        backend.held(upload, session, context)


def test_settling_by_the_sessions_own_status(backend, legacy, session, upload, context):
    legacy.status = {"status": "completed", "file_id": "rec-9"}
    settled = backend.settle(upload, session, context)
    assert settled.outcome is Outcome.PRESENT
    assert len(settled.stored) == 2
    assert legacy.finalized == 0


def test_settling_by_our_item_id(backend, legacy, session, upload, context):
    legacy.recordings = [{"file_id": "a", "item_id": "other"}, {"file_id": "b", "item_id": upload.item_id}]
    settled = backend.settle(upload, session, context)
    assert settled.outcome is Outcome.PRESENT
    assert settled.stored[0].key == "b"


def test_the_same_session_id_and_size_are_no_proof(backend, legacy, session, upload, context):
    legacy.recordings = [{"file_id": "a", "session_id": "rdp_1_1729950022", "size": 11}]
    legacy.server.on("POST", "/api/uploads/legacy%201/finalize", 404)
    assert backend.settle(upload, session, context).outcome is Outcome.UNKNOWN


def test_settling_by_repeating_finalize_once(backend, legacy, session, upload, body, context):
    send_all(backend, upload, session, body, context)
    settled = backend.settle(upload, session, context)
    assert settled.outcome is Outcome.PRESENT
    assert settled.stored[0].key == "rec-1"
    assert legacy.finalized == 1


@pytest.mark.parametrize("status", [400, 403, 404, 409, 422])
def test_a_refused_repetition_proves_nothing(backend, legacy, session, upload, context, status):
    legacy.server.on("POST", "/api/uploads/legacy%201/finalize", status)
    assert backend.settle(upload, session, context).outcome is Outcome.UNKNOWN


def test_a_server_without_those_calls_leaves_it_unknown(backend, legacy, session, upload, context):
    for method, path in (
        ("GET", "/api/uploads/legacy%201/status"),
        ("GET", "/api/recordings"),
        ("POST", "/api/uploads/legacy%201/finalize"),
    ):
        legacy.server.on(method, path, 404)
    assert backend.settle(upload, session, context).outcome is Outcome.UNKNOWN


def test_trouble_while_settling_is_no_answer(backend, legacy, session, upload, context):
    legacy.server.on("GET", "/api/recordings", 503)
    with pytest.raises(ServerError):
        backend.settle(upload, session, context)


def test_without_a_session_an_old_server_leaves_it_unknown(backend, legacy, upload, context):
    legacy.recordings = [{"file_id": "a"}]
    assert backend.settle(upload, None, context).outcome is Outcome.UNKNOWN
    legacy.recordings = []
    assert backend.settle(upload, None, context).outcome is Outcome.ABSENT


def test_a_lost_commit_answer(backend, legacy, session, upload, context):
    def vanish(handler, request):
        handler.close_connection = True

    legacy.server.on("POST", "/api/uploads/legacy%201/finalize", vanish)
    with pytest.raises(NetworkError) as caught:
        backend.commit(upload, session, backend.held(upload, session, context), DIGESTS, context)
    assert caught.value.reached


def test_stat_of_a_server_that_only_lists(backend, legacy, context):
    legacy.recordings = [{"file_id": f"f{number}", "size": number} for number in range(150)]
    assert backend.stat("f142", context).size == 142
    assert backend.stat("f142/metadata", context) is None
    assert backend.stat("other", context) is None


def test_aborting_is_a_courtesy(backend, legacy, session, upload, context):
    legacy.server.on("DELETE", "/api/uploads/legacy%201", 405)
    backend.abort(upload, session, context)


def test_invariant_10_foreign_upload_addresses_are_secrets(start_server, backend, legacy, upload, body, context):
    foreign = start_server()
    foreign.on("POST", "/v", {"file_id": "f1"})
    answer = {
        "session_id": "s1",
        "metadata_upload_url": "/up/metadata?sig=abc",
        "video_upload_url": f"{foreign.origin}/v?sig=abc",
        "expires_at": "2024-10-26T16:00:22Z",
    }
    legacy.server.on("POST", "/api/uploads/create-session", answer)
    token, _ = backend.open(upload, context)
    assert "sig=abc" not in str(dict(token.public))
    assert "sig=abc" not in repr(token)
    assert set(token.secret) == {"video_url", "metadata_url"}
    assert token.expires_at == 1729958422.0
    backend.send(upload, token, Part(0, 1, 0, 11), body(b"video bytes"), context)
    assert "authorization" not in foreign.received[0].headers
