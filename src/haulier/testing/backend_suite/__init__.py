"""The suite that every backend must pass.

The whole test file of a backend is a class that says how its destination is met::

    from haulier.testing.backend_suite import BackendSuite, BackendWorld

    class TestShelf(BackendSuite):
        @pytest.fixture
        def world(self, tmp_path):
            return BackendWorld(ShelfBackend, {"folder": str(tmp_path)})

``BackendWorld`` takes the backend class (a ``Backend`` or a ``PutBackend``) and the options of its table. What the
backend declares in its abilities decides which tests apply. The destination is empty at the start of each test: give
each its own folder, bucket or prefix, and start servers in fixtures of a wider scope.

A subclass of :class:`~haulier.testing.backend_suite.world.World` can say more, and more tests apply:

* ``visible``, ``content``, ``put``, ``remove``, ``leftovers``, ``strays``: how the destination looks from outside.
  Without them the backend is asked itself, where it can list, read and delete. ``FolderWorld`` looks into a folder;
* ``forget``, ``expire``: what happens to upload sessions;
* ``faults``: a :class:`~haulier.testing.backend_suite.faults.Faults` between client and server, whose ``url`` the
  options name; for destinations that speak HTTP. It answers, resets and falls silent;
* attributes: ``part_size`` (raised to the backend's ``min_part``), ``many``, ``listing``, ``large``, ``names_itself``,
  ``in_this_process``, ``secrets``, ``settles``, ``salt`` (for servers that outlive a test).

A test that an ability, or a view that the world does not have, excludes is reported as *not applicable* with its
reason: in the summary at the end, and in none of the counts of passed tests.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from haulier.testing.backend_suite.commit import CommitCases
from haulier.testing.backend_suite.continuing import ContinueCases
from haulier.testing.backend_suite.errors import ErrorCases
from haulier.testing.backend_suite.existing import ExistingCases
from haulier.testing.backend_suite.faults import Faults
from haulier.testing.backend_suite.isolation import IsolationCases
from haulier.testing.backend_suite.keys import KeyCases
from haulier.testing.backend_suite.memory import MemoryCases
from haulier.testing.backend_suite.objects import ObjectCases
from haulier.testing.backend_suite.optional import OptionalCases
from haulier.testing.backend_suite.parts import PartCases
from haulier.testing.backend_suite.settling import SettleCases
from haulier.testing.backend_suite.threads import ThreadCases
from haulier.testing.backend_suite.world import BackendWorld, FolderWorld, NotApplicable, World

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["BackendSuite", "BackendWorld", "Faults", "FolderWorld", "NotApplicable", "World"]


class BackendSuite(
    ObjectCases,
    KeyCases,
    PartCases,
    ContinueCases,
    IsolationCases,
    CommitCases,
    ExistingCases,
    SettleCases,
    OptionalCases,
    ErrorCases,
    MemoryCases,
    ThreadCases,
):
    """Everything that the contract (:mod:`haulier.backends.api`) promises to the engine."""

    @pytest.fixture
    def world(self) -> Iterator[World]:
        """The destination; subclasses say which."""
        raise NotImplementedError("define the fixture `world`: it returns a World, e.g. BackendWorld(MyBackend, {...})")

    @pytest.fixture(autouse=True)
    def _world_closed(self, world: World) -> Iterator[None]:
        yield
        world.close()
