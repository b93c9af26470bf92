"""Pages of the site that live elsewhere in the repository, such as a plugin's README.

A page below ``docs/`` stands in for such a file: it holds the line ``<!-- page: PATH -->``, ``PATH`` relative to the
page, and right below it a paragraph for readers on a plain Git host. The site shows the file instead of both. Links of
all pages to such a file lead to that page; links inside it lead where they lead from its own folder.
"""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from sphinx.application import Sphinx

STAND_IN = re.compile(r"^<!-- page: (\S+) -->\n(?:.+\n)*", re.MULTILINE)
CODE = r"^(?P<fence>`{3,}).*?^(?P=fence)$|`[^`\n]+`"
LINK = re.compile(rf"{CODE}|(?P<before>\]\(|^\[[^\]]+\]: )(?![a-z]+:|#)(?P<target>[^)\s#]+)", re.MULTILINE | re.DOTALL)


def stand_ins(docs: Path) -> dict[Path, Path]:
    """The files that a page stands in for, each with that page; both resolved."""
    found = {}
    for page in sorted(docs.rglob("*.md")):
        if marker := STAND_IN.search(page.read_text("utf-8")):
            found[(page.parent / marker[1]).resolve()] = page.resolve()
    return found


def as_page(text: str, home: Path, page: Path, pages: dict[Path, Path]) -> str:
    """The text of a file as it stands on a page.

    Args:
        text: Markdown whose relative links start at ``home``.
        home: Folder of the file it comes from.
        page: The page.
        pages: See :func:`stand_ins`.
    """

    def moved(link: re.Match[str]) -> str:
        if link["target"] is None:  # code
            return link[0]
        target = (home / link["target"]).resolve()
        return link["before"] + Path(os.path.relpath(pages.get(target, target), page.parent)).as_posix()

    return LINK.sub(moved, text)


def setup(app: Sphinx) -> dict[str, Any]:
    """Called by Sphinx."""
    docs = Path(app.srcdir)
    pages = stand_ins(docs)
    pages.setdefault(docs.parent / "README.md", docs / "index.md")

    def show(app: Sphinx, name: str, source: list[str]) -> None:
        page = Path(app.env.doc2path(name))
        home = page.parent
        if marker := STAND_IN.search(source[0]):
            file = (page.parent / marker[1]).resolve()
            home = file.parent
            app.env.note_dependency(str(file), docname=name)
            source[0] = STAND_IN.sub(lambda _: file.read_text("utf-8"), source[0])
        source[0] = as_page(source[0], home, page, pages)

    app.connect("source-read", show)
    return {"version": "1", "parallel_read_safe": True}
