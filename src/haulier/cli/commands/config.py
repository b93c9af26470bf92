"""``haulier config``."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

import click

from haulier.cli.exit_codes import ExitCode
from haulier.cli.output import Output
from haulier.cli.plugin_access import configured_plugins, plugins_of
from haulier.cli.session import load
from haulier.cli.settings import CommonGroup, Settings

if TYPE_CHECKING:
    from haulier.hooks.loading import PluginHost

__all__ = ["config"]


@click.group(cls=CommonGroup)
def config() -> None:
    """Show the configuration, its schema or its place."""


@config.command()
@click.option("--origin", is_flag=True, help="Tell where each value comes from.")
@click.pass_obj
def show(settings: Settings, origin: bool) -> ExitCode:
    """Show what holds after all layers, as TOML, without secrets."""
    from haulier.config.show import config_document, show_config

    output = Output(settings)
    loaded = load(settings, output)
    types = _option_types(plugins_of(loaded))
    document = {"path": str(loaded.path) if loaded.path else None, "config": config_document(loaded, types)}
    if origin:
        document["origins"] = dict(loaded.origins)
    output.result(document, [show_config(loaded, types, origins=origin).rstrip("\n")])
    return ExitCode.OK


@config.command()
@click.pass_obj
def schema(settings: Settings) -> ExitCode:
    """Write the JSON Schema of the configuration file, with the options of the backend types there are."""
    from haulier.config.schema import config_schema

    Output(settings).document(config_schema(_option_types(configured_plugins(settings))))
    return ExitCode.OK


@config.command()
@click.pass_obj
def path(settings: Settings) -> ExitCode:
    """Tell which file is read, and where it is looked for."""
    from haulier.config.locate import FILE_NAMES, VARIABLE, default_user_folder, locate

    output = Output(settings)
    user_folder = default_user_folder()
    found = locate(settings.config, environ=os.environ, cwd=Path.cwd(), user_folder=user_folder).path
    searched = [
        "--config",
        VARIABLE,
        *(str(folder / name) for folder in (Path.cwd(), user_folder) for name in FILE_NAMES),
    ]
    if found is None:
        output.say(f"there is no configuration file, the defaults hold; looked for in order: {', '.join(searched)}")
    document = {"path": str(found) if found else None, "searched": searched}
    output.result(document, [str(found)] if found else [])
    return ExitCode.OK


def _option_types(host: PluginHost) -> dict[str, type]:
    return {name: backend_class.options_type for name, backend_class in host.backend_types().items()}
