"""A task that is cancelled while it waits leaves no multipart upload, also when the agent is killed in between."""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys

import pytest

ACCESS, SECRET = "an-access-key", "a-secret-key-for-tests"
PART = 1024
COUNT = 6
CONTENT = random.Random(3).randbytes(COUNT * PART - 100)
FORBIDDEN = b"<Error><Code>AccessDenied</Code><Message>no</Message></Error>"
SLOW_DOWN = b"<Error><Code>SlowDown</Code><Message>later</Message></Error>"
LATER = ("answer", 503, {"Retry-After": "600", "Content-Type": "application/xml"}, SLOW_DOWN)
REFUSED = ("answer", 403, {"Content-Type": "application/xml"}, FORBIDDEN)


class Agent:
    """Commands of an agent of its own, and what lies in its bucket."""

    def __init__(self, folder, relay, server):
        self.bucket, self._server, self._folder = server.bucket(), server, folder
        self._config = folder / "haulier.toml"
        self._config.write_text(f"""
[upload]
backend = "archive"
state_dir = "state"
part_size = {PART}

[backends.archive]
type = "s3"
bucket = "{self.bucket}"
endpoint_url = "{relay.url}"
addressing_style = "path"
access_key_id = "env:TEST_ACCESS"
secret_access_key = "env:TEST_SECRET"
min_part_size = {PART}
""")

    def start(self, *words):
        environ = {**os.environ, "TEST_ACCESS": ACCESS, "TEST_SECRET": SECRET}
        command = [sys.executable, "-m", "haulier", *words, "--config", str(self._config), "--json"]
        return subprocess.Popen(command, env=environ, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)

    def run(self, *words):
        with self.start(*words) as process:
            out, err = process.communicate(timeout=60)
        assert process.returncode in {0, 1, 75}, err + out
        return json.loads(out)

    def send(self):
        (self._folder / "clip.mp4").write_bytes(CONTENT)
        return self.run("send", str(self._folder / "clip.mp4"), "--wait", "1")["tasks"][0]["id"]

    def state(self, task):
        return self.run("status", task)["tasks"][0]["status"]

    def owed(self):
        return self.run("status")["backends"][0]["aborts_owed"]

    @property
    def pending(self):
        return self._server.client.list_multipart_uploads(Bucket=self.bucket).get("Uploads", [])

    @property
    def stored(self):
        return self._server.client.list_objects_v2(Bucket=self.bucket).get("Contents", [])


@pytest.fixture
def server(moto):
    return moto


@pytest.fixture
def agent(tmp_path, relay, server):
    return Agent(tmp_path, relay, server)


def after_two_parts(relay, answer):
    """Every part beyond the second is answered otherwise."""
    relay.rule = lambda request: answer if request.is_part and request.number > 2 else None


@pytest.mark.parametrize(
    ("answer", "waiting"),
    [
        pytest.param(LATER, "retrying", id="retrying"),
        pytest.param(LATER, "paused", id="paused"),
        pytest.param(REFUSED, "failed", id="failed"),
    ],
)
@pytest.mark.full
def test_a_task_cancelled_while_it_waits_leaves_no_multipart_upload(relay, agent, answer, waiting):
    after_two_parts(relay, answer)
    task = agent.send()
    if waiting == "paused":
        agent.run("pause", task)
    assert agent.state(task) == waiting
    assert len(agent.pending) == 1
    agent.run("cancel", task)
    assert agent.state(task) == "cancelled"
    assert len(agent.pending) == 1, "the command asks nothing of the service"
    assert agent.owed() == 1
    relay.rule = lambda _: None
    agent.run("run", "--once")
    assert agent.pending == []
    assert agent.stored == []
    assert agent.owed() == 0


def test_a_kill_between_the_cancel_and_the_abort_leaves_no_multipart_upload(relay, agent):
    after_two_parts(relay, LATER)
    task = agent.send()
    assert len(agent.pending) == 1
    agent.run("cancel", task)
    asked = []

    def rule(request):
        if request.method != "DELETE":
            return None
        asked.append(request)
        return ("silence",)

    relay.rule = rule
    with agent.start("run", "--once") as process:
        relay.wait_for(lambda: asked)
        process.kill()
    assert len(agent.pending) == 1
    relay.rule = lambda _: None
    agent.run("run", "--once")
    assert agent.pending == []
    assert agent.owed() == 0


@pytest.mark.full
def test_a_running_task_whose_agent_was_killed_can_be_cancelled(relay, agent, tmp_path):
    after_two_parts(relay, ("silence",))
    (tmp_path / "clip.mp4").write_bytes(CONTENT)
    with agent.start("send", str(tmp_path / "clip.mp4"), "--wait", "60") as process:
        relay.wait_for(lambda: relay.parts() and relay.parts(forwarded=False))
        process.kill()
    (task,) = agent.run("status")["tasks"]
    agent.run("cancel", task["id"])
    assert len(agent.pending) == 1
    relay.rule = lambda _: None
    agent.run("run", "--once")
    assert agent.state(task["id"]) == "cancelled"
    assert agent.pending == []
    assert agent.stored == []
