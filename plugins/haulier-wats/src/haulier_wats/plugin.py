"""What this plugin brings to Haulier."""

from __future__ import annotations

from typing import TYPE_CHECKING

from haulier import hookimpl

if TYPE_CHECKING:
    import click

    from haulier import Backend

__all__ = ["register_backends", "register_commands"]


@hookimpl
def register_backends() -> list[type[Backend]]:
    """The backend type ``wats``."""
    from haulier_wats.backend import WatsBackend

    return [WatsBackend]


@hookimpl
def register_commands() -> list[click.Command]:
    """The command group ``wats``."""
    from haulier_wats.commands import wats

    return [wats]
