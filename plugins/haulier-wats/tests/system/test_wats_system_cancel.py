"""A task that is cancelled while it waits leaves nothing in the server's incoming folder."""

from __future__ import annotations

import json

import pytest

from haulier.config.secrets import Secret
from haulier.errors import NetworkError
from haulier.journal.memory import MemoryJournal
from haulier.models import TaskState
from haulier.testing.rig import UploadRig
from haulier.testing.steps import StepProxy
from haulier_wats.backend import WatsBackend, WatsOptions

TOKEN = "a-token-for-tests"
CONTENT = bytes(range(256)) * 40


def incoming(folder):
    return sorted(path for path in (folder / "server" / ".incoming").rglob("*") if path.is_file())


@pytest.mark.parametrize("mode", ["auto", "never"])
@pytest.mark.parametrize("last", ["retrying", "paused"])
def test_a_task_cancelled_while_it_waits_leaves_no_session(tmp_path, server, mode, last):
    folder = tmp_path / "recordings"
    folder.mkdir()
    media, sidecar = folder / "rdp_1_1729950022_Host_20241026_150022.mp4", folder / "rdp_1_1729950022_metadata.json"
    media.write_bytes(CONTENT)
    sidecar.write_text(json.dumps({"session_id": "rdp_1_1729950022"}))
    steps = []

    def cut(step):
        steps.append(step)
        if step == "backend.send" and steps.count(step) == 2:
            raise NetworkError("the connection was reset")

    backend = WatsBackend("wats", WatsOptions(base_url=f"{server.url}/api", api_token=Secret(TOKEN), resumable=mode))
    rig = UploadRig(MemoryJournal(), StepProxy(backend, "backend", cut))
    task = rig.submit(media, sidecar)
    rig.work()
    if last == "paused":
        rig.operations.apply("pause", [task])
    assert rig.row(task).state == last
    assert rig.row(task).token is not None
    before = incoming(tmp_path)
    assert before
    rig.operations.apply("cancel", [task])
    assert incoming(tmp_path) == before, "the command asks nothing of the server"
    rig.work()
    assert rig.row(task).state is TaskState.CANCELLED
    assert incoming(tmp_path) == []
    assert not rig.journal.read(lambda tx: tx.aborts())
    backend.close()
