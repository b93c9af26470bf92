"""Decisions: the first answer counts; a plugin that fails or hangs leaves the item undecided."""

import threading
from types import SimpleNamespace

import pytest

from haulier.hooks.loading import PluginHost
from haulier.hooks.spec import hookimpl


def deciding(name, accept_file, **options):
    return SimpleNamespace(__name__=name, accept_file=hookimpl(**options)(accept_file))


def host_of(*plugins, **settings):
    return PluginHost(plugins=plugins, entry_points=tuple, **settings)


def ask(host):
    return host.decide("accept_file", path="a.mp4")


def failing(error):
    def hook():
        raise error

    return hook


def test_nobody_has_an_opinion():
    decision = ask(host_of(deciding("silent", lambda: None)))
    assert (decision.value, decision.undecided) == (None, None)


def test_the_last_registered_is_asked_first_and_its_answer_ends_the_asking():
    asked = []

    def answer(name, value):
        return deciding(name, lambda path: asked.append(name) or value)

    host = host_of(answer("first", True), answer("second", False), answer("third", None))
    assert ask(host).value is False
    assert asked == ["third", "second"]


def test_the_order_of_calling_can_be_changed_as_in_pluggy():
    host = host_of(deciding("eager", lambda: True, tryfirst=True), deciding("late", lambda: False))
    assert ask(host).value is True


@pytest.mark.parametrize(
    "error", [ValueError("cannot tell"), SystemExit("cannot tell"), KeyboardInterrupt("cannot tell")]
)
def test_a_failure_leaves_it_undecided_with_the_reason(error):
    host = host_of(deciding("sure", lambda: True), deciding("unsure", failing(error)))
    for _ in range(2):
        decision = ask(host)
        assert decision.value is None
        assert decision.undecided == f"the plugin unsure failed in accept_file: {type(error).__name__}: cannot tell"


def test_an_answer_before_the_failing_one_counts():
    assert ask(host_of(deciding("unsure", failing(ValueError())), deciding("sure", lambda: True))).value is True


class Hanging:
    """A plugin that hangs until it is let go, with a wait that gives up at once unless it is patient."""

    def __init__(self):
        self.begun = threading.Event()
        self.let_go = threading.Event()
        self.calls = 0
        self.patient = False
        self.last_done = None

    @hookimpl
    def accept_file(self, path):
        self.calls += 1
        self.begun.set()
        assert self.let_go.wait(10)
        return True

    @hookimpl
    def find_sidecar(self):
        return ""

    def wait(self, done, seconds):
        assert seconds == 5.0
        self.last_done = done
        (done if self.patient else self.begun).wait(10)


def test_an_answer_that_is_late_leaves_it_undecided_and_is_not_asked_again_while_it_hangs():
    plugin = Hanging()
    host = host_of(plugin, wait=plugin.wait)
    assert ask(host).undecided == "the plugin Hanging did not answer accept_file within 5 s"
    assert ask(host).undecided == "the plugin Hanging still hangs in an earlier call of accept_file"
    assert plugin.calls == 1

    plugin.let_go.set()
    assert plugin.last_done.wait(10)
    plugin.patient = True
    assert ask(host).value is True
    assert plugin.calls == 2


def test_another_hook_of_a_plugin_that_hangs_is_still_asked():
    plugin = Hanging()
    host = host_of(plugin, wait=plugin.wait)
    ask(host)
    plugin.patient = True
    assert host.decide("find_sidecar", path=None, names=frozenset()).value == ""
    plugin.let_go.set()


def test_foreign_code_runs_on_a_daemon_thread():
    used = []
    ask(host_of(deciding("foreign", lambda: used.append(threading.current_thread()))))
    assert used[0] is not threading.current_thread()
    assert used[0].daemon


def test_a_scan_of_many_files_does_not_start_a_thread_for_each():
    used = set()
    host = host_of(deciding("foreign", lambda: used.add(threading.get_ident())))
    before = threading.active_count()
    for _ in range(200):
        ask(host)
    assert threading.active_count() <= before + 2
    assert len(used) <= 2


def test_what_comes_with_the_core_runs_where_it_is_asked():
    used = []
    host = host_of(builtin=[deciding("core", lambda: used.append(threading.current_thread()))])
    assert ask(host).undecided is None
    assert used == [threading.current_thread()]


def test_no_thread_is_used_when_nobody_answers():
    def no_wait(done, seconds):
        raise AssertionError("waited for nobody")

    before = threading.active_count()
    assert ask(host_of(wait=no_wait)).value is None
    assert threading.active_count() == before


def test_many_threads_may_ask_at_once():
    together = threading.Barrier(4)
    host = host_of(deciding("meeting", lambda: together.wait(10) >= 0))
    answers = []
    threads = [threading.Thread(target=lambda: answers.append(ask(host).value)) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(10)
    assert answers == [True] * 4


def test_only_decisions_are_decided():
    with pytest.raises(ValueError, match="upload_queued"):
        host_of().decide("upload_queued", event=None)
