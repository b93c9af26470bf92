"""Upload resources: offsets, appends, digests, one writer at a time."""

from __future__ import annotations

import hashlib
from concurrent.futures import ThreadPoolExecutor

import pytest

MIB = 1 << 20
PROBLEMS = "https://iana.org/assignments/http-problem-types#"


@pytest.fixture
def video_url(shared):
    return shared.open(10)["resumable"]["video_url"]


def offset_of(answer):
    return answer.headers.get("Upload-Offset"), answer.headers.get("Upload-Complete")


def test_the_offer_names_what_the_server_can_do(shared):
    session = shared.open(10, 2)
    resources = f"{shared.base}/uploads/{session['session_id']}/resources"
    assert session["resumable"] == {
        "protocol": "ietf-resumable-upload",
        "video_url": f"{resources}/video",
        "metadata_url": f"{resources}/metadata",
        "max_append_size": 64 * MIB,
        "min_append_size": 0,
        "digests": ["sha-256"],
    }
    assert "metadata_url" not in shared.open(10)["resumable"]


def test_a_file_comes_in_parts(shared, content_digest):
    session = shared.open(10, 2)
    url = session["resumable"]["video_url"]
    first = shared.head(url)
    assert (first.status_code, offset_of(first)) == (204, ("0", "?0"))
    assert (first.headers["Upload-Length"], first.headers["Cache-Control"]) == ("10", "no-store")
    assert first.headers["Upload-Limit"] == f"max-size={16 << 30}, max-append-size={64 * MIB}"

    second = shared.patch(url, b"0123", 0, **{"Content-Digest": content_digest(b"0123")})
    assert (second.status_code, offset_of(second)) == (204, ("4", "?0"))
    third = shared.patch(url, b"456789", 4, complete=True)
    assert (third.status_code, offset_of(third)) == (204, ("10", "?1"))
    assert offset_of(shared.head(url)) == ("10", "?1")
    shared.patch(session["resumable"]["metadata_url"], b"{}", 0, complete=True)
    stored = shared.finalize(session).json()
    assert stored["sha256"] == hashlib.sha256(b"0123456789").hexdigest()
    assert stored["metadata"] == {
        "name": "rdp_123_metadata.json",
        "size": 2,
        "sha256": hashlib.sha256(b"{}").hexdigest(),
    }
    assert shared("GET", f"/recordings/{stored['file_id']}/content").content == b"0123456789"


def test_a_wrong_offset_is_told_the_right_one(shared, video_url):
    shared.patch(video_url, b"0123", 0)
    answer = shared.patch(video_url, b"89", 8)
    assert (answer.status_code, offset_of(answer)) == (409, ("4", "?0"))
    problem = answer.json()
    assert answer.headers["Content-Type"] == "application/problem+json"
    assert problem["type"] == PROBLEMS + "mismatching-upload-offset"
    assert (problem["expected-offset"], problem["provided-offset"]) == (4, 8)
    assert shared.patch(video_url, b"0123", 0).status_code == 409
    assert offset_of(shared.head(video_url)) == ("4", "?0")


def test_bytes_that_do_not_fit_their_digest_are_dropped(shared, video_url, content_digest):
    shared.patch(video_url, b"0123", 0)
    answer = shared.patch(video_url, b"45X", 4, **{"Content-Digest": content_digest(b"456")})
    assert (answer.status_code, offset_of(answer)) == (400, ("4", "?0"))
    assert "Content-Digest" in answer.json()["detail"]
    assert offset_of(shared.head(video_url)) == ("4", "?0")
    assert shared.patch(video_url, b"456789", 4, complete=True).status_code == 204
    assert offset_of(shared.head(video_url)) == ("10", "?1")


def test_the_digest_of_the_whole_survives_a_dropped_part(shared, content_digest):
    session = shared.open(6)
    url = session["resumable"]["video_url"]
    shared.patch(url, b"abc", 0)
    shared.patch(url, b"XYZ", 3, **{"Content-Digest": content_digest(b"def")})
    shared.patch(url, b"def", 3, complete=True)
    assert shared.finalize(session).json()["sha256"] == hashlib.sha256(b"abcdef").hexdigest()


@pytest.mark.parametrize(
    ("data", "offset", "complete"), [(b"x" * 11, 0, False), (b"x" * 11, 0, True), (b"x" * 9, 0, True), (b"", 0, True)]
)
def test_what_does_not_fit_the_declared_length_is_refused(shared, video_url, data, offset, complete):
    answer = shared.patch(video_url, data, offset, complete=complete)
    assert (answer.status_code, answer.json()["type"]) == (400, PROBLEMS + "inconsistent-upload-length")
    assert offset_of(shared.head(video_url)) == ("0", "?0")


def test_a_body_of_unknown_length_is_held_to_the_declared_one(shared, video_url):
    answer = shared.patch(video_url, iter([b"x" * 6, b"x" * 6]), 0)
    assert (answer.status_code, answer.json()["type"]) == (400, PROBLEMS + "inconsistent-upload-length")
    assert shared.patch(video_url, iter([b"01234", b"56789"]), 0, complete=True).status_code == 204


def test_an_empty_append_closes(shared, video_url):
    assert offset_of(shared.patch(video_url, b"0123456789", 0)) == ("10", "?0")
    assert offset_of(shared.patch(video_url, b"", 10, complete=True)) == ("10", "?1")
    repeated = shared.patch(video_url, b"", 10, complete=True)
    assert (repeated.status_code, offset_of(repeated)) == (204, ("10", "?1"))
    more = shared.patch(video_url, b"x", 10)
    assert (more.status_code, offset_of(more)) == (409, ("10", "?1"))


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"Content-Type": "application/octet-stream"}, 415),
        ({"Content-Type": None}, 415),
        ({"Upload-Offset": None}, 400),
        ({"Upload-Offset": "-1"}, 400),
        ({"Upload-Offset": "0.5"}, 400),
        ({"Upload-Offset": "1" * 16}, 400),
        ({"Upload-Complete": None}, 400),
        ({"Upload-Complete": "true"}, 400),
        ({"Content-Digest": "sha-256=:AAAA:"}, 400),
        ({"Content-Digest": "sha-256=nothing"}, 400),
    ],
)
def test_an_append_needs_well_formed_fields(shared, video_url, headers, status):
    assert shared.patch(video_url, b"0123", 0, **headers).status_code == status
    assert offset_of(shared.head(video_url)) == ("0", "?0")


def test_other_digests_and_parameters_are_passed_over(shared, video_url, content_digest):
    fields = {"Content-Digest": f"sha-512=:AAAA:, {content_digest(b'0123')};a=1", "Upload-Offset": "0;b=2"}
    assert shared.patch(video_url, b"0123", 0, **fields).status_code == 204
    assert shared.patch(video_url, b"4567", 4, **{"Content-Digest": "md5=:AAAA:"}).status_code == 204


def test_a_cancelled_file_is_gone(wire, data_dir, files_in):
    session = wire.open(10, 2)
    url = session["resumable"]["video_url"]
    wire.patch(url, b"0123", 0)
    assert wire("DELETE", url).status_code == 204
    assert files_in(data_dir) == []
    assert wire.head(url).status_code == 410
    assert wire.patch(url, b"4", 4).status_code == 410
    assert wire.head(session["resumable"]["metadata_url"]).status_code == 204
    assert wire.finalize(session).status_code == 409


def test_only_declared_files_have_resources(shared):
    session = shared.open(10)
    metadata = session["resumable"]["video_url"].replace("/video", "/metadata")
    assert shared.head(metadata).status_code == 404
    assert shared.send_file(session["metadata_upload_url"], b"{}", "m.json").status_code == 409
    assert shared.head(metadata.replace("/metadata", "/sound")).status_code == 404
    assert shared.head("/uploads/unknown/resources/video").status_code == 404


def test_a_form_may_replace_what_was_appended(shared):
    session = shared.open(10)
    shared.patch(session["resumable"]["video_url"], b"0123", 0)
    shared.send_file(session["video_upload_url"], b"abcdefghij", "v.mp4")
    assert offset_of(shared.head(session["resumable"]["video_url"])) == ("10", "?1")
    stored = shared.finalize(session).json()
    assert stored["sha256"] == hashlib.sha256(b"abcdefghij").hexdigest()
    assert stored["video"]["name"] == "Production Server.mp4"


def test_what_came_before_the_connection_broke_is_kept(shared, until):
    session = shared.open(3 * MIB)
    url = session["resumable"]["video_url"]
    shared.begin_patch(url, b"a" * MIB + b"b", 0, 3 * MIB).close()
    until(lambda: shared.status(session)["files"]["video"]["offset"] == MIB + 1)
    rest = b"c" * (2 * MIB - 1)
    assert shared.patch(url, rest, MIB + 1, complete=True).status_code == 204
    assert shared.finalize(session).json()["sha256"] == hashlib.sha256(b"a" * MIB + b"b" + rest).hexdigest()


def test_what_a_digest_should_have_covered_is_not_kept(wire, until, content_digest, data_dir):
    url = wire.open(3 * MIB)["resumable"]["video_url"]
    connection = wire.begin_patch(url, b"a" * 2 * MIB, 0, 3 * MIB, **{"Content-Digest": content_digest(b"?")})
    until(lambda: any(path.stat().st_size for path in data_dir.glob(".incoming/*/*")))
    connection.close()
    assert offset_of(wire.head(url)) == ("0", "?0")


def test_a_silent_connection_gives_way_to_a_newer_request(shared):
    url = shared.open(10)["resumable"]["video_url"]
    with shared.begin_patch(url, b"0123", 0, 10) as silent:
        assert offset_of(shared.head(url)) in {("0", "?0"), ("4", "?0")}
        stands = int(shared.head(url).headers["Upload-Offset"])
        assert shared.patch(url, b"0123456789"[stands:], stands, complete=True).status_code == 204
        assert silent.recv(1000).startswith(b"HTTP/1.1 409 ")


def test_a_connection_that_stays_silent_is_given_up(start):
    wire = start(silence=0.05)
    url = wire.open(10)["resumable"]["video_url"]
    with wire.begin_patch(url, b"0123", 0, 10) as silent:
        answer = silent.recv(1000)
    assert answer.startswith(b"HTTP/1.1 408 ")
    assert b"upload-offset: 4" in answer.lower()


def test_many_writers_never_mix_their_bytes(shared):
    session = shared.open(8 * MIB)
    url = session["resumable"]["video_url"]

    def write(letter):
        return shared.patch(url, letter * (8 * MIB), 0, complete=True).status_code

    with ThreadPoolExecutor(8) as pool:
        outcomes = list(pool.map(write, [b"a", b"b", b"c", b"d", b"e", b"f", b"g", b"h"]))
    if 204 not in outcomes:
        stands = int(shared.head(url).headers["Upload-Offset"])
        assert shared.patch(url, b"z" * (8 * MIB - stands), stands, complete=True).status_code == 204
    stored = shared.finalize(session).json()
    content = shared("GET", f"/recordings/{stored['file_id']}/content").content
    assert stored["sha256"] == hashlib.sha256(content).hexdigest()
    changes = sum(content[i : i + 1] != content[i - 1 : i] for i in range(64 * 1024, len(content), 64 * 1024))
    assert changes <= 8
    assert set(outcomes) <= {204, 409}
