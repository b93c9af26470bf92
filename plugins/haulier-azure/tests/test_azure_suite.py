"""The backend passes the conformance suite on a real server."""

from __future__ import annotations

import pytest
from azure.core.exceptions import ResourceNotFoundError

from haulier.testing.backend_suite import BackendSuite, BackendWorld, Faults
from haulier.testing.backend_suite.continuing import ContinueCases
from haulier.testing.backend_suite.existing import ExistingCases
from haulier_azure.backend import AzureBackend

ACCOUNT = "devstoreaccount1"
KEY = "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw=="


class ContainerWorld(BackendWorld):
    """A container of its own, with a relay before the server."""

    large = 16 << 20
    listing = 23
    part_size = 512

    def __init__(self, server, faults):
        self._server = server
        self._container = server.container()
        self._faults = faults
        super().__init__(
            AzureBackend,
            {
                "container": self._container,
                "prefix": "below",
                "account_url": f"{faults.url}/{ACCOUNT}",
                "credential": KEY,
                "min_part_size": 512,
            },
            secrets=[KEY],
        )

    def visible(self):
        keys = self._server.keys(self._container)
        return sorted(key.removeprefix("below/") for key in keys if key.startswith("below/"))

    def strays(self):
        return [key for key in self._server.keys(self._container) if not key.startswith("below/")]

    def content(self, key):
        return self._server.content(self._container, f"below/{key}")

    def put(self, key, content):
        self._server.blob(self._container, f"below/{key}").upload_blob(content, overwrite=True)

    def remove(self, key):
        try:
            self._server.blob(self._container, f"below/{key}").delete_blob()
        except ResourceNotFoundError:
            return

    def leftovers(self):
        """Uncommitted blocks expire by themselves."""
        return []

    @property
    def faults(self):
        return self._faults


class _Suite:
    @pytest.fixture
    def world(self, azurite):
        with Faults(azurite.url) as faults:
            yield ContainerWorld(azurite, faults)


@pytest.mark.full
class TestAzureOnAzuriteWholly(_Suite, BackendSuite):
    pass


class TestAzureOnAzurite(_Suite, ContinueCases, ExistingCases):
    """What depends on the server most."""
