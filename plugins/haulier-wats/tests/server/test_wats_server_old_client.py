"""The first client's calls work unchanged: create-session, one form per file, finalize without a body."""

from __future__ import annotations

import hashlib

import pytest

VIDEO = b"\x00\x01video bytes\r\n--with-dashes\r\n" * 100
METADATA = b'{"session_id": "rdp_123_1729950022"}'
OLD_REQUEST = {
    "session_id": "rdp_123_1729950022",
    "connection_info": {"con_codigo": 123, "ip": "192.168.1.100", "name": "Produção", "connection_type": "RDP"},
    "file_size": len(VIDEO),
    "metadata": {"start_time": "2024-10-26T15:00:22.123456", "recorder_settings": {"fps": 10, "quality": 23}},
}


def new_session(wire, **changes):
    return wire("POST", "/uploads/create-session", json=OLD_REQUEST | changes).json()


def raw_form(*parts, boundary="XX", end="--XX--\r\n"):
    fields = "".join(
        f"--{boundary}\r\nContent-Disposition: form-data; {head}\r\n\r\n{body}\r\n" for head, body in parts
    )
    return {"data": (fields + end).encode(), "headers": {"Content-Type": f"multipart/form-data; boundary={boundary}"}}


def test_old_client_uploads_a_recording(wire, data_dir, files_in):
    answer = wire("POST", "/uploads/create-session", json=OLD_REQUEST)
    session = answer.json()
    assert answer.status_code == 201
    assert set(session) == {"session_id", "metadata_upload_url", "video_upload_url", "expires_at"}
    assert session["expires_at"] == "2024-10-27T13:40:22.123456Z"
    assert session["video_upload_url"].startswith(wire.base + "/uploads/")

    metadata = wire.send_file(session["metadata_upload_url"], METADATA, "rdp_123_metadata.json")
    video = wire.send_file(session["video_upload_url"], VIDEO, "rdp_123_Produção.mp4")
    assert (metadata.status_code, video.status_code) == (200, 200)
    assert video.json()["file_id"] != metadata.json()["file_id"]
    assert (video.json()["size"], video.json()["sha256"]) == (len(VIDEO), hashlib.sha256(VIDEO).hexdigest())

    finalized = wire("POST", f"/uploads/{session['session_id']}/finalize")
    file_id = finalized.json()["file_id"]
    assert finalized.status_code == 200
    assert "item_id" not in finalized.json()
    assert wire.status(session)["status"] == "completed"
    assert [entry["file_id"] for entry in wire("GET", "/recordings?limit=50&offset=0").json()["recordings"]] == [
        file_id
    ]
    folder = f"recordings/2024/10/26/{file_id}"
    assert files_in(data_dir) == [f"{folder}/rdp_123_Produção.mp4", f"{folder}/rdp_123_metadata.json"]
    assert (data_dir / folder / "rdp_123_Produção.mp4").read_bytes() == VIDEO
    assert (data_dir / folder / "rdp_123_metadata.json").read_bytes() == METADATA
    assert wire("DELETE", f"/recordings/{file_id}").json() == {"deleted": True, "file_id": file_id}
    assert files_in(data_dir) == []


def test_one_address_takes_either_file_and_tells_them_apart_by_name(shared):
    session = new_session(shared)
    url = f"/uploads/{session['session_id']}/file"
    shared.send_file(url, METADATA, "rdp_123_metadata.JSON")
    shared.send_file(url, VIDEO, "rdp_123.mp4")
    stored = shared.finalize(session).json()
    assert (stored["video"]["name"], stored["metadata"]["name"]) == ("rdp_123.mp4", "rdp_123_metadata.JSON")


@pytest.mark.parametrize("way", ["query", "field"])
def test_the_kind_that_is_told_counts_more_than_the_name(shared, way):
    session = new_session(shared)
    url = f"/uploads/{session['session_id']}/file"
    if way == "query":
        shared.send_file(url + "?kind=video", VIDEO, "odd.json")
    else:
        shared.send_file(url, VIDEO, "odd.json", kind="video")
    assert shared.status(session)["files"] == {"video": {"offset": len(VIDEO), "size": len(VIDEO), "complete": True}}


def test_a_file_sent_again_replaces_the_first(wire, data_dir, files_in):
    session = new_session(wire)
    wire.send_file(session["video_upload_url"], b"first try")
    wire.send_file(session["video_upload_url"], VIDEO)
    assert len(files_in(data_dir)) == 1
    assert wire.finalize(session).json()["sha256"] == hashlib.sha256(VIDEO).hexdigest()


def test_a_broken_form_leaves_the_copy_that_was_there(wire, data_dir, files_in):
    session = new_session(wire)
    wire.send_file(session["video_upload_url"], VIDEO)
    cut = raw_form(('name="file"; filename="v.mp4"', "half of it"), end="")
    answer = wire("POST", session["video_upload_url"], **cut)
    assert (answer.status_code, answer.json()["detail"]) == (
        400,
        "the form is malformed: it ends before its last boundary",
    )
    assert len(files_in(data_dir)) == 1
    assert wire.finalize(session).json()["sha256"] == hashlib.sha256(VIDEO).hexdigest()


def test_a_form_that_breaks_off_leaves_nothing(wire, data_dir, files_in, until):
    session = new_session(wire)

    def breaking_off():
        yield b'--b\r\nContent-Disposition: form-data; name="file"\r\n\r\n' + b"x" * (2 << 20)
        until(lambda: files_in(data_dir))
        raise RuntimeError

    with pytest.raises(RuntimeError):
        wire(
            "POST",
            session["video_upload_url"],
            data=breaking_off(),
            headers={"Content-Type": "multipart/form-data; boundary=b"},
        )
    wire.session.close()
    until(lambda: files_in(data_dir) == [])
    assert wire.status(session)["files"]["video"]["complete"] is False


@pytest.mark.parametrize(
    ("options", "status", "words"),
    [
        (raw_form(('name="other"', "x")), 400, "no field file"),
        (raw_form(('name="file"', "a"), ('name="file"', "b")), 400, "more than one"),
        (raw_form(('name="file"; filename="v.mp4"', "a"), ('name="kind"', "metadata")), 400, "put it before"),
        (raw_form(('name="kind"', "sound"), ('name="file"; filename="v.mp4"', "a")), 400, "video or metadata"),
        (
            {"data": b"no boundary at all", "headers": {"Content-Type": "multipart/form-data; boundary=b"}},
            400,
            "malformed",
        ),
        ({"data": b"x", "headers": {"Content-Type": "multipart/form-data"}}, 400, "no boundary"),
        ({"data": b"x", "headers": {"Content-Type": f"multipart/form-data; boundary={'b' * 300}"}}, 400, "too long"),
        ({"data": b"x", "headers": {"Content-Type": "application/octet-stream"}}, 415, "multipart/form-data"),
        ({"data": b""}, 415, "multipart/form-data"),
    ],
)
def test_what_is_no_form_with_a_file_is_refused(shared, options, status, words):
    session = new_session(shared)
    answer = shared("POST", f"/uploads/{session['session_id']}/file", **options)
    assert answer.status_code == status
    assert words in answer.json()["detail"]
    assert answer.headers["Content-Type"] == "application/problem+json"
    assert not shared.status(session)["files"]["video"]["complete"]


def test_a_video_shorter_than_declared_is_not_stored(shared):
    session = new_session(shared, file_size=5_000_000)
    shared.send_file(session["video_upload_url"], b"x" * 1_000_000)
    answer = shared.finalize(session)
    assert answer.status_code == 422
    assert answer.json()["differences"] == [
        {"file": "video", "member": "size", "declared": 5_000_000, "held": 1_000_000}
    ]
    assert shared.status(session)["status"] == "open"
    shared.send_file(session["video_upload_url"], b"x" * 5_000_000)
    assert shared.finalize(session).status_code == 200


def test_without_a_video_nothing_is_stored(wire):
    session = new_session(wire)
    wire.send_file(session["metadata_upload_url"], METADATA, "m.json")
    answer = wire.finalize(session)
    assert (answer.status_code, answer.json()["missing"]) == (409, ["video"])
    assert wire("GET", "/recordings").json()["total"] == 0


def test_a_video_alone_is_a_recording(shared):
    session = new_session(shared, file_size=None)
    shared.send_file(session["video_upload_url"], b"")
    answer = shared.finalize(session)
    assert (answer.status_code, answer.json()["metadata"], answer.json()["size"]) == (200, None, 0)


def test_an_old_session_has_no_upload_resources(shared):
    session = new_session(shared)
    assert shared.head(f"/uploads/{session['session_id']}/resources/video").status_code == 404


def test_files_are_refused_after_the_end(shared):
    session = new_session(shared)
    shared.send_file(session["video_upload_url"], VIDEO)
    shared.finalize(session)
    assert shared.send_file(session["video_upload_url"], VIDEO).status_code == 409
    assert shared.send_file("/uploads/unknown/file", VIDEO).status_code == 404
    assert shared.send_file(f"/uploads/{session['session_id']}/files/sound", VIDEO).status_code == 404
