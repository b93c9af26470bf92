"""The plugins of the command line: those that are installed, or those that the configuration allows and names."""

from __future__ import annotations

from typing import TYPE_CHECKING

from haulier.cli.logs import show_logs
from haulier.cli.output import Output
from haulier.errors import ConfigError

if TYPE_CHECKING:
    from haulier.cli.settings import Settings
    from haulier.config.models import Config
    from haulier.hooks.loading import PluginHost

__all__ = ["configured_plugins", "installed_plugins", "plugins_of"]


def installed_plugins(settings: Settings) -> PluginHost:
    """What is installed, without a look at the configuration and without the backends that come with the core."""
    from haulier.hooks.loading import PluginHost

    show_logs(Output(settings))
    return PluginHost()


def plugins_of(config: Config) -> PluginHost:
    """What a configuration allows and names, and what comes with the core."""
    from haulier.service.parts import plugin_host

    return plugin_host(config, ())


def configured_plugins(settings: Settings) -> PluginHost:
    """The same for the configuration of the common options; one that is wrong is told and passed over.

    A command of a plugin may need no configuration at all.
    """
    from haulier.cli.session import load

    output = Output(settings)
    try:
        return plugins_of(load(settings, output))
    except ConfigError as error:
        output.warn(f"the configuration is not used: {error}")
        return installed_plugins(settings)
