"""``haulier plugins``."""

from __future__ import annotations

from dataclasses import asdict

import click

from haulier.cli.exit_codes import ExitCode
from haulier.cli.output import Output
from haulier.cli.plugin_access import plugins_of
from haulier.cli.session import load
from haulier.cli.settings import CommonCommand, Settings
from haulier.cli.text import table_text

__all__ = ["plugins"]


@click.command(cls=CommonCommand)
@click.pass_obj
def plugins(settings: Settings) -> ExitCode:
    """List plugins: where they came from, what they bring, and why one is not used."""
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
