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
    """The backend type ``s3``."""
    from haulier_s3.backend import S3Backend

    return [S3Backend]


@hookimpl
def register_commands() -> list[click.Command]:
    """The command group ``s3``."""
    from haulier_s3.commands import s3

    return [s3]
