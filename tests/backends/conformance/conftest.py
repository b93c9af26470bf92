"""What the tests of the suite share: a world in memory, and an SFTP server."""

from __future__ import annotations

import subprocess
import sys
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from haulier.backends.memory import MemoryBackend, MemoryOptions, MemoryStore
from haulier.testing.backend_suite import World

OTHER_ITEM = "b" * 64


class MemoryWorld(World):
    """A store in this process and what lies in it."""

    in_this_process = True

    def __init__(self, backend_class=MemoryBackend, **options):
        self.backend_class = backend_class
        self.store = MemoryStore(case_folding=options.pop("case_folding", False))
        self.options = options

    def backend(self):
        return self.backend_class("archive", MemoryOptions(store=self.store, **self.options))

    def visible(self):
        return sorted(entry.key for entry in self.store.objects.values())

    def content(self, key):
        found = self.store.get(key)
        return None if found is None or found.key != key else found.content

    def put(self, key, content):
        self.store.put(key, content, OTHER_ITEM)

    def remove(self, key):
        self.store.remove(key)

    def leftovers(self):
        return [session.id for session in self.store.sessions.values() if not session.committed]

    def forget(self):
        self.store.forget_sessions()


@pytest.fixture(scope="session")
def memory_world():
    """``memory_world(backend_class=MemoryBackend, **options)`` makes a world."""
    return MemoryWorld


@dataclass
class SftpServer:
    port: int
    process: subprocess.Popen


@contextmanager
def running(root, port=0):
    program = Path(__file__).with_name("sftp_program.py")
    with subprocess.Popen([sys.executable, program, root, str(port)], stdout=subprocess.PIPE) as process:
        port = int(process.stdout.readline())
        yield SftpServer(port, process)
        process.terminate()
        process.wait(30)


@pytest.fixture(scope="session")
def start_sftp():
    """``start_sftp(root, port=0)`` is a context manager that gives port and process."""
    return running


@pytest.fixture(scope="session")
def sftp_server(tmp_path_factory):
    """Port and root folder of an asyncssh server."""
    root = tmp_path_factory.mktemp("sftp")
    with running(root) as server:
        yield server.port, root
