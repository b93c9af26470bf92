"""``haulier plugins``."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path

import click

from haulier.cli.exit_codes import ExitCode
from haulier.cli.output import Output
from haulier.cli.plugin_access import plugins_of
from haulier.cli.session import load
from haulier.cli.settings import CommonGroup, Settings
from haulier.cli.text import table_text

__all__ = ["plugins"]


@click.group(cls=CommonGroup, invoke_without_command=True, no_args_is_help=False)
@click.pass_context
def plugins(context: click.Context) -> ExitCode:
    """List plugins: where they came from, what they bring, and why one is not used."""
    if context.invoked_subcommand is not None:
        return ExitCode.OK
    settings: Settings = context.obj
    output = Output(settings)
    records = plugins_of(load(settings, output)).records()
    rows = [
        (
            record.name,
            f"{record.distribution} {record.version}".strip() or "-",
            record.source,
            ", ".join(record.backends) or "-",
            record.error or "ok",
        )
        for record in records
    ]
    document = {"plugins": [asdict(record) for record in records]}
    output.result(document, [table_text(("NAME", "PACKAGE", "SOURCE", "BACKEND TYPES", "STATE"), rows)])
    return ExitCode.FAILED if any(record.error for record in records) else ExitCode.OK


@plugins.command()
@click.argument("name")
@click.option(
    "--into",
    metavar="DIR",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    default=Path(),
    help="Where the folder is made. [default: here]",
)
@click.pass_obj
def new(settings: Settings, name: str, into: Path) -> ExitCode:
    """Write a ready distribution for the backend type NAME, whose tests pass at once.

    Example: haulier plugins new shelf
    """
    from haulier.cli.scaffold import write_distribution

    output = Output(settings)
    folder, written = write_distribution(name, into.absolute())
    lines = [f"{folder}: written", f"next: cd {folder}; pip install -e . pytest; pytest"]
    output.result({"path": str(folder), "name": f"haulier-{name}", "files": written}, lines)
    return ExitCode.OK
