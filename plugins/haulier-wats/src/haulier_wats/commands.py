"""The commands that this plugin adds: ``haulier wats serve``."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from typing import Any

__all__ = ["wats"]

_YEAR = 365 * 24 * 60 * 60
_UNITS = {"": 1, "KIB": 1 << 10, "MIB": 1 << 20, "GIB": 1 << 30, "TIB": 1 << 40}


def _size(_context: click.Context, _option: click.Parameter, text: str) -> int:
    """Bytes of a size, plain or as a text such as ``64MiB``."""
    match = re.fullmatch(r"([0-9]{1,15}) ?([A-Za-z]*)", text)
    unit = _UNITS.get(match[2].upper()) if match else None
    if match is None or unit is None:
        raise click.BadParameter(f"{text!r} is no size; write bytes, or a text such as 64MiB or 16GiB")
    return int(match[1]) * unit


@click.group()
def wats() -> None:
    """Things for WATS storage servers."""


@wats.command()
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen on.")
@click.option(
    "--port", default=8080, show_default=True, type=click.IntRange(0, 65535), help="Port; 0 takes a free one."
)
@click.option(
    "--data",
    "data_dir",
    required=True,
    type=click.Path(file_okay=False, path_type=Path),
    help="Folder for recordings; partial ones lie in its .incoming.",
)
@click.option(
    "--token-file",
    required=True,
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="One token per line, plain or sha256:HEX; behind it its scopes (upload, read, delete), if not all of them.",
)
@click.option("--prefix", default="/api", show_default=True, help="Path that is answered besides /.")
@click.option(
    "--max-file-size",
    default="16GiB",
    show_default=True,
    metavar="SIZE",
    callback=_size,
    help="Most bytes of one file, such as 16GiB.",
)
@click.option(
    "--max-metadata-size",
    default="16MiB",
    show_default=True,
    metavar="SIZE",
    callback=_size,
    help="Most bytes of one metadata file.",
)
@click.option(
    "--max-append-size",
    default="64MiB",
    show_default=True,
    metavar="SIZE",
    callback=_size,
    help="Most bytes of one append.",
)
@click.option(
    "--min-free",
    default="512MiB",
    show_default=True,
    metavar="SIZE",
    callback=_size,
    help="Bytes of the disk that stay free; what would leave less is answered with 507.",
)
@click.option(
    "--session-ttl",
    default=24 * 60 * 60,
    show_default="86400, a day",
    type=click.FloatRange(1, _YEAR),
    metavar="SECONDS",
    help="How long an upload session lives after its last acknowledged byte.",
)
@click.option(
    "--audit-log",
    type=click.Path(dir_okay=False, path_type=Path),
    show_default=".server/audit.jsonl in the data folder",
    help="File that says who did what.",
)
@click.option(
    "--grace",
    default=10,
    show_default=True,
    type=click.FloatRange(0, _YEAR),
    metavar="SECONDS",
    help="How long requests may take to end when the server stops.",
)
@click.option(
    "--trusted-proxy",
    "trusted_proxies",
    multiple=True,
    default=["127.0.0.1"],
    show_default=True,
    metavar="ADDRESS",
    help="Address or network whose X-Forwarded-Proto and X-Forwarded-For are believed; may be given more than once.",
)
def serve(**options: Any) -> None:
    """Run the reference server until it is interrupted.

    SIGTERM, Ctrl-C and Ctrl-Break stop it with exit code 0.

    Example: haulier wats serve --data ./recordings --token-file ./tokens --port 8080
    """
    from haulier.errors import ConfigError

    try:
        from haulier_wats.server import ServerSetupError
        from haulier_wats.server import serve as serve_storage
    except ImportError as error:
        raise ConfigError(
            f"the server's libraries are missing ({error.name})",
            advice="Install them with `pip install 'haulier-wats[server]'`",
        ) from error
    try:
        serve_storage(**options)
    except ServerSetupError as error:
        raise ConfigError(str(error), advice="") from error
