"""A recordings folder as the host leaves it, with the host's own config.json, to the real server and back."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest

TOKEN = "a-token-for-tests"
SAMPLES = Path(__file__).parents[4] / "tests" / "data" / "recordings"
DAY = 86_400


@pytest.fixture
def manifest():
    return json.loads((SAMPLES / "MANIFEST.json").read_text("utf-8"))["files"]


@pytest.fixture
def recordings(tmp_path):
    folder = tmp_path / "recordings"
    shutil.copytree(SAMPLES, folder)
    (folder / "MANIFEST.json").unlink()
    for path in folder.iterdir():
        os.utime(path, (time.time() - DAY, time.time() - DAY))
    return folder


@pytest.fixture
def host_config(tmp_path, server, recordings):
    """As in the user's document."""
    config = tmp_path / "config.json"
    document = {
        "database": {"type": "sqlserver", "password": "senha_segura"},
        "recording": {"enabled": True, "output_dir": str(recordings), "fps": 15},
        "api": {
            "enabled": True,
            "base_url": f"{server.url}/api",
            "api_token": TOKEN,
            "auto_upload": True,
            "upload_timeout": 60,
            "max_retries": 3,
            "max_concurrent_uploads": 2,
            "delete_after_upload": False,
            "upload_older_recordings": True,
            "max_file_age_days": 30,
        },
    }
    config.write_text(json.dumps(document), "utf-8")
    return config


def haulier(tmp_path, config, *arguments):
    command = [
        sys.executable,
        "-m",
        "haulier",
        *arguments,
        "--config",
        str(config),
        "--state-dir",
        str(tmp_path / "state"),
    ]
    return subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)


def stored(tmp_path):
    found = {}
    for path in (tmp_path / "server" / "recordings").rglob("*"):
        if path.suffix in {".mp4", ".avi"}:
            found.setdefault(path.name, []).append(hashlib.sha256(path.read_bytes()).hexdigest())
    return found


def test_every_file_meets_what_the_manifest_says_however_often_it_is_scanned(tmp_path, host_config, manifest):
    expected = {entry["file"]: [entry["sha256"]] for entry in manifest if entry["expect"] == "take"}
    problems = {entry["file"] for entry in manifest if entry["expect"] == "problem"}
    first = haulier(tmp_path, host_config, "run", "--once", "--json")
    assert stored(tmp_path) == expected, first.stderr
    told = {Path(path).name for path in json.loads(first.stdout)["problems"]}
    assert told == problems
    assert first.returncode == 0, "what was taken is stored; problems are reported, not failed tasks"
    again = haulier(tmp_path, host_config, "run", "--once", "--json")
    assert stored(tmp_path) == expected, again.stderr
    receipts = json.loads(haulier(tmp_path, host_config, "receipts", "--json").stdout)["receipts"]
    assert {Path(receipt["artifacts"][0]["name"]).name: [receipt["sha256"]] for receipt in receipts} == expected
    assert {receipt["proof"] for receipt in receipts} == {"content"}
    kept = {path.name for path in (tmp_path / "recordings").iterdir()}
    assert kept == {entry["file"] for entry in manifest} | {entry["sidecar"] for entry in manifest if entry["sidecar"]}


def test_segments_share_one_sidecar_and_recordings_without_one_get_minimal_metadata(tmp_path, host_config):
    haulier(tmp_path, host_config, "run", "--once")
    sidecars = {}
    for path in (tmp_path / "server" / "recordings").rglob("*.json"):
        media = next(other for other in path.parent.iterdir() if other != path)
        sidecars[media.name] = json.loads(path.read_text("utf-8"))
    shared = [name for name in sidecars if name.startswith("rdp_123_1729950022")]
    assert len(shared) == 2
    assert {sidecars[name]["session_id"] for name in shared} == {"rdp_123_1729950022"}
    made = sidecars["SRV-APP01_seg001_20251105_091500.avi"]
    assert made["generated"] is True
    assert made["session_id"] == "SRV-APP01_seg001_20251105_091500"


def test_without_auto_upload_nothing_is_taken_by_itself_but_scan_takes_it(tmp_path, host_config, recordings, manifest):
    document = json.loads(host_config.read_text("utf-8"))
    document["api"]["auto_upload"] = False
    host_config.write_text(json.dumps(document), "utf-8")
    haulier(tmp_path, host_config, "run", "--once")
    assert stored(tmp_path) == {}
    scanned = haulier(tmp_path, host_config, "scan", str(recordings))
    assert len(stored(tmp_path)) == sum(entry["expect"] == "take" for entry in manifest), scanned.stderr
