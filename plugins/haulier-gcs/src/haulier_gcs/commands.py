"""The command that this plugin adds: ``haulier gcs presign``."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import click

from haulier.cli.settings import CommonGroup, Settings
from haulier.errors import UnsupportedError

if TYPE_CHECKING:
    from haulier.cli.session import Session
    from haulier_gcs.backend import GcsBackend

__all__ = ["gcs"]

_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400, "w": 7 * 86400}
_LONGEST_ADDRESS = 7 * 86400  # seconds; Cloud Storage, "Signed URLs"


def _seconds(_context: click.Context, _option: click.Parameter, text: str) -> int:
    """Seconds of a time span such as ``7d``."""
    match = re.fullmatch(r"([0-9]{1,6})([smhdw])", text)
    if match is None:
        raise click.BadParameter(f"{text!r} is no time span; write 30m, 12h, 7d or 1w")
    span = int(match[1]) * _UNITS[match[2]]
    if not 1 <= span <= _LONGEST_ADDRESS:
        raise click.BadParameter("an address works for a second at least and seven days at most")
    return span


@click.group(cls=CommonGroup)
def gcs() -> None:
    """Things for Google Cloud Storage buckets."""


@gcs.command()
@click.argument("key")
@click.option(
    "--expires", default="1h", show_default=True, metavar="SPAN", callback=_seconds, help="How long it works, up to 7d."
)
@click.pass_obj
def presign(settings: Settings, key: str, expires: int) -> None:
    """Print an address under which KEY can be read without credentials. Whoever has it can read the object.

    It is signed with a service account's key, which credentials_file must hold; the service is not asked.

    Example: haulier gcs presign 2026/11/23/0123456789abcdef/session.mp4 --expires 15m
    """
    from haulier.cli.session import context_of, open_session

    with open_session(settings) as session:
        backend = _gcs_backend(session)
        address = backend.presign(key, expires, context_of(session.manager.config))
        session.output.result({"backend": backend.name, "key": key, "url": address}, [address])


def _gcs_backend(session: Session) -> GcsBackend:
    from haulier_gcs.backend import GcsBackend

    backend = session.backend()
    if not isinstance(backend, GcsBackend):
        raise UnsupportedError(
            f"the backend {backend.name!r} is of the type {backend.type!r}",
            advice="Name one of type gcs with --backend",
        )
    return backend
