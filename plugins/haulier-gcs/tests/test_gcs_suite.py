"""The backend passes the conformance suite on the emulator and on the scripted service."""

from __future__ import annotations

import pytest

from haulier.testing.backend_suite import BackendSuite, BackendWorld, Faults
from haulier.testing.backend_suite.commit import CommitCases
from haulier.testing.backend_suite.continuing import ContinueCases
from haulier.testing.backend_suite.existing import ExistingCases
from haulier.testing.backend_suite.isolation import IsolationCases
from haulier.testing.backend_suite.settling import SettleCases
from haulier_gcs.backend import GcsBackend

UNIT = 512


class _World(BackendWorld):
    """Below a prefix of a bucket, with a relay before the server."""

    large = 16 << 20
    listing = 23
    part_size = UNIT

    def __init__(self, faults, bucket, **more):
        self._faults = faults
        options = {
            "bucket": bucket,
            "prefix": "below",
            "endpoint_url": faults.url,
            "anonymous": True,
            "min_part_size": UNIT,
            **more,
        }
        super().__init__(GcsBackend, options)

    @property
    def faults(self):
        return self._faults

    def visible(self):
        return sorted(key.removeprefix("below/") for key in self.keys() if key.startswith("below/"))

    def strays(self):
        return [key for key in self.keys() if not key.startswith("below/")]


class EmulatorWorld(_World):
    def __init__(self, server, faults):
        self._server, self._bucket = server, server.bucket()
        super().__init__(faults, self._bucket)

    def keys(self):
        return list(self._server.objects(self._bucket))

    def content(self, key):
        return self._server.content(self._bucket, f"below/{key}")

    def put(self, key, content):
        self._server.put(self._bucket, f"below/{key}", content)

    def remove(self, key):
        self._server.remove(self._bucket, f"below/{key}")


class ScriptedWorld(_World):
    def __init__(self, service, faults, **more):
        self._service = service
        super().__init__(faults, "recordings", **more)

    def keys(self):
        return list(self._service.objects)

    def content(self, key):
        found = self._service.objects.get(f"below/{key}")
        return None if found is None else found.content

    def put(self, key, content):
        self._service.make(f"below/{key}", content, {})

    def remove(self, key):
        self._service.objects.pop(f"below/{key}", None)

    def leftovers(self):
        return self._service.open_sessions()

    def forget(self):
        self._service.pending.clear()

    expire = forget


class _Emulator:
    @pytest.fixture
    def world(self, emulator):
        with Faults(emulator.url) as faults:
            yield EmulatorWorld(emulator, faults)


class _Scripted:
    options: dict = {}  # noqa: RUF012

    @pytest.fixture
    def world(self, service):
        with Faults(service.url) as faults:
            yield ScriptedWorld(service, faults, **self.options)

    test_a_large_body_is_not_held = None  # by this service, which lives in the same process


@pytest.mark.full
class TestGcsOnEmulatorWholly(_Emulator, BackendSuite):
    pass


@pytest.mark.full
class TestGcsOnScriptedWholly(_Scripted, BackendSuite):
    pass


@pytest.mark.full
class TestGcsOnScriptedAtomicWholly(_Scripted, BackendSuite):
    """As at Google: the service's own condition is trusted."""

    options = {"if_absent": "atomic"}  # noqa: RUF012


class TestGcsOnEmulator(_Emulator, ContinueCases, ExistingCases):
    """What depends on the server most."""


class TestGcsOnScripted(_Scripted, CommitCases, SettleCases):
    """Sessions that end."""


class TestGcsOnScriptedAtomic(_Scripted, ExistingCases, IsolationCases):
    """Conditions that are kept."""

    options = {"if_absent": "atomic"}  # noqa: RUF012
