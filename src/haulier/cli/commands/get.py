"""``haulier get``."""

from __future__ import annotations

import hashlib
import secrets
import sys
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

import click

from haulier.cli.exit_codes import ExitCode
from haulier.cli.session import context_of, open_session
from haulier.cli.settings import CommonCommand, Settings
from haulier.cli.text import size_text
from haulier.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from haulier.cli.session import Session

__all__ = ["get"]


@click.command(cls=CommonCommand)
@click.argument("key")
@click.option("--output", "target", metavar="FILE", help="Write here, never over another file. [default: stdout]")
@click.pass_obj
def get(settings: Settings, key: str, target: str | None) -> ExitCode:
    r"""Fetch an object's content from the destination.

    \b
    Examples:
      haulier get 2026/01/31/0123456789abcdef/session.mp4 --output session.mp4
    """
    if target is None and settings.json:
        raise click.UsageError("--json needs --output: stdout cannot take the content too.")
    if target is None and sys.stdout.isatty():
        raise click.UsageError("A terminal cannot show the content; give --output FILE.")
    with open_session(settings) as session:
        backend = session.backend()
        blocks = backend.read(key, context_of(session.manager.config))
        if target is None:
            for block in blocks:
                sys.stdout.buffer.write(block)
            sys.stdout.buffer.flush()
            return ExitCode.OK
        size, digest = _fetch(session, blocks, Path(target))
        document = {"backend": backend.name, "key": key, "file": target, "size": size, "sha256": digest}
        session.output.result(document, [f"{target}: {size_text(size)}, sha256 {digest}"])
    return ExitCode.OK


def _fetch(session: Session, blocks: Iterator[bytes], target: Path) -> tuple[int, str]:
    """Write beside the target first, so that a half is never taken for the whole."""
    if target.exists():
        raise InputError("the file exists already", where=str(target), advice="Name another with --output")
    draft = target.with_name(f"{target.name}.{secrets.token_hex(4)}.part")
    try:
        with draft.open("xb") as file:
            size, digest = _write(blocks, file)
        session.manager.service.ports.files.rename_no_replace(draft, target)
    except OSError as error:
        raise InputError(f"the file cannot be written ({error.strerror or error})", where=str(target)) from error
    finally:
        draft.unlink(missing_ok=True)
    return size, digest


def _write(blocks: Iterator[bytes], file: BinaryIO) -> tuple[int, str]:
    size, digest = 0, hashlib.sha256()
    for block in blocks:
        file.write(block)
        digest.update(block)
        size += len(block)
    return size, digest.hexdigest()
