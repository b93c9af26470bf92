"""A client written from the page works with the reference server, and with a plain one."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from haulier.testing.http_faults import Fault


@pytest.mark.parametrize("prefix", ["", "/api", "/api/"])
def test_it_uploads_finalizes_lists_and_deletes(reference_server, token, small_client, recording, data, prefix):
    client = small_client(f"{reference_server.url}{prefix}", token)
    video, metadata = recording
    assert client.call("GET", "health")["status"] == "ok"

    stored = client.upload("item/1?", "rdp_123_1729950022", video, metadata)
    assert stored["sha256"] == hashlib.sha256(video.read_bytes()).hexdigest()
    (kept,) = (data / "recordings").rglob("*.mp4")
    assert kept.read_bytes() == video.read_bytes()

    (listed,) = client.call("GET", "recordings", params={"item_id": "item/1?"})["recordings"]
    assert (listed["file_id"], listed["session_id"]) == (stored["file_id"], "rdp_123_1729950022")

    assert client.upload("item/1?", "rdp_123_1729950022", video, metadata)["file_id"] == stored["file_id"]
    client.call("DELETE", "recordings", stored["file_id"])
    assert client.call("GET", "recordings")["recordings"] == []
    with pytest.raises(RuntimeError, match="404"):
        client.call("DELETE", "recordings", stored["file_id"])


def test_it_goes_on_where_a_broken_upload_stopped(reference_server, token, small_client, recording, proxy_before):
    proxy = proxy_before(reference_server.url)
    client = small_client(f"{proxy.url}/api", token)
    faults = iter([None, None, Fault(forward=True, reset=True)])
    proxy.rule = lambda request: next(faults, None) if request.method == "PATCH" else None
    with pytest.raises(OSError, match="onnection"):
        client.upload("item", "rdp_1", *recording)
    stored = client.upload("item", "rdp_1", *recording)
    assert stored["size"] == recording[0].stat().st_size
    assert proxy.bytes_seen["PATCH"] == sum(path.stat().st_size for path in recording)


def test_it_knows_the_errors_of_the_page(reference_server, token, small_client):
    with pytest.raises(RuntimeError, match="401"):
        small_client(f"{reference_server.url}/api", "another").call("GET", "recordings")
    with pytest.raises(RuntimeError, match="404: "):
        small_client(f"{reference_server.url}/api", token).call("GET", "uploads", "a/../b?c", "status")


def test_it_works_with_a_plain_server(plain_server, token, small_client, recording):
    client = small_client(f"{plain_server.url}/api", token)
    client.upload("item", "rdp_1", *recording)
    ((file_id, stored),) = plain_server.recordings.items()
    assert (stored["video"], stored["metadata"]) == tuple(path.read_bytes() for path in recording)
    assert client.call("GET", "recordings")[0]["file_id"] == file_id
    client.call("DELETE", "recordings", file_id)
    assert plain_server.recordings == {}


def test_it_is_short():
    lines = (Path(__file__).parent / "small_client.py").read_text().splitlines()
    assert len([line for line in lines if line.strip()]) <= 70
