"""SIGKILL after k of n parts: the next run sends the rest, and one object is there."""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys

import pytest

ACCOUNT = "devstoreaccount1"
KEY = "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw=="
PART = 1024
COUNT = 12
WINDOW = 4
CONTENT = random.Random(9).randbytes(COUNT * PART - 100)


def configured(tmp_path, relay, container):
    config = tmp_path / "haulier.toml"
    config.write_text(f"""
[upload]
backend = "archive"
state_dir = "state"
part_size = {PART}

[watch]
settle_seconds = 0

[backends.archive]
type = "azure"
container = "{container}"
prefix = "in"
account_url = "{relay.url}/{ACCOUNT}"
credential = "env:TEST_KEY"
min_part_size = {PART}
""")
    return config


@pytest.fixture
def agent(tmp_path, relay, server):
    container = server.container()
    config = configured(tmp_path, relay, container)
    environ = {**os.environ, "TEST_KEY": KEY}

    def start(*words):
        command = [sys.executable, "-m", "haulier", *words, "--config", str(config), "--json"]
        return subprocess.Popen(command, env=environ, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)

    start.container = container
    return start


@pytest.mark.parametrize(
    "killed_after", [pytest.param(0, marks=pytest.mark.full), 5, pytest.param(COUNT - 1, marks=pytest.mark.full)]
)
def test_invariant_5_a_kill_after_k_of_n_parts_costs_the_parts_in_flight(tmp_path, relay, server, agent, killed_after):
    (tmp_path / "clip.mp4").write_bytes(CONTENT)
    passed = []

    def rule(request):
        if request.is_part and len(passed) >= killed_after:
            return ("silence",)
        if request.is_part:
            passed.append(request)
        return None

    relay.rule = rule
    with agent("send", str(tmp_path / "clip.mp4"), "--wait", "60") as first:
        relay.wait_for(lambda: len(relay.parts()) == killed_after and relay.parts(forwarded=False))
        first.kill()
    assert 1 <= len(relay.parts(forwarded=False)) <= WINDOW
    assert server.keys(agent.container) == [], "nothing can be seen"
    held = {each.number for each in relay.parts()}
    relay.rule = lambda _: None
    relay.passed.clear()
    with agent("run", "--once") as second:
        out, err = second.communicate(timeout=60)
    assert second.returncode == 0, err + out
    assert {each.number for each in relay.parts()} == set(range(1, COUNT + 1)) - held
    assert len(relay.parts()) == COUNT - killed_after, "each of the others once"
    (key,) = server.keys(agent.container)
    assert server.content(agent.container, key) == CONTENT
    assert server.blob(agent.container, key).get_block_list("uncommitted")[1] == []
    with agent("receipts") as receipts:
        (receipt,) = json.loads(receipts.communicate(timeout=60)[0])["receipts"]
    assert receipt["proof"] == "content"
    assert "?" not in receipt["location"]
