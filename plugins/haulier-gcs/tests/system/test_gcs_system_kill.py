"""SIGKILL after k of n parts: the next run sends the rest, and there is one object."""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys

import pytest

PART = 1024
COUNT = 12
CONTENT = random.Random(9).randbytes(COUNT * PART - 100)


@pytest.fixture
def agent(tmp_path, line, emulator):
    bucket = emulator.bucket()
    config = tmp_path / "haulier.toml"
    config.write_text(f"""
[upload]
backend = "archive"
state_dir = "state"
part_size = {PART}

[watch]
settle_seconds = 0

[backends.archive]
type = "gcs"
bucket = "{bucket}"
prefix = "in"
endpoint_url = "{line.url}"
anonymous = true
min_part_size = {PART}
""")

    def start(*words):
        command = [sys.executable, "-m", "haulier", *words, "--config", str(config), "--json"]
        return subprocess.Popen(command, env=os.environ, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)

    start.bucket = bucket
    return start


@pytest.mark.parametrize(
    "killed_after", [pytest.param(0, marks=pytest.mark.full), 5, pytest.param(COUNT - 1, marks=pytest.mark.full)]
)
def test_invariant_5_a_kill_after_k_of_n_parts_costs_the_part_in_flight(tmp_path, line, emulator, agent, killed_after):
    (tmp_path / "clip.mp4").write_bytes(CONTENT)
    stop = f"bytes {killed_after * PART}-"
    line.strike(lambda request: "silence" if request.headers.get("Content-Range", "").startswith(stop) else None)
    with agent("send", str(tmp_path / "clip.mp4"), "--wait", "60") as first:
        line.wait_for_silence()
        first.kill()
    assert line.chunks() == [number * PART for number in range(killed_after)]
    line.strike(lambda _: None)
    line.forget()
    with agent("run", "--once") as second:
        out, err = second.communicate(timeout=60)
    assert second.returncode == 0, err + out
    assert line.chunks() == [number * PART for number in range(killed_after, COUNT)], "each of the others once"
    assert line.bytes_seen["PUT"] == len(CONTENT) - killed_after * PART
    assert line.count("POST", "uploadType") == 0, "the session went on"
    ((key, _),) = emulator.objects(agent.bucket).items()
    assert emulator.content(agent.bucket, key) == CONTENT
    with agent("receipts") as receipts:
        (receipt,) = json.loads(receipts.communicate(timeout=60)[0])["receipts"]
    assert receipt["proof"] == "content"


def test_invariant_10_the_address_of_a_session_is_nowhere_in_clear(tmp_path, line, agent):
    """Not in the journal, not in what is printed: whoever has it may write the object."""
    (tmp_path / "clip.mp4").write_bytes(CONTENT)
    line.strike(
        lambda request: "silence" if request.headers.get("Content-Range", "").startswith("bytes 2048-") else None
    )
    with agent("send", str(tmp_path / "clip.mp4"), "--wait", "60", "-vv") as first:
        line.wait_for_silence()
        first.terminate()
        line.released.set()
        out, err = first.communicate(timeout=60)
    (address,) = {each.path for each in line.seen if "upload_id" in each.path}
    secret = address.partition("upload_id=")[2]
    assert secret
    kept = b"".join(path.read_bytes() for path in (tmp_path / "state").rglob("*") if path.is_file())
    for text in (secret, secret.replace("%3A", ":"), "upload_id"):
        assert text.encode() not in kept
        assert text not in out + err
