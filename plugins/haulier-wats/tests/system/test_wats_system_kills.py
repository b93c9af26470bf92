"""The agent is killed again and again; at the end every recording is stored once, byte for byte."""

from __future__ import annotations

import hashlib
import json
import random
import subprocess
import sys

from haulier import UploadManager
from haulier.models import TaskState
from haulier.testing.crash.running import matrix_base
from haulier_wats.server import ServerSettings, ServerThread, Tokens

TOKEN = "a-token-for-tests"
KILLS = 30
KIB = 1024


def make_recordings(folder, count=14):
    folder.mkdir()
    digests = {}
    for number in range(count):
        session = f"rdp_{number // 2}_17299500{number // 2:02}"
        path = folder / f"{session}_Host_Name_20241026_1500{number:02}.mp4"
        path.write_bytes(random.Random(number).randbytes(3000 * KIB + number * 7))
        digests[path.name] = hashlib.sha256(path.read_bytes()).hexdigest()
        (folder / f"{session}_metadata.json").write_text(json.dumps({"session_id": session}))
    return digests


def write_config(tmp_path, url):
    (tmp_path / "token").write_text(TOKEN)
    (tmp_path / "token").chmod(0o600)
    config = tmp_path / "haulier.toml"
    config.write_text(
        f"""
[upload]
backend = "wats"
state_dir = "state"
part_size = {32 * KIB}

[watch]
paths = ["recordings"]
settle_seconds = 0
interval_seconds = 1

[backends.wats]
base_url = "{url}/api"
api_token = "file:token"
"""
    )
    return config


def test_invariants_1_4_5_thirty_kills_of_the_agent_at_random_lose_and_double_nothing(tmp_path):
    digests = make_recordings(tmp_path / "recordings")
    seed = matrix_base()
    chance = random.Random(seed)
    with ServerThread(ServerSettings(tmp_path / "server", Tokens([TOKEN]))) as server:
        config = write_config(tmp_path, server.url)
        agent = [sys.executable, "-m", "haulier", "run", "--config", str(config)]
        survived = 0
        for _ in range(KILLS):
            with subprocess.Popen(agent, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
                try:
                    process.wait(chance.uniform(0.3, 1.0))
                    survived += 1
                except subprocess.TimeoutExpired:
                    process.kill()
        assert survived == 0, "the agent ended by itself"
        once = [*agent, "--once", "--json"]
        done = subprocess.run(once, capture_output=True, text=True, timeout=120, check=False)
        assert done.returncode == 0, (seed, done.stderr)
    stored = {}
    for path in (tmp_path / "server" / "recordings").rglob("*.mp4"):
        stored.setdefault(path.name, []).append(hashlib.sha256(path.read_bytes()).hexdigest())
    assert stored == {name: [digest] for name, digest in digests.items()}, seed
    manager = UploadManager.open(config)
    receipts = {receipt.source.rsplit("/", 1)[1]: receipt for receipt in manager.receipts()}
    assert {name: receipt.sha256 for name, receipt in receipts.items()} == digests
    assert manager.status().counts[TaskState.COMPLETED] == len(digests)
    assert sum(manager.status().counts.values()) == len(digests)
    kinds = [event.kind for event in manager.events(limit=100_000)]
    manager.close()
    assert kinds.count("upload_completed") == len(digests)
    assert "upload_failed" not in kinds
