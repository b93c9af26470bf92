"""The server as operators run it: one process, killed and started again."""

from __future__ import annotations

import hashlib
import re
import socket
import subprocess
import sys
import tracemalloc

import pytest

from haulier_wats.server import ServerSetupError, ServerThread, serve

MIB = 1 << 20


@pytest.mark.parametrize("with_digest", [False, True])
def test_killed_in_the_middle_of_an_append_the_upload_goes_on(
    start_process, new_wire, content_digest, tmp_path, until, with_digest
):
    content = bytes(range(256)) * (40 * MIB // 256)
    server = start_process()
    wire = new_wire(server.url)
    session = wire.open(len(content))
    url = session["resumable"]["video_url"]
    assert wire.patch(url, content[: 8 * MIB], 0).status_code == 204
    fields = {"Content-Digest": content_digest(content[8 * MIB :])} if with_digest else {}
    (copy,) = tmp_path.glob("data/.incoming/*/*")
    with wire.begin_patch(url, content[8 * MIB : 36 * MIB], 8 * MIB, 32 * MIB, **fields):
        until(lambda: copy.stat().st_size >= 30 * MIB)
        if not with_digest:
            until(lambda: wire.status(session)["files"]["video"]["offset"] > 8 * MIB)
        server.kill()

    wire.session.close()
    start_process(server.port)
    held = int(wire.head(url).headers["Upload-Offset"])
    assert copy.stat().st_size == held
    assert held == 8 * MIB if with_digest else 24 * MIB <= held <= 36 * MIB
    assert wire.patch(url, content[held:], held, complete=True).status_code == 204
    digest = hashlib.sha256(content).hexdigest()
    stored = wire.finalize(session, video={"size": len(content), "sha256": digest})
    assert (stored.status_code, stored.json()["sha256"]) == (200, digest)
    wire.session.close()


def test_killed_after_finalize_the_recording_is_there(start_process, new_wire):
    server = start_process()
    wire = new_wire(server.url)
    stored = wire.store(b"video", b"{}")
    server.kill()
    wire.session.close()
    start_process(server.port)
    assert wire.finalize(stored).json() == stored
    assert wire("GET", f"/recordings/{stored['file_id']}/content").content == b"video"
    wire.session.close()


@pytest.mark.parametrize("way", ["append", "form"])
def test_a_large_file_is_not_held_in_memory(shared, way):
    block = b"v" * (4 * MIB)
    size = 128 * MIB
    tracemalloc.start()
    if way == "append":
        session = shared.open(size)
        url = session["resumable"]["video_url"]
        for offset in range(0, size, 64 * MIB):
            answer = shared.patch(url, iter([block] * 16), offset, complete=offset + 64 * MIB == size)
    else:
        session = shared.create(file_size=size).json()
        form = [b'--b\r\nContent-Disposition: form-data; name="file"\r\n\r\n', *[block] * 32, b"\r\n--b--\r\n"]
        headers = {"Content-Type": "multipart/form-data; boundary=b"}
        answer = shared("POST", session["video_upload_url"], data=iter(form), headers=headers)
    assert answer.ok, answer.text
    stored = shared.finalize(session).json()
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert stored["size"] == size
    assert peak < 32 * MIB
    shared("DELETE", f"/recordings/{stored['file_id']}")


@pytest.mark.parametrize("way", ["append", "form"])
def test_the_whole_process_stays_small_under_a_large_upload(start_process, new_wire, content_digest, way):
    block = b"v" * (8 * MIB)
    server = start_process()
    wire = new_wire(server.url)
    if way == "append":
        session = wire.open(32 * len(block))
        fields = {"Content-Digest": content_digest(block)}
        for number in range(32):
            offset = number * len(block)
            url = session["resumable"]["video_url"]
            assert wire.patch(url, block, offset, complete=number == 31, **fields).status_code == 204
    else:
        session = wire.create(file_size=32 * len(block)).json()
        form = [b'--b\r\nContent-Disposition: form-data; name="file"\r\n\r\n', *[block] * 32, b"\r\n--b--\r\n"]
        headers = {"Content-Type": "multipart/form-data; boundary=b"}
        assert wire("POST", session["video_upload_url"], data=iter(form), headers=headers).status_code == 200
    assert wire.finalize(session).json()["size"] == 256 * MIB
    assert server.peak_memory() < 128 * MIB
    wire.session.close()


def test_one_line_says_where_it_listens(start_process, tmp_path):
    server = start_process()
    assert re.fullmatch(
        rf"Serving WATS storage on http://127\.0\.0\.1:\d+ \(data: {re.escape(str(tmp_path / 'data'))}\)\n", server.line
    )
    server.process.terminate()
    assert server.process.wait() is not None
    assert server.process.stdout.read() == ""
    server.process.stdout.close()


def test_it_runs_without_standard_output(tmp_path, token):
    (tmp_path / "tokens").write_text(token)
    program = """
import sys, signal
from pathlib import Path
from haulier_wats.server import serve
sys.stdout = sys.stderr = None
def stop(url):
    Path(sys.argv[1], "url").write_text(url)
    signal.raise_signal(signal.SIGINT)
serve("127.0.0.1", 0, Path(sys.argv[1], "data"), Path(sys.argv[1], "tokens"), ready=stop)
"""
    done = subprocess.run([sys.executable, "-c", program, str(tmp_path)], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    assert (tmp_path / "url").read_text().startswith("http://127.0.0.1:")


def test_it_stands_without_the_core():
    program = (
        "import sys, haulier_wats.server.app; print([name for name in sys.modules if name.split('.')[0] == 'haulier'])"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"


def test_a_port_that_is_taken_is_named(tmp_path, token, settings):
    (tmp_path / "tokens").write_text(token)
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(ServerSetupError, match=rf"127\.0\.0\.1:{port} cannot be listened on .*--port"):
            serve("127.0.0.1", port, tmp_path / "data", tmp_path / "tokens")
        with pytest.raises(ServerSetupError, match="cannot be listened on"):
            ServerThread(settings, port=port)


def test_a_host_that_is_unknown_is_named(tmp_path, token):
    (tmp_path / "tokens").write_text(token)
    with pytest.raises(ServerSetupError, match="no such host"):
        serve("no such host", 0, tmp_path / "data", tmp_path / "tokens")


def test_a_folder_that_cannot_be_used_is_named(tmp_path, token):
    (tmp_path / "tokens").write_text(token)
    (tmp_path / "file").write_text("")
    with pytest.raises(ServerSetupError, match=r"data folder .*file.* cannot be used"):
        serve("127.0.0.1", 0, tmp_path / "file" / "data", tmp_path / "tokens")


def test_a_folder_with_a_foreign_database_is_named(tmp_path, token):
    (tmp_path / "tokens").write_text(token)
    (tmp_path / "data" / ".server").mkdir(parents=True)
    (tmp_path / "data" / ".server" / "wats.db").write_text("no database" * 1000)
    with pytest.raises(ServerSetupError, match=r"wats\.db cannot be used"):
        serve("127.0.0.1", 0, tmp_path / "data", tmp_path / "tokens")


def test_a_second_server_on_the_same_folder_is_refused(start_process, tmp_path):
    start_process()
    with pytest.raises(ServerSetupError, match="another server uses"):
        serve("127.0.0.1", 0, tmp_path / "data", tmp_path / "tokens")


def test_a_thread_can_be_stopped_while_a_client_is_silent(settings, new_wire):
    server = ServerThread(settings)
    wire = new_wire(server.url)
    url = wire.open(10)["resumable"]["video_url"]
    with wire.begin_patch(url, b"0123", 0, 10):
        server.stop()
        server.stop()
    wire.session.close()
    with ServerThread(settings) as again:
        wire = new_wire(again.url)
        assert wire.head(url.replace(server.url, again.url)).status_code == 204
        wire.session.close()
