"""Metadata: what a name tells, what a sidecar must hold, and what create-session is told."""

from __future__ import annotations

import json

import pytest

from haulier.errors import ValidationError
from haulier.models import Role
from haulier_wats.metadata import RecordingName, describe, parse_name, session_request


@pytest.mark.parametrize(
    ("filename", "known"),
    [
        (
            "rdp_123_1729950022_Prod_Sérver.01_20241026_150022.mp4",
            RecordingName("rdp_123_1729950022", "Prod_Sérver.01", "2024-10-26T15:00:22"),
        ),
        (
            "rdp_unknown_1729950022_Srv_20241026_150022_resized.mp4",
            RecordingName("rdp_unknown_1729950022", "Srv", "2024-10-26T15:00:22"),
        ),
        (
            "session_7_1729950022_Srv_20241026_150022.bak.mp4",
            RecordingName("session_7_1729950022", "Srv", "2024-10-26T15:00:22"),
        ),
        (
            "session_123_ServerName_20241026_150000.mp4",
            RecordingName("session_123", "ServerName", "2024-10-26T15:00:00"),
        ),
        (
            "SRV-APP01_seg001_20251105_091500.avi",
            RecordingName("SRV-APP01_seg001_20251105_091500", "SRV-APP01", "2025-11-05T09:15:00"),
        ),
        ("a_seg001_20251399_091500.avi", RecordingName("a_seg001_20251399_091500", "a")),
        ("holiday.mp4", RecordingName("holiday", "holiday")),
        (".mp4", RecordingName(".mp4", ".mp4")),
        (".bak.mp4", RecordingName(".bak", ".bak")),
    ],
)
def test_what_a_name_tells(filename, known):
    assert parse_name(filename) == known


def test_generated_metadata():
    assert describe("SRV_seg001_20251105_091500.avi", 1_762_334_100.9) == {
        "session_id": "SRV_seg001_20251105_091500",
        "connection_info": {"name": "SRV"},
        "start_time": "2025-11-05T09:15:00",
        "recorded_at": "2025-11-05T09:15:00+00:00",
        "generated": True,
    }


def test_an_upload_without_sidecar_gets_one_that_is_always_the_same(new_backend, new_upload):
    backend = new_backend("http://127.0.0.1:1/api")
    upload = new_upload(sidecar=None, recorded_at=1_729_954_822.0, metadata={"ticket": "é"})
    completed = backend.complete(upload)
    assert completed == backend.complete(upload)
    sidecar = completed.sidecar
    assert (sidecar.index, sidecar.role, sidecar.key) == (1, Role.SIDECAR, "k/v.mp4.metadata.json")
    assert sidecar.name == "rdp_1_1729950022_metadata.json"
    assert sidecar.size == len(sidecar.content)
    document = json.loads(sidecar.content)
    assert document["session_id"] == "rdp_1_1729950022"
    assert document["generated"] is True
    assert document["ticket"] == "é"


def test_an_upload_with_sidecar_stays_as_it_is(new_backend, upload):
    assert new_backend("http://127.0.0.1:1/api").complete(upload) is upload


def test_the_request_is_made_of_the_sidecar_and_what_the_submitter_said(new_upload):
    sidecar = {
        "session_id": "rdp_123_1729950022",
        "connection_info": {"con_codigo": 123, "name": "Production Server"},
        "start_time": "2024-10-26T15:00:22.123456",
        "recorder_settings": {"fps": 10},
    }
    content = b"\xef\xbb\xbf" + json.dumps(sidecar).encode()
    upload = new_upload(sidecar=content, metadata={"ticket": 7, "session_id": "another", "start_time": "now"})
    assert session_request(upload) == {
        "session_id": "rdp_123_1729950022",
        "connection_info": {"con_codigo": 123, "name": "Production Server"},
        "file_size": 11,
        "metadata": {"start_time": "now", "recorder_settings": {"fps": 10}, "ticket": 7},
        "item_id": "ab" * 32,
        "files": {
            "video": {"name": upload.media.name, "size": 11, "content_type": "video/mp4"},
            "metadata": {"name": "rdp_1_metadata.json", "size": len(content)},
        },
    }


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"{",
        b"[]",
        b"\xff\xfe{}",
        b"{}",
        b'{"session_id": 7}',
        b'{"session_id": ""}',
        b'{"session_id": "s", "fps": NaN}',
        b'{"session_id": "s", "x": ' + b"[" * 100_000 + b"]" * 100_000 + b"}",
    ],
    ids=range(9),
)
def test_a_broken_sidecar_is_refused_before_any_request(server, backend, new_upload, context, content):
    with pytest.raises(ValidationError) as caught:
        backend.open(new_upload(sidecar=content), context)
    assert caught.value.where == "rdp_1_metadata.json"
    assert not server.received


def test_metadata_that_is_no_json_is_refused(backend, new_upload):
    with pytest.raises(ValidationError, match="cannot be written"):
        backend.complete(new_upload(sidecar=None, metadata={"x": float("nan")}))


def test_a_sidecar_too_large_for_the_journal_is_described_by_the_name(new_upload):
    upload = new_upload()
    media, sidecar = upload.artifacts
    large = type(sidecar)(1, Role.SIDECAR, "large.json", "k/l.json", 5_000_000, "application/json", None)
    request = session_request(new_upload(artifacts=(media, large)))
    assert request["session_id"] == "rdp_1_1729950022"
    assert request["files"]["metadata"] == {"name": "large.json", "size": 5_000_000}
