"""Shows a Mermaid state diagram as a table: a drawing would need a script that the site does not load."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from docutils import nodes
from sphinx.util.docutils import SphinxDirective

if TYPE_CHECKING:
    from sphinx.application import Sphinx

HEADER = "stateDiagram-v2"
MOVE = re.compile(r"(?P<start>\w+) --> (?P<end>\w+): (?P<cause>.+)")
OUTSIDE = re.compile(r"\[\*\] --> \w+: .+|\w+ --> \[\*\]")


class StateTable(SphinxDirective):
    """One row per move: from, to, when."""

    has_content = True

    def run(self) -> list[nodes.Node]:
        """The table.

        Raises:
            ExtensionError: The diagram is of another kind or holds a line that is no move.
        """
        header, *lines = (line.strip() for line in self.content if line.strip())
        if header != HEADER:
            raise self.error(f"only a {HEADER} can be shown, this is: {header}")
        rows: list[tuple[str, ...]] = []
        for line in lines:
            move = MOVE.fullmatch(line)
            if move:
                rows.append((move["start"], move["end"], move["cause"]))
            elif not OUTSIDE.fullmatch(line):
                raise self.error(f"this is no move between states: {line}")
        return [_table(("from", "to", "when"), rows)]


def _table(titles: tuple[str, ...], rows: list[tuple[str, ...]]) -> nodes.table:
    group = nodes.tgroup("", *(nodes.colspec(colwidth=1) for _ in titles), cols=len(titles))
    group += nodes.thead("", _row(titles))
    group += nodes.tbody("", *map(_row, rows))
    return nodes.table("", group)


def _row(cells: tuple[str, ...]) -> nodes.row:
    return nodes.row("", *(nodes.entry("", nodes.paragraph(text=cell)) for cell in cells))


def setup(app: Sphinx) -> dict[str, Any]:
    """Called by Sphinx."""
    app.add_directive("mermaid", StateTable)
    return {"version": "1", "parallel_read_safe": True}
