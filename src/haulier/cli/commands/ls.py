"""``haulier ls``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from haulier.cli.exit_codes import ExitCode
from haulier.cli.session import context_of, open_session
from haulier.cli.settings import CommonCommand, Settings
from haulier.cli.text import size_text, table_text

if TYPE_CHECKING:
    from haulier.backends.api import Stored

__all__ = ["ls"]


@click.command(cls=CommonCommand)
@click.argument("prefix", default="")
@click.pass_obj
def ls(settings: Settings, prefix: str) -> ExitCode:
    """List objects at the destination whose keys begin with PREFIX, in order of key."""
    with open_session(settings) as session:
        backend = session.backend()
        found = list(backend.list(prefix, context_of(session.manager.config)))
        document = {"backend": backend.name, "prefix": prefix, "objects": [_document(stored) for stored in found]}
        rows = [(stored.key, "-" if stored.size is None else size_text(stored.size)) for stored in found]
        session.output.result(
            document, [table_text(("KEY", "SIZE"), rows, right=("SIZE",))] if rows else ["no objects"]
        )
    return ExitCode.OK


def _document(stored: Stored) -> dict[str, Any]:
    return {
        "key": stored.key,
        "location": stored.location,
        "size": stored.size,
        "version": stored.version,
        "digests": dict(stored.digests),
    }
