"""``haulier rm``."""

from __future__ import annotations

import sys

import click

from haulier.cli.exit_codes import ExitCode
from haulier.cli.session import context_of, open_session
from haulier.cli.settings import CommonCommand, Settings
from haulier.errors import InputError

__all__ = ["rm"]


@click.command(cls=CommonCommand)
@click.argument("key")
@click.option("--yes", is_flag=True, help="Do not ask.")
@click.pass_obj
def rm(settings: Settings, key: str, yes: bool) -> ExitCode:
    """Remove an object from the destination. Its receipt stays and tells of something that is gone."""
    with open_session(settings) as session:
        backend = session.backend()
        if not yes:
            _confirm(key, backend.name)
        if not backend.delete(key, context_of(session.manager.config)):
            raise InputError("there is no such object", where=key, advice="`haulier ls` lists the objects")
        session.output.result({"backend": backend.name, "key": key, "removed": True}, [f"{key}: removed"])
    return ExitCode.OK


def _confirm(key: str, backend: str) -> None:
    if not sys.stdin or not sys.stdin.isatty():
        raise click.UsageError("Removing needs --yes where nobody can be asked.", click.get_current_context())
    click.confirm(f"Remove {key} from {backend}?", abort=True, err=True)
