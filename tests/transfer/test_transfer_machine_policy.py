"""What a failed try means, ruling by ruling: pure, rows in and rows out."""

from __future__ import annotations

from dataclasses import replace

import pytest

from haulier.errors import (
    AuthenticationError,
    CancelledError,
    NetworkError,
    PluginError,
    QuotaError,
    ServerError,
    SourceChangedError,
    SourceUnavailableError,
    ThrottledError,
)
from haulier.journal.api import BackendRow, TaskRow
from haulier.models import ArtifactRecord, ErrorRecord, Identity, Role, SuspensionReason, TaskState
from haulier.transfer.policy import NO_SESSION, Policy, error_record
from haulier.transfer.states import TRANSITIONS, Cause, IllegalTransitionError, mermaid, move

NOW = 1_000.0
UNREACHED = NetworkError("refused", where="there", advice="start it", reached=False)
POLICY = Policy(random=lambda: 0.0)


def task(task_id="upload_1", **more):
    media = ArtifactRecord(0, Role.MEDIA, "a.mp4", "/r/a.mp4", 10, 1, "", "k/a.mp4", "video/mp4")
    identity = Identity("here", "/r/a.mp4", 10, 1)
    return TaskRow(task_id, TaskState.UPLOADING, "main", identity, task_id, (media,), {}, 0.0, 0.0, **more)


def judge(error, row=None, backend=None, *, keep_session=True, policy=POLICY):
    return policy.judge(row or task(), backend or BackendRow("main"), error, NOW, keep_session=keep_session)


# -- what every ruling has in common ---------------------------------------------------------------------------


def test_an_error_is_kept_with_all_its_words_and_its_time():
    assert error_record(UNREACHED, NOW) == ErrorRecord("network", "refused", "there", "start it", NOW)


def test_each_ruling_notes_the_error_and_frees_the_task():
    changes = judge(QuotaError("full")).changes
    assert (changes["error"].what, changes["error"].at) == ("full", NOW)
    assert (changes["request"], changes["owner"], changes["not_before"]) == ("", "", None)
    assert not set(NO_SESSION) & set(changes)


def test_a_session_that_is_not_kept_leaves_nothing_behind():
    changes = judge(CancelledError("stop"), keep_session=False).changes
    assert {name: changes[name] for name in NO_SESSION} == NO_SESSION
    assert {
        **dict.fromkeys(("token", "abilities")),
        **dict.fromkeys(("part_size", "acknowledged"), 0),
        "nonce": "",
        "committing": False,
        "digests": {},
    } == NO_SESSION


# -- the item's own --------------------------------------------------------------------------------------------


def test_a_permanent_error_fails_the_task_and_nobody_else():
    ruling = judge(QuotaError("full"))
    assert (ruling.cause, ruling.changes["slow_lane"], ruling.backend) == (Cause.SPENT, False, BackendRow("main"))
    assert "attempts" not in ruling.changes


def test_a_cancelled_one_is_cancelled():
    ruling = judge(CancelledError("stop"))
    assert (ruling.cause, ruling.backend) == (Cause.CANCEL, BackendRow("main"))


@pytest.mark.parametrize(("restarts", "wait"), [(0, 1), (1, 2), (4, 16), (11, 2048), (12, 3600), (19, 3600)])
def test_a_changed_source_waits_twice_as_long_each_time_up_to_an_hour(restarts, wait):
    ruling = judge(SourceChangedError("new"), task(restarts=restarts, attempts=2))
    assert ruling.cause is Cause.CHANGED
    assert ruling.changes["not_before"] == NOW + wait
    assert ruling.changes["restarts"] == restarts + 1
    assert "attempts" not in ruling.changes
    assert ruling.backend == BackendRow("main")


def test_after_twenty_changes_the_source_is_unstable():
    ruling = judge(SourceChangedError("new"), task(restarts=20))
    assert ruling.cause is Cause.SPENT
    assert ruling.changes["slow_lane"] is False
    error = ruling.changes["error"]
    assert (error.code, error.where, error.at) == ("source_unstable", "/r/a.mp4", NOW)
    assert "21" in error.what
    assert ruling.backend == BackendRow("main")


@pytest.mark.parametrize(("restarts", "wait"), [(0, 32), (1, 64), (20, 3600)])
def test_a_source_that_is_away_for_now_is_waited_for(restarts, wait):
    ruling = judge(SourceUnavailableError("held", passing=True), task(restarts=restarts))
    assert ruling.cause is Cause.CHANGED
    assert ruling.changes["not_before"] == NOW + wait
    assert "restarts" not in ruling.changes
    assert ruling.backend == BackendRow("main")


def test_a_source_that_is_gone_fails_its_task():
    assert judge(SourceUnavailableError("gone")).cause is Cause.SPENT


# -- attempts --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("attempts", "wait"), [(0, 2), (1, 4), (2, 8)])
def test_a_failure_that_may_pass_costs_an_attempt_and_a_wait_that_doubles(attempts, wait):
    ruling = judge(ServerError("500"), task(attempts=attempts))
    assert ruling.cause is Cause.FAILED_TRY
    assert ruling.changes["attempts"] == attempts + 1
    assert ruling.changes["not_before"] == NOW + wait
    assert ruling.changes["suspicion"] == 0
    assert ruling.backend == BackendRow("main", failing=("upload_1",))
    assert ruling.give_back == ()


def test_the_fourth_failure_moves_the_task_to_the_slow_lane():
    ruling = judge(ServerError("500"), task(attempts=3))
    assert ruling.cause is Cause.SPENT
    assert ruling.changes["slow_lane"] is True
    assert ruling.changes["attempts"] == 4
    assert ruling.backend == BackendRow("main", failing=("upload_1",))
    assert ruling.changes["not_before"] == NOW + 3600


def test_without_retries_the_first_failure_is_the_last():
    assert judge(ServerError("500"), policy=Policy(max_retries=0)).cause is Cause.SPENT


def test_waits_end_at_a_minute_and_are_spread_by_a_tenth():
    assert [Policy(random=lambda: 0.0).retry_wait(number) for number in (1, 5, 6, 50)] == [2, 32, 60, 60]
    assert Policy(random=lambda: 0.5).retry_wait(1) == pytest.approx(2.1)
    assert Policy(random=lambda: 0.999).retry_wait(6) == 60
    assert Policy().retry_wait(2) == pytest.approx(4.2)


@pytest.mark.parametrize(("asked", "wait"), [(None, 2), (1, 2), (17, 17), (600, 600)])
def test_what_the_destination_asks_for_is_waited_at_least(asked, wait):
    assert judge(ThrottledError("429", retry_after=asked)).changes["not_before"] == NOW + wait


# -- whose fault -----------------------------------------------------------------------------------------------


def test_a_second_item_that_fails_so_suspends_the_backend_and_the_attempts_are_given_back():
    before = BackendRow("main", failing=("upload_0", "upload_9"))
    ruling = judge(ServerError("503"), task(attempts=1), before)
    assert ruling.cause is Cause.BACKEND_AWAY
    assert ruling.changes["suspicion"] == 1
    assert "attempts" not in ruling.changes
    assert ruling.give_back == ("upload_0", "upload_9")
    assert ruling.backend == BackendRow(
        "main",
        suspended=SuspensionReason.FAILING,
        since=NOW,
        probe_at=NOW + 1,
        interval=1.0,
        error=error_record(ServerError("503"), NOW),
        failing=("upload_0", "upload_9", "upload_1"),
    )


def test_the_same_item_failing_again_is_its_own_fault():
    before = BackendRow("main", failing=("upload_1",))
    ruling = judge(ServerError("503"), task(attempts=1), before)
    assert ruling.cause is Cause.FAILED_TRY
    assert ruling.backend == before


def test_who_failed_last_stands_last():
    before = BackendRow("main", failing=("upload_1", "upload_2"))
    ruling = judge(ServerError("503"), backend=before)
    assert ruling.backend.failing == ("upload_2", "upload_1")
    assert ruling.give_back == ("upload_2",)


def test_a_plugins_defect_is_charged_to_the_item_at_hand():
    ruling = judge(PluginError("defect"), backend=BackendRow("main", failing=("upload_0",)))
    assert (ruling.cause, ruling.backend.suspended) == (Cause.FAILED_TRY, None)


@pytest.mark.parametrize(("suspicion", "charged"), [(2, False), (3, True)])
@pytest.mark.parametrize("error", [ServerError("503"), UNREACHED], ids=["failing", "unreachable"])
def test_after_three_suspensions_in_flight_a_task_pays(suspicion, charged, error):
    ruling = judge(error, task(suspicion=suspicion), BackendRow("main", failing=("upload_0",)))
    assert ruling.cause is (Cause.FAILED_TRY if charged else Cause.BACKEND_AWAY)
    assert ruling.changes["suspicion"] == (0 if charged else 3)
    if charged:
        assert ruling.changes["attempts"] == 1


def test_a_destination_that_is_not_reached_is_suspended_and_nobody_pays():
    ruling = judge(UNREACHED, task(attempts=1))
    assert ruling.cause is Cause.BACKEND_AWAY
    assert "attempts" not in ruling.changes
    assert ruling.changes["suspicion"] == 1
    assert (ruling.backend.suspended, ruling.backend.since) == (SuspensionReason.UNREACHABLE, NOW)
    assert (ruling.backend.failing, ruling.give_back) == ((), ())


def test_a_destination_that_is_not_reached_stays_suspended_when_the_suspect_pays():
    ruling = judge(UNREACHED, task(suspicion=3))
    assert ruling.backend.suspended is SuspensionReason.UNREACHABLE


def test_refused_credentials_suspend_and_nobody_is_suspected():
    ruling = judge(AuthenticationError("401"))
    assert ruling.cause is Cause.BACKEND_AWAY
    assert "suspicion" not in ruling.changes
    assert (ruling.backend.suspended, ruling.backend.probe_at) == (SuspensionReason.CREDENTIALS, NOW + 300)


# -- suspensions -----------------------------------------------------------------------------------------------


def test_probes_come_less_and_less_often_up_to_a_minute():
    row, waits = BackendRow("main"), []
    for number in range(8):
        row = POLICY.probe_failed(row, UNREACHED, NOW + number)
        waits.append(row.probe_at - NOW - number)
    assert waits == [1, 2, 4, 8, 16, 32, 60, 60]
    assert row.since == NOW, "since the first failure"
    assert row.error.at == NOW + 7


@pytest.mark.parametrize(("asked", "wait"), [(None, 1), (0.5, 1), (90, 90)])
def test_a_probe_comes_no_earlier_than_asked_for(asked, wait):
    assert POLICY.probe_failed(BackendRow("main"), ThrottledError("429", retry_after=asked), NOW).probe_at == NOW + wait


def test_a_failed_probe_keeps_the_reason_unless_it_is_about_credentials():
    failing = BackendRow("main", suspended=SuspensionReason.FAILING, since=5.0)
    assert POLICY.probe_failed(failing, UNREACHED, NOW).suspended is SuspensionReason.FAILING
    assert POLICY.probe_failed(failing, UNREACHED, NOW).since == 5.0
    refused = POLICY.probe_failed(failing, AuthenticationError("401"), NOW)
    assert (refused.suspended, refused.probe_at) == (SuspensionReason.CREDENTIALS, NOW + 300)
    assert POLICY.probe_failed(BackendRow("main"), UNREACHED, NOW).suspended is SuspensionReason.UNREACHABLE


def test_a_suspension_ends_on_trial_and_the_trial_with_a_success():
    failing = ("upload_0", "upload_1")
    away = replace(POLICY.probe_failed(BackendRow("main", failing=failing), UNREACHED, NOW), fingerprint="f")
    back = POLICY.resumed(away)
    assert back == BackendRow("main", interval=1.0, failing=failing, trial=True, fingerprint="f")
    assert POLICY.succeeded(back) == BackendRow("main", fingerprint="f")


# -- the table of moves ----------------------------------------------------------------------------------------


def test_what_the_table_does_not_know_is_refused_in_words():
    assert move(TaskState.UPLOADING, Cause.PROVEN) is TaskState.COMPLETED
    with pytest.raises(IllegalTransitionError, match=r"^a task that is completed cannot be cancelled by an operator$"):
        move(TaskState.COMPLETED, Cause.CANCEL)


def test_nothing_leaves_completed_and_only_a_worker_completes():
    assert [start for start, _ in TRANSITIONS if start is TaskState.COMPLETED] == []
    assert [key for key, end in TRANSITIONS.items() if end is TaskState.COMPLETED] == [
        (TaskState.UPLOADING, Cause.PROVEN)
    ]


def test_an_operator_can_give_up_whatever_has_not_ended_and_have_it_again():
    ended = {TaskState.COMPLETED, TaskState.CANCELLED}
    assert {state for state in TaskState if (state, Cause.CANCEL) in TRANSITIONS} == set(TaskState) - ended
    assert {state for state in TaskState if (state, Cause.RETRY) in TRANSITIONS} == {
        TaskState.FAILED,
        TaskState.RETRYING,
        TaskState.CANCELLED,
    }


def test_the_drawing_has_a_line_for_each_move_and_both_ends():
    lines = mermaid().splitlines()
    assert lines[0] == "stateDiagram-v2"
    assert lines[1] == "    [*] --> queued: submitted"
    assert lines[2] == "    queued --> uploading: claimed by a worker"
    assert len(lines) == len(TRANSITIONS) + 3
    assert mermaid().endswith("    completed --> [*]\n")
