"""A plugin that cannot be used costs only itself, and says why."""

import importlib
import sys
import threading
from types import SimpleNamespace

import pytest

from haulier.errors import PluginError
from haulier.hooks.loading import PluginHost
from haulier.hooks.spec import hookimpl


class EntryPoint:
    def __init__(self, name, load, distribution="", version="1.0"):
        self.name = name
        self.load = load
        self.dist = SimpleNamespace(name=distribution, version=version) if distribution else None


def plugin(name="good", **hooks):
    """An object with hook implementations."""
    made = SimpleNamespace(__name__=name)
    for hook, function in hooks.items():
        setattr(made, hook, hookimpl(function))
    return made


def good(name="good"):
    return plugin(name, upload_queued=lambda event: None)


def host_of(*plugins, entry_points=(), **settings):
    return PluginHost(plugins=plugins, entry_points=lambda: entry_points, **settings)


def installed(**plugins):
    return [EntryPoint(name, lambda made=made: made, f"haulier-{name}") for name, made in plugins.items()]


def errors(host):
    return {record.name: record.error for record in host.records()}


def exploding(error):
    def load():
        raise error

    return load


@pytest.mark.parametrize("error", [ImportError("no module acme_sdk"), SystemExit(3), RecursionError()])
def test_a_broken_entry_point_does_not_keep_the_next_from_loading(error):
    broken = EntryPoint("a-broken", exploding(error), "haulier-broken", "2.5")
    host = host_of(entry_points=[broken, *installed(fine=good())])
    first, second = host.records()
    assert (first.name, first.distribution, first.version, first.source) == (
        "a-broken",
        "haulier-broken",
        "2.5",
        "entry point",
    )
    assert type(error).__name__ in first.error
    assert second.error is None
    assert second.hooks == ("upload_queued",)


def test_an_interrupt_while_plugins_load_is_no_fault_of_theirs_and_loading_can_be_done_again():
    interrupts = [KeyboardInterrupt()]

    def load():
        if interrupts:
            raise interrupts.pop()
        return good()

    host = host_of(good("first"), entry_points=[EntryPoint("slow", load)])
    with pytest.raises(KeyboardInterrupt):
        host.load()
    assert errors(host) == {"first": None, "slow": None}


def test_a_broken_list_of_installed_plugins_leaves_the_others():
    host = PluginHost(plugins=[good()], entry_points=exploding(OSError("metadata is damaged")))
    assert errors(host)["good"] is None
    assert "metadata is damaged" in errors(host)["installed plugins"]


def test_plugins_load_in_a_fixed_order_and_nothing_before_it_is_needed(tmp_path):
    (tmp_path / "one_file.py").write_text("")
    host = host_of(
        good("given"),
        builtin=[good("core")],
        entry_points=installed(zebra=good("x"), ant=good("y")),
        files=[tmp_path / "one_file.py"],
    )
    assert [(record.name, record.source) for record in host.records()] == [
        ("core", "builtin"),
        ("given", "argument"),
        ("ant", "entry point"),
        ("zebra", "entry point"),
        ("one_file", "file"),
    ]
    untouched = PluginHost(entry_points=exploding(AssertionError("asked too early")))
    del untouched


def test_plugins_are_loaded_once_when_many_threads_need_them_at_once():
    loaded = []
    together = threading.Barrier(8)
    host = host_of(entry_points=[EntryPoint("counted", lambda: loaded.append(1) or good())])

    def need():
        together.wait(10)
        host.load()

    threads = [threading.Thread(target=need) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(10)
    assert loaded == [1]


def test_a_taken_name_is_refused_and_the_first_stays():
    calls = []
    host = host_of(
        plugin("same", accept_file=lambda path: calls.append("first")),
        plugin("same", accept_file=lambda path: calls.append("second")),
    )
    first, second = host.records()
    assert first.error is None
    assert "the name 'same' is taken" in second.error
    host.decide("accept_file", path=None)
    assert calls == ["first"]


def test_a_plugin_that_is_installed_and_passed_in_is_loaded_once_without_complaint():
    both = good()
    host = host_of(both, entry_points=installed(wats=both), strict=True)
    assert [record.source for record in host.records()] == ["argument"]


def test_a_misspelt_hook_is_refused_whole_with_the_nearest_name():
    told = []
    wrong = plugin("wrong", upload_complete=lambda event: None, accept_file=lambda path: told.append(path) or False)
    host = host_of(wrong, good())
    assert errors(host)["wrong"] == "there is no hook 'upload_complete'; did you mean 'upload_completed'?"
    assert errors(host)["good"] is None
    host.decide("accept_file", path="a.mp4")
    assert told == []


def test_a_hook_of_a_newer_version_can_be_marked_optional():
    newer = SimpleNamespace(__name__="newer", upload_thrown_away=hookimpl(optionalhook=True)(lambda event: None))
    assert errors(host_of(newer)) == {"newer": None}


def keyword_only(*, event):
    return event


def wrapping(event):
    return (yield)


class Unmade:
    @hookimpl
    def upload_queued(self, event):
        pass


@pytest.mark.parametrize(
    ("bad", "reason"),
    [
        (plugin("bad", upload_queued=lambda event, task: None), "fewer arguments"),
        (plugin("bad", upload_queued=keyword_only), "by position"),
        (SimpleNamespace(__name__="bad", upload_queued=hookimpl(wrapper=True)(wrapping)), "wrapper"),
        (Unmade, "must be made an object first"),
        (None, "None"),
    ],
)
def test_an_implementation_that_could_not_be_called_is_refused(bad, reason):
    host = host_of(bad, good())
    first, second = host.records()
    assert reason in first.error
    assert first.hooks == ()
    assert second.error is None
    assert [found.plugin for found in host.implementations("upload_queued")] == ["good"]


def test_an_implementation_may_take_fewer_arguments():
    host = host_of(
        plugin("few", object_key=lambda name: f"by-name/{name}", find_sidecar=lambda: "", accept_file=lambda path: None)
    )
    assert host.decide("object_key", identity=None, name="a.mp4", backend="main").value == "by-name/a.mp4"
    assert host.decide("find_sidecar", path=None, names=frozenset()).value == ""


def test_allow_and_deny_by_plugin_or_distribution_name():
    points = [
        EntryPoint("wats", good, "haulier_wats"),
        EntryPoint("s3", good, "haulier-s3"),
        EntryPoint("acme", good, "acme.storage"),
    ]

    def names(**lists):
        return [record.name for record in host_of(entry_points=points, **lists).records()]

    assert names() == ["acme", "s3", "wats"]
    assert names(allow=["haulier-wats", "s3"]) == ["s3", "wats"]
    assert names(deny=["Acme-Storage"]) == ["s3", "wats"]
    assert names(allow=["s3", "acme"], deny=["s3"]) == ["acme"]


def test_what_is_denied_is_not_even_imported():
    host = host_of(entry_points=[EntryPoint("bad", exploding(AssertionError("imported")))], deny=["bad"])
    assert host.records() == []


def test_strict_raises_at_the_first_error_and_again_each_time():
    host = host_of(plugin("wrong", upload_complete=lambda event: None), good(), strict=True)
    with pytest.raises(PluginError, match="upload_complete"):
        host.load()
    with pytest.raises(PluginError, match="upload_complete"):
        host.backend_types()
    assert list(errors(host)) == ["wrong"]


def test_strict_keeps_the_cause():
    cause = ImportError("no acme_sdk")
    host = host_of(entry_points=[EntryPoint("acme", exploding(cause))], strict=True)
    with pytest.raises(PluginError) as raised:
        host.load()
    assert raised.value.__cause__ is cause
    assert raised.value.where == "acme"


ONE_FILE = """
from __future__ import annotations
from dataclasses import dataclass
from typing import ClassVar
import haulier

@dataclass
class Rule:
    count: ClassVar[int] = 0
    prefix: str = "draft-"

@haulier.hookimpl
def accept_file(path):
    return not path.startswith(Rule().prefix)
"""


def test_one_file_is_a_plugin(tmp_path):
    path = tmp_path / "house_rules.py"
    path.write_text(ONE_FILE)
    host = host_of(files=[path])
    (record,) = host.records()
    assert (record.name, record.source, record.hooks) == ("house_rules", "file", ("accept_file",))
    assert host.decide("accept_file", path="draft-a.mp4").value is False


def test_files_of_one_name_in_two_folders_do_not_replace_each_other(tmp_path):
    for folder in ("a", "b"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "rules.py").write_text(f"FOLDER = {folder!r}")
    host = host_of(files=[tmp_path / "a" / "rules.py", tmp_path / "b" / "rules.py"])
    first, second = host.records()
    assert first.error is None
    assert "taken" in second.error


@pytest.mark.parametrize(
    ("name", "text", "reason"),
    [
        ("broken.py", "def (", "SyntaxError"),
        ("leaves.py", "raise SystemExit('no licence')", "no licence"),
        ("missing.py", None, "FileNotFoundError"),
        ("notes.txt", "x", "must end in .py"),
    ],
)
def test_a_file_that_cannot_be_run_leaves_the_others_and_nothing_behind(tmp_path, name, text, reason):
    if text is not None:
        (tmp_path / name).write_text(text)
    (tmp_path / "zz_fine.py").write_text("")
    before = set(sys.modules)
    host = host_of(files=[tmp_path / name, tmp_path / "zz_fine.py"])
    importlib.invalidate_caches()
    first, second = host.records()
    assert reason in first.error
    assert second.error is None
    left = {module for module in set(sys.modules) - before if module.startswith("haulier_plugin")}
    assert {module.split("_")[2] for module in left} == {"zz"}


def test_register_adds_a_plugin_later_and_refuses_one_whole():
    host = host_of(good())
    host.register(plugin("later", upload_failed=lambda event: None))
    with pytest.raises(PluginError, match="upload_faild"):
        host.register(plugin("wrong", upload_faild=lambda event: None, upload_failed=lambda event: None))
    assert errors(host) == {"good": None, "later": None}
    assert [found.plugin for found in host.implementations("upload_failed")] == ["later"]


def test_register_refuses_a_plugin_that_is_there_already():
    one = good()
    host = host_of(one)
    host.load()
    one.__name__ = "other"
    with pytest.raises(PluginError, match="loaded already"):
        host.register(one)


def test_a_refused_plugin_is_logged(caplog):
    host_of(plugin("wrong", upload_complete=lambda event: None)).load()
    assert "plugin wrong is not used: there is no hook 'upload_complete'" in caplog.text
