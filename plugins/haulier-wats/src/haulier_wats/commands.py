"""The commands that this plugin adds: ``haulier wats serve``."""

from __future__ import annotations

from pathlib import Path

import click

__all__ = ["wats"]


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
    required=True,
    type=click.Path(file_okay=False, path_type=Path),
    help="Folder for recordings; partial ones lie in its .incoming.",
)
@click.option(
    "--token-file",
    required=True,
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="One token per line, plain or sha256:HEX.",
)
@click.option("--prefix", default="/api", show_default=True, help="Path that is answered besides /.")
def serve(host: str, port: int, data: Path, token_file: Path, prefix: str) -> None:
    """Run the reference server until it is interrupted.

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
        serve_storage(host, port, data, token_file, prefix)
    except ServerSetupError as error:
        raise ConfigError(str(error), advice="") from error
