"""``RecordingUploadClient`` against the reference server, an old one, and a proxy that breaks things."""

from __future__ import annotations

import io
import os

import pytest

from haulier_wats.compat import (
    ApiError,
    AuthenticationError,
    NetworkError,
    ProgressFileWrapper,
    RecordingUploadClient,
    ServerError,
    UploadError,
    ValidationError,
)


@pytest.fixture
def client(token):
    """Makes clients that note their waits instead of waiting."""
    made = []

    def make(url, waits=None, **options):
        sleep = (lambda seconds: None) if waits is None else waits.append
        made.append(RecordingUploadClient(f"{url}/api", options.pop("token", token), sleep=sleep, **options))
        return made[-1]

    yield make
    for one in made:
        one.close()


def test_the_connection_test_tells_yes_and_no(client, server):
    assert client(server.url).test_connection() is True
    assert client(server.url, token="another").test_connection() is False
    assert client("http://127.0.0.1:9").test_connection() is False


def test_an_upload_gives_what_the_server_gave(client, server, recordings, listed):
    one = client(server.url)
    result = one.upload_recording(*recordings.session(content=b"x" * 1000))
    assert (result["status"], result["size"]) == ("completed", 1000)
    assert one.list_recordings(limit=50, offset=0)["recordings"][0]["file_id"] == result["file_id"]
    assert one.get_upload_status(result["session_id"])["status"] == "completed"
    assert one.delete_recording(result["file_id"]) is True
    assert one.delete_recording(result["file_id"]) is True  # it is gone all the same
    assert one.list_recordings()["recordings"] == []
    with pytest.raises(ApiError) as caught:
        one.get_upload_status("nobody")
    assert caught.value.status_code == 404


def test_the_same_recording_is_stored_once(client, server, recordings, listed):
    one = client(server.url)
    session = recordings.session()
    assert one.upload_recording(*session)["file_id"] == one.upload_recording(*session)["file_id"]
    assert len(one.list_recordings()["recordings"]) == 1


def test_an_old_server_gets_forms(client, old_server, recordings):
    one = client(old_server.url)
    video, metadata = recordings.session(content=os.urandom(100_000))
    assert one.upload_recording(video, metadata)["file_id"] == "recording-1"
    assert old_server.files == {"video": video.read_bytes(), "metadata": metadata.read_bytes()}
    assert one.list_recordings() == {"recordings": []}


def test_retries_wait_longer_each_time_and_send_nothing_twice(client, proxy, fault, recordings):
    failures = [fault(reset=True), fault(503), fault(503), fault(500)]
    proxy.rule = lambda request: failures.pop() if "/create-session" in request.path and failures else None
    waits = []
    one = client(proxy.url, waits, max_retries=4)
    one.upload_recording(*recordings.session(content=bytes(1000)))
    assert waits == [2, 4, 8, 16]
    proxy.forget()
    failures += [fault(503), fault(503)]
    proxy.rule = lambda request: failures.pop() if request.path.endswith("/finalize") and failures else None
    video = recordings.session(2, content=bytes(50_000))
    one.upload_recording(*video)
    assert proxy.bytes_seen["PATCH"] < 51_000


def test_the_wait_has_an_end_and_so_have_the_retries(client, proxy, fault, recordings):
    proxy.rule = lambda request: fault(503, body=b'{"detail": "full"}') if request.method == "POST" else None
    waits = []
    with pytest.raises(ServerError, match="full") as caught:
        client(proxy.url, waits, max_retries=7).upload_recording(*recordings.session())
    assert caught.value.status_code == 503
    assert waits == [2, 4, 8, 16, 32, 60, 60]


def test_a_broken_connection_goes_on_at_the_offset(client, proxy, fault, recordings):
    content = os.urandom(20 << 20)
    breaks = [fault(reset=True)]
    proxy.rule = lambda request: (
        breaks.pop() if breaks and request.method == "PATCH" and proxy.bytes_seen["PATCH"] > (9 << 20) else None
    )
    result = client(proxy.url).upload_recording(*recordings.session(content=content))
    assert result["size"] == len(content)
    assert proxy.bytes_seen["PATCH"] <= len(content) + (9 << 20)


def test_a_lost_answer_to_finalize_is_settled_by_asking(client, proxy, fault, recordings, listed):
    lost = [fault(forward=True, reset=True)]
    proxy.rule = lambda request: lost.pop() if lost and request.path.endswith("/finalize") else None
    waits = []
    one = client(proxy.url, waits)
    assert one.upload_recording(*recordings.session())["file_id"]
    assert waits == []
    assert len(one.list_recordings()["recordings"]) == 1


@pytest.mark.parametrize(
    ("status", "error", "code"),
    [
        (401, AuthenticationError, 401),
        (403, AuthenticationError, 403),
        (400, ValidationError, 400),
        (413, ValidationError, 413),
        (422, UploadError, 422),
    ],
)
def test_what_cannot_pass_is_raised_at_once(status, error, code, client, proxy, fault, recordings, listed):
    part = "/finalize" if error is UploadError else "/create-session"  # the server holds other bytes
    proxy.rule = lambda request: fault(status) if part in request.path else None
    waits = []
    with pytest.raises(error) as caught:
        client(proxy.url, waits).upload_recording(*recordings.session())
    assert caught.value.status_code == code
    assert waits == []


def test_nobody_there_is_a_network_error(client, recordings):
    with pytest.raises(NetworkError) as caught:
        client("http://127.0.0.1:9", [], max_retries=1).upload_recording(*recordings.session())
    assert caught.value.status_code == 0


def test_missing_files_are_named(client, server, recordings):
    video, metadata = recordings.session()
    one = client(server.url)
    with pytest.raises(FileNotFoundError, match=r"missing\.mp4"):
        one.upload_recording(recordings.folder / "missing.mp4", metadata)
    with pytest.raises(ValidationError, match=r"missing\.json"):
        one.upload_recording(video, recordings.folder / "missing.json")


def test_a_video_that_changes_meanwhile_is_not_stored(client, old_server, recordings):
    video, metadata = recordings.session(content=bytes(1000))
    old_server.on_body = lambda path: video.write_bytes(b"other") if path == "/put/video" else None
    with pytest.raises(UploadError, match="changed"):
        client(old_server.url).upload_recording(video, metadata)
    assert not old_server.count("finalize")


def test_progress_in_both_shapes_ends_with_the_whole(client, server, recordings):
    one = client(server.url)
    bytes_told, percents = [], []
    video, metadata = recordings.session(1, content=bytes(3 << 20))
    one.upload_recording(video, metadata, lambda sent, total: bytes_told.append((sent, total)))
    total = video.stat().st_size + metadata.stat().st_size
    assert bytes_told[-1] == (total, total)
    assert [sent for sent, _ in bytes_told] == sorted(sent for sent, _ in bytes_told)
    assert all(sent < total for sent, _ in bytes_told[:-1])
    one.upload_recording(*recordings.session(2, content=bytes(3 << 20)), percents.append)
    assert percents[-1] == 100
    assert 100 not in percents[:-1]


def test_a_closed_client_says_so_and_a_token_is_never_shown(client, server, recordings, token):
    one = client(server.url)
    assert token not in repr(one)
    one.close()
    one.close()
    assert one.test_connection() is False
    with pytest.raises(NetworkError, match="closed"):
        one.list_recordings()


def test_the_token_may_be_a_reference(client, server, token, monkeypatch):
    monkeypatch.setenv("WATS_TOKEN", token)
    assert client(server.url, token="env:WATS_TOKEN").test_connection() is True


def test_the_progress_file_wraps_reads_seeks_and_has_a_length():
    percents, pairs = [], []
    wrapped = ProgressFileWrapper(io.BytesIO(bytes(200)), 200, percents.append)
    assert len(wrapped) == 200
    assert len(wrapped.read(50)) == 50
    assert (percents, wrapped.progress, wrapped.tell()) == ([25], 25, 50)
    assert wrapped.seek(0) == 0
    assert len(wrapped.read()) == 200
    assert percents == [25, 100]
    assert wrapped.readable()  # anything else is the file's own
    counted = ProgressFileWrapper(io.BytesIO(bytes(10)), None, lambda done, total: pairs.append((done, total)))
    counted.read(4)
    counted.read(None)
    assert pairs == [(4, 10), (10, 10)]
    silent = ProgressFileWrapper(io.BytesIO(b""))
    assert (silent.read(), silent.progress, len(silent)) == (b"", 100, 0)


def test_requests_sends_a_wrapped_file(old_server):
    import requests

    percents = []
    body = ProgressFileWrapper(io.BytesIO(b"x" * 50_000), 50_000, percents.append)
    requests.post(old_server.metadata_url, files={"file": ("v.mp4", body, "application/octet-stream")}, timeout=10)
    assert old_server.files["metadata"] == b"x" * 50_000
    assert percents[-1] == 100
