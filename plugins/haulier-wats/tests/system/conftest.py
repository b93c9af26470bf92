"""The real reference server, and a proxy before it that breaks things on demand."""

from __future__ import annotations

import pytest

from haulier.testing.http_faults import FaultyProxy
from haulier_wats.server import ServerSettings, ServerThread, Tokens

TOKEN = "a-token-for-tests"


@pytest.fixture
def server(tmp_path):
    with ServerThread(ServerSettings(tmp_path / "server", Tokens([TOKEN]))) as running:
        yield running


@pytest.fixture
def proxy(server):
    with FaultyProxy(server.url) as running:
        yield running
