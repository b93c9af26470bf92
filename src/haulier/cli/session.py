"""What nearly every command begins with: the configuration, and a manager made of it."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from haulier.cli.logs import show_logs
from haulier.cli.output import Output

if TYPE_CHECKING:
    from collections.abc import Iterator

    from haulier.backends.api import Backend
    from haulier.cli.settings import Settings
    from haulier.config.models import Config
    from haulier.manager import UploadManager
    from haulier.transfer.context import RunContext

__all__ = ["Session", "context_of", "load", "open_session", "read_config"]


def read_config(settings: Settings, *, backend: str | None = None) -> Config:
    """Load the configuration with the common options on top.

    Args:
        settings: The common options.
        backend: Name of the backend that tasks go to, or None for the configured one.

    Raises:
        ConfigError: It is wrong, or a file that was named is missing.
    """
    from haulier.cli.plugin_access import installed_plugins
    from haulier.config.layers import load_config

    arguments = {"upload": {"state_dir": settings.state_dir, "backend": backend}}
    return load_config(
        settings.config, arguments=arguments, readers=lambda: installed_plugins(settings).config_readers()
    )


def load(settings: Settings, output: Output, *, backend: str | None = None) -> Config:
    """The same, and tell its warnings."""
    show_logs(output)
    config = read_config(settings, backend=backend)
    for warning in config.warnings:
        output.warn(warning)
    return config


@dataclass(frozen=True)
class Session:
    """A command at work.

    Attributes:
        settings: The common options.
        output: Where words go.
        manager: Not started.
        auto_upload: Whether watched folders are to be taken in, as configured.
    """

    settings: Settings
    output: Output
    manager: UploadManager
    auto_upload: bool

    def backend(self, name: str | None = None) -> Backend:
        """A backend to talk to: the one named, else that of ``--backend``, else the configured one.

        Raises:
            ConfigError: None was chosen, or there is none of this name, or its options are wrong.
        """
        service = self.manager.service
        return service.destinations.get(service.chosen_backend(name or self.settings.backend))


@contextmanager
def open_session(settings: Settings, *, backend: str | None = None, watch: bool = False) -> Iterator[Session]:
    """Make a manager, and close it at the end.

    Args:
        settings: The common options.
        backend: See :func:`read_config`.
        watch: Whether the manager takes in watched folders by itself, if so configured: only the agent's does.

    Raises:
        ConfigError: The configuration is wrong.
    """
    from haulier.manager import UploadManager

    output = Output(settings)
    config = load(settings, output, backend=backend)
    quiet = config if watch else replace(config, upload=replace(config.upload, auto_upload=False))
    manager = UploadManager(quiet)
    try:
        yield Session(settings, output, manager, auto_upload=config.upload.auto_upload)
    finally:
        manager.close()


def context_of(config: Config) -> RunContext:
    """What a single call to a backend obeys."""
    from haulier.transfer.context import RunContext

    return RunContext(silence=config.upload.upload_timeout, commit_timeout=config.upload.commit_timeout)
