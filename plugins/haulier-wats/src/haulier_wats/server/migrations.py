"""From the database of an earlier server to today's, within one transaction."""

from __future__ import annotations

from importlib.resources import files
from typing import TYPE_CHECKING

from haulier_wats.server.labels import labels_of

if TYPE_CHECKING:
    import apsw

__all__ = ["SCHEMA_VERSION", "migrate"]

SCHEMA_VERSION = 2


def migrate(connection: apsw.Connection, version: int) -> None:
    """Bring a database to :data:`SCHEMA_VERSION`."""
    for step in range(version + 1, SCHEMA_VERSION + 1):
        connection.execute(files("haulier_wats.server").joinpath(f"migration_{step}.sql").read_text("utf-8"))
        _FILL.get(step, lambda _: None)(connection)
        connection.pragma("user_version", step)


def _fill_labels(connection: apsw.Connection) -> None:
    """Version 2: the labels of recordings that are here already."""
    recordings = connection.execute("SELECT file_id, connection_info FROM recordings").fetchall()
    connection.executemany(
        "INSERT INTO labels (kind, value, file_id) VALUES (?, ?, ?)",
        [(kind, value, file_id) for file_id, info in recordings for kind, value in labels_of(str(info))],
    )


_FILL = {2: _fill_labels}
