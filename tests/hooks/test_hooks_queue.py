"""The event queue: order per task, the newest progress only, bounded, and honest about what it lost."""

import threading

import pytest
from hypothesis import given
from hypothesis import strategies as st

from haulier.events import BackendSuspended, UploadCompleted, UploadProgress, UploadQueued, UploadStarted
from haulier.hooks.notification import EventQueue


def progress(task, acknowledged, *, restarted=False):
    return UploadProgress(task=task, acknowledged=acknowledged, total=100, restarted=restarted)


def state(task, sequence):
    return UploadStarted(task=task, sequence=sequence)


def filled(*events, maxsize=1000):
    queue = EventQueue(maxsize)
    for event in events:
        queue.put(event)
    return queue


def test_only_the_newest_progress_of_a_task_waits():
    queue = filled(progress("a", 1), progress("b", 1), progress("a", 2), progress("a", 3))
    assert sorted((event.task, event.acknowledged) for event in queue.drain()) == [("a", 3), ("b", 1)]
    assert not queue.overflowed


def test_progress_stays_on_its_side_of_a_state_event_of_its_task():
    queue = filled(progress("a", 1), state("a", 1), progress("a", 2), progress("a", 3), UploadCompleted(task="a"))
    told = [getattr(event, "acknowledged", event.kind) for event in queue.drain()]
    assert told == [1, "upload_started", 3, "upload_completed"]


def test_a_state_event_of_another_task_changes_nothing():
    queue = filled(progress("a", 1), state("b", 1), BackendSuspended(backend="main"), progress("a", 2))
    assert [event.acknowledged for event in queue.drain() if isinstance(event, UploadProgress)] == [2]


def test_counts_never_go_back_without_the_start_over_being_told():
    queue = filled(progress("a", 90), progress("a", 0, restarted=True), progress("a", 5))
    (event,) = queue.drain()
    assert (event.acknowledged, event.restarted) == (5, True)
    queue.put(progress("a", 10))
    assert queue.get(0).restarted is False


def test_a_start_over_that_was_dropped_is_told_with_the_next_progress():
    queue = filled(progress("a", 0, restarted=True), state("b", 1), state("b", 2), maxsize=2)
    assert [event.sequence for event in queue.drain()] == [1, 2]
    queue.put(progress("a", 7))
    assert queue.get(0).restarted is True


def test_progress_is_dropped_first():
    queue = filled(state("a", 1), progress("a", 1), progress("b", 1), state("c", 2), maxsize=3)
    assert [event.kind for event in queue.drain()] == ["upload_started", "upload_progress", "upload_started"]
    assert queue.overflowed
    assert queue.lost == 0


def test_new_progress_never_costs_a_state_event():
    queue = filled(state("a", 1), state("b", 2), progress("c", 1), maxsize=2)
    assert [event.sequence for event in queue.drain()] == [1, 2]
    assert queue.lost == 0


def test_then_the_oldest_state_events_are_lost_and_counted():
    queue = filled(*(state("a", number) for number in range(1, 6)), maxsize=3)
    assert [event.sequence for event in queue.drain()] == [3, 4, 5]
    assert queue.lost == 2


def test_get_waits_no_longer_than_told():
    assert EventQueue().get(timeout=0) is None


@pytest.mark.parametrize("timeout", [None, 10])
def test_get_is_woken_by_an_event(timeout):
    queue = EventQueue()
    got = []
    thread = threading.Thread(target=lambda: got.append(queue.get(timeout)))
    thread.start()
    queue.put(UploadQueued(task="a"))
    thread.join(10)
    assert [event.task for event in got] == ["a"]


def test_closing_wakes_who_waits_and_leaves_what_waits():
    queue = filled(state("a", 1))
    queue.close()
    queue.put(state("a", 2))
    assert queue.get().sequence == 1
    assert queue.get() is None


def test_a_queue_for_nothing_is_refused():
    with pytest.raises(ValueError, match="at least one"):
        EventQueue(0)


TASKS = st.sampled_from("abc")
CHANGES = st.lists(
    st.one_of(
        st.tuples(st.just("progress"), TASKS), st.tuples(st.just("state"), TASKS), st.tuples(st.just("get"), TASKS)
    ),
    max_size=60,
)


@given(CHANGES, st.integers(1, 8))
def test_whatever_comes_order_and_bound_hold(changes, maxsize):
    queue = EventQueue(maxsize)
    told, states = [], 0
    for number, (what, task) in enumerate(changes, 1):
        if what == "progress":
            queue.put(progress(task, number))
        elif what == "state":
            states += 1
            queue.put(UploadStarted(task=task, sequence=number))
        elif (event := queue.get(0)) is not None:
            told.append(event)
        assert queue.waiting <= maxsize
    told += queue.drain()

    numbers = {}
    for event in told:
        number = event.sequence or event.acknowledged
        assert number > numbers.get(event.task, 0), "out of order within its task"
        numbers[event.task] = number
    assert sum(1 for event in told if event.sequence) + queue.lost == states
