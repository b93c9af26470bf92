"""A plugin that is older or newer than Haulier: what the page on versions of the contract says."""

import re
import warnings
from pathlib import Path
from types import SimpleNamespace

import pluggy
import pytest

from haulier import UploadManager
from haulier.backends.api import API_LEVEL, Backend, PutBackend
from haulier.errors import UnknownBackendError
from haulier.hooks.checking import register_checked
from haulier.hooks.loading import PluginHost
from haulier.hooks.spec import PROJECT, hookimpl, hookspec

PAGE = (Path(__file__).parents[2] / "docs" / "plugin-versions.md").read_text("utf-8")


def shelf(**members):
    return type("Shelf", (PutBackend,), {"type": "shelf", "options_type": object, "put": lambda *_: None, **members})


def plugin(*classes, **hooks):
    made = SimpleNamespace(__name__="shelf-plugin", register_backends=hookimpl(lambda: list(classes)))
    for hook, function in hooks.items():
        setattr(made, hook, hookimpl(function))
    return made


def record_of(*plugins):
    (record,) = PluginHost(plugins=plugins, entry_points=list).records()
    return record


def test_a_newer_plugin_is_refused_whole_and_told_to_upgrade_haulier():
    told = []

    def accept_file(path):
        told.append(path)

    host = PluginHost(plugins=[plugin(shelf(api_level=API_LEVEL + 1), accept_file=accept_file)], entry_points=list)
    (record,) = host.records()
    assert (record.backends, record.hooks) == ((), ())
    assert f"`{record.error}`" in PAGE
    host.decide("accept_file", path=None)
    assert told == []
    with pytest.raises(UnknownBackendError, match="upgrade Haulier"):
        host.backend_class("shelf")


def test_an_older_plugin_is_refused_and_told_to_upgrade_itself():
    error = record_of(plugin(shelf(api_level=API_LEVEL - 1))).error
    assert error.endswith("upgrade the plugin")
    assert "level 0" in error


def test_a_level_that_is_no_number_is_refused():
    assert "set it to a number" in record_of(plugin(shelf(api_level="1"))).error


def test_a_class_that_names_no_level_was_written_for_the_first():
    assert (Backend.api_level, PutBackend.api_level) == (1, 1)


def test_the_page_tells_the_level():
    assert re.search(r"it is (\d+)\.", PAGE)[1] == str(API_LEVEL)


def test_a_task_for_a_backend_of_a_refused_plugin_is_not_taken(tmp_path):
    (tmp_path / "session.mp4").write_bytes(b"x")
    config = {"upload": {"state_dir": str(tmp_path / "state")}, "backends": {"shelf": {}}}
    newer = plugin(shelf(api_level=API_LEVEL + 1))
    manager = UploadManager.open(config, plugins=[newer])
    try:
        with pytest.raises(UnknownBackendError, match="upgrade Haulier"):
            manager.submit(tmp_path / "session.mp4")
        assert manager.tasks() == []
    finally:
        manager.close()


def test_a_hook_of_the_future_is_refused_unless_it_is_marked():
    def upload_archived(event):
        del event

    marked = SimpleNamespace(__name__="marked", upload_archived=hookimpl(optionalhook=True)(upload_archived))
    assert record_of(marked).error is None
    unmarked = SimpleNamespace(__name__="unmarked", upload_archived=hookimpl(upload_archived))
    assert "there is no hook 'upload_archived'" in record_of(unmarked).error


class Aging:
    """Specifications of which one goes, and an argument of another."""

    @hookspec(warn_on_impl=DeprecationWarning("accept_file goes in 0.3: use accept_path"))
    def accept_file(self, path):
        raise AssertionError

    @hookspec(warn_on_impl_args={"names": DeprecationWarning("names goes in 0.3: list the folder")})
    def find_sidecar(self, path, names):
        raise AssertionError


@pytest.fixture
def aging():
    manager = pluggy.PluginManager(PROJECT)
    manager.add_hookspecs(Aging)
    return manager


@pytest.mark.parametrize(
    ("hooks", "text"),
    [
        ({"accept_file": lambda path: None}, "accept_file goes in 0.3"),
        ({"find_sidecar": lambda path, names: None}, "names goes in 0.3"),
    ],
)
def test_what_goes_warns_when_a_plugin_that_uses_it_is_loaded_and_names_its_file(aging, hooks, text):
    old = plugin(**hooks)
    del old.register_backends
    with pytest.warns(DeprecationWarning, match=text) as seen:
        assert register_checked(aging, old, "old") == tuple(hooks)
    assert seen[0].filename == __file__


def test_what_stays_warns_of_nothing(aging):
    kept = plugin(find_sidecar=lambda path: None)
    del kept.register_backends
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert register_checked(aging, kept, "kept") == ("find_sidecar",)
