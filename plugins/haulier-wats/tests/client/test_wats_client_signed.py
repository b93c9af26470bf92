"""Pre-signed upload addresses, and sessions whose time is nearly up."""

from __future__ import annotations

from email.utils import formatdate

import pytest

from haulier.backends.api import Part
from haulier.errors import PermissionDeniedError, SessionLostError
from haulier_wats.expiry import local_moment
from haulier_wats.presigned import method_for, put_fields

HOUR = 3600.0
NOW = 1_900_000_000.0
S3 = "?X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Signature=abc"
AZURE = "?sv=2024-01-01&sr=b&sig=abc"


def iso(moment):
    from datetime import UTC, datetime

    return datetime.fromtimestamp(moment, UTC).isoformat().replace("+00:00", "Z")


@pytest.fixture
def storage(start_server):
    return start_server()


@pytest.fixture
def clocked(backend):
    """The backend, with a clock of its own."""
    clock = [NOW]
    backend._client.http.now = lambda: clock[0]
    return backend, clock


def offer(server, storage, query="", expires_at=None, **members):
    answer = {
        "session_id": "s1",
        "metadata_upload_url": f"{storage.origin}/bucket/m{query}",
        "video_upload_url": f"{storage.origin}/bucket/v{query}",
    }
    if expires_at is not None:
        answer["expires_at"] = iso(expires_at)
    server.on("POST", "/api/uploads/create-session", answer | members)


@pytest.mark.parametrize(
    ("query", "members", "method"),
    [
        ("", {}, "POST"),
        (S3, {}, "PUT"),
        ("?X-Goog-Signature=abc", {}, "PUT"),
        (AZURE, {}, "PUT"),
        ("?sig=abc", {}, "POST"),
        ("", {"video_upload_method": "put", "metadata_upload_method": "PUT"}, "PUT"),
        (S3, {"video_upload_method": "POST", "metadata_upload_method": "POST"}, "POST"),
        (S3, {"video_upload_method": "DELETE\r\nX: y", "metadata_upload_method": 7}, "PUT"),
    ],
)
@pytest.mark.parametrize("status", [200, 201, 204])
def test_an_upload_to_signed_addresses(server, storage, backend, upload, body, context, query, members, method, status):
    offer(server, storage, query, **members)
    for path in ("/bucket/m", "/bucket/v"):
        storage.on(method, path, (status, {"ETag": '"abc"'}, b""))
    server.on("POST", "/api/uploads/s1/finalize", (204, {}, b""))
    token, _ = backend.open(upload, context)
    content = b"video bytes"
    held = backend.send(upload, token, Part(0, 1, 0, len(content)), body(content), context)
    (request,) = storage.received
    assert (request.method, request.path) == (method, f"/bucket/v{query}")
    assert "authorization" not in request.headers
    assert request.headers["content-length"] == str(len(request.body))
    if method == "PUT":
        assert request.body == content
        assert request.headers["content-type"] == "application/octet-stream"
    digests = {0: {"sha256": "00"}, 1: {"sha256": "00"}}
    assert len(backend.commit(upload, token, held, digests, context)) == 2


def test_an_empty_file_is_put_with_a_length(server, storage, client, body, context):
    storage.on("PUT", "/x", (200, {}, b""))
    client.upload_file(f"{storage.origin}/x", body(b""), "a.mp4", context, method="PUT")
    assert storage.received[0].headers["content-length"] == "0"
    assert "transfer-encoding" not in storage.received[0].headers


def test_an_address_of_the_servers_own_origin_takes_forms():
    assert method_for(f"https://storage.example/x{S3}", own=True) == "POST"
    assert put_fields(f"https://a.blob.example/x{AZURE}") == {"x-ms-blob-type": "BlockBlob"}
    assert put_fields(f"https://b.s3.example/x{S3}") == {}


@pytest.mark.parametrize(
    ("text", "error"),
    [(b"<Error><Code>AccessDenied</Code><Message>Request has expired</Message></Error>", SessionLostError),
     (b"<Error><Code>SignatureDoesNotMatch</Code></Error>", PermissionDeniedError)],
)  # fmt: skip
def test_a_signature_that_expired_needs_a_new_session(storage, client, body, context, text, error):
    storage.on("PUT", "/x", (403, {"Content-Type": "application/xml"}, text))
    with pytest.raises(error):
        client.upload_file(f"{storage.origin}/x{S3}", body(b"bytes"), "a.mp4", context, method="PUT")


@pytest.mark.parametrize(("passed", "over"), [(0, False), (HOUR - 61, False), (HOUR - 59, True), (HOUR + 1, True)])
def test_a_session_that_ended_or_is_about_to_is_not_sent_to(
    server, storage, clocked, upload, body, context, passed, over
):
    backend, clock = clocked
    offer(server, storage, S3, NOW + HOUR)
    storage.on("PUT", "/bucket/v", (200, {"Date": formatdate(NOW)}, b""))
    backend._client.http.request = with_date(backend._client.http, NOW)
    token, _ = backend.open(upload, context)
    clock[0] += passed
    part = Part(0, 1, 0, 11)
    if over:
        with pytest.raises(SessionLostError, match="time is up"):
            backend.send(upload, token, part, body(b"video bytes"), context)
        assert storage.received == []
    else:
        backend.send(upload, token, part, body(b"video bytes"), context)


def with_date(http, moment):
    """Requests whose answers say that it is this moment at the server."""
    request = http.request

    def dated(*arguments, **options):
        answer = request(*arguments, **options)
        answer.headers["Date"] = formatdate(moment, usegmt=True)
        return answer

    return dated


@pytest.mark.parametrize("skew", [-7 * HOUR, 0.0, 26 * HOUR])
def test_a_clock_that_differs_makes_no_session_seem_over(server, storage, clocked, upload, body, context, skew):
    backend, clock = clocked
    backend._client.http.request = with_date(backend._client.http, NOW + skew)
    offer(server, storage, S3, NOW + skew + HOUR)
    storage.on("PUT", "/bucket/v", 200)
    token, _ = backend.open(upload, context)
    assert token.expires_at == NOW + HOUR
    backend.send(upload, token, Part(0, 1, 0, 11), body(b"video bytes"), context)
    clock[0] += HOUR
    with pytest.raises(SessionLostError):
        backend.send(upload, token, Part(0, 1, 0, 11), body(b"video bytes"), context)


def test_a_session_that_had_ended_when_it_was_given_tells_nothing(server, storage, clocked, upload, body, context):
    backend, _ = clocked
    backend._client.http.request = with_date(backend._client.http, NOW)
    offer(server, storage, S3, NOW - HOUR)
    storage.on("PUT", "/bucket/v", 200)
    token, _ = backend.open(upload, context)
    backend.send(upload, token, Part(0, 1, 0, 11), body(b"video bytes"), context)


@pytest.mark.parametrize(("left", "lost"), [(30.0, True), (HOUR, False)])
def test_the_status_tells_until_when_a_session_was_extended(server, storage, clocked, upload, context, left, lost):
    backend, clock = clocked
    backend._client.http.request = with_date(backend._client.http, NOW)
    offer(server, storage, "", NOW + HOUR)
    token, _ = backend.open(upload, context)
    clock[0] += 2 * HOUR
    backend._client.http.request = with_date(backend._client.http, clock[0])
    server.on("GET", "/api/uploads/s1/status", {"status": "open", "expires_at": iso(clock[0] + left)})
    if lost:
        with pytest.raises(SessionLostError):
            backend.held(upload, token, context)
    else:
        backend.held(upload, token, context)


@pytest.mark.parametrize("date", ["", "yesterday", "Mon, 99 Foo 2026 25:61:61 GMT", "\x00"])
def test_a_date_that_is_none_changes_nothing(date):
    assert local_moment(NOW, {"Date": date}, NOW - HOUR) == NOW
    assert local_moment(None, {}, NOW) is None
