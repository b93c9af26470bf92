"""What nearly every command begins with: the configuration, and a manager made of it."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from haulier.cli.logs import show_logs
from haulier.cli.output import Output

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from haulier.backends.api import Backend
    from haulier.cli.settings import Settings
    from haulier.config.models import Config
    from haulier.manager import UploadManager
    from haulier.transfer.context import RunContext

__all__ = ["Session", "context_of", "load", "open_session"]


def load(settings: Settings, output: Output, *, upload: Mapping[str, Any] | None = None) -> Config:
    """Load the configuration, the common options on top, and tell its warnings.

    Args:
        settings: The common options.
        output: Gets the warnings.
        upload: Further values of ``[upload]``.

    Raises:
        ConfigError: It is wrong, or a file that was named is missing.
    """
    from haulier.cli.plugin_access import installed_plugins
    from haulier.config.layers import load_config

    show_logs(output)
    arguments = {"upload": {"state_dir": settings.state_dir, **(upload or {})}}
    config = load_config(
        settings.config, arguments=arguments, readers=lambda: installed_plugins(settings).config_readers()
    )
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
    """

    settings: Settings
    output: Output
    manager: UploadManager

    def backend(self, name: str | None = None) -> Backend:
        """A backend to talk to: the one named, else that of ``--backend``, else the configured one.

        Raises:
            ConfigError: None was chosen, or there is none of this name, or its options are wrong.
        """
        from haulier.errors import ConfigError

        chosen = name or self.settings.backend or self.manager.config.upload.backend
        if not chosen:
            known = ", ".join(self.manager.config.backends) or "none"
            advice = "Set upload.backend, or name one with --backend"
            raise ConfigError(f"no backend was chosen (configured: {known})", where="upload.backend", advice=advice)
        return self.manager.service.destinations.get(chosen)


@contextmanager
def open_session(settings: Settings, *, upload: Mapping[str, Any] | None = None) -> Iterator[Session]:
    """Make a manager, and close it at the end.

    Only the agent takes in watched folders, so ``auto_upload`` is off unless ``upload`` says otherwise.

    Raises:
        ConfigError: The configuration is wrong.
    """
    from haulier.manager import UploadManager

    output = Output(settings)
    config = load(settings, output, upload={"auto_upload": False} if upload is None else upload)
    manager = UploadManager(config)
    try:
        yield Session(settings, output, manager)
    finally:
        manager.close()


def context_of(config: Config) -> RunContext:
    """What a single call to a backend obeys."""
    from haulier.transfer.context import RunContext

    return RunContext(silence=config.upload.upload_timeout, commit_timeout=config.upload.commit_timeout)
