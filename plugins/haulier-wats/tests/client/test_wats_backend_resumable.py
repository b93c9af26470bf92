"""The backend against a resumable server that is scripted, where the reference server never misbehaves so."""

from __future__ import annotations

import hashlib

import pytest

from haulier.backends.api import Answer, Held, Outcome, Part, PartsMode, ResumeMode, Token
from haulier.errors import (
    AuthenticationError,
    CancelledError,
    ConflictError,
    IntegrityError,
    NetworkError,
    OffsetError,
    ServerError,
    SessionLostError,
    UnsupportedError,
)
from haulier.models import Proof
from haulier_wats.sending import APPEND, append_sizes

MIB = 1024 * 1024
VIDEO = bytes(range(256)) * (5 * MIB // 256)


def sha256(data):
    return hashlib.sha256(data).hexdigest()


class ResumableServer:
    """Two upload resources and the calls around them."""

    def __init__(self, server, resource, upload, **offer):
        self.server = server
        self.video = resource(upload.media.size)
        self.metadata = resource(upload.sidecar.size)
        self.video.install(server, "/r/video")
        self.metadata.install(server, "/r/metadata")
        self.status = {"status": "open"}
        self.recordings = []
        self.answer = {
            "session_id": "s1",
            "metadata_upload_url": "/up/metadata",
            "video_upload_url": "/up/video",
            "expires_at": "2031-10-26T16:00:22Z",
            "resumable": {
                "protocol": "ietf-resumable-upload",
                "video_url": "/r/video",
                "metadata_url": "/r/metadata",
                "digests": ["sha-256"],
                **offer,
            },
        }
        self.recording = {
            "file_id": "rec-1",
            "session_id": "rdp_1_1729950022",
            "item_id": upload.item_id,
            "status": "completed",
            "video": {"name": "v", "size": upload.media.size, "sha256": sha256(VIDEO)},
            "metadata": {"name": "m", "size": upload.sidecar.size, "sha256": sha256(upload.sidecar.content)},
        }
        server.on("POST", "/api/uploads/create-session", lambda handler, request: self.answer)
        server.on("POST", "/api/uploads/s1/finalize", lambda handler, request: self.recording)
        server.on("GET", "/api/uploads/s1/status", lambda handler, request: self.status)
        server.on("GET", "/api/recordings", lambda handler, request: {"recordings": self.recordings})
        server.on("GET", "/api/recordings/rec-1", lambda handler, request: self.recording)


@pytest.fixture
def upload(new_upload):
    return new_upload(video=VIDEO)


@pytest.fixture
def offer():
    return {}


@pytest.fixture
def wats(server, upload_resource, upload, offer):
    return ResumableServer(server, upload_resource, upload, **offer)


@pytest.fixture
def opened(backend, wats, upload, context):
    return backend.open(upload, context)


@pytest.fixture
def session(opened):
    return opened[0]


@pytest.fixture
def digests(upload):
    return {0: {"sha256": sha256(VIDEO)}, 1: {"sha256": sha256(upload.sidecar.content)}}


@pytest.fixture
def send(backend, upload, session, body, context):
    def send(artifact, offset=0, size=None):
        data = VIDEO if artifact == 0 else upload.sidecar.content
        data = data[offset : None if size is None else offset + size]
        part = Part(artifact, 1, offset, len(data))
        return backend.send(upload, session, part, body(data), context)

    return send


def test_nothing_is_narrowed(opened, backend):
    token, abilities = opened
    assert abilities == backend.abilities
    assert (abilities.parts, abilities.resume, abilities.proof) == (
        PartsMode.SEQUENTIAL,
        ResumeMode.OFFSET,
        Proof.CONTENT,
    )
    assert token.expires_at == 1_950_796_822.0


def test_the_same_item_and_nonce_use_the_same_key(backend, wats, upload, context):
    backend.open(upload, context)
    backend.open(upload, context)
    keys = {request.headers["idempotency-key"] for request in wats.server.received}
    assert keys == {f'"{upload.item_id}:n1"'}


def test_resuming_can_be_declined(new_backend, wats, upload, context):
    token, abilities = new_backend(wats.server.url, resumable="never").open(upload, context)
    assert abilities.parts is PartsMode.WHOLE
    assert token.public["video_url"] == f"{wats.server.origin}/up/video"


@pytest.mark.parametrize("offer", [{"digests": []}])
def test_a_server_that_checks_no_digests_is_sent_none(opened, wats, send):
    assert not opened[1].part_digests
    assert opened[1].proof is Proof.CONTENT
    send(1)
    assert "content-digest" not in wats.server.received[-1].headers


def test_an_upload_comes_through(backend, wats, upload, session, send, context, digests):
    assert send(1).prefixes == {1: upload.sidecar.size}
    assert send(0, 0, 3 * MIB).prefixes == {0: 3 * MIB}
    assert send(0, 3 * MIB).prefixes == {0: 5 * MIB}
    assert wats.video.data == VIDEO
    assert wats.video.complete
    assert wats.video.appends == [3 * MIB, 2 * MIB]
    stored = backend.commit(upload, session, Held(), digests, context)
    assert [entry.key for entry in stored] == ["rec-1", "rec-1/metadata"]
    assert [entry.digests["sha256"] for entry in stored] == [digests[0]["sha256"], digests[1]["sha256"]]
    assert [entry.size for entry in stored] == [5 * MIB, upload.sidecar.size]
    assert {entry.item_id for entry in stored} == {upload.item_id}
    assert {entry.location for entry in stored} == {f"{wats.server.url}/recordings/rec-1"}
    files = wats.server.received[-1].json()["files"]
    assert files["video"] == {"size": 5 * MIB, "sha256": digests[0]["sha256"]}


def test_what_is_held_is_asked_of_both_resources(backend, upload, session, send, context):
    send(0, 0, MIB)
    assert backend.held(upload, session, context).prefixes == {0: MIB, 1: 0}


def test_a_file_whose_last_answer_was_lost_is_closed(backend, wats, upload, session, context):
    wats.metadata.data += upload.sidecar.content
    assert backend.held(upload, session, context).prefixes == {0: 0, 1: upload.sidecar.size}
    assert wats.metadata.complete
    assert wats.metadata.appends == [0]


def test_an_empty_file_is_closed_once(backend, wats, new_upload, session, body, context):
    empty = new_upload(video=b"")
    wats.video.size = 0
    for _ in range(2):
        assert backend.send(empty, session, Part(0, 1, 0, 0), body(b""), context).prefixes == {0: 0}
    assert wats.video.complete
    assert wats.video.appends == [0]


def test_a_server_that_holds_too_much_has_lost_the_session(backend, wats, upload, session, context):
    wats.video.data += VIDEO + b"more"
    with pytest.raises(SessionLostError):
        backend.held(upload, session, context)


def test_a_completed_session_is_stored(backend, wats, upload, session, context):
    wats.status = {"status": "completed", "file_id": "rec-1"}
    stored = backend.held(upload, session, context).stored
    assert stored[0].digests == {"sha256": sha256(VIDEO)}


def test_an_item_that_is_stored_already_is_not_sent_again(backend, wats, upload, context, body, digests):
    wats.answer["recording"] = wats.recording
    wats.status = {"status": "completed", "file_id": "rec-1"}
    token, _ = backend.open(upload, context)
    assert backend.held(upload, token, context).stored[0].key == "rec-1"
    assert backend.send(upload, token, Part(0, 1, 0, 5), body(VIDEO[:5]), context).stored[0].key == "rec-1"
    assert backend.commit(upload, token, Held(), digests, context)[0].key == "rec-1"
    backend.abort(upload, token, context)
    assert {method for method, _ in wats.server.paths()} == {"GET", "POST"}


def test_another_item_in_the_answer_is_not_ours(backend, wats, upload, context):
    wats.answer["recording"] = {**wats.recording, "item_id": "other"}
    assert not backend.open(upload, context)[0].public["file_id"]


def test_our_item_with_another_size_is_a_conflict(backend, wats, upload, context):
    wats.answer["recording"] = {**wats.recording, "video": {"size": 3}}
    with pytest.raises(ConflictError):
        backend.open(upload, context)


@pytest.mark.parametrize("offer", [{"max_append_size": 2 * MIB, "min_append_size": 4096}])
def test_a_part_above_the_sessions_limit_goes_out_in_pieces(wats, send):
    assert send(0).prefixes == {0: 5 * MIB}
    assert wats.video.data == VIDEO
    assert wats.video.complete
    assert len(wats.video.appends) == 3
    assert all("content-digest" in request.headers for request in wats.server.received[-3:])


@pytest.mark.parametrize(
    ("size", "least", "most"),
    [
        (8 * MIB, 0, None),
        (64 * MIB, 0, None),
        (64 * MIB, 16 * MIB, None),
        (8 * MIB, 0, 8 * MIB),
        (8 * MIB, 0, MIB),
        (8 * MIB + 1, 4096, 5 * MIB),
        (100, 30, 40),
        (7, 1, 2),
    ],
)
def test_append_sizes_obey_both_limits(size, least, most):
    sizes = append_sizes(size, least, most)
    assert sum(sizes) == size
    assert max(sizes) <= min(most or size, max(APPEND, least))
    assert min(sizes) >= least


def test_an_offset_that_the_server_does_not_share(backend, wats, send):
    wats.video.data += VIDEO[:MIB]
    with pytest.raises(OffsetError) as caught:
        send(0, 3 * MIB)
    assert caught.value.held.prefixes == {0: MIB}


def test_a_server_that_takes_less_than_was_sent(server, wats, upload_resource, send):
    upload_resource(len(VIDEO), takes=1000).install(server, "/r/video")
    with pytest.raises(OffsetError) as caught:
        send(0, 0, MIB)
    assert caught.value.held.prefixes == {0: 1000}


@pytest.mark.parametrize("status", [404, 410])
def test_a_resource_that_is_gone(server, wats, send, status):
    server.on("PATCH", "/r/video", status)
    with pytest.raises(SessionLostError):
        send(0)


@pytest.mark.parametrize("status", ["expired", "cancelled"])
def test_a_session_that_ended_is_lost(backend, wats, upload, session, context, status):
    wats.status = {"status": status}
    with pytest.raises(SessionLostError):
        backend.held(upload, session, context)


def test_finalize_that_names_no_recording_proves_nothing(server, backend, upload, session, context, digests):
    server.on("POST", "/api/uploads/s1/finalize", (200, {}, b"<html>welcome to the network</html>"))
    with pytest.raises(ServerError, match="no recording"):
        backend.commit(upload, session, Held(), digests, context)


@pytest.mark.parametrize("change", [{"size": 7}, {"sha256": "00"}])
def test_other_bytes_in_the_answer(backend, wats, upload, session, context, digests, change):
    wats.recording["video"].update(change)
    with pytest.raises(IntegrityError):
        backend.commit(upload, session, Held(), digests, context)


@pytest.mark.parametrize("status", [{"status": "open"}, {"status": "expired"}, {"status": "cancelled"}, 404])
def test_absence_is_proven_by_a_session_that_is_not_completed(backend, wats, upload, session, context, status):
    wats.status = status
    assert backend.settle(upload, session, context).outcome is Outcome.ABSENT


def test_a_status_in_other_words_proves_nothing(backend, wats, upload, session, context):
    wats.status = {"status": "finalizing"}
    assert backend.settle(upload, session, context).outcome is Outcome.UNKNOWN


def test_presence_is_proven_by_the_session_or_the_item(backend, wats, upload, session, context):
    wats.status = {"status": "completed", "file_id": "rec-1"}
    assert backend.settle(upload, session, context).stored[0].size == 5 * MIB
    wats.status = {"status": "expired"}
    wats.recordings = [wats.recording]
    assert backend.settle(upload, session, context).stored[0].key == "rec-1"
    assert backend.settle(upload, None, context).stored[0].key == "rec-1"


def test_a_server_that_ignores_item_ids_proves_no_absence(backend, wats, upload, session, context):
    wats.recordings = [{"file_id": "other"}]
    assert backend.settle(upload, session, context).outcome is Outcome.UNKNOWN


def test_a_lost_commit_answer_ends_at_the_commit_timeout(server, backend, upload, session, new_context, digests):
    def never(handler, request):
        handler.rfile.read(1)

    server.on("POST", "/api/uploads/s1/finalize", never)
    with pytest.raises(NetworkError) as caught:
        backend.commit(upload, session, Held(), digests, new_context(silence=10, commit_timeout=0.2))
    assert caught.value.reached


def test_aborting_drops_the_session(server, backend, upload, session, context):
    server.on("DELETE", "/api/uploads/s1", 204)
    backend.abort(upload, session, context)
    assert server.paths()[-1] == ("DELETE", "/api/uploads/s1")


def test_a_token_of_somebody_else(backend, upload, context):
    with pytest.raises(SessionLostError):
        backend.held(upload, Token({"upload_id": "x"}), context)


def test_stat(backend, wats, upload, context, session):
    assert backend.stat("rec-1", context).size == 5 * MIB
    assert backend.stat("rec-1/metadata", context).size == upload.sidecar.size
    assert backend.stat("2025/01/01/abc/name.mp4", context) is None
    assert ("GET", "/api/recordings/2025%2F01%2F01%2Fabc%2Fname.mp4") in wats.server.paths()


def test_list_read_delete(server, backend, wats, context):
    wats.recordings = [wats.recording, {"file_id": "a", "size": 1}]
    assert [entry.key for entry in backend.list("", context)] == ["a", "rec-1", "rec-1/metadata"]
    assert [entry.key for entry in backend.list("rec", context)] == ["rec-1", "rec-1/metadata"]
    server.on("GET", "/api/recordings/rec-1/content", (200, {}, VIDEO))
    assert b"".join(backend.read("rec-1", context)) == VIDEO
    with pytest.raises(UnsupportedError):
        backend.delete("rec-1/metadata", context)
    server.on("DELETE", "/api/recordings/rec-1", 204)
    assert backend.delete("rec-1", context)
    assert not backend.delete("other", context)
    assert not backend.delete("other/metadata", context)


def test_a_probe_writes_nothing_and_notices_bad_credentials(server, backend, context):
    server.on("GET", "/api/health", 200)
    server.on("GET", "/api/recordings", 401)
    with pytest.raises(AuthenticationError):
        backend.probe(context)
    assert {method for method, _ in server.paths()} == {"GET"}


@pytest.mark.parametrize("status", [200, 403, 404, 405, 500, 503])
def test_a_probe_asks_no_more_than_health_and_credentials(server, backend, context, status):
    server.on("GET", "/api/health", 204)
    server.on("GET", "/api/recordings", status)
    backend.probe(context)


def test_a_probe_of_a_sick_server(server, backend, context):
    server.on("GET", "/api/health", 503)
    with pytest.raises(ServerError):
        backend.probe(context)


def test_a_cancelled_probe(backend, context):
    context.cancel()
    with pytest.raises(CancelledError):
        backend.probe(context)


def test_check_tells_what_works_and_what_does_not(server, backend, context):
    server.on("GET", "/api/health", 200)
    server.on("GET", "/api/recordings", 403)
    report = backend.check(context)
    assert (report.rights["reach"], report.rights["list"], report.rights["write"]) == (
        Answer.YES,
        Answer.NO,
        Answer.UNTESTED,
    )
    assert "403" in report.remarks[0]
    assert {method for method, _ in server.paths()} == {"GET"}


def test_a_closed_backend_can_be_asked_again(server, backend, context):
    server.on("GET", "/api/health", 200)
    backend.probe(context)
    backend.close()
    backend.close()
    backend.probe(context)
