"""The filesystem backend over SFTP (a real asyncssh server) passes the conformance suite, and tells its failures.

In the default run the topics in which a remote differs from a folder; with the full one all of them.
"""

from __future__ import annotations

import signal
import socket

import pytest

from haulier.backends.filesystem import FilesystemBackend, FilesystemOptions
from haulier.backends.remote_folder import RemoteFolder
from haulier.config.secrets import Secret
from haulier.errors import AuthenticationError, NetworkError
from haulier.testing.backend_suite import BackendSuite, FolderWorld
from haulier.testing.backend_suite.existing import ExistingCases
from haulier.testing.backend_suite.threads import ThreadCases

USER, PASSWORD = "haulier", "hunter2-of-the-tests"


class SftpWorld:
    @pytest.fixture
    def world(self, sftp_server, tmp_path):
        port, root = sftp_server
        (root / tmp_path.name).mkdir()
        table = {
            "url": f"sftp://127.0.0.1/{tmp_path.name}/archive",
            "options": {"port": port, "username": USER},
            "secrets": {"password": PASSWORD},
        }
        made = FolderWorld(FilesystemBackend, table, root / tmp_path.name / "archive", secrets=[PASSWORD])
        yield made
        made.close()


@pytest.mark.full
class TestSftp(SftpWorld, BackendSuite):
    pass


class TestSftpInShort(SftpWorld, ExistingCases, ThreadCases):
    pass


@pytest.fixture
def sftp():
    made = []

    def make(port, password=PASSWORD):
        options = FilesystemOptions(
            "sftp://127.0.0.1/archive",
            options={"port": port, "username": USER},
            secrets={"password": Secret(password)},
        )
        made.append(FilesystemBackend("archive", options))
        return made[-1]

    yield make
    for backend in made:
        backend.close()


def test_a_wrong_password_is_a_matter_of_credentials(sftp, sftp_server, context):
    with pytest.raises(AuthenticationError) as caught:
        sftp(sftp_server[0], "wrong-password").probe(context)
    assert "wrong-password" not in str(caught.value)


def test_nobody_there_is_an_outage(sftp, context):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    with pytest.raises(NetworkError) as caught:
        sftp(port).probe(context)
    assert not caught.value.reached


def test_after_an_outage_the_same_backend_connects_again(sftp, start_sftp, tmp_path, context, drive_for):
    (tmp_path / "archive").mkdir()
    with start_sftp(tmp_path) as server:
        backend = sftp(server.port)
        drive_for(backend, b"before", keys=("2026/before.mp4",)).run()
    for _ in range(2):
        with pytest.raises(NetworkError):
            backend.probe(context)
    with start_sftp(tmp_path, server.port):
        backend.probe(context)
        drive_for(backend, b"after", keys=("2026/after.mp4",)).run()
    assert (tmp_path / "archive/2026/after.mp4").read_bytes() == b"after"


def test_a_server_that_falls_silent_holds_nobody_for_ever(start_sftp, tmp_path):
    with start_sftp(tmp_path) as server:
        options = {"port": server.port, "username": USER, "password": PASSWORD}
        folder = RemoteFolder("sftp://127.0.0.1/archive", options, platform="linux", silence=0.5)
        assert folder.info("/archive") is None
        server.process.send_signal(signal.SIGSTOP)
        try:
            with pytest.raises(NetworkError) as caught:
                folder.info("/archive")
        finally:
            server.process.send_signal(signal.SIGCONT)
        assert caught.value.reached
        assert folder.info("/archive") is None, "the next call makes another connection"
        folder.close()
