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
    """The backend type ``azure``."""
    from haulier_azure.backend import AzureBackend

    return [AzureBackend]


@hookimpl
def register_commands() -> list[click.Command]:
    """The command group ``azure``."""
    from haulier_azure.commands import azure

    return [azure]
