"""One big file to the reference server: `haulier send` beside a bare requests stream, in one run."""

from __future__ import annotations

import argparse
import hashlib
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

TOKEN = "benchmark-token"
MIB = 1024 * 1024

BARE = """
import sys, requests, hashlib
url, path = sys.argv[1:]
auth = {"Authorization": "Bearer benchmark-token"}
size = __import__("os").path.getsize(path)
body = {"session_id": "bare", "connection_info": {}, "file_size": size, "metadata": {},
        "files": {"video": {"name": "bare.mp4", "size": size}}}
made = requests.post(url + "/uploads/create-session", json=body, headers=auth).json()
target, offset = made["resumable"]["video_url"], 0
with open(path, "rb") as stream:
    while block := stream.read(8 * 1024 * 1024):
        last = offset + len(block) == size
        headers = {**auth, "Content-Type": "application/partial-upload", "Upload-Offset": str(offset),
                   "Upload-Complete": "?1" if last else "?0"}
        requests.patch(target, data=block, headers=headers).raise_for_status()
        offset += len(block)
requests.post(url + "/uploads/" + made["session_id"] + "/finalize", headers=auth).raise_for_status()
"""


def peak_mib(pid: int) -> float:
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmHWM"):
            return int(line.split()[1]) / 1024
    return 0.0


def run(label: str, command: list[str], cwd: Path, size: int) -> float:
    began, before = time.perf_counter(), os.times()
    child = subprocess.Popen(command, cwd=cwd, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    peak = 0.0
    while child.poll() is None:
        try:
            peak = max(peak, peak_mib(child.pid))
        except OSError:
            break
        time.sleep(0.02)
    _, talk = child.communicate()
    wall, after = time.perf_counter() - began, os.times()
    if child.returncode:
        raise SystemExit(f"{label} failed: {talk}")
    cpu = after.children_user + after.children_system - before.children_user - before.children_system
    print(f"{label:<24}{wall:7.2f} s wall {cpu:7.2f} s CPU {size / MIB / wall:8.0f} MiB/s, peak {peak:.0f} MiB")
    return wall


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--mib", type=int, default=1024)
    arguments = parser.parse_args()
    home = Path(tempfile.mkdtemp(prefix="haulier-bench-", dir=Path.cwd()))
    haulier = [sys.executable, "-m", "haulier"]
    server = None
    try:
        big = home / "big.mp4"
        with big.open("wb") as stream:
            for _ in range(arguments.mib):
                stream.write(os.urandom(MIB))
        (home / "tokens").write_text(TOKEN)
        serve = [*haulier, "wats", "serve", "--port", "0", "--data", "data", "--token-file", "tokens"]
        server = subprocess.Popen(serve, cwd=home, stdout=subprocess.PIPE, text=True)
        url = server.stdout.readline().split()[4] + "/api"
        (home / "haulier.toml").write_text(
            f'[upload]\nstate_dir = "state"\n[backends.wats]\nbase_url = "{url}"\napi_token = "file:tokens"\n'
        )
        size = arguments.mib * MIB
        bare = run("bare requests", [sys.executable, "-c", BARE, url, str(big)], home, size)
        sent = run("haulier send", [*haulier, "-q", "send", "big.mp4"], home, size)
        print(f"ratio to bare requests: {sent / bare:.2f}; server's peak {peak_mib(server.pid):.0f} MiB")
        digest = hashlib.sha256(big.read_bytes()).hexdigest()
        stored = list((home / "data" / "recordings").rglob("*.mp4"))
        if {hashlib.sha256(path.read_bytes()).hexdigest() for path in stored} != {digest}:
            raise SystemExit("the store does not hold what was sent")
        print("store compared: equal; haulier verified parts, whole and the server's digests, bare requests nothing")
    finally:
        if server is not None:
            server.send_signal(signal.SIGTERM)
            server.wait()
        shutil.rmtree(home)


if __name__ == "__main__":
    main()
