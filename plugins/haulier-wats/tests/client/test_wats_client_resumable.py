"""HEAD and PATCH of an upload resource."""

from __future__ import annotations

import hashlib

import pytest

from haulier.errors import (
    NetworkError,
    OffsetError,
    PermissionDeniedError,
    ServerError,
    SessionLostError,
    ValidationError,
)
from haulier_wats.outgoing import Outgoing
from haulier_wats.resumable import Progress, append, progress

MIB = 1024 * 1024


@pytest.fixture
def url(server):
    return f"{server.origin}/up"


def test_progress(server, client, context, url):
    server.on(
        "HEAD", "/up", (204, {"Upload-Offset": "17", "Upload-Complete": "?0; x=1", "Upload-Limit": "max-age=1"}, b"")
    )
    assert progress(client.http, url, context) == Progress(17)


@pytest.mark.parametrize("fields", [{}, {"Upload-Offset": "-1"}, {"Upload-Offset": "1e3"}, {"Upload-Offset": '"17"'}])
def test_a_malformed_offset_counts_as_not_told(server, client, context, url, fields):
    server.on("HEAD", "/up", (204, fields, b""))
    with pytest.raises(ServerError, match="how much"):
        progress(client.http, url, context)


@pytest.mark.parametrize(
    ("status", "error"),
    [(404, SessionLostError), (410, SessionLostError), (403, PermissionDeniedError), (503, ServerError)],
)
def test_a_resource_that_is_gone(server, client, context, url, status, error):
    server.on("HEAD", "/up", (status, {}, b""))
    with pytest.raises(error):
        progress(client.http, url, context)


def test_appending(server, client, context, url, body, upload_resource):
    resource = upload_resource(5 * MIB)
    resource.install(server, "/up")
    data = bytes(range(256)) * (5 * MIB // 256)
    digest = hashlib.sha256(data[: 3 * MIB]).hexdigest()
    first = append(
        client.http, url, Outgoing(body(data[: 3 * MIB])), context, artifact=0, offset=0, complete=False, sha256=digest
    )
    last = append(client.http, url, Outgoing(body(data[3 * MIB :])), context, artifact=0, offset=3 * MIB, complete=True)
    assert (first, last) == (Progress(3 * MIB), Progress(5 * MIB, complete=True))
    assert resource.data == data
    assert server.received[0].headers["upload-complete"] == "?0"
    assert server.received[0].headers["content-length"] == str(3 * MIB)
    assert "content-digest" not in server.received[1].headers


def test_an_empty_append_closes(server, client, context, url, upload_resource):
    resource = upload_resource(0)
    resource.install(server, "/up")
    append(client.http, url, b"", context, artifact=0, offset=0, complete=True)
    assert resource.complete
    assert server.received[0].headers["content-length"] == "0"


@pytest.mark.parametrize(
    ("fields", "document", "held"),
    [
        ({"Upload-Offset": "7", "Upload-Complete": "?0"}, b"", {2: 7}),
        ({}, b'{"expected-offset": 9, "provided-offset": 1}', {2: 9}),
        ({}, b"{}", None),
    ],
)
def test_a_wrong_offset_tells_the_right_one(server, client, context, url, fields, document, held):
    server.on("PATCH", "/up", (409, fields, document))
    with pytest.raises(OffsetError) as caught:
        append(client.http, url, b"x", context, artifact=2, offset=1, complete=False)
    assert (caught.value.held and caught.value.held.prefixes) == held


def test_an_answer_without_an_offset_is_asked_for(server, client, context, url):
    server.on("PATCH", "/up", (204, {}, b""))
    server.on("HEAD", "/up", (204, {"Upload-Offset": "1"}, b""))
    assert append(client.http, url, b"x", context, artifact=0, offset=0, complete=False) == Progress(1)


def test_a_lost_answer_had_reached_the_server(server, client, context, url):
    def vanish(handler, request):
        handler.close_connection = True

    server.on("PATCH", "/up", vanish)
    with pytest.raises(NetworkError) as caught:
        append(client.http, url, b"x", context, artifact=0, offset=0, complete=False)
    assert caught.value.reached


@pytest.mark.parametrize(
    "problem",
    [
        b'{"detail": "the bytes are not those of Content-Digest and were dropped"}',
        b'{"type": "https://iana.org/assignments/http-problem-types#digest-mismatching-values"}',
    ],
)
def test_bytes_that_arrived_damaged_are_worth_another_try(server, client, context, url, problem):
    server.on("PATCH", "/up", (400, {"Upload-Offset": "0"}, problem))
    with pytest.raises(ServerError, match="damaged"):
        append(client.http, url, b"x", context, artifact=0, offset=0, complete=False, sha256="ab" * 32)


def test_a_length_that_does_not_fit_is_not(server, client, context, url):
    problem = b'{"type": "https://iana.org/assignments/http-problem-types#inconsistent-upload-length", "detail": "no"}'
    server.on("PATCH", "/up", (400, {"Upload-Offset": "0"}, problem))
    with pytest.raises(ValidationError):
        append(client.http, url, b"x", context, artifact=0, offset=0, complete=False, sha256="ab" * 32)
