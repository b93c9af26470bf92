"""A real server, one per session, met through backends made of tables."""

from __future__ import annotations

import importlib.util
import itertools
import os
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import pytest
from azure.core.exceptions import ResourceNotFoundError
from azure.storage.blob import BlobServiceClient

# Azurite's own account, which everybody knows: https://github.com/Azure/Azurite
ACCOUNT = "devstoreaccount1"
KEY = "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw=="
PART = 512
_NUMBERS = itertools.count(1)


@dataclass
class Server:
    """A server that runs, and how the tests look into it themselves."""

    url: str

    @cached_property
    def client(self):
        return BlobServiceClient(f"{self.url}/{ACCOUNT}", credential={"account_name": ACCOUNT, "account_key": KEY})

    def container(self):
        """A new, empty container."""
        name = f"container-{next(_NUMBERS)}-{os.getpid()}"
        self.client.create_container(name)
        return name

    def keys(self, container):
        return [blob.name for blob in self.client.get_container_client(container).list_blobs()]

    def blob(self, container, key):
        return self.client.get_blob_client(container, key)

    def content(self, container, key):
        try:
            return self.blob(container, key).download_blob().readall()
        except ResourceNotFoundError:
            return None


def table(url, container, **more):
    """The options of a backend that meets this server."""
    return {
        "container": container,
        "account_url": f"{url}/{ACCOUNT}",
        "credential": KEY,
        "min_part_size": PART,
        **more,
    }


def azurite_program():
    """The module beside this one: test folders are no packages."""
    spec = importlib.util.spec_from_file_location("azurite_program", Path(__file__).with_name("azurite.py"))
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="session")
def azurite():
    with azurite_program().running() as url:
        server = Server(url)
        yield server
        server.client.close()


@pytest.fixture
def server(azurite):
    return azurite


@pytest.fixture(autouse=True)
def own_credentials(monkeypatch, tmp_path):
    """Whatever credentials the machine has stay out of it."""
    for name in list(os.environ):
        if name.startswith(("AZURE_", "IDENTITY_", "MSI_", "IMDS_")):
            monkeypatch.delenv(name)
    monkeypatch.setenv("AZURE_CONFIG_DIR", str(tmp_path / "azure"))
