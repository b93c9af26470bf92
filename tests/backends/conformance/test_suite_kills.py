"""Any row of kills ends in the same object."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from haulier.backends.filesystem import FilesystemBackend
from haulier.testing.backend_suite import FolderWorld
from haulier.testing.backend_suite.drive import pattern
from haulier.testing.backend_suite.judging import SIDECAR, assert_stored, begin


@pytest.mark.parametrize("kind", ["list", "offset", "folder"])
@given(plan=st.lists(st.integers(0, 4), max_size=8), size=st.integers(0, 250))
@settings(max_examples=20, deadline=None)
def test_any_row_of_kills_ends_in_the_same_object(kind, tmp_path_factory, memory_world, plan, size):
    if kind == "folder":
        folder = tmp_path_factory.mktemp("world") / "archive"
        world = FolderWorld(FilesystemBackend, {"url": str(folder)}, folder)
    else:
        world = memory_world(parts="sequential", resume=kind)
    drive = begin(world, pattern(size), SIDECAR).open()
    for count in plan:
        drive = drive.send_some(count).in_new_process(world.backend())
    drive.finish()
    assert_stored(world, drive)
