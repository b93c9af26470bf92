"""What this plugin brings to Haulier."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from haulier import hookimpl

if TYPE_CHECKING:
    import click

    from haulier import Backend

__all__ = ["register_backends", "register_commands", "register_config_readers"]


@hookimpl
def register_backends() -> list[type[Backend]]:
    """The backend type ``wats``."""
    from haulier_wats.backend import WatsBackend

    return [WatsBackend]


@hookimpl
def register_commands() -> list[click.Command]:
    """The command group ``wats``, and ``demo``."""
    from haulier_wats.commands import wats
    from haulier_wats.demo import demo
    from haulier_wats.token_commands import token

    wats.add_command(token)
    return [wats, demo]


@hookimpl
def register_config_readers() -> dict[str, Any]:
    """The reader of the host's own ``config.json``, told by its section ``api``."""
    from haulier_wats.config import read_wats_config

    return {"api": read_wats_config}
