"""One recording, five cuts of the connection at random bytes, and one SIGKILL of the server."""

from __future__ import annotations

import hashlib
import os
import random
import subprocess
import sys

import pytest

from haulier import Proof, TaskState, UploadManager

MIB = 1 << 20
CUTS = 5
SENT_AGAIN = 32 * MIB


class Server:
    """``haulier wats serve`` as a process of its own, which can be killed and started again at the same address."""

    def __init__(self, folder, token):
        self._folder = folder
        (folder / "tokens").write_text(token)
        (folder / "tokens").chmod(0o600)
        self.kills = 0
        self.port = 0
        self.start()

    def start(self):
        program = [sys.executable, "-m", "haulier", "wats", "serve"]
        options = ["--port", str(self.port), "--data", "server", "--token-file", "tokens"]
        self._process = subprocess.Popen([*program, *options], cwd=self._folder, stdout=subprocess.PIPE, text=True)
        words = self._process.stdout.readline().split()
        self.port = int(next(word for word in words if word.startswith("http:")).rsplit(":", 1)[1])

    def kill(self):
        self._process.kill()
        self._process.wait()
        self._process.stdout.close()

    def kill_and_start(self):
        self.kills += 1
        self.kill()
        self.start()


@pytest.fixture
def served(tmp_path, token):
    running = Server(tmp_path, token)
    yield running
    running.kill()


@pytest.fixture
def chance():
    seed = int(os.environ["HAULIER_MATRIX_BASE"])
    print(f"HAULIER_MATRIX_BASE={seed}")
    return random.Random(seed)


def make_video(path, size, chance):
    block = chance.randbytes(MIB - 8)
    with path.open("wb") as file:
        for number in range(size // MIB):
            file.write(number.to_bytes(8, "big") + block)


def sha256(path):
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def broken_line(cutting_proxy, served, chance, size):
    """A proxy that cuts five times at random bytes of the video, and once kills the server and starts it again."""
    positions = chance.sample(range(MIB, size), CUTS + 1)
    events = dict.fromkeys(positions[:CUTS], lambda: None) | {positions[CUTS]: served.kill_and_start}
    return cutting_proxy(served.port, events)


def check(proxy, served, video, tmp_path, receipt):
    assert (proxy.events_left, served.kills) == (0, 1), "every fault was met"
    assert receipt.proof is Proof.CONTENT
    stored = list((tmp_path / "server" / "recordings").rglob("*.mp4"))
    assert [path.stat().st_size for path in stored] == [video.stat().st_size]
    assert sha256(stored[0]) == sha256(video) == receipt.sha256
    sent_again = proxy.crossed - video.stat().st_size
    print(f"sent again, with all header fields: {sent_again / MIB:.1f} MiB")
    assert 0 <= sent_again < SENT_AGAIN
    return sent_again


def test_invariant_5_24_mib_over_a_line_that_breaks_five_times_and_a_killed_server(
    tmp_path, served, chance, make_rig, cutting_proxy
):
    video = tmp_path / "Server_seg001_20251105_091500.mp4"
    make_video(video, 24 * MIB, chance)
    with broken_line(cutting_proxy, served, chance, 24 * MIB) as proxy:
        rig = make_rig(proxy.url)
        task = rig.submit(video)
        rig.work_on()
        assert rig.row(task).state is TaskState.COMPLETED
        sent_again = check(proxy, served, video, tmp_path, rig.receipt(task))
    assert sent_again < (CUTS + 2) * 512 * 1024, "the parts in flight, and header fields"


@pytest.mark.full
def test_invariant_5_1_gib_over_a_line_that_breaks_five_times_and_a_killed_server(
    tmp_path, served, chance, token, cutting_proxy, proof_table
):
    video = tmp_path / "Server_seg001_20251105_091500.mp4"
    make_video(video, 1024 * MIB, chance)
    with broken_line(cutting_proxy, served, chance, 1024 * MIB) as proxy:
        config = {
            "upload": {"backend": "store", "state_dir": str(tmp_path / "state")},
            "backends": {"store": {"type": "wats", "base_url": f"{proxy.url}/api", "api_token": token}},
        }
        with UploadManager.open(config) as uploads:
            receipt = uploads.wait(uploads.submit(video), timeout=900)
        sent_again = check(proxy, served, video, tmp_path, receipt)
    for each in list(tmp_path.rglob("*.mp4")):  # pytest keeps the folder, and 2 GiB are much
        each.unlink()
    proof_table("1 GiB over a broken line", cases=1, faults=CUTS + 1, sent_again_at_most=f"{sent_again / MIB:.1f} MiB")
