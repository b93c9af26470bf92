"""The command line against the real server: exit codes, documents, what stays queued."""

from __future__ import annotations

import json
import signal
import socket
import subprocess
import sys
import urllib.request

import pytest

from haulier.testing.http_faults import Fault

TOKEN = "a-token-for-tests"


@pytest.fixture
def video(tmp_path):
    path = tmp_path / "session_1_Host_20241026_150000.mp4"
    path.write_bytes(b"video" * 10_000)
    return path


def write_config(tmp_path, url, token=TOKEN):
    config = tmp_path / "haulier.toml"
    config.write_text(
        f'[upload]\nstate_dir = "state"\n[backends.wats]\nbase_url = "{url}/api"\napi_token = "env:UPLOAD_TOKEN"\n'
    )

    def haulier(*arguments):
        command = [sys.executable, "-m", "haulier", *map(str, arguments), "--config", str(config)]
        environment = {"UPLOAD_TOKEN": token, "PATH": "/usr/bin:/bin"}
        return subprocess.run(command, capture_output=True, text=True, timeout=60, env=environment, check=False)

    return haulier


def test_send_prints_a_receipt_that_proves_the_content(tmp_path, proxy, video):
    haulier = write_config(tmp_path, proxy.url)
    ran = haulier("send", video, "--json")
    (task,) = json.loads(ran.stdout)["tasks"]
    assert (ran.returncode, task["status"], task["receipt"]["proof"]) == (0, "completed", "content")
    assert task["file"] == str(video)
    assert TOKEN not in ran.stdout + ran.stderr


def test_refused_credentials_end_with_5_after_one_request_and_the_file_stays_queued(tmp_path, proxy, video):
    haulier = write_config(tmp_path, proxy.url, token="wrong-token")
    ran = haulier("send", video, "--json")
    assert ran.returncode == 5, ran.stderr
    assert proxy.count("POST") == 1
    assert json.loads(ran.stdout)["tasks"][0]["status"] == "queued"
    assert "wrong-token" not in ran.stdout + ran.stderr
    right = write_config(tmp_path, proxy.url)
    delivered = right("run", "--once", "--json")
    assert delivered.returncode == 0, delivered.stderr
    assert json.loads(right("status", "--json").stdout)["counts"]["completed"] == 1


def test_a_400_ends_with_1_and_the_servers_reason(tmp_path, proxy, video):
    proxy.rule = lambda request: (
        Fault(400, {"Content-Type": "application/problem+json"}, b'{"detail": "the host is not known"}')
        if request.method == "POST"
        else None
    )
    ran = write_config(tmp_path, proxy.url)("send", video, "--json")
    (task,) = json.loads(ran.stdout)["tasks"]
    assert (ran.returncode, task["status"]) == (1, "failed")
    assert "the host is not known" in task["error"]["message"]
    assert proxy.count("POST") == 1


def test_a_server_that_is_away_ends_with_75_and_a_later_run_delivers(tmp_path, proxy, video):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        nobody = f"http://127.0.0.1:{free.getsockname()[1]}"
    ran = write_config(tmp_path, nobody)("send", video, "--wait", "0.2", "--json")
    assert ran.returncode == 75, ran.stderr
    (task,) = json.loads(ran.stdout)["tasks"]
    assert (task["status"], task["receipt"]) == ("queued", None)
    later = write_config(tmp_path, proxy.url)("run", "--once")
    assert later.returncode == 0, later.stderr


def test_serve_answers_at_the_root_and_below_its_prefix_and_says_where(tmp_path):
    (tmp_path / "tokens").write_text(f"# tokens\n\n{TOKEN}\n")
    serve = [sys.executable, "-m", "haulier", "wats", "serve", "--port", "0"]
    serve += ["--data", str(tmp_path / "data"), "--token-file", str(tmp_path / "tokens")]
    with subprocess.Popen(serve, stdout=subprocess.PIPE, text=True) as process:
        url = process.stdout.readline().split()[4]
        for path in ("/health", "/api/health"):
            with urllib.request.urlopen(url + path, timeout=10) as answer:
                assert json.load(answer)["status"] == "ok"
        process.send_signal(signal.SIGTERM)
        process.stdout.read()


def test_serve_refuses_what_it_cannot_use_in_words(tmp_path):
    serve = [sys.executable, "-m", "haulier", "wats", "serve", "--port", "0", "--data", str(tmp_path / "data")]
    (tmp_path / "empty").write_text("\n# nothing\n")
    ran = subprocess.run([*serve, "--token-file", str(tmp_path / "empty")], capture_output=True, text=True, check=False)
    assert ran.returncode == 4
    assert "token" in ran.stderr
