"""Two agents as they are run, on one state folder and one watched folder: each file once, whatever becomes of them."""

import shutil
import signal

import pytest

from haulier.files import Files
from haulier.service.state import Keys


def names(count):
    return sorted(f"session_{number:03}.mp4" for number in range(count))


def test_invariant_4_two_agents_that_start_at_the_same_instant_take_each_file_once(agents):
    wanted = names(24)
    for name in wanted:
        agents.record(name, name.encode())
    both = agents.begin(agents.ready("run"), agents.ready("run"))
    agents.until_receipts(len(wanted))
    agents.stop(*both)
    assert agents.stored() == wanted
    assert sorted(agents.tasks()) == wanted
    assert [receipt.number for receipt in agents.receipts()] == list(range(1, len(wanted) + 1))
    assert sorted(path.name for path in agents.state.glob("secret.key*")) == ["secret.key"]
    assert list(agents.state.joinpath("owners").iterdir()) == []
    with agents.journal() as journal:
        keys = Keys.find(agents.state, Files())
        assert journal.read(lambda tx: tx.meta("source_id")) == keys.source_id
        assert journal.read(lambda tx: tx.owners()) == []
    agents.command("audit")  # the chain is whole
    assert "error" not in agents.said()


def test_invariant_1_what_a_killed_agent_had_is_done_by_the_other(agents):
    agents.hold()
    for name in names(8):
        agents.record(name, name.encode())
    agents.run(), agents.run()
    agents.held_by().kill()
    agents.let_go()
    agents.until_receipts(8)
    assert agents.stored() == names(8)
    assert set(agents.states().values()) == {"completed"}


def test_invariant_4_an_agent_that_is_suspended_keeps_its_task_and_goes_on_with_it(agents):
    agents.hold()
    agents.record("long.mp4")
    agents.run()
    held = agents.held_by()
    held.send_signal(signal.SIGSTOP)
    other = agents.run()
    for name in names(3):  # while the other does these it looks after dead owners again and again
        agents.record(name, name.encode())
        agents.until(lambda name=name: agents.states().get(name) == "completed")
    assert agents.states()["long.mp4"] == "uploading"
    agents.let_go()
    held.send_signal(signal.SIGCONT)
    agents.until_receipts(4)
    agents.stop(held, other)
    assert agents.stored() == sorted(["long.mp4", *names(3)])
    assert agents.tasks()["long.mp4"].epoch == 1


def test_invariant_4_an_agent_that_was_taken_for_dead_while_it_slept_stores_and_reports_nothing_twice(agents):
    agents.hold()
    agents.record("long.mp4")
    agents.run()
    held = agents.held_by()
    held.send_signal(signal.SIGSTOP)
    for lock in agents.state.joinpath("owners").glob(f"{held.pid}-*"):
        lock.unlink()
    other = agents.run()
    agents.until_receipts(1)
    agents.let_go()
    held.send_signal(signal.SIGCONT)
    agents.record("later.mp4")
    agents.until_receipts(2)
    agents.stop(held, other)
    assert agents.stored() == ["later.mp4", "long.mp4"]
    assert set(agents.states().values()) == {"completed"}
    assert len(agents.receipts()) == 2


def test_what_one_agent_uploads_another_program_pauses_resumes_and_cancels(agents):
    agents.hold()
    agents.record("first.mp4")
    agent = agents.run()
    agents.held_by()
    agents.command("pause", agents.tasks()["first.mp4"].id)
    agents.until(lambda: agents.states()["first.mp4"] == "paused")
    agents.let_go()
    agents.command("resume", agents.tasks()["first.mp4"].id)
    agents.until_receipts(1)

    (agents.place / "held").unlink()
    agents.hold()
    agents.record("second.mp4")
    agents.held_by()
    agents.command("cancel", agents.tasks()["second.mp4"].id)
    agents.until(lambda: agents.states()["second.mp4"] == "cancelled")
    agents.let_go()
    agents.command("retry", agents.tasks()["second.mp4"].id)
    agents.until_receipts(2)
    agents.stop(agent)
    assert agents.stored() == ["first.mp4", "second.mp4"]


@pytest.mark.full
def test_what_failed_for_one_agent_another_program_has_tried_again(agents):
    (agents.place / "refuse").touch()
    agents.record("refused.mp4")
    agent = agents.run()
    agents.until(lambda: agents.state.joinpath("journal.db").exists())
    agents.until(lambda: agents.states().get("refused.mp4") == "failed")
    (agents.place / "refuse").unlink()
    agents.command("retry", agents.tasks()["refused.mp4"].id)
    agents.until_receipts(1)
    agents.stop(agent)
    assert agents.stored() == ["refused.mp4"]


def test_invariant_2_two_agents_let_go_of_each_source_once_and_of_the_sidecar_last(agents):
    agents.configure("haulier.toml", upload="delete_after_upload = true\nsidecar_grace = 0")
    media = [f"rdp_1_1729950022_{part}.mp4" for part in range(8)]
    sidecar = agents.record("rdp_1_1729950022_metadata.json", b'{"session_id": "s"}')
    for name in media:
        agents.record(name, name.encode())
    both = agents.begin(agents.ready("run"), agents.ready("run"))
    left = []

    def all_gone():
        left.append((sidecar.exists(), len(list(agents.watched.glob("*.mp4*")))))
        return not any(agents.watched.iterdir())

    agents.until(all_gone)
    agents.stop(*both)
    assert not any(videos and not there for there, videos in left), "the sidecar went before a video"
    assert {str(row.disposal) for row in agents.tasks().values()} == {"removed"}
    assert [name for name in agents.stored() if name.endswith(".mp4")] == media
    assert "cannot be removed" not in agents.said()
    assert "changed" not in agents.said()


def copied(agents, upload):
    """Somebody copies the state folder while its agent is at work, and runs a second one from the copy."""
    agents.configure("haulier.toml", upload=upload)
    copy = agents.folder / "copy"
    for name in names(5):
        agents.record(name, name.encode())
    agents.hold()
    first = agents.run()
    agents.held_by()
    shutil.copytree(agents.state, copy, ignore=shutil.ignore_patterns("*.lock", "*-shm"))
    second = agents.run(config=agents.configure("copy.toml", copy, upload))
    agents.until(lambda: "queued" not in agents.states(copy).values())  # the rest belongs to the first, which lives
    agents.let_go()
    agents.until_receipts(5)
    agents.stop(first)
    agents.until(lambda: not {"queued", "uploading"} & set(agents.states(copy).values()))
    agents.stop(second)
    return copy


def test_invariant_4_a_copied_state_folder_stores_nothing_twice(agents):
    copy = copied(agents, "")
    assert agents.stored() == names(5)
    assert set(agents.states().values()) == set(agents.states(copy).values()) == {"completed"}
    assert {receipt.key for receipt in agents.receipts()} == {receipt.key for receipt in agents.receipts(copy)}


@pytest.mark.full
def test_invariant_2_a_copied_state_folder_loses_no_file_although_both_let_go_of_sources(agents):
    """What one of them let go of, the other either has a receipt for, or says that it is gone."""
    copy = copied(agents, "delete_after_upload = true")
    assert agents.stored() == names(5)
    assert set(agents.states().values()) == {"completed"}
    for row in agents.tasks(copy).values():
        assert str(row.state) == "completed" or row.error.code == "source_unavailable"
