"""Each endpoint's call: what is sent, and how the answers of new and old servers are read."""

from __future__ import annotations

import pytest

from haulier.errors import (
    IntegrityError,
    PermissionDeniedError,
    QuotaError,
    ServerError,
    SessionLostError,
    ValidationError,
)
from haulier_wats.answers import Recording, SessionAnswer, SessionStatus
from haulier_wats.multipart import MultipartFile

ANSWER = {
    "session_id": "s1",
    "metadata_upload_url": "/m",
    "video_upload_url": "/v",
    "expires_at": "2024-10-26T16:00:22Z",
}


def test_create_session(server, client, context):
    server.on("POST", "/api/uploads/create-session", ANSWER | {"unknown": [1]})
    session = client.create_session({"session_id": "rdp_1"}, "item:nonce", context)
    request = server.received[0]
    assert request.json() == {"session_id": "rdp_1"}
    assert request.headers["idempotency-key"] == '"item:nonce"'
    assert request.headers["content-type"] == "application/json"
    assert session == SessionAnswer("s1", "/v", "/m", 1729958422.0)


@pytest.mark.parametrize("answer", [{}, [], "text", ANSWER | {"session_id": None}, ANSWER | {"video_upload_url": 7}])
def test_an_answer_without_what_uploading_needs(server, client, context, answer):
    server.on("POST", "/api/uploads/create-session", answer)
    with pytest.raises(ServerError, match="lacks"):
        client.create_session({}, "k", context)


def test_a_session_that_is_being_made_already_passes_by_itself(server, client, context):
    server.on("POST", "/api/uploads/create-session", (409, {}, b""))
    with pytest.raises(ServerError):
        client.create_session({}, "k", context)


@pytest.mark.parametrize("text", ["2024-10-26T16:00:22", "tomorrow", 17, None])
def test_a_moment_without_an_offset_is_not_believed(text):
    assert SessionAnswer.from_json(ANSWER | {"expires_at": text}).expires_at is None


@pytest.mark.parametrize(
    "offer",
    [
        None,
        {"protocol": "tus", "video_url": "/v", "metadata_url": "/m"},
        {"protocol": "ietf-resumable-upload", "video_url": "/v"},
        "yes",
    ],
)
def test_another_offer_is_no_resumable_one(offer):
    assert SessionAnswer.from_json(ANSWER | {"resumable": offer}).resumable is None


def test_a_resumable_offer():
    offer = {
        "protocol": "ietf-resumable-upload",
        "video_url": "/rv",
        "metadata_url": "/rm",
        "max_append_size": 1000,
        "min_append_size": 1,
        "digests": ["sha-256", 7],
    }
    resumable = SessionAnswer.from_json(ANSWER | {"resumable": offer}).resumable
    assert (resumable.video_url, resumable.metadata_url) == ("/rv", "/rm")
    assert (resumable.max_append, resumable.min_append, resumable.digests) == (1000, 1, {"sha-256"})


@pytest.mark.parametrize("size", [0, 1, 1024 * 1024, 3 * 1024 * 1024 + 7])
def test_a_form_arrives_whole(server, client, legacy, body, context, size):
    data = bytes(range(251)) * (size // 251 + 1)
    assert client.upload_file(f"{server.origin}/up/video", body(data[:size]), "a.mp4", context) == "file-video"
    assert legacy.files["video"] == data[:size]
    assert int(server.received[0].headers["content-length"]) == len(server.received[0].body)
    assert "transfer-encoding" not in server.received[0].headers


def test_a_form_quotes_the_file_name_as_browsers_do(body):
    form = MultipartFile(body(b"x"), name='Größe "1"\r\nX: y.mp4', boundary="B")
    content = b"".join(form)
    assert len(content) == form.len
    assert (
        content
        == (
            '--B\r\nContent-Disposition: form-data; name="file"; filename="Größe %221%22%0D%0AX: y.mp4"\r\n'
            "Content-Type: application/octet-stream\r\n\r\nx\r\n--B--\r\n"
        ).encode()
    )


@pytest.mark.parametrize("answer", [(200, {}, b""), (200, {}, b"<html>stored</html>"), (204, {}, b""), {"ok": True}])
def test_an_old_server_may_acknowledge_without_words(server, client, body, context, answer):
    server.on("POST", "/up", answer)
    assert client.upload_file(f"{server.origin}/up", body(b"x"), "a.mp4", context) == ""
    server.on("POST", "/api/uploads/s1/finalize", answer)
    assert client.finalize("s1", {}, "k", context) is None


@pytest.mark.parametrize(
    ("status", "body_text", "error"),
    [
        (404, b"", SessionLostError),
        (410, b"", SessionLostError),
        (409, b"", SessionLostError),
        (403, b"", PermissionDeniedError),
        (403, b'{"detail": "Upload session expired"}', SessionLostError),
        (403, b"<Error><Message>Request has expired</Message></Error>", SessionLostError),
        (413, b"", QuotaError),
        (507, b"", QuotaError),
        (500, b"", ServerError),
        (400, b"", ValidationError),
    ],
)
def test_what_an_upload_address_may_refuse(server, client, body, context, status, body_text, error):
    server.on("POST", "/up", (status, {}, body_text))
    with pytest.raises(error) as caught:
        client.upload_file(f"{server.origin}/up", body(b"x"), "a.mp4", context)
    assert type(caught.value) is error


def test_finalize(server, client, context):
    answer = {
        "file_id": "f1",
        "session_id": "s1",
        "item_id": "i1",
        "status": "completed",
        "size": 3,
        "sha256": "AB",
        "video": {"name": "a.mp4", "size": 3, "sha256": "AB"},
        "metadata": {"name": "a.json", "size": 2, "sha256": "cd"},
    }
    server.on("POST", "/api/uploads/s1/finalize", answer)
    recording = client.finalize("s1", {"video": {"size": 3, "sha256": "ab"}}, "k", context)
    assert server.received[0].json() == {"files": {"video": {"size": 3, "sha256": "ab"}}}
    assert (recording.file_id, recording.item_id, recording.video.sha256) == ("f1", "i1", "ab")
    assert recording.metadata.size == 2


def test_finalize_may_take_the_commit_timeout(server, client, new_context):
    server.on("POST", "/api/uploads/s1/finalize", lambda handler, request: __import__("time").sleep(0.3) or {})
    client.finalize("s1", {}, "k", new_context(silence=0.1, commit_timeout=10))


def test_finalize_with_other_bytes(server, client, context):
    server.on("POST", "/api/uploads/s1/finalize", (422, {}, b'{"detail": "sha256 of video differs"}'))
    with pytest.raises(IntegrityError, match="sha256 of video differs"):
        client.finalize("s1", {"video": {}}, "k", context)


@pytest.mark.parametrize("status", [404, 405, 410, 501])
def test_a_status_that_nobody_knows(server, client, context, status):
    server.on("GET", "/api/uploads/s1/status", (status, {}, b""))
    assert client.session_status("s1", context) is None


@pytest.mark.parametrize("answer", [[], "open", 7.5, {"state": "open"}, {"status": 3}])
def test_a_status_in_other_words_says_nothing(server, client, context, answer):
    server.on("GET", "/api/uploads/s1/status", answer)
    assert client.session_status("s1", context).status == ""


def test_a_status():
    status = SessionStatus.from_json({"status": "Open", "file_id": 7, "files": None})
    assert (status.status, status.file_id) == ("open", "7")


@pytest.mark.parametrize("status", [200, 204, 404, 405, 410, 501])
def test_dropping_a_session_is_a_courtesy(server, client, context, status):
    server.on("DELETE", "/api/uploads/s1", (status, {}, b""))
    client.drop_session("s1", context)
    assert server.paths() == [("DELETE", "/api/uploads/s1")]


def test_dropping_a_session_may_fail(server, client, context):
    server.on("DELETE", "/api/uploads/s1", (500, {}, b""))
    with pytest.raises(ServerError):
        client.drop_session("s1", context)


@pytest.mark.parametrize("wrap", [lambda page: page, lambda page: {"recordings": page}, lambda page: {"items": page}])
def test_a_listing_has_many_shapes(server, client, context, wrap):
    page = [{"file_id": "f1", "item_id": "i"}, {"id": 2}, {"name": "no id"}, None]
    server.on("GET", "/api/recordings", wrap(page))
    assert [each.file_id for each in client.recordings(context, item_id="i j")] == ["f1", "2"]
    assert server.received[0].path == "/api/recordings?limit=100&offset=0&item_id=i+j"


def test_a_listing_that_is_no_json(server, client, context):
    server.on("GET", "/api/recordings", (200, {}, b"<html>"))
    with pytest.raises(ServerError, match="no JSON"):
        client.recordings(context)


def test_all_pages_are_read(client, legacy, context):
    legacy.recordings = [{"file_id": f"f{number}"} for number in range(250)]
    assert [each.file_id for each in client.all_recordings(context)] == [f"f{number}" for number in range(250)]


def test_a_server_that_ignores_pages_is_read_once(server, client, context):
    server.on("GET", "/api/recordings", [{"file_id": "f1"}, {"file_id": "f2"}])
    assert len(list(client.all_recordings(context))) == 2
    assert len(server.received) == 2


def test_a_recording(server, client, context):
    server.on("GET", "/api/recordings/a%2Fb", {"file_id": "a/b", "size": 9})
    assert client.recording("a/b", context).video.size == 9
    assert client.recording("other", context) is None


def test_another_recording_than_asked_for(server, client, context):
    server.on("GET", "/api/recordings/a", {"file_id": "b"})
    with pytest.raises(ServerError, match="another recording"):
        client.recording("a", context)


def test_content_comes_in_blocks(server, client, context):
    data = bytes(range(256)) * 4096
    server.on("GET", "/api/recordings/f1/content", (200, {}, data))
    blocks = list(client.content("f1", context))
    assert b"".join(blocks) == data
    assert len(blocks) > 1


def test_content_that_breaks_off(server, client, context):
    def half(handler, request):
        handler.wfile.write(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\nhalf")
        handler.close_connection = True

    server.on("GET", "/api/recordings/f1/content", half)
    with pytest.raises(Exception, match="broke off"):
        list(client.content("f1", context))


def test_content_that_is_not_there(client, context):
    with pytest.raises(ValidationError, match="404"):
        list(client.content("f1", context))


@pytest.mark.parametrize(("status", "removed"), [(200, True), (204, True), (404, False), (410, False)])
def test_deleting(server, client, context, status, removed):
    server.on("DELETE", "/api/recordings/f1", (status, {}, b""))
    assert client.delete_recording("f1", context) is removed


def test_deleting_without_the_right(server, client, context):
    server.on("DELETE", "/api/recordings/f1", (403, {}, b""))
    with pytest.raises(PermissionDeniedError):
        client.delete_recording("f1", context)


def test_a_recording_without_members():
    assert Recording.from_json({"file_id": ""}) is None
    assert Recording.from_json({"file_id": True}) is None
    assert Recording.from_json({"file_id": "f", "video": 3, "metadata": 4}).metadata is None
