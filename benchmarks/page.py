"""A page whose results are replaced and whose words stay.

A place for results begins with ``<!-- results: NAME -->`` and ends with ``<!-- end of NAME -->``, each on a line of its
own. Everything else of the page is written by hand.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path


def replaced(text: str, name: str, results: str) -> str:
    """The page with new results in one of its places.

    Raises:
        SystemExit: The page has no such place.
    """
    begin, end = f"<!-- results: {name} -->", f"<!-- end of {name} -->"
    place = re.compile(rf"^{re.escape(begin)}$.*?^{re.escape(end)}$", re.MULTILINE | re.DOTALL)
    if not place.search(text):
        raise SystemExit(f"the page has no place for the results of {name}: add the lines {begin} and {end}")
    return place.sub(lambda _: f"{begin}\n\n{results.strip()}\n\n{end}", text, count=1)


def write(page: Path, name: str, results: str) -> None:
    """Replace the results of this name in the file.

    Raises:
        SystemExit: It has no place for them; then it is left as it was.
    """
    page.write_text(replaced(page.read_text("utf-8"), name, results), "utf-8")
