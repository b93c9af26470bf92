"""The crash matrix against the reference server: the client killed at every step, the server killed at every step.

``HAULIER_MATRIX_BASE=N`` runs a sample again, ``HAULIER_MATRIX_CASE=ID`` one case alone, ``pytest -m full`` all cases.
"""

from __future__ import annotations

import signal
from contextlib import closing
from pathlib import Path

import pytest

from haulier.testing.crash.destination import Destination
from haulier.testing.crash.matrix import Matrix
from haulier.testing.crash.running import half, sampled, scratch, verdict
from haulier.testing.crash.served import ServedDestination, ServedMatrix
from haulier.testing.crash.steps import Steps
from haulier.testing.crash.zygote import Zygote, can_fork
from haulier.testing.http_faults import FaultyProxy
from haulier_wats.server import ServerSettings, ServerThread, Tokens
from haulier_wats.server.database import Database
from haulier_wats.server.folders import Folders
from haulier_wats.server.recording_table import RecordingTable
from haulier_wats.server.session_table import SessionTable

pytestmark = [
    pytest.mark.proof,
    pytest.mark.skipif(not can_fork(), reason="children are forked, and this system has no fork"),
]

TOKEN = "a-token-for-tests"
CASES = 5
SEEDS = 1
MANY_SEEDS = 100


# -- what lies in a data folder ----------------------------------------------------------------------------------------


def stored_in(folders, recordings):
    """Files by the keys that receipts name; what no recording knows by its path."""
    found = {path: path.read_bytes() for path in (folders.root / "recordings").rglob("*") if path.is_file()}
    known = {}
    for recording in recordings.page({}, 1000, 0)[0]:
        folder = folders.recording(recording.folder)
        known[recording.file_id] = found.pop(folder / recording.stored_name)
        if recording.metadata_stored_name:
            known[f"{recording.file_id}/metadata"] = found.pop(folder / recording.metadata_stored_name)
    return known | {str(path): content for path, content in found.items()}


def pending_in(folders, sessions):
    """Open sessions, and what lies there of any."""
    left = [path.name for path in folders.incoming.rglob("*")] if folders.incoming.exists() else []
    return [*sessions.open_ids(), *left]


def options(url, resumable):
    return {"type": "wats", "base_url": f"{url}/api", "api_token": TOKEN, "resumable": resumable}


class Kept(Destination):
    """A server in this process, which outlives its clients; a proxy before it counts."""

    def __init__(self, name, resumable, folder):
        self.name = name
        self.resumable = resumable
        self.says_what_it_holds = resumable == "auto"
        self.parts_at_once = 1 if self.says_what_it_holds else 0
        self._folder = folder
        self._ports = {}

    def __enter__(self):
        settings = ServerSettings(self._folder, Tokens([TOKEN]))
        self._server = ServerThread(settings, wrap=self._keep)
        self._proxy = FaultyProxy(self._server.url).__enter__()
        return self

    def __exit__(self, *_):
        self._proxy.__exit__(None, None, None)
        self._server.stop()

    def _keep(self, name, port):
        return self._ports.setdefault(name, port)

    def reset(self, folder):
        recordings = self._ports["recordings"]
        for recording in recordings.page({}, 1000, 0)[0]:
            recordings.begin_delete(recording.file_id)
            self._ports["folders"].remove_recording(recording.folder)
            recordings.remove(recording.file_id)
        for sid in self._ports["sessions"].open_ids():
            self._ports["sessions"].end(sid, "cancelled", 0.0)
            self._ports["folders"].drop_session(sid)
        self._proxy.forget()

    def table(self):
        return options(self._proxy.url, self.resumable)

    def stored(self):
        return stored_in(self._ports["folders"], self._ports["recordings"])

    def pending(self):
        return pending_in(self._ports["folders"], self._ports["sessions"])

    def received(self):
        sends = [request for request in self._proxy.seen if request.method == "PATCH" or "/files/" in request.path]
        return sum(request.content_size for request in sends)


class Killed(ServedDestination):
    """A server that is a child."""

    function = f"{__file__}:run_server"

    def __init__(self, name, resumable):
        super().__init__()
        self.name = name
        self.resumable = resumable
        self.says_what_it_holds = resumable == "auto"
        self.parts_at_once = 1 if self.says_what_it_holds else 0

    def table(self):
        return options(self.url, self.resumable)

    def stored(self):
        folders = Folders(self.data)
        with closing(Database(folders.database)) as database:
            return stored_in(folders, RecordingTable(database))

    def pending(self):
        folders = Folders(self.data)
        with closing(Database(folders.database)) as database:
            return pending_in(folders, SessionTable(database))


def run_server(told):
    """Be the server, in a child; its inner ports are wrapped, and the calls that reach the disk."""
    kill_at = tuple(told["kill_at"]) if told["kill_at"] else None
    steps = Steps(Path(told["record"]), kill_at)
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})
    step_the_disk(steps)
    settings = ServerSettings(Path(told["folder"]), Tokens([TOKEN]))
    server = ServerThread(settings, port=told["port"], wrap=steps.wrap)
    ready = Path(told["ready"])
    ready.with_suffix(".new").write_text(server.url)
    ready.with_suffix(".new").rename(ready)
    signal.sigwait({signal.SIGTERM})
    steps.write()
    server.stop()


def step_the_disk(steps):
    """Make the writing of a file, and each sync, a step."""
    from haulier_wats.server import appending, folders, receiving, sink, whole_appends

    class SteppedSink(sink.Sink):
        def __init__(self, *args):
            steps("sink.open")
            super().__init__(*args)
            steps("sink.open:done")

        async def feed(self, data):
            steps("sink.feed")
            await super().feed(data)
            steps("sink.feed:done")

        async def finish(self, *, sync=False):
            steps("sink.finish")
            await super().finish(sync=sync)
            steps("sink.finish:done")

    def stepped(name, function):
        def call(path):
            steps(name)
            function(path)
            steps(f"{name}:done")

        return call

    class SteppedCopy(sink.CopyFile):
        def __init__(self, *args):
            steps("copy.open")
            super().__init__(*args)
            steps("copy.open:done")

        def write(self, data):
            steps("copy.write")
            super().write(data)
            steps("copy.write:done")

        def sync(self):
            steps("copy.sync")
            super().sync()
            steps("copy.sync:done")

    appending.Sink = receiving.Sink = SteppedSink
    whole_appends.CopyFile = SteppedCopy
    folders.sync_folder = stepped("disk.sync_folder", folders.sync_folder)


# -- the tests ---------------------------------------------------------------------------------------------------------

MODES = {"wats-plain": "never", "wats-resumable": "auto"}


@pytest.fixture(scope="module")
def zygote(tmp_path_factory):
    with Zygote(tmp_path_factory.mktemp("zygote") / "children.log") as made:
        yield made


def of_clients(name, folder, zygote):
    return Matrix(Kept(name, MODES[name], folder / "server"), folder, zygote)


def of_servers(name, folder, zygote):
    return ServedMatrix(Killed(f"{name}-server", MODES[name]), folder, zygote)


def matrices(folder, zygote):
    """All of them, for ``python -m haulier.testing.crash``."""
    return [make(name, folder / make.__name__ / name, zygote) for make in (of_clients, of_servers) for name in MODES]


@pytest.fixture(params=MODES)
def clients(request, tmp_path, zygote):
    with scratch(tmp_path) as folder, of_clients(request.param, folder, zygote) as matrix:
        yield matrix


@pytest.fixture(params=MODES)
def servers(request, tmp_path, zygote):
    with scratch(tmp_path) as folder, of_servers(request.param, folder, zygote) as matrix:
        yield matrix


def test_invariants_1_to_5_hold_after_a_kill_of_the_client_at_any_step_or_time(clients, proof_table):
    verdict(clients, sampled(clients, CASES, SEEDS), proof_table, how=", sample")


def test_invariants_1_to_5_hold_after_a_kill_of_the_server_at_any_step_or_time(servers, proof_table):
    verdict(servers, sampled(servers, CASES, SEEDS), proof_table, how=", sample")


@pytest.mark.full
def test_invariants_1_to_5_hold_after_a_kill_of_the_client_at_every_other_step(clients, proof_table):
    figures = verdict(clients, half(clients.cases()), proof_table)
    assert figures.unreached <= figures.cases // 100


@pytest.mark.full
def test_invariants_1_to_5_hold_after_a_kill_of_the_server_at_every_other_step(servers, proof_table):
    figures = verdict(servers, half(servers.cases()), proof_table)
    assert figures.unreached <= figures.cases // 100


@pytest.mark.full
def test_invariants_1_to_5_hold_after_kills_of_client_and_server_at_a_hundred_random_times(servers, proof_table):
    verdict(servers, servers.at_random(range(MANY_SEEDS)), proof_table, how=", at random")
