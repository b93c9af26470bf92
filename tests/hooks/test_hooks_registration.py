"""Backend types, commands and readers: asked once each, isolated, never replaced silently."""

import re
from importlib.metadata import requires
from types import SimpleNamespace

import click
import pytest

from haulier import UploadManager
from haulier.backends import builtin
from haulier.backends.api import API_LEVEL, Backend, PutBackend
from haulier.errors import PluginError, UnknownBackendError
from haulier.hooks.loading import PluginHost
from haulier.hooks.spec import hookimpl


def put_backend(name, **members):
    members = {"type": name, "options_type": object, "put": lambda *_: None, **members}
    return type("Acme", (PutBackend,), members)


def plugin(name, **hooks):
    made = SimpleNamespace(__name__=name)
    for hook, function in hooks.items():
        setattr(made, hook, hookimpl(function))
    return made


def brings(name, *classes, **hooks):
    return plugin(name, register_backends=lambda: list(classes), **hooks)


def host_of(*plugins, entry_points=(), **settings):
    return PluginHost(plugins=plugins, entry_points=lambda: entry_points, **settings)


def record_of(host, name):
    return next(record for record in host.records() if record.name == name)


def failing(error):
    def hook():
        raise error

    return hook


def test_types_of_all_plugins_are_there():
    acme = put_backend("acme")
    host = host_of(brings("acme", acme), builtin=[builtin])
    assert sorted(host.backend_types()) == ["acme", "filesystem", "memory"]
    assert host.backend_class("acme") is acme
    assert record_of(host, "acme").backends == ("acme",)


def test_each_registration_hook_is_asked_once_even_when_another_plugin_comes_later():
    asked = []
    host = host_of(plugin("counted", register_backends=lambda: asked.append(1) or [put_backend("acme")]))
    first = host.backend_class("acme")
    host.register(brings("later", put_backend("other")))
    assert host.backend_class("acme") is first
    assert sorted(host.backend_types()) == ["acme", "other"]
    assert asked == [1]


def test_a_taken_type_is_refused_with_both_names_and_its_plugin_is_out_altogether():
    first = put_backend("s3")
    clash = brings("clash", put_backend("own"), put_backend("s3"), accept_file=lambda path: False)
    host = host_of(brings("first", first), clash, brings("last", put_backend("third")))
    assert dict(host.backend_types()).keys() == {"s3", "third"}
    assert host.backend_class("s3") is first
    record = record_of(host, "clash")
    assert "'clash'" in record.error
    assert "'first'" in record.error
    assert (record.hooks, record.backends) == ((), ())
    assert host.decide("accept_file", path=None).value is None


@pytest.mark.parametrize(
    ("bad", "reason"),
    [
        (put_backend("acme", api_level=API_LEVEL + 1), f"level {API_LEVEL + 1}"),
        (put_backend(""), "names no type"),
        (type("Half", (Backend,), {"type": "half", "options_type": object}), "it lacks"),
        (type("Bare", (PutBackend,), {"type": "bare", "put": lambda *_: None}), "options_type"),
        ("acme", "no subclass"),
        (dict, "no subclass"),
    ],
)
def test_a_class_that_breaks_the_contract_is_refused(bad, reason):
    host = host_of(brings("bad", bad), brings("good", put_backend("fine")))
    assert list(host.backend_types()) == ["fine"]
    assert reason in record_of(host, "bad").error


@pytest.mark.parametrize("error", [ImportError("no acme_sdk"), SystemExit(1)])
def test_a_hook_that_raises_is_recorded_and_the_others_go_on(error):
    host = host_of(
        plugin("bad", register_backends=failing(error)),
        brings("good", put_backend("fine")),
    )
    assert list(host.backend_types()) == ["fine"]
    assert type(error).__name__ in record_of(host, "bad").error


def test_a_hook_that_returns_nothing_is_recorded():
    host = host_of(plugin("bad", register_backends=lambda: None), brings("good", put_backend("fine")))
    assert list(host.backend_types()) == ["fine"]
    assert "register_backends failed" in record_of(host, "bad").error


def test_register_refuses_a_plugin_whose_types_are_taken_and_leaves_no_trace():
    host = host_of(brings("first", put_backend("s3")))
    with pytest.raises(PluginError, match="is taken by the plugin 'first'"):
        host.register(brings("clash", put_backend("s3"), accept_file=lambda path: False))
    assert [record.name for record in host.records()] == ["first"]
    assert host.decide("accept_file", path=None).value is None
    host.register(brings("clash", put_backend("other")))
    assert sorted(host.backend_types()) == ["other", "s3"]


def test_a_plugin_that_asks_for_types_while_it_is_asked_is_answered():
    seen = []

    def register_backends():
        seen.append(sorted(host.backend_types()))
        return [put_backend("acme")]

    host = host_of(brings("first", put_backend("one")), plugin("curious", register_backends=register_backends))
    assert sorted(host.backend_types()) == ["acme", "one"]
    assert len(seen) == 1


def message(host, type_name):
    with pytest.raises(UnknownBackendError) as raised:
        host.backend_class(type_name)
    return str(raised.value)


def test_an_unknown_type_names_the_known_and_the_nearest_and_the_package():
    text = message(host_of(builtin=[builtin]), "filesytem")
    assert "filesystem, memory" in text
    assert "Did you mean 'filesystem'?" in text
    assert "haulier-filesytem" in text


@pytest.mark.parametrize("type_name", ["s3", "azure", "gcs", "wats"])
def test_a_type_whose_plugin_is_not_installed_names_the_package_to_install(type_name):
    text = message(host_of(builtin=[builtin]), type_name)
    assert text.endswith(f"Install the package haulier-{type_name}")


@pytest.mark.parametrize("type_name", ["s3", "azure", "gcs", "wats"])
def test_nothing_is_queued_for_a_configuration_that_names_such_a_type(type_name, tmp_path):
    (tmp_path / "clip.mp4").write_bytes(b"x")
    document = {
        "upload": {"backend": "archive", "state_dir": str(tmp_path / "state")},
        "plugins": {"allow": ["nothing-that-is-installed"]},
        "backends": {"archive": {"type": type_name}},
    }
    manager = UploadManager.open(document)
    try:
        with pytest.raises(UnknownBackendError, match=f"no plugin brings the backend type '{type_name}'"):
            manager.submit(tmp_path / "clip.mp4")
        assert manager.tasks() == []
    finally:
        manager.close()


def test_the_core_needs_no_sdk():
    needed = [line for line in requires("haulier") if "extra ==" not in line]
    assert needed
    assert [line for line in needed if re.match("boto|aws|azure|google|gcs|requests|httpx|aiohttp", line)] == []


def entry_point(name, load, distribution):
    return SimpleNamespace(name=name, load=load, dist=SimpleNamespace(name=distribution, version="1"))


@pytest.mark.parametrize(("name", "distribution"), [("azure", "acme-pack"), ("pack", "haulier_azure")])
def test_an_unknown_type_names_the_plugin_that_failed_to_load(name, distribution):
    host = host_of(entry_points=[entry_point(name, failing(ImportError("no azure_sdk")), distribution)])
    text = message(host, "azure")
    assert f"The plugin {name} would bring it" in text
    assert "no azure_sdk" in text


def test_an_unknown_type_names_the_plugin_that_was_refused_for_another_type():
    host = host_of(brings("first", put_backend("s3")), brings("pack", put_backend("azure"), put_backend("s3")))
    assert "The plugin pack would bring it" in message(host, "azure")


def test_an_unknown_type_names_the_plugin_that_is_denied():
    host = host_of(entry_points=[entry_point("azure", failing(AssertionError()), "haulier-azure")], deny=["azure"])
    assert "[plugins] allow or deny keeps it out" in message(host, "azure")


def test_commands_are_isolated_and_never_replaced():
    one, two = click.Command("serve"), click.Command("serve")
    host = host_of(
        plugin("first", register_commands=lambda: [one]),
        plugin("raises", register_commands=failing(RuntimeError("no display"))),
        plugin("wrong", register_commands=lambda: ["serve"]),
        plugin("second", register_commands=lambda: [two, click.Command("list")]),
    )
    assert [command.name for command in host.commands()] == ["serve", "list"]
    assert host.commands()[0] is one
    assert "no display" in record_of(host, "raises").error
    assert "no click command" in record_of(host, "wrong").error
    assert "'serve' is taken by the plugin first" in record_of(host, "second").error


def test_asking_for_commands_does_not_ask_for_backends():
    serve = click.Command("serve")
    heavy = plugin("heavy", register_backends=failing(AssertionError("asked")), register_commands=lambda: [serve])
    assert host_of(heavy, strict=True).commands() == [serve]


def test_config_readers_are_isolated_and_never_replaced():
    host = host_of(
        plugin("first", register_config_readers=lambda: {"api": dict}),
        plugin("raises", register_config_readers=failing(ValueError("bad"))),
        plugin("wrong", register_config_readers=lambda: {"api2": "no function"}),
        plugin("second", register_config_readers=lambda: {"api": list, "other": list}),
    )
    assert host.config_readers() == {"api": dict, "other": list}
    assert "cannot be called" in record_of(host, "wrong").error
    assert "'api' is taken by the plugin first" in record_of(host, "second").error


def test_strict_raises_when_a_hook_fails_and_still_lists_it():
    host = host_of(plugin("bad", register_backends=failing(ImportError("no acme_sdk"))), strict=True)
    host.load()
    with pytest.raises(PluginError, match="no acme_sdk"):
        host.backend_types()
    with pytest.raises(PluginError, match="no acme_sdk"):
        host.backend_types()
    assert "no acme_sdk" in record_of(host, "bad").error
