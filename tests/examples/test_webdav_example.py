"""The worked example of the documentation passes the conformance suite on a real WebDAV server.

In the default run the topics in which destinations differ most; with the full one all of them.
"""

from __future__ import annotations

import shutil

import pytest

from haulier.testing.backend_suite import BackendSuite, Faults, FolderWorld
from haulier.testing.backend_suite.commit import CommitCases
from haulier.testing.backend_suite.existing import ExistingCases
from haulier.testing.backend_suite.isolation import IsolationCases
from haulier.testing.backend_suite.keys import KeyCases
from haulier.testing.backend_suite.settling import SettleCases


class DavWorld(FolderWorld):
    """The folder of a WebDAV server, with a relay before the server."""

    def __init__(self, backend_class, login, faults, folder):
        self._faults = faults
        super().__init__(backend_class, {"url": faults.url, **login}, folder, secrets=[login["password"]])

    def visible(self):
        return sorted(set(self._files()) - set(self.leftovers()))

    def leftovers(self):
        return sorted(path.name for path in self.folder.glob(".*.part"))

    @property
    def faults(self):
        return self._faults


class Dav:
    @pytest.fixture
    def world(self, webdav, dav, login):
        url, folder = dav
        for path in folder.iterdir():
            shutil.rmtree(path) if path.is_dir() else path.unlink()
        with Faults(url) as faults:
            world = DavWorld(webdav.WebDavBackend, login, faults, folder)
            yield world
            world.close()


@pytest.mark.full
class TestWebDav(Dav, BackendSuite):
    pass


class TestWebDavInShort(Dav, KeyCases, CommitCases, ExistingCases, IsolationCases, SettleCases):
    pass
