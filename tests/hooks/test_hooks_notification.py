"""Listeners are told in order, each on its own; one that raises, hangs or is slow harms nobody."""

import threading
import types

import pytest

from haulier.errors import InputError
from haulier.events import UploadCompleted, UploadFailed, UploadProgress, UploadQueued, UploadStarted
from haulier.hooks.loading import PluginHost
from haulier.hooks.notification import Notifier
from haulier.hooks.spec import hookimpl
from haulier.testing.clock import FakeClock

PATIENCE = 10  # seconds until a test gives up; none takes that long


class Recorder:
    """A listener that keeps what it is told, and can be waited for."""

    def __init__(self):
        self.told = []
        self.changed = threading.Condition()

    def __call__(self, event):
        with self.changed:
            self.told.append(event)
            self.changed.notify_all()

    def wait_for(self, count):
        with self.changed:
            assert self.changed.wait_for(lambda: len(self.told) >= count, PATIENCE), self.told
            return list(self.told)


class Blocked(Recorder):
    """A listener that stays in its first call until it is let go."""

    def __init__(self):
        super().__init__()
        self.begun = threading.Event()
        self.let_go = threading.Event()

    def __call__(self, event):
        self.begun.set()
        assert self.let_go.wait(PATIENCE)
        super().__call__(event)


@pytest.fixture
def clock():
    return FakeClock()


@pytest.fixture
def notifier(clock):
    made = Notifier(None, clock=clock)
    yield made
    made.close(PATIENCE)


@pytest.fixture
def blocked():
    made = Blocked()
    yield made
    made.let_go.set()


def queued(*tasks):
    return [UploadQueued(task=task, sequence=number) for number, task in enumerate(tasks, 1)]


def plugin(name, **hooks):
    made = types.ModuleType(name)
    for hook, function in hooks.items():
        setattr(made, hook, hookimpl(function))
    return made


def telling(recorder):
    def hook(event):
        recorder(event)

    return hook


def host_of(*plugins, **settings):
    return PluginHost(plugins=plugins, entry_points=tuple, **settings)


def stats_of(notifier, name):
    return next(stats for stats in notifier.stats() if stats.name == name)


def test_plugins_are_told_of_the_events_they_have_hooks_for(clock):
    recorder, counted = Recorder(), Recorder()
    host = host_of(
        plugin("first", upload_queued=telling(recorder), upload_failed=telling(recorder)),
        plugin("second", upload_queued=lambda: counted("no argument wanted")),
    )
    notifier = Notifier(host, clock=clock)
    notifier.publish([*queued("a"), UploadStarted(task="a"), UploadFailed(task="a")])
    notifier.close(PATIENCE)
    assert [event.kind for event in recorder.told] == ["upload_queued", "upload_failed"]
    assert counted.told == ["no argument wanted"]
    assert [(stats.name, stats.delivered) for stats in notifier.stats()] == [("second", 1), ("first", 2)]


def test_each_listener_has_one_thread_of_its_own_that_starts_with_its_first_event(notifier):
    threads = Recorder()
    for _ in range(2):
        notifier.subscribe(lambda event: threads(threading.current_thread()))
    before = threading.active_count()
    notifier.publish([])
    assert threading.active_count() == before
    notifier.publish(queued("a", "b", "c"))
    assert len(set(threads.wait_for(6))) == 2
    assert all(thread.daemon for thread in threads.told)
    assert threading.main_thread() not in threads.told


def test_a_subscriber_may_choose_kinds(notifier):
    recorder = Recorder()
    notifier.subscribe(recorder, ["upload_completed"])
    notifier.publish([*queued("a"), UploadCompleted(task="a")])
    assert [event.kind for event in recorder.wait_for(1)] == ["upload_completed"]


@pytest.mark.parametrize("kinds", [["upload_complete"], "upload_completed"])
def test_a_kind_that_does_not_exist_is_refused(notifier, kinds):
    with pytest.raises(InputError, match="no kind of event"):
        notifier.subscribe(print, kinds)


def test_events_arrive_in_order(notifier):
    recorder = Recorder()
    notifier.subscribe(recorder)
    events = queued(*"abcdefghij")
    for event in events:
        notifier.publish([event])
    assert recorder.wait_for(10) == events


def test_one_that_raises_is_counted_kept_and_logged_once_per_kind(notifier, caplog):
    recorder = Recorder()

    def failing(event):
        try:
            raise ValueError(f"no task {event.task}")
        finally:
            recorder(event)

    notifier.subscribe(failing)
    notifier.publish([*queued("a", "b", "c"), UploadFailed(task="d")])
    recorder.wait_for(4)
    notifier.close(PATIENCE)
    stats = stats_of(notifier, "failing")
    assert (stats.errors, stats.delivered) == (4, 0)
    assert stats.last_error == "ValueError: no task d"
    assert [record.message.split(";")[0] for record in caplog.records] == [
        "listener failing raised on upload_queued",
        "listener failing raised on upload_failed",
    ]
    assert {record.name for record in caplog.records} == {"haulier.hooks"}


def test_one_that_exits_is_kept_as_well(notifier):
    recorder = Recorder()

    def leaving(event):
        recorder(event)
        raise SystemExit

    notifier.subscribe(leaving)
    notifier.publish(queued("a", "b"))
    recorder.wait_for(2)


def test_invariant_6_a_slow_one_holds_up_neither_the_publisher_nor_others(notifier, blocked):
    recorder = Recorder()
    notifier.subscribe(blocked)
    notifier.subscribe(recorder)
    notifier.publish(queued("a", "b"))
    assert len(recorder.wait_for(2)) == 2
    assert blocked.told == []
    blocked.let_go.set()
    assert len(blocked.wait_for(2)) == 2


def test_a_slow_one_is_told_the_newest_progress_only(notifier, blocked):
    notifier.subscribe(blocked)
    notifier.publish(queued("a"))
    assert blocked.begun.wait(PATIENCE)
    for acknowledged in range(100):
        notifier.publish([UploadProgress(task="a", acknowledged=acknowledged)])
    notifier.publish([UploadCompleted(task="a")])
    blocked.let_go.set()
    told = blocked.wait_for(3)
    assert [event.kind for event in told] == ["upload_queued", "upload_progress", "upload_completed"]
    assert told[1].acknowledged == 99


def test_a_slow_one_loses_the_oldest_events_beyond_the_bound_and_it_is_told(notifier, blocked, caplog):
    notifier.subscribe(blocked)
    notifier.publish(queued("first"))
    assert blocked.begun.wait(PATIENCE)
    notifier.publish(queued(*(str(number) for number in range(1005))))
    stats = stats_of(notifier, "Blocked")
    assert (stats.lost, stats.overflowed, stats.waiting, stats.cut_off) == (5, True, 1000, False)
    assert caplog.text.count("is too slow") == 1
    blocked.let_go.set()
    assert [event.task for event in blocked.wait_for(1001)][:2] == ["first", "5"]


def test_invariant_6_one_that_hangs_is_cut_off_and_the_others_go_on(clock, notifier, blocked, caplog):
    recorder = Recorder()
    notifier.subscribe(blocked)
    notifier.subscribe(recorder)
    notifier.publish(queued("a", "b", "c"))
    assert blocked.begun.wait(PATIENCE)

    clock.advance(60)
    notifier.publish(queued("d"))
    assert not stats_of(notifier, "Blocked").cut_off

    clock.advance(1)
    notifier.publish(queued("e"))
    stats = stats_of(notifier, "Blocked")
    assert (stats.cut_off, stats.waiting, stats.lost) == (True, 0, 3)
    assert "hangs for over 60 s" in caplog.text
    assert len(recorder.wait_for(5)) == 5

    blocked.let_go.set()
    blocked.wait_for(1)
    notifier.publish(queued("f"))
    recorder.wait_for(6)
    assert [event.task for event in blocked.told] == ["a"]


def test_a_wall_clock_that_jumps_cuts_nobody_off(clock, notifier, blocked):
    notifier.subscribe(blocked)
    notifier.publish(queued("a"))
    assert blocked.begun.wait(PATIENCE)
    clock.jump(86_400)
    notifier.publish(queued("b"))
    assert not stats_of(notifier, "Blocked").cut_off


def test_a_listener_may_publish(notifier):
    recorder = Recorder()

    def echoing(event):
        if event.kind == "upload_queued":
            notifier.publish([UploadCompleted(task=event.task)])

    notifier.subscribe(echoing)
    notifier.subscribe(recorder)
    notifier.publish(queued("a"))
    assert [event.kind for event in recorder.wait_for(2)] == ["upload_queued", "upload_completed"]


def test_a_listener_may_end_its_own_subscription(notifier):
    recorder, other = Recorder(), Recorder()

    def once(event):
        recorder(event)
        unsubscribe()

    unsubscribe = notifier.subscribe(once)
    notifier.subscribe(other)
    notifier.publish(queued("a"))
    recorder.wait_for(1)
    unsubscribe()
    notifier.publish(queued("b"))
    other.wait_for(2)
    assert len(recorder.told) == 1


def test_nothing_that_waits_is_told_after_the_subscription_ended(notifier, blocked):
    other = Recorder()
    unsubscribe = notifier.subscribe(blocked)
    notifier.subscribe(other)
    notifier.publish(queued("a", "b", "c"))
    assert blocked.begun.wait(PATIENCE)
    unsubscribe()
    blocked.let_go.set()
    blocked.wait_for(1)
    notifier.close(PATIENCE)
    assert [event.task for event in blocked.told] == ["a"]


def test_a_host_may_pull(notifier):
    queue = notifier.queue(maxsize=2)
    notifier.publish(queued("a", "b", "c"))
    assert [event.task for event in queue.drain()] == ["b", "c"]
    assert stats_of(notifier, "queue").lost == 1
    queue.close()
    notifier.publish(queued("d"))
    assert notifier.stats() == []


def test_close_delivers_what_was_told_before(clock):
    recorder = Recorder()
    notifier = Notifier(None, clock=clock)
    notifier.subscribe(recorder)
    notifier.publish(queued(*"abcdefgh"))
    notifier.close(PATIENCE)
    assert [event.task for event in recorder.told] == list("abcdefgh")
    notifier.publish(queued("late"))
    notifier.close(PATIENCE)
    assert len(recorder.told) == 8


def test_close_leaves_one_that_hangs_behind_and_drops_what_it_was_not_told(clock, blocked):
    notifier = Notifier(None, clock=clock)
    notifier.subscribe(blocked)
    notifier.publish(queued("a", "b", "c"))
    assert blocked.begun.wait(PATIENCE)
    notifier.close(0.05)
    assert stats_of(notifier, "Blocked").lost == 2
    blocked.let_go.set()
    assert [event.task for event in blocked.wait_for(1)] == ["a"]


def test_close_does_not_wait_at_all_for_one_that_is_known_to_hang(clock, blocked):
    notifier = Notifier(None, clock=clock)
    notifier.subscribe(blocked)
    notifier.publish(queued("a"))
    assert blocked.begun.wait(PATIENCE)
    clock.advance(61)
    closed = threading.Thread(target=notifier.close, args=(1_000_000,))
    closed.start()
    closed.join(PATIENCE)
    assert not closed.is_alive()


def test_a_listener_may_close_and_is_told_the_rest(clock):
    recorder = Recorder()
    notifier = Notifier(None, clock=clock)
    go = threading.Event()

    def closing(event):
        assert go.wait(PATIENCE)
        notifier.close(1_000_000)
        recorder(event)

    notifier.subscribe(closing)
    notifier.publish(queued("a", "b"))
    go.set()
    assert [event.task for event in recorder.wait_for(2)] == ["a", "b"]


def test_two_listeners_may_close_at_once(clock):
    recorder = Recorder()
    notifier = Notifier(None, clock=clock)
    together = threading.Barrier(2)

    def closing(event):
        together.wait(PATIENCE)
        notifier.close(0.05)
        recorder(event)

    notifier.subscribe(closing)
    notifier.subscribe(closing)
    notifier.publish(queued("a"))
    recorder.wait_for(2)


def test_a_plugin_that_is_registered_later_is_told_from_the_next_event_on(clock):
    recorder = Recorder()
    host = host_of()
    notifier = Notifier(host, clock=clock)
    notifier.publish(queued("a"))
    host.register(plugin("later", upload_queued=telling(recorder)))
    notifier.publish(queued("b"))
    notifier.close(PATIENCE)
    assert [event.task for event in recorder.told] == ["b"]


def test_a_plugin_that_is_refused_for_its_backend_is_told_nothing_more(clock):
    refused, kept = Recorder(), Recorder()
    host = host_of(
        plugin("bad", register_backends=lambda: ["no class"], upload_queued=telling(refused)),
        plugin("good", upload_queued=telling(kept)),
    )
    notifier = Notifier(host, clock=clock)
    host.backend_types()
    notifier.publish(queued("a"))
    notifier.close(PATIENCE)
    assert len(kept.told) == 1
    assert refused.told == []


def test_publishing_does_not_wait_for_a_plugin_that_is_being_asked_for_backends(clock, blocked):
    recorder = Recorder()
    host = host_of(plugin("slow", register_backends=lambda: blocked(None) or [], upload_queued=lambda e=None: None))
    notifier = Notifier(host, clock=clock)
    notifier.subscribe(recorder)
    asking = threading.Thread(target=host.backend_types)
    asking.start()
    assert blocked.begun.wait(PATIENCE)
    notifier.publish(queued("a"))
    assert recorder.wait_for(1)
    blocked.let_go.set()
    asking.join(PATIENCE)


def test_many_publishers_and_subscribers_at_once(notifier):
    recorder = Recorder()
    notifier.subscribe(recorder)

    def work(name):
        for number in range(50):
            notifier.subscribe(lambda event: None)()
            notifier.publish([UploadStarted(task=name, sequence=number)])

    threads = [threading.Thread(target=work, args=(name,)) for name in "abcd"]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(PATIENCE)
    told = recorder.wait_for(200)
    for name in "abcd":
        assert [event.sequence for event in told if event.task == name] == list(range(50))


def test_when_no_thread_can_be_had_the_next_event_tries_again(notifier, monkeypatch, caplog):
    recorder = Recorder()
    notifier.subscribe(recorder)

    def no_thread(self):
        raise RuntimeError("can't start new thread")

    with monkeypatch.context() as patched:
        patched.setattr(threading.Thread, "start", no_thread)
        notifier.publish(queued("a"))
    assert "could not be started" in caplog.text
    notifier.publish(queued("b"))
    assert [event.task for event in recorder.wait_for(2)] == ["a", "b"]
