"""The client and the server that were written from the protocol's page, the reference server, and faults between."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import pytest

from haulier import Secret
from haulier.journal.sqlite import SqliteJournal
from haulier.testing.http_faults import FaultyProxy
from haulier.testing.rig import RigSettings, UploadRig
from haulier_wats.backend import WatsBackend
from haulier_wats.options import WatsOptions
from haulier_wats.server import ServerSettings, ServerThread, Tokens

TOKEN = "a-token-for-tests"
HERE = Path(__file__).parent


def load(name):
    spec = importlib.util.spec_from_file_location(f"wats_protocol_{name}", HERE / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(autouse=True)
def no_proxy(monkeypatch):
    """No proxy of the machine that runs the tests."""
    for name in ("http_proxy", "https_proxy", "all_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)


@pytest.fixture
def token():
    return TOKEN


@pytest.fixture
def data(tmp_path):
    return tmp_path / "server"


@pytest.fixture
def reference_server(data):
    with ServerThread(ServerSettings(data, Tokens([TOKEN]))) as running:
        yield running


@pytest.fixture
def plain_server():
    with load("plain_server").PlainServer(TOKEN) as running:
        yield running


@pytest.fixture
def proxy_before():
    """Starts a proxy before a server."""
    running = []

    def start(url):
        running.append(FaultyProxy(url).__enter__())
        return running[-1]

    yield start
    for proxy in running:
        proxy.__exit__(None, None, None)


@pytest.fixture
def small_client():
    return load("small_client").SmallClient


@pytest.fixture
def recording(tmp_path):
    """A video of some parts, and its metadata."""
    video = tmp_path / "rdp_123_1729950022_Server_20241026_150022.mp4"
    video.write_bytes(bytes(range(251)) * 2500)
    metadata = tmp_path / "rdp_123_1729950022_metadata.json"
    metadata.write_text('{"session_id": "rdp_123_1729950022", "connection_info": {"name": "Server"}}')
    return video, metadata


@pytest.fixture
def make_rig(tmp_path):
    """Makes a rig: the engine with a journal, the backend, and a clock that only the test moves."""
    opened = []

    def make(url, **options):
        journal = SqliteJournal(tmp_path / "journal.db")
        backend = WatsBackend("wats", WatsOptions(f"{url}/api", Secret(TOKEN), **options))
        rig = UploadRig(journal, backend, settings=RigSettings(part_size=512 * 1024, memory_budget=4 << 20))
        opened.append((rig, journal))
        return rig

    yield make
    for rig, journal in opened:
        rig.destinations.close()
        journal.close()


@pytest.fixture
def cutting_proxy():
    return load("cutting_proxy").CuttingProxy
