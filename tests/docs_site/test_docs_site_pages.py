"""The pages hang together before anything is built: tables of contents, stand-ins, links outside ``docs/``."""

from __future__ import annotations

import re
from pathlib import Path, PurePosixPath

import pytest

ROOT = Path(__file__).parent.parent.parent
DOCS = ROOT / "docs"
FRONT = {"index", "README"}  # index.md is the root of the contents and shows README.md
STAND_IN = re.compile(r"^<!-- page: (\S+) -->\n(.+)$", re.MULTILINE)
TOCTREE = re.compile(r"^```\{toctree\}\n(.*?)^```$", re.MULTILINE | re.DOTALL)
READMES = sorted(ROOT.glob("plugins/*/README.md"))
BLOCKS = r"^```.*?^```$"
CODE = rf"{BLOCKS}|`[^`\n]+`"
BESIDE = [ROOT / "CONTRIBUTING.md", ROOT / "CHANGELOG.md", *ROOT.glob("benchmarks/*.md")]
# tests/test_docs.py follows the links written in place on all pages of docs/ and in the READMEs.
EVERYWHERE = sorted([*DOCS.rglob("*.md"), ROOT / "README.md", *READMES, *BESIDE])


def pages():
    return {path.relative_to(DOCS).with_suffix("").as_posix() for path in DOCS.rglob("*.md")}


def as_pattern(entry):
    """An entry as Sphinx reads it: ``*`` ends at a slash, brackets hold a choice of letters."""
    return "".join("[^/]*" if char == "*" else char if char in "[]" else re.escape(char) for char in entry)


def contents(page):
    """The pages that the tables of contents of a page name; an entry that matches none stands for itself."""
    folder = PurePosixPath(page).parent
    for tree in TOCTREE.findall((DOCS / f"{page}.md").read_text("utf-8")):
        for entry in filter(None, tree.splitlines()):
            if not entry.startswith(":"):
                pattern = as_pattern((folder / entry).as_posix())
                yield from {name for name in pages() if re.fullmatch(pattern, name)} or {entry}


def test_every_page_is_in_a_table_of_contents():
    listed = {name for page in pages() for name in contents(page)}
    assert listed | FRONT == pages()


@pytest.mark.parametrize("page", sorted(pages()))
def test_what_a_page_stands_in_for_is_there_and_linked_for_readers_of_the_bare_files(page):
    path = DOCS / f"{page}.md"
    marker = STAND_IN.search(path.read_text("utf-8"))
    if "<!-- page:" in path.read_text("utf-8"):
        assert marker, "the line of a stand-in is followed by a paragraph"
        assert (path.parent / marker[1]).is_file()
        assert f"]({marker[1]})" in marker[2]


@pytest.mark.parametrize("readme", READMES, ids=lambda path: path.parent.name)
def test_every_distribution_has_a_page(readme):
    page = DOCS / "plugins" / f"{readme.parent.name}.md"
    marker = STAND_IN.search(page.read_text("utf-8"))
    assert marker
    assert (page.parent / marker[1]).resolve() == readme


def prose(path, code):
    """A page without its code."""
    return re.sub(code, "", path.read_text("utf-8"), flags=re.MULTILINE | re.DOTALL)


def slugs(path):
    """The anchors that a Git host gives to headings; a second of the same text gets a number."""
    found = {}
    for heading in re.findall(r"^#+ (.+)$", prose(path, BLOCKS), re.MULTILINE):
        slug = re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")
        number = found[slug] = found.get(slug, -1) + 1
        yield f"{slug}-{number}" if number else slug


@pytest.mark.parametrize("path", EVERYWHERE, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_links_by_name_and_links_beside_the_docs_lead_to_a_file_and_a_heading(path):
    text = prose(path, CODE)
    in_place = re.findall(r"\]\(([^)\s]+)\)", text) if path in BESIDE else []
    for target in [*in_place, *re.findall(r"^\[[^\]]+\]: (\S+)", text, re.MULTILINE)]:
        if re.match(r"[a-z]+:", target):
            continue
        name, _, anchor = target.partition("#")
        file = (path.parent / name).resolve() if name else path
        assert file.exists(), f"{target} leads nowhere"
        assert not anchor or anchor in set(slugs(file)), f"{target}: no such heading"


@pytest.mark.parametrize("path", EVERYWHERE, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_every_link_by_name_has_its_definition(path):
    text = prose(path, CODE)
    defined = {name.casefold() for name in re.findall(r"^\[([^\]]+)\]: ", text, re.MULTILINE)}
    assert {name.casefold() for name in re.findall(r"\]\[([^\]]+)\]", text)} <= defined
