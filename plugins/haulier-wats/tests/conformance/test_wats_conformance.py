"""The backend `wats` passes the conformance suite of the core: resumable uploads, and whole files as to an old server.

In the default run the topics where most of the protocol's rules are; with the full one all of them.
"""

from __future__ import annotations

import uuid

import pytest

from haulier.testing.backend_suite import BackendSuite, BackendWorld, Faults
from haulier.testing.backend_suite.commit import CommitCases
from haulier.testing.backend_suite.settling import SettleCases
from haulier.transfer.context import RunContext
from haulier_wats.backend import WatsBackend
from haulier_wats.server import ServerSettings, ServerThread, Tokens

TOKEN = "t0p-s3cret-token"
START = 1_790_000_000.0
DAY = 86_400


class Clock:
    """Seconds since the epoch, moved by hand."""

    def __init__(self):
        self.now = START

    def __call__(self):
        return self.now


class WatsWorld(BackendWorld):
    """A reference server with its folder, a fault relay before it, and a clock that can be moved."""

    names_itself = True

    def __init__(self, folder, faults, clock, **options):
        super().__init__(WatsBackend, {"base_url": f"{faults.url}/api", "api_token": TOKEN, **options}, secrets=[TOKEN])
        self._folder, self._faults, self._clock = folder, faults, clock
        self.salt = uuid.uuid4().hex
        self._before = set(self._incoming())

    @property
    def faults(self):
        return self._faults

    def visible(self):
        return sorted(self._files())

    def content(self, key):
        found = self._files().get(key)
        return None if found is None else found.read_bytes()

    def leftovers(self):
        return sorted(set(self._incoming()) - self._before)

    def expire(self):
        self._clock.now += 30 * DAY

    def close(self):
        """Leave the server empty for the next test."""
        self.faults.clear()
        backend = self.backend()
        for key in self.visible():
            if "/" not in key:
                backend.delete(key, RunContext())
        super().close()

    def _files(self):
        found = {}
        for path in (self._folder / "recordings").rglob("*"):
            if path.is_file():
                is_sidecar = path.suffix == ".json"
                found[f"{path.parent.name}/metadata" if is_sidecar else path.parent.name] = path
        return found

    def _incoming(self):
        return [path.name for path in (self._folder / ".incoming").iterdir()]


@pytest.fixture(scope="module")
def served(tmp_path_factory):
    folder, clock = tmp_path_factory.mktemp("wats"), Clock()
    settings = ServerSettings(folder, Tokens([TOKEN]), clock=clock)
    with ServerThread(settings) as server, Faults(server.url) as faults:
        yield folder, faults, clock


@pytest.fixture(autouse=True)
def no_proxy(monkeypatch):
    for name in ("http_proxy", "https_proxy", "all_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)


class Resumable:
    @pytest.fixture
    def world(self, served):
        made = WatsWorld(*served)
        yield made
        made.close()


class Plain:
    @pytest.fixture
    def world(self, served):
        made = WatsWorld(*served, resumable="never")
        yield made
        made.close()


@pytest.mark.full
class TestWatsResumable(Resumable, BackendSuite):
    pass


@pytest.mark.full
class TestWatsPlain(Plain, BackendSuite):
    pass


class TestWatsResumableInShort(Resumable, CommitCases):
    pass


class TestWatsPlainInShort(Plain, SettleCases):
    pass
