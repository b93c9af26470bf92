"""The command that this plugin adds: ``haulier azure presign``."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import click

from haulier.cli.settings import CommonGroup, Settings
from haulier.errors import UnsupportedError

if TYPE_CHECKING:
    from haulier.cli.session import Session
    from haulier_azure.backend import AzureBackend

__all__ = ["azure"]

_UNITS = {"s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0, "w": 7 * 86400.0}
_LONGEST_ADDRESS = 7 * 86400  # seconds; Blob service REST API, "Create a user delegation SAS"


def _seconds(_context: click.Context, _option: click.Parameter, text: str) -> float:
    """Seconds of a time span such as ``7d``."""
    match = re.fullmatch(r"([0-9]{1,6})([smhdw])", text)
    if match is None:
        raise click.BadParameter(f"{text!r} is no time span; write 30m, 12h or 7d")
    return int(match[1]) * _UNITS[match[2]]


@click.group(cls=CommonGroup)
def azure() -> None:
    """Things for containers of Azure Blob Storage."""


@azure.command()
@click.argument("key")
@click.option(
    "--expires", default="1h", show_default=True, metavar="SPAN", callback=_seconds, help="How long it works, up to 7d."
)
@click.pass_obj
def presign(settings: Settings, key: str, expires: float) -> None:
    """Print an address under which KEY can be read without credentials. Whoever has it can read the object.

    Example: haulier azure presign 2026/11/23/0123456789abcdef/session.mp4 --expires 15m
    """
    from haulier.cli.session import open_session

    if not 1 <= expires <= _LONGEST_ADDRESS:
        raise click.BadParameter("an address works for a second at least and seven days at most")
    with open_session(settings) as session:
        backend = _azure_backend(session)
        address = backend.presign(key, int(expires))
        session.output.result({"backend": backend.name, "key": key, "url": address}, [address])


def _azure_backend(session: Session) -> AzureBackend:
    from haulier_azure.backend import AzureBackend

    backend = session.backend()
    if not isinstance(backend, AzureBackend):
        raise UnsupportedError(
            f"the backend {backend.name!r} is of the type {backend.type!r}",
            advice="Name one of type azure with --backend",
        )
    return backend
