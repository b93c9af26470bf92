"""The documentation says what the code does: settings, commands, errors, hooks, states, tests, links, examples."""

from __future__ import annotations

import ast
import importlib.util
import inspect
import re
import sys
import tomllib
from dataclasses import fields
from pathlib import Path

import click
import pytest

from haulier.backends.filesystem import FilesystemOptions
from haulier.backends.memory_options import MemoryOptions
from haulier.cli.catalog import BUILT_IN, built_in_command
from haulier.cli.exit_codes import ExitCode, exit_code_of
from haulier.cli.settings import common_options
from haulier.config.environment import variable_name
from haulier.config.layers import load_config
from haulier.config.schema import describe_settings
from haulier.config.settings import settings_of
from haulier.errors import error_classes
from haulier.events import EVENT_TYPES
from haulier.hooks.spec import DECISIONS, EVENT_HOOKS, REGISTRATIONS, HookSpecs
from haulier.manager import UploadManager
from haulier.models import BackendStatus, Comparison, Group, GroupMember, ManagerStatus, Receipt, ReceiptEntry, Task
from haulier.transfer.states import mermaid
from haulier_wats.options import WatsOptions
from haulier_wats.plugin import register_commands

ROOT = Path(__file__).parent.parent
DOCS = ROOT / "docs"
REFERENCE = DOCS / "reference"
PAGES = sorted([*DOCS.rglob("*.md"), ROOT / "README.md", *ROOT.glob("plugins/*/README.md")])
OPTION_TYPES = {"filesystem": FilesystemOptions, "memory": MemoryOptions, "wats": WatsOptions}
SETTINGS = describe_settings(OPTION_TYPES)


def read(path):
    return path.read_text("utf-8")


def section(text, heading):
    """What stands below a heading, up to the next of the same or a higher level."""
    level = len(heading) - len(heading.lstrip("#"))
    found = re.search(rf"^{re.escape(heading)}\n(.*?)(?=^#{{1,{level}}} |\Z)", text, re.MULTILINE | re.DOTALL)
    assert found, f"there is no heading {heading!r}"
    return found[1]


def rows(text):
    """The cells of every table line but the rules."""
    lines = [line for line in text.splitlines() if line.startswith("| ")]
    return [[cell.strip() for cell in line.removeprefix("| ").removesuffix(" |").split(" | ")] for line in lines]


def blocks(path, language):
    """The fenced blocks of a page in one language."""
    return re.findall(rf"^```{language}\n(.*?)^```$", read(path), re.MULTILINE | re.DOTALL)


def all_blocks(language):
    return [
        pytest.param(block, id=f"{path.relative_to(ROOT).as_posix()}-{number}")
        for path in PAGES
        for number, block in enumerate(blocks(path, language), 1)
    ]


# -- configuration ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("setting", SETTINGS, ids=lambda setting: setting.path)
def test_every_setting_is_on_the_page_with_default_range_and_help(setting):
    table, _, name = setting.path.rpartition(".")
    kind = table.removeprefix("backends.")
    heading = f"## `[{table}]`" if kind == table else f"### Type `{kind}`"
    page = section(read(REFERENCE / "configuration.md"), heading)
    row = next(cells for cells in rows(page) if cells[0] == f"`{name}`")
    default = "required" if setting.required else setting.default
    assert [row[1], row[2].strip("`")] == [setting.allowed, default]
    assert row[3].casefold() == setting.help.casefold().rstrip(".")


def test_no_setting_is_on_the_page_that_does_not_exist():
    listed = [cells[0] for cells in rows(read(REFERENCE / "configuration.md")) if len(cells) == 4]
    names = {name.strip("`") for name in listed} - {"option"}
    assert names == {setting.path.rpartition(".")[2] for setting in SETTINGS}


@pytest.mark.parametrize("setting", SETTINGS, ids=lambda setting: setting.path)
def test_every_environment_name_is_on_the_page(setting):
    if setting.path.startswith("backends."):
        assert "`HAULIER_BACKENDS__NAME__OPTION`" in read(REFERENCE / "configuration.md")
        return
    line = f"| `{setting.path}` | `{variable_name(tuple(setting.path.split('.')))}` |"
    assert line in read(REFERENCE / "configuration.md")


@pytest.mark.parametrize("block", all_blocks("toml"))
def test_toml_blocks_are_configurations_that_load(block, tmp_path):
    document = tomllib.loads(block)
    if "project" in document:
        return  # a distribution's metadata
    (tmp_path / "haulier.toml").write_text(block, "utf-8")
    loaded = load_config(tmp_path / "haulier.toml", environ={}, cwd=tmp_path)
    assert set(loaded.backends) == set(document.get("backends", {}))
    for backend in loaded.backends.values():
        if backend.type in OPTION_TYPES:
            assert set(backend.options) <= set(settings_of(OPTION_TYPES[backend.type]))


@pytest.mark.parametrize("block", all_blocks("json"))
def test_json_blocks_are_json_and_the_host_s_configuration_loads(block, tmp_path):
    import json

    from haulier_wats.config import read_wats_config

    document = json.loads(block)
    if "api" not in document:
        return
    (tmp_path / "config.json").write_text(block, "utf-8")
    loaded = load_config(tmp_path / "config.json", environ={}, cwd=tmp_path, readers={"api": read_wats_config})
    assert loaded.upload.backend == document["api"].get("backend", "wats")


# -- commands --------------------------------------------------------------------------------------------------


def _leaves(name, command):
    if isinstance(command, click.Group):
        if command.invoke_without_command:
            yield name, command
        for inner, each in command.commands.items():
            yield from _leaves(f"{name} {inner}", each)
    else:
        yield name, command


COMMANDS = [
    *(leaf for name in BUILT_IN for leaf in _leaves(name, built_in_command(name))),
    *(leaf for command in register_commands() for leaf in _leaves(command.name, command)),
]


@pytest.mark.parametrize(("name", "command"), COMMANDS, ids=[name for name, _ in COMMANDS])
def test_every_command_is_on_the_page_with_its_options(name, command):
    page = section(read(REFERENCE / "commands.md"), f"### `haulier {name}`")
    named = re.findall(r"(?<![\w-])(--?[a-z][a-z-]*)", page)
    for parameter in command.params:
        if isinstance(parameter, click.Option):
            for option in parameter.opts:
                assert option in named, f"{name} lacks {option}"
        else:
            assert (parameter.metavar or parameter.name.upper()).strip("[].") in page


@pytest.mark.parametrize(("name", "command"), COMMANDS, ids=[name for name, _ in COMMANDS])
def test_no_option_is_on_the_page_that_does_not_exist(name, command):
    page = section(read(REFERENCE / "commands.md"), f"### `haulier {name}`")
    listed = {option for cells in rows(page) for option in re.findall(r"`(--?[a-z][a-z-]*)", cells[0])}
    known = {option for each in command.params for option in each.opts if option.startswith("-")}
    assert listed <= known


def test_the_common_options_are_on_the_page():
    page = section(read(REFERENCE / "commands.md"), "## Common options")
    assert all(f"`{option}" in page for each in common_options() for option in each.opts)


def test_no_command_is_on_the_page_that_does_not_exist():
    headings = re.findall(r"^### `haulier (.+)`$", read(REFERENCE / "commands.md"), re.MULTILINE)
    assert sorted(headings) == sorted(name for name, _ in COMMANDS)


def test_every_exit_code_is_on_the_page_with_its_meaning():
    meanings = {int(number): meaning for number, meaning in re.findall(r"= (\d+)  # (.+)", inspect.getsource(ExitCode))}
    meanings = {**dict.fromkeys(ExitCode, ""), ExitCode.INTERRUPTED: "interrupted", **meanings}
    page = section(read(REFERENCE / "commands.md"), "## Exit codes")
    table = {cells[0].strip("`"): cells[1] for cells in rows(page) if cells[0].strip("`").isdigit()}
    assert {int(number) for number in table} == set(ExitCode)
    for code, meaning in meanings.items():
        assert meaning.casefold() in table[str(int(code))].casefold()


# -- errors, hooks, events, Python -----------------------------------------------------------------------------


def _error_rows():
    table = [cells for cells in rows(read(REFERENCE / "errors.md")) if len(cells) == 6]
    return {cells[0].strip("`"): cells for cells in table if cells[0].startswith("`")}


def test_exactly_the_error_codes_there_are_stand_on_the_page():
    assert set(_error_rows()) == set(error_classes())


@pytest.mark.parametrize("code", sorted(error_classes()))
def test_every_error_has_its_class_and_exit_code_on_the_page(code):
    cells = _error_rows()[code]
    cls = error_classes()[code]
    assert cells[1] == f"`{cls.__name__}`"
    assert all(cells[2:5])
    assert cells[5] == str(int(exit_code_of(cls(""))))


@pytest.mark.parametrize("hook", [*REGISTRATIONS, *DECISIONS, *EVENT_HOOKS])
def test_every_hook_is_on_the_page_with_its_exact_arguments(hook):
    arguments = [name for name in inspect.signature(getattr(HookSpecs, hook)).parameters if name != "self"]
    section(read(REFERENCE / "hooks.md"), f"### `{hook}({', '.join(arguments)})`")


def test_no_hook_is_on_the_page_that_does_not_exist():
    headings = re.findall(r"^### `(\w+)\(", read(REFERENCE / "hooks.md"), re.MULTILINE)
    assert sorted(headings) == sorted(name for name in vars(HookSpecs) if not name.startswith("_"))


@pytest.mark.parametrize("kind", EVENT_TYPES)
def test_every_event_is_on_the_page_with_each_member(kind):
    page = read(REFERENCE / "hooks.md")
    own = section(page, f"### `{kind}(event)`")
    assert EVENT_TYPES[kind].__name__ in own
    common = section(page, "## Events").partition("###")[0]
    listed = {cells[0].strip("`") for cells in rows(common + own)}
    assert {member.name for member in fields(EVENT_TYPES[kind])} <= listed
    assert {cells[0].strip("`") for cells in rows(own)} - {"member"} <= {
        member.name for member in fields(EVENT_TYPES[kind])
    }


def _signature(name):
    member = inspect.getattr_static(UploadManager, name)
    function = member.__func__ if isinstance(member, classmethod) else member
    parameters = list(inspect.signature(function).parameters.values())[1:]
    plain = [each.replace(annotation=inspect.Parameter.empty) for each in parameters]
    return re.sub(r"'", '"', str(inspect.Signature(plain)))


@pytest.mark.parametrize("name", [name for name in vars(UploadManager) if not name.startswith("_")])
def test_every_public_method_is_on_the_page_with_its_signature(name):
    page = section(read(REFERENCE / "python.md"), "## `UploadManager`")
    if isinstance(inspect.getattr_static(UploadManager, name), property):
        assert f"| `{name}` |" in page
        return
    prefix = "UploadManager." if name == "open" else ""
    assert f"| `{prefix}{name}{_signature(name)}` |" in page


@pytest.mark.parametrize(
    ("cls", "heading"),
    [
        (Task, "Task"),
        (Receipt, "Receipt"),
        (ReceiptEntry, "Receipt"),
        (Group, "Group"),
        (GroupMember, "Group"),
        (Comparison, "Comparison"),
        (ManagerStatus, "ManagerStatus"),
        (BackendStatus, "ManagerStatus"),
    ],
)
def test_every_member_of_what_is_returned_is_on_the_page(cls, heading):
    page = section(read(REFERENCE / "python.md"), f"### `{heading}`")
    assert {member.name for member in fields(cls)} <= set(re.findall(r"`(\w+)`", page))


# -- architecture, guarantees, links ---------------------------------------------------------------------------


def test_the_drawing_of_the_states_is_the_table_of_transitions():
    page = read(DOCS / "explanation" / "architecture.md")
    drawn = re.search(r"<!-- states: begin -->\n```mermaid\n(.*?)```\n<!-- states: end -->", page, re.DOTALL)
    assert drawn
    assert drawn[1] == mermaid()


def _named_tests():
    """Tests that a page links to, as (file, name)."""
    found = set()
    for page in PAGES:
        for name, path in re.findall(r"\[`(test_\w+)`\]\(([^)]+\.py)\)", read(page)):
            found.add(((page.parent / path).resolve().relative_to(ROOT).as_posix(), name))
    return sorted(found)


@pytest.mark.parametrize(("path", "name"), _named_tests())
def test_every_test_that_a_page_names_exists(path, name):
    tree = ast.parse(read(ROOT / path))
    assert name in {node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)}


def test_every_sentence_of_the_guarantees_names_a_test():
    page = read(DOCS / "explanation" / "guarantees.md")
    promises = page.split("## How strong a proof is")[0].split("\n## ")[1:]
    assert [int(promise.split(".")[0]) for promise in promises] == list(range(1, 11))
    for promise in promises:
        sentences = rows(promise)[1:]
        assert sentences
        assert all("[`test_" in cells[-1] for cells in sentences), promise


def _anchors(path):
    headings = re.findall(r"^#+ (.+)$", re.sub(r"```.*?```", "", read(path), flags=re.DOTALL), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_every_relative_link_leads_to_a_file_and_a_heading(page):
    for target in re.findall(r"\]\(([^)\s]+)\)", read(page)):
        if re.match(r"[a-z]+:", target):
            continue
        path, _, anchor = target.partition("#")
        file = (page.parent / path).resolve() if path else page
        assert file.exists(), f"{target} leads nowhere"
        assert not anchor or anchor in _anchors(file), f"{target}: no such heading"


# -- examples --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("block", all_blocks("python"))
def test_python_blocks_compile(block):
    compile(block, "example.py", "exec")


def _example(name):
    text = read(DOCS / "write-a-backend.md")
    found = re.search(rf"<!-- example: {re.escape(name)} -->\n```python\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)
    assert found
    return found[1]


@pytest.fixture
def shelf(tmp_path, monkeypatch):
    """The example as it stands on the page, importable as ``shelf``."""
    (tmp_path / "shelf.py").write_text(_example("shelf.py"), "utf-8")
    spec = importlib.util.spec_from_file_location("shelf", tmp_path / "shelf.py")
    module = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, "shelf", module)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("name", ["test_a_file_arrives", "test_an_outage_costs_no_attempt"])
def test_the_example_backend_passes_its_own_tests(name, shelf, tmp_path):
    tests = {}
    exec(compile(_example("test_shelf.py"), "test_shelf.py", "exec"), tests)
    (tmp_path / "case").mkdir()
    tests[name](tmp_path / "case")


def test_the_example_backend_is_a_one_file_plugin(shelf, tmp_path):
    (tmp_path / "store").mkdir()
    (tmp_path / "session.mp4").write_bytes(b"0123456789" * 1000)
    config = {
        "upload": {"state_dir": str(tmp_path / "state")},
        "plugins": {"files": [str(tmp_path / "shelf.py")]},
        "backends": {"shelf": {"folder": str(tmp_path / "store")}},
    }
    with UploadManager.open(config) as uploads:
        receipt = uploads.wait(uploads.submit(tmp_path / "session.mp4"), timeout=60)
    assert (receipt.backend_type, receipt.proof) == ("shelf", "content")
    assert [path.name for path in (tmp_path / "store").rglob("*") if path.is_file()] == ["session.mp4"]


def test_the_example_backend_never_replaces_what_lies_there(shelf, tmp_path):
    from haulier.backends.put import adapt
    from haulier.journal.memory import MemoryJournal
    from haulier.testing.rig import UploadRig

    (tmp_path / "store").mkdir()
    (tmp_path / "session.mp4").write_bytes(b"0123456789" * 1000)
    rig = UploadRig(MemoryJournal(), adapt(shelf.ShelfBackend)("shelf", shelf.ShelfOptions(tmp_path / "store")))
    task = rig.submit(tmp_path / "session.mp4")
    there = tmp_path / "store" / rig.row(task).media.key
    there.parent.mkdir()
    there.write_bytes(b"something else")
    rig.work()
    assert (rig.row(task).state, rig.row(task).error.code) == ("failed", "conflict")
    assert there.read_bytes() == b"something else"
