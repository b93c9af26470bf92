"""Many clients at once, the server killed among them: no error, nothing lost, nothing twice, bounded memory."""

from __future__ import annotations

import base64
import hashlib
import random
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest
import requests

MIB = 1 << 20
PARTS = 3


class Uploads:
    """What many clients send, and what they were told.

    Attributes:
        stored: File id and SHA-256 by item, as finalize answered.
        broken: How many requests got no answer.
    """

    def __init__(self, new_wire, url, largest):
        self.stored = {}
        self.broken = 0
        self._new_wire = new_wire
        self._url = url
        self._largest = largest
        self._lock = threading.Lock()
        self._up = threading.Event()
        self._up.set()

    def gone(self):
        """The server is about to be killed."""
        self._up.clear()

    def back(self):
        """It runs again."""
        self._up.set()

    def run(self, clients, goes_on):
        """Let clients upload one recording after the other for as long as ``goes_on(number, done)`` says."""
        with ThreadPoolExecutor(clients) as pool:
            for client in [pool.submit(self._client, number, goes_on) for number in range(clients)]:
                client.result()

    def _client(self, number, goes_on):
        source = random.Random(number)
        wire = self._new_wire(self._url)
        done = 0
        while goes_on(number, done):
            self._upload(wire, f"item {number}.{done}", source.randbytes(source.randrange(1, self._largest)))
            done += 1
        wire.session.close()

    def _upload(self, wire, item, content):
        files = {"video": {"name": f"{item}.mp4", "size": len(content)}}
        session = self._answered(201, lambda: wire.create(item, item_id=item, files=files)).json()
        url = session["resumable"]["video_url"]
        while not self._has_sent(wire, url, content):
            pass
        sha256 = hashlib.sha256(content).hexdigest()
        claim = {"size": len(content), "sha256": sha256}
        answer = self._answered(200, lambda: wire.finalize(session, video=claim)).json()
        with self._lock:
            assert item not in self.stored
            self.stored[item] = (answer["file_id"], sha256)

    def _has_sent(self, wire, url, content):
        """Send part by part from where the server stands; False when the connection broke on the way."""
        held = int(self._answered(204, lambda: wire.head(url)).headers["Upload-Offset"])
        step = -(-len(content) // PARTS)
        for offset in range(held, len(content) + (held == len(content)), step):
            part = content[offset : offset + step]
            digest = base64.b64encode(hashlib.sha256(part).digest()).decode()
            try:
                answer = wire.patch(
                    url,
                    part,
                    offset,
                    complete=offset + len(part) == len(content),
                    **{"Content-Digest": f"sha-256=:{digest}:"},
                )
            except requests.ConnectionError:
                self._wait_for_server()
                return False
            assert answer.status_code == 204, answer.text
        return True

    def _answered(self, status, call):
        while True:
            try:
                answer = call()
            except requests.ConnectionError:
                self._wait_for_server()
            else:
                assert answer.status_code == status, answer.text
                return answer

    def _wait_for_server(self):
        with self._lock:
            self.broken += 1
        assert self._up.wait(60), "the server did not come back"


def everything_is_there(wire, uploads, data_dir):
    """What the server lists and holds is exactly what the clients were told."""
    listed, cursor = {}, {}
    while cursor is not None:
        page = wire("GET", "/recordings", params={"limit": 1000} | cursor).json()
        for each in page["recordings"]:
            assert each["item_id"] not in listed
            listed[each["item_id"]] = (each["file_id"], each["sha256"])
        cursor = {"cursor": page["next_cursor"]} if page["next_cursor"] else None
    assert listed == uploads.stored
    on_disk = {
        path.parent.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in data_dir.glob("recordings/**/*.mp4")
    }
    assert on_disk == dict(uploads.stored.values())
    assert list((data_dir / ".incoming").iterdir()) == []
    metrics = wire("GET", "/metrics").json()
    assert (metrics["sessions"]["open"], metrics["recordings"]["stored"]) == (0, len(listed))
    assert [each for each in metrics["requests"] if each["status"] >= 400] == []


def kill_and_restart(server, uploads, start_process, when):
    when()
    uploads.gone()
    server.kill()
    again = start_process(server.port)
    uploads.back()
    return again


def test_twenty_clients_and_a_kill(start_process, new_wire, tmp_path, until):
    server = start_process()
    uploads = Uploads(new_wire, server.url, 64 << 10)
    with ThreadPoolExecutor(1) as killer:
        half_done = lambda: until(lambda: len(uploads.stored) >= 30)  # noqa: E731
        restarted = killer.submit(kill_and_restart, server, uploads, start_process, half_done)
        uploads.run(20, lambda _number, done: done < 3)
        again = restarted.result()
    assert len(uploads.stored) == 60
    wire = new_wire(again.url)
    everything_is_there(wire, uploads, tmp_path / "data")
    wire.session.close()


@pytest.mark.full
@pytest.mark.parametrize("kills", [0, 2])
def test_two_hundred_clients_for_a_minute(start_process, new_wire, tmp_path, kills):
    servers = [start_process()]
    uploads = Uploads(new_wire, servers[0].url, MIB // 2)
    end = time.monotonic() + 60
    stopped = threading.Event()
    with ThreadPoolExecutor(1) as killer:

        def kill_now_and_then():
            for _ in range(kills):
                stopped.wait(20)
                servers.append(kill_and_restart(servers[-1], uploads, start_process, lambda: None))

        killed = killer.submit(kill_now_and_then)
        uploads.run(200, lambda _number, _done: time.monotonic() < end)
        killed.result()
    wire = new_wire(servers[-1].url)
    everything_is_there(wire, uploads, tmp_path / "data")
    wire.session.close()
    print(len(uploads.stored), "recordings", uploads.broken, "broken", servers[-1].peak_memory() // MIB, "MiB")
    assert len(uploads.stored) >= 200
    assert bool(uploads.broken) == bool(kills)
    assert servers[-1].peak_memory() < 128 * MIB
