"""Bodies that are too large, too deep, or no JSON; names that are no names."""

from __future__ import annotations

import socket
import unicodedata
from contextlib import suppress
from urllib.parse import urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st

from haulier_wats.server.names import stored_name, stored_names

MIB = 1 << 20


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"\xff",
        b'{"session_id": NaN}',
        b'{"session_id": "a", "connection_info": {"n": 1e999}}',
        b"[" * 100_000,
        b'{"n": ' + b"9" * 5000 + b"}",
        b"[" * 65 + b"]" * 65,
    ],
)
@pytest.mark.parametrize("path", ["/uploads/create-session", "/uploads/{}/finalize"])
def test_what_is_no_json_is_refused(shared, path, body):
    if not body and "finalize" in path:
        body = b"nothing"
    answer = shared("POST", path.format(shared.open(1)["session_id"]), data=body)
    assert answer.status_code in {400, 422}
    assert answer.headers["Content-Type"] == "application/problem+json"


@pytest.mark.parametrize("chunked", [False, True])
def test_a_json_body_holds_one_mebibyte(shared, chunked):
    body = b'{"session_id": "a", "metadata": {"x": "' + b"y" * MIB + b'"}}'
    answer = shared("POST", "/uploads/create-session", data=iter([body]) if chunked else body)
    assert answer.status_code == 413


def test_a_file_beyond_the_limit_is_refused_before_it_is_sent(start):
    wire = start(max_file_size=100)
    assert wire.create(file_size=101).status_code == 413
    assert (
        wire.create(files={"video": {"name": "v", "size": 1}, "metadata": {"name": "m", "size": 101}}).status_code
        == 413
    )
    assert wire.create(file_size=100).status_code == 201
    assert wire("GET", "/health").json()["capabilities"]["max_file_size"] == 100


@pytest.mark.parametrize("size", [101, 200_000])
def test_a_form_beyond_the_limit_is_refused(start, data_dir, files_in, size):
    wire = start(max_file_size=100)
    session = wire.create().json()
    assert wire.send_file(session["video_upload_url"], b"x" * size).status_code == 413
    assert files_in(data_dir) == []
    assert wire.send_file(session["video_upload_url"], b"x" * 100).status_code == 200


@pytest.mark.parametrize("chunked", [False, True])
def test_an_append_beyond_the_limit_is_refused(start, chunked):
    wire = start(max_append_size=4)
    url = wire.open(10)["resumable"]["video_url"]
    answer = wire.patch(url, iter([b"0123", b"4"]) if chunked else b"01234", 0)
    assert (answer.status_code, answer.headers["Upload-Offset"]) == (413, "0")
    assert wire.patch(url, b"0123", 0).status_code == 204


@pytest.mark.parametrize(
    ("name", "stored"),
    [
        ("Sessão 1.mp4", "Sessão 1.mp4"),
        ("../../etc/passwd", "passwd"),
        ("C:\\Windows\\System32\\cmd.exe", "cmd.exe"),
        ("..", "video"),
        ("...", "video"),
        ("", "video"),
        ("a/", "video"),
        ("a\x00b\r\nc.mp4", "a_b__c.mp4"),
        ("gpj.\u202e4pm", "gpj._4pm"),
        ("CON", "_CON"),
        ("nul.mp4", "_nul.mp4"),
        ("com1 .mp4", "_com1 .mp4"),
        ("LPT¹.x.mp4", "_LPT¹.x.mp4"),
        ("console.mp4", "console.mp4"),
        ('a<b>c:d"e|f?g*.mp4', "a_b_c_d_e_f_g_.mp4"),
        (" .mp4. . ", ".mp4"),
        ("e\u0301.mp4", "é.mp4"),
        ("é" * 300 + ".mp4", "é" * 97 + ".mp4"),
        ("x" * 300, "x" * 199),
    ],
)
def test_hostile_names_become_harmless(name, stored):
    assert stored_name(name, "video") == stored


@given(st.text(max_size=300), st.text(max_size=300))
def test_any_names_can_be_stored_side_by_side(video, metadata):
    names = stored_names(video, metadata)
    assert names[0].casefold() != names[1].casefold()
    for name in names:
        assert 0 < len(name.encode()) <= 200
        assert name == unicodedata.normalize("NFC", name) or len(name.encode()) > 190
        assert not set(name) & set('/\\<>:"|?*\x00')
        assert not any(unicodedata.category(char) in {"Cc", "Cf"} for char in name)
        assert name not in {".", ".."}
        assert name[-1] not in ". "


def test_the_name_on_the_disk_is_safe_and_the_answer_tells_the_clients(wire, data_dir, files_in):
    name = "../..\\evil\u202e/CON.mp4"
    session = wire.create(files={"video": {"name": name, "size": 1}}).json()
    wire.patch(session["resumable"]["video_url"], b"v", 0, complete=True)
    stored = wire.finalize(session).json()
    assert stored["video"]["name"] == name
    assert files_in(data_dir) == [f"recordings/2024/10/26/{stored['file_id']}/_CON.mp4"]
    answer = wire("GET", f"/recordings/{stored['file_id']}/content")
    assert (answer.status_code, answer.content) == (200, b"v")


def test_a_hostile_name_in_a_form(wire, data_dir, files_in):
    session = wire.create().json()
    wire.send_file(session["video_upload_url"], b"v", "..\\..\\évil\x7f.mp4")
    file_id = wire.finalize(session).json()["file_id"]
    (path,) = files_in(data_dir)
    assert path.startswith(f"recordings/2024/10/26/{file_id}/")
    assert "évil" in path


def test_a_head_without_an_end_is_refused(shared):
    """Whoever needs no token to be refused must not fill the memory either, whatever reads requests here."""
    parts = urlsplit(shared.base)
    told = b""
    with socket.create_connection((parts.hostname, parts.port), timeout=30) as connection, suppress(ConnectionError):
        connection.sendall(b"GET /health HTTP/1.1\r\nHost: x\r\n")
        for _ in range(256):
            connection.sendall(b"X-More: " + b"a" * (64 << 10) + b"\r\n")
        connection.sendall(b"\r\n")
        told = connection.recv(64)
    assert told.startswith((b"HTTP/1.1 400", b"HTTP/1.1 431")) or not told
