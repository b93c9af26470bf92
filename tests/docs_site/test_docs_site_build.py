"""The site is built as `.ci/run --full` builds it, then read as a visitor's browser would read it."""

from __future__ import annotations

import re
import subprocess
import sys
import zlib
from html.parser import HTMLParser
from importlib import import_module
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest

from haulier.transfer.states import TRANSITIONS

pytestmark = pytest.mark.full

ROOT = Path(__file__).parent.parent.parent
PUBLIC = [
    "haulier.backends.api",
    "haulier.errors",
    "haulier.events",
    "haulier.hooks.spec",
    "haulier.models",
    "haulier.testing.backend_suite",
    "haulier_azure",
    "haulier_gcs",
    "haulier_s3",
    "haulier_wats.compat",
]


class Reader(HTMLParser):
    """What one page holds: anchors, links, resources that a browser would fetch, rows of tables."""

    def __init__(self, path):
        super().__init__()
        self.anchors, self.links, self.fetched, self.rows, self.in_cell = set(), set(), set(), [], False
        self.feed(path.read_text("utf-8"))

    def handle_starttag(self, tag, attributes):
        given = dict(attributes)
        self.anchors.add(given.get("id"))
        self.fetched.add(given.get("src"))
        if tag == "link" and given.get("rel") in {"stylesheet", "icon", "preload", "preconnect", "dns-prefetch"}:
            self.fetched.add(given["href"])
        elif tag == "a":
            self.links.add(given.get("href"))
        elif tag == "tr":
            self.rows.append([])
        elif tag == "td":
            self.rows[-1].append("")
            self.in_cell = True

    def handle_endtag(self, tag):
        self.in_cell = self.in_cell and tag != "td"

    def handle_data(self, data):
        if self.in_cell:
            self.rows[-1][-1] += data.strip()


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    """What the builder said, and where it wrote the site."""
    out = tmp_path_factory.mktemp("site") / "html"
    command = [sys.executable, "-m", "sphinx", "-W", "--keep-going", "-q", "-d", out.parent / "trees", "docs", out]
    ran = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert (out / "index.html").is_file(), f"{ran.stderr}\n(Sphinx comes with `uv sync --inexact --group docs`)"
    return ran, out


@pytest.fixture(scope="module")
def site(built):
    return built[1]


@pytest.fixture(scope="module")
def read(site):
    return {path: Reader(path) for path in site.rglob("*.html")}


def test_it_is_built_without_a_warning(built):
    ran, _ = built
    assert ran.stderr == ""
    assert ran.returncode == 0


def test_every_link_of_the_site_leads_to_a_page_and_a_place_on_it(site, read):
    broken = []
    for path, page in read.items():
        for link in filter(None, page.links):
            parts = urlsplit(link)
            target = (path.parent / unquote(parts.path)).resolve() if parts.path else path
            if parts.scheme:
                continue
            there = target.is_file() and target.is_relative_to(site.resolve())
            if not there or (parts.fragment and unquote(parts.fragment) not in read[target].anchors):
                broken.append((path.relative_to(site).as_posix(), link))
    assert broken == []


def test_nothing_is_fetched_from_elsewhere(site, read):
    assert not [one for page in read.values() for one in filter(None, page.fetched) if urlsplit(one).netloc]
    for style in site.rglob("*.css"):
        assert not re.search(r"(@import|url\()\s*['\"]?(https?:)?//", style.read_text("utf-8")), style


def test_plugins_contributing_and_changelog_have_pages_that_others_link_to(site, read):
    linked = {
        (path.parent / urlsplit(link).path).resolve() for path, page in read.items() for link in page.links if link
    }
    for name in [
        "plugins/haulier-wats",
        "plugins/haulier-azure",
        "plugins/haulier-gcs",
        "plugins/haulier-s3",
        "about/contributing",
        "about/changelog",
    ]:
        assert (site / f"{name}.html").resolve() in linked
    assert "The reference server" in (site / "plugins" / "haulier-wats.html").read_text("utf-8")


def test_every_move_between_states_is_a_row_on_the_page(site, read):
    page = read[site / "explanation" / "architecture.html"]
    moves = [[str(start), str(end), str(cause)] for (start, cause), end in TRANSITIONS.items()]
    assert [row for row in page.rows if row in moves] == moves


def documented(site):
    """Names of the inventory, by which one site refers to another: four lines, then one compressed line per name."""
    content = (site / "objects.inv").read_bytes().split(b"\n", 4)[4]
    return {line.split(" ")[0] for line in zlib.decompress(content).decode().splitlines()}


@pytest.mark.parametrize("module", PUBLIC)
def test_every_public_name_has_an_entry(site, module):
    names = getattr(import_module(module), "__all__", ())
    homes = {name: getattr(import_module(module), name) for name in names}
    known = documented(site)
    for name, value in homes.items():
        described = f"{getattr(value, '__module__', module)}.{getattr(value, '__qualname__', name)}"
        assert f"{module}.{name}" in known or described in known, name


def test_names_of_the_package_itself_are_on_its_page(site):
    import haulier

    page = (site / "api" / "haulier.html").read_text("utf-8")
    assert [name for name in haulier.__all__ if f">{name}<" not in page] == []


def test_members_that_a_host_or_a_plugin_needs_are_described(site):
    known = documented(site)
    wanted = {
        "haulier.UploadManager.submit",
        "haulier.models.TaskState.QUEUED",
        "haulier.models.Task.disposal",
        "haulier.hooks.spec.HookSpecs.upload_completed",
        "haulier.backends.api.Backend.settle",
        "haulier.backends.api.Abilities.if_absent",
        "haulier_wats.compat.UploadManager.get_queue_status",
    }
    assert wanted <= known
