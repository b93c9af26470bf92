"""Who lives is told by a lock that is held: not by a process id, not by a file, not by time."""

from __future__ import annotations

import os
import subprocess
import sys
import threading

import pytest

from haulier.clock import SystemClock
from haulier.files import Files
from haulier.journal.api import OwnerRow
from haulier.service.state import Keys, Owner, open_journal, source_id

HOLDER = """
import sys
from haulier.files import Files
lock = Files().lock_file(sys.argv[1])
print("held" if lock else "taken", flush=True)
sys.stdin.readline()
"""


@pytest.fixture
def state(tmp_path):
    (tmp_path / "state" / "owners").mkdir(parents=True)
    return tmp_path / "state"


@pytest.fixture
def journal(state):
    opened = open_journal(state, Files())
    yield opened
    opened.close()


@pytest.fixture
def buried(state, journal):
    """Who is found dead by an owner that lives."""
    living = Owner(journal, state, Files(), SystemClock(), "living")

    def look():
        found = []
        living.bury_the_dead(lambda owner: found.append(owner) or 0)
        return found

    yield look
    living.close()


def enter(journal, state, name):
    row = OwnerRow(name, str(state / "owners" / f"{name}.lock"), 0.0)
    journal.write(lambda tx: tx.put_owner(row))
    return state / "owners" / f"{name}.lock"


def test_a_dead_owners_process_id_that_another_process_has_now_keeps_nothing(journal, state, buried):
    """The number of this very process, and the lock file that the dead one left."""
    enter(journal, state, f"{os.getpid()}-0123456789ab").touch()
    assert buried() == [f"{os.getpid()}-0123456789ab"]


def test_a_lock_file_without_its_file_is_of_a_dead_one(journal, state, buried):
    enter(journal, state, "99999-0123456789ab")
    assert buried() == ["99999-0123456789ab"]


def test_a_lock_is_held_until_its_process_ends_however_it_ends(journal, state, buried):
    path = enter(journal, state, "other")
    with subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout.readline() == "held\n"
        assert buried() == []
        process.kill()
        process.wait()
    assert buried() == ["other"]
    assert not path.exists()


def test_many_that_start_at_once_have_one_key_and_one_id(state, journal):
    gate, found = threading.Barrier(8), []

    def begin():
        gate.wait()
        keys = Keys.load(state, Files())
        found.append((keys.secret, source_id(journal, keys)))

    threads = [threading.Thread(target=begin) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 8
    assert len(set(found)) == 1
    assert [path.name for path in state.glob("secret.key*")] == ["secret.key"]
