"""The page says what the options and commands are."""

from __future__ import annotations

import re
from pathlib import Path

import click
import pytest

from haulier.config.schema import describe_settings
from haulier_azure.commands import azure
from haulier_azure.options import AzureOptions

PAGE = (Path(__file__).parents[4] / "docs" / "backends" / "azure.md").read_text("utf-8")
SETTINGS = [each for each in describe_settings({"azure": AzureOptions}) if each.path.startswith("backends.azure.")]


def rows(text):
    lines = [line for line in text.splitlines() if line.startswith("| ")]
    return [[cell.strip() for cell in line.strip("|").split(" | ")] for line in lines]


def section(heading):
    return re.search(rf"^{re.escape(heading)}\n(.*?)(?=^#{{1,3}} |\Z)", PAGE, re.MULTILINE | re.DOTALL)[1]


@pytest.mark.parametrize("setting", SETTINGS, ids=lambda each: each.path)
def test_every_option_is_on_the_page(setting):
    name = setting.path.rpartition(".")[2]
    row = next(cells for cells in rows(section("## Options")) if cells[0] == f"`{name}`")
    assert [row[1], row[2].strip("`"), row[3]] == [
        setting.allowed,
        "required" if setting.required else setting.default,
        setting.help,
    ]


def test_no_option_is_on_the_page_that_does_not_exist():
    listed = {cells[0].strip("`") for cells in rows(section("## Options"))} - {"option"}
    assert listed == {setting.path.rpartition(".")[2] for setting in SETTINGS}


@pytest.mark.parametrize("name", sorted(azure.commands))
def test_every_command_is_on_the_page_with_its_options(name):
    text = section(f"### `haulier azure {name}`")
    own = {option for each in azure.commands[name].params if isinstance(each, click.Option) for option in each.opts}
    listed = {match for cells in rows(text) for match in re.findall(r"`(--[a-z-]+)", cells[0])}
    assert listed <= own
    assert {"--expires"} & own <= listed
