"""Forms, header fields and bytes that nobody means: a clear refusal or a plain answer, never a failure."""

from __future__ import annotations

import http.client
import json
import socket
from urllib.parse import urlsplit

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

QUICK = settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
LONG = settings(QUICK, max_examples=1500)

MUCH = b"x" * 70_000
"""More than a form may add to its file; ``<much>`` stands for it, which is shorter to show."""

BOUNDARY = b"b0undary"
PARTS = st.sampled_from(
    [
        b"--" + BOUNDARY + b"\r\n",
        b"\r\n--" + BOUNDARY + b"\r\n",
        b"\r\n--" + BOUNDARY + b"--\r\n",
        b"--" + BOUNDARY + b"--",
        b"--" + BOUNDARY,
        b'Content-Disposition: form-data; name="file"; filename="a.mp4"\r\n\r\n',
        b'Content-Disposition: form-data; name="file"\r\n\r\n',
        b'Content-Disposition: form-data; name="kind"\r\n\r\n',
        b"Content-Disposition: form-data; name*=utf-8''file; filename=\"\\\r\n\r\n",
        b"content-disposition: attachment; name=file; filename=\xff\x00.json\r\n",
        b"Content-Disposition:\r\n\r\n",
        b"Content-Transfer-Encoding: base64\r\n\r\n",
        b": \r\n\r\n",
        b"video",
        b"metadata",
        b"\r\n",
        b"\n",
        b"\r",
        b"-",
        b"",
        b"<much>",
    ]
)
BODIES = st.lists(PARTS | st.binary(max_size=40), max_size=12).map(b"".join)
WELL_BEGUN = st.tuples(
    st.just(b"--" + BOUNDARY + b'\r\nContent-Disposition: form-data; name="file"; filename="v.mp4"\r\n\r\n'),
    st.binary(max_size=200),
    BODIES,
).map(b"".join)
FORM_TYPES = st.sampled_from(
    [
        b"multipart/form-data; boundary=" + BOUNDARY,
        b'multipart/form-data; boundary="' + BOUNDARY + b'"; charset=x',
        b"multipart/form-data; boundary=",
        b"multipart/form-data",
        b"multipart/form-data; boundary=" + b"b" * 300,
        b"multipart/form-data; boundary=\xff\xfe",
        b"multipart/form-data; boundary*=utf-8''%ff",
        b"multipart/mixed; boundary=" + BOUNDARY,
        b";",
        b"",
    ]
)

# What may stand in a field's value: anything but what ends it.
VALUES = st.text(st.characters(min_codepoint=0x20, max_codepoint=0xFF, exclude_characters="\x7f"), max_size=60).map(
    lambda text: text.encode("latin-1")
)
STRUCTURED = st.sampled_from(
    [
        b"0",
        b"5",
        b"-1",
        b"1.0",
        b"5;a=b",
        b"9" * 15,
        b"9" * 400,
        b"?0",
        b"?1",
        b"?2",
        b"sha-256=:AAAA:",
        b"sha-256=:" + b"A" * 43 + b"=:",
        b"sha-256=:" + b"A" * 42 + b"==:, sha-512=:x:",
        b'"key"',
        b'"\\"',
        b'"' + b"k" * 300 + b'"',
        b"bytes=0-0",
        b"bytes=1-0",
        b"bytes=" + b"9" * 5000 + b"-",
        b"bytes=0-,-1,5-,x",
        b'W/"a", "b',
        b"*",
        b"100-continue",
        b"application/partial-upload",
        b"Bearer t0ken-of-the-tests",
        b"[::1]:x",
        b"a.example",
    ]
)
NAMES = [
    "Upload-Offset",
    "Upload-Complete",
    "Upload-Length",
    "Content-Digest",
    "Content-Type",
    "Idempotency-Key",
    "Range",
    "If-Range",
    "If-Match",
    "If-None-Match",
    "Host",
    "X-Forwarded-Proto",
    "X-Forwarded-For",
    "Content-Encoding",
    "Accept",
    "Cookie",
]
HEADERS = st.dictionaries(st.sampled_from(NAMES), VALUES | STRUCTURED, max_size=5)


@pytest.fixture(scope="module")
def ask(shared):
    """Sends one request as it is told; its status, once the answer was found to be a sound one."""
    parts = urlsplit(shared.base)
    token = shared.session.headers["Authorization"]

    def ask(method, url, headers, body):
        connection = http.client.HTTPConnection(parts.hostname, parts.port, timeout=30)
        body = body.replace(b"<much>", MUCH)
        connection.putrequest(
            method, url.removeprefix(f"http://{parts.netloc}"), skip_host="Host" in headers, skip_accept_encoding=True
        )
        fields = {"Authorization": token.encode(), "Content-Length": str(len(body)).encode()} | headers
        for name, value in fields.items():
            connection.putheader(name, value)
        connection.endheaders(body)
        answer = connection.getresponse()
        content = answer.read()
        connection.close()
        if answer.status >= 400 and method != "HEAD" and answer.headers["Content-Type"] != "text/plain; charset=utf-8":
            problem = json.loads(content)
            assert (problem["status"], bool(problem["detail"])) == (answer.status, True)
        assert answer.status < 500, content
        return answer.status

    return ask


def send_form(shared, ask, content_type, body, path):
    sid = shared.create(file_size=10).json()["session_id"]
    url = f"{shared.base}/uploads/{sid}/{path}"
    status = ask("POST", url, {"Content-Type": content_type} if content_type else {}, body)
    assert status in {200, 400, 408, 413, 415}
    held = shared.status({"session_id": sid})["files"]
    assert any(file["complete"] for file in held.values()) == (status == 200)
    shared("DELETE", f"/uploads/{sid}")


def send_fields(shared, ask, method, path, headers, body, kept):
    session = shared.open(10)
    url = shared.base + path.format(sid=session["session_id"], file_id=kept)
    status = ask(method, url, headers, body)
    assert status < 500
    held = shared.head(session["resumable"]["video_url"])
    assert held.status_code in {204, 410}
    shared("DELETE", f"/uploads/{session['session_id']}")


TARGETS = [
    ("POST", "/uploads/create-session"),
    ("PATCH", "/uploads/{sid}/resources/video"),
    ("HEAD", "/uploads/{sid}/resources/video"),
    ("POST", "/uploads/{sid}/finalize"),
    ("GET", "/recordings/{file_id}/content"),
    ("HEAD", "/recordings/{file_id}/metadata"),
    ("GET", "/recordings"),
]
JSON_BODIES = st.sampled_from(
    [b"", b"{}", b'{"session_id": "s"}', b'{"files": {"video": {"size": 1e400}}}', b"[]", b"0" * 9]
)


@pytest.fixture(scope="module")
def kept(shared):
    return shared.store(b"0123456789", b"{}")["file_id"]


@given(content_type=FORM_TYPES, body=BODIES | WELL_BEGUN, path=st.sampled_from(["file", "files/video"]))
@QUICK
def test_any_form_is_taken_whole_or_refused(shared, ask, content_type, body, path):
    send_form(shared, ask, content_type, body, path)


@given(body=WELL_BEGUN, path=st.sampled_from(["file", "file?kind=metadata", "files/metadata"]))
@QUICK
def test_any_form_that_begins_well_is_taken_whole_or_refused(shared, ask, body, path):
    send_form(shared, ask, b"multipart/form-data; boundary=" + BOUNDARY, body, path)


@given(target=st.sampled_from(TARGETS), headers=HEADERS, body=JSON_BODIES | st.binary(max_size=12))
@QUICK
def test_any_header_fields_are_answered(shared, ask, kept, target, headers, body):
    send_fields(shared, ask, *target, headers, body, kept)


@pytest.mark.full
@given(content_type=FORM_TYPES, body=BODIES | WELL_BEGUN, path=st.sampled_from(["file", "files/video"]))
@LONG
def test_any_form_is_taken_whole_or_refused_at_length(shared, ask, content_type, body, path):
    send_form(shared, ask, content_type, body, path)


@pytest.mark.full
@given(target=st.sampled_from(TARGETS), headers=HEADERS, body=JSON_BODIES | st.binary(max_size=12))
@LONG
def test_any_header_fields_are_answered_at_length(shared, ask, kept, target, headers, body):
    send_fields(shared, ask, *target, headers, body, kept)


@given(st.lists(st.binary(max_size=60) | STRUCTURED | PARTS, max_size=6))
@settings(QUICK, max_examples=25)
def test_what_is_no_http_harms_nobody(shared, chunks):
    parts = urlsplit(shared.base)
    with socket.create_connection((parts.hostname, parts.port), timeout=30) as connection:
        connection.sendall(b"PATCH / HTTP/1.1\r\n" + b"\r\n".join(chunks).replace(b"<much>", MUCH))
        connection.shutdown(socket.SHUT_WR)
        answer = connection.recv(12)
    assert answer[9:10] in {b"", b"4"}
    assert shared("GET", "/health").status_code == 200


def test_what_a_form_adds_to_its_file_is_bounded(shared):
    session = shared.create().json()
    part = b'--b\r\nContent-Disposition: form-data; name="other"\r\n\r\n' + b"o" * 1000 + b"\r\n"
    form = [*[part] * 100, b'--b\r\nContent-Disposition: form-data; name="file"\r\n\r\nv\r\n--b--\r\n']
    headers = {"Content-Type": "multipart/form-data; boundary=b"}
    answer = shared("POST", session["video_upload_url"], data=iter(form), headers=headers)
    assert (answer.status_code, "adds" in answer.json()["detail"]) == (413, True)
    assert shared("POST", session["video_upload_url"], data=iter(form[60:]), headers=headers).status_code == 200


def test_metadata_has_a_limit_of_its_own(start):
    wire = start(max_metadata_size=100, max_file_size=1000)
    assert wire("GET", "/health").json()["capabilities"]["max_metadata_size"] == 100
    video = {"name": "v", "size": 1000}
    assert wire.create(files={"video": video, "metadata": {"name": "m", "size": 101}}).status_code == 413
    session = wire.open(1000, 100)
    assert "max-size=100," in wire.head(session["resumable"]["metadata_url"]).headers["Upload-Limit"]
    assert "max-size=1000," in wire.head(session["resumable"]["video_url"]).headers["Upload-Limit"]
    old = wire.create().json()
    assert wire.send_file(old["metadata_upload_url"], b"x" * 101).status_code == 413
    assert wire.send_file(old["metadata_upload_url"], b"x" * 100).status_code == 200
    assert wire.send_file(old["video_upload_url"], b"x" * 1000).status_code == 200
    either = f"/uploads/{old['session_id']}/file"
    assert wire.send_file(either, b"x" * 101, "m.json").status_code == 413
