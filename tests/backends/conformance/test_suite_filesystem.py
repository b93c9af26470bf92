"""The filesystem backend on a local folder and on fsspec's memory passes the conformance suite."""

# ruff: noqa: RUF012  a suite names its options once

from __future__ import annotations

import pytest
from fsspec.implementations.memory import MemoryFileSystem

from haulier.backends.filesystem import FilesystemBackend
from haulier.backends.keys import PARTIAL_FOLDER
from haulier.testing.backend_suite import BackendSuite, BackendWorld, FolderWorld


class TestLocalFolder(BackendSuite):
    @pytest.fixture
    def world(self, tmp_path):
        return FolderWorld(FilesystemBackend, {"url": str(tmp_path / "archive")}, tmp_path / "archive")


@pytest.mark.full
class TestLocalFolderNotReadBack(BackendSuite):
    @pytest.fixture
    def world(self, tmp_path):
        options = {"url": str(tmp_path / "archive"), "read_back": False}
        return FolderWorld(FilesystemBackend, options, tmp_path / "archive")


class MemoryFolderWorld(BackendWorld):
    """A root of its own within fsspec's memory file system, which all instances of this process share."""

    in_this_process = True

    def __init__(self, root, **options):
        super().__init__(FilesystemBackend, {"url": f"memory:/{root}", **options})
        self.root = root
        self.system = MemoryFileSystem()

    def visible(self):
        return [key for key in self._files() if not key.startswith(f"{PARTIAL_FOLDER}/")]

    def content(self, key):
        path = f"{self.root}/{key}"
        return self.system.cat_file(path) if self.system.isfile(path) else None

    def put(self, key, content):
        self.system.pipe_file(f"{self.root}/{key}", content)

    def remove(self, key):
        self.system.rm_file(f"{self.root}/{key}")

    def leftovers(self):
        return [key for key in self._files() if key.startswith(f"{PARTIAL_FOLDER}/")]

    def forget(self):
        for key in self.leftovers():
            self.remove(key)

    def strays(self):
        parent = self.root.rpartition("/")[0]
        return [path for path in self.system.find(parent) if not path.startswith(f"{self.root}/")]

    def _files(self):
        return sorted(path[len(self.root) + 1 :] for path in self.system.find(self.root))


class MemoryFolderSuite(BackendSuite):
    options = {}

    @pytest.fixture
    def world(self, tmp_path):
        world = MemoryFolderWorld((tmp_path / "archive").as_posix(), **self.options)
        yield world
        if world.system.exists(world.root):
            world.system.rm(world.root, recursive=True)


@pytest.mark.full
class TestFsspecMemory(MemoryFolderSuite):
    pass


@pytest.mark.full
class TestFsspecMemoryReadBack(MemoryFolderSuite):
    options = {"read_back": True}
