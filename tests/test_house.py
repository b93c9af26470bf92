"""The house: imports point one way, the public face is lazy and complete, versions agree."""

from __future__ import annotations

import ast
import importlib.util
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

import haulier

ROOT = Path(__file__).parent.parent
SOURCE = ROOT / "src" / "haulier"

# From the ground up: a module may import its own layer and those before it.
LAYERS = (
    ("errors", "models", "clock", "threads"),
    ("events", "files"),
    ("config",),
    ("backends", "journal", "hooks"),
    ("transfer", "discovery"),
    ("service",),
    ("manager",),
    ("testing",),
    ("cli", "__main__"),
)
RANK = {name: rank for rank, names in enumerate(LAYERS) for name in names}


def imports_of(path):
    """Modules of ours that a file imports when it runs; those under TYPE_CHECKING do not count."""
    tree = ast.parse(path.read_text("utf-8"))
    checked_only = {
        id(inner)
        for node in ast.walk(tree)
        if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING"
        for inner in ast.walk(node)
    }
    for node in ast.walk(tree):
        if id(node) in checked_only:
            continue
        if isinstance(node, ast.ImportFrom) and node.module and node.module.startswith("haulier."):
            yield node.module.split(".")[1]
        elif isinstance(node, ast.ImportFrom) and node.module == "haulier":
            yield from (alias.name for alias in node.names if alias.name in RANK)
        elif isinstance(node, ast.Import):
            yield from (alias.name.split(".")[1] for alias in node.names if alias.name.startswith("haulier."))


@pytest.mark.parametrize("path", sorted(SOURCE.rglob("*.py")), ids=lambda path: str(path.relative_to(SOURCE)))
def test_imports_point_down(path):
    relative = path.relative_to(SOURCE)
    if relative.name == "__init__.py" and len(relative.parts) == 1:
        return
    own = relative.parts[0].removesuffix(".py")
    upward = {name for name in imports_of(path) if RANK[name] > RANK[own]}
    assert not upward, f"{relative} imports {upward}"


# What comes near a host's files. The other openers among them: the journal's own files, and an old uploader's state.
NEAR_SOURCES = [
    path
    for folder in ("src/haulier/discovery", "src/haulier/transfer", "src/haulier/service")
    for path in sorted((ROOT / folder).rglob("*.py"))
    if path.name not in {"auditing.py", "opening.py", "rebuilding.py", "state.py"}
] + [
    path
    for path in sorted(ROOT.glob("plugins/haulier-wats/src/haulier_wats/compat/*.py"))
    if path.name != "old_state.py"
]
OPENERS = {"open", "read_bytes", "read_text", "FileIO", "fdopen"}


def plain_opens(path):
    """Lines that open a file without the files port: a handle without delete sharing fails the host's renames."""
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if not isinstance(node, ast.Call):
            continue
        name = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
        owner = ast.unparse(node.func.value) if isinstance(node.func, ast.Attribute) else ""
        if name in OPENERS and not any(
            owner.split(".")[-1].startswith(port) for port in ("files", "backend", "_backend")
        ):
            yield f"{node.lineno}: {ast.unparse(node)}"


@pytest.mark.parametrize("path", NEAR_SOURCES, ids=lambda path: f"{path.parent.name}/{path.name}")
def test_sources_are_opened_through_the_files_port_alone(path):
    assert list(plain_opens(path)) == []


def test_the_core_names_no_plugin():
    named = [path for path in SOURCE.rglob("*.py") if "haulier_wats" in path.read_text("utf-8")]
    assert named == []


def public_modules():
    """Those that the Python page lists."""
    page = (ROOT / "docs" / "reference" / "python.md").read_text("utf-8")
    section = page.partition("## Public modules")[2].partition("\n## ")[0]
    return set(re.findall(r"`(haulier[a-z_.]*)`", section))


def modules_named_in(path):
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.ImportFrom) and node.module:
            yield node.module
        elif isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)


@pytest.mark.parametrize("path", sorted(ROOT.glob("plugins/*/src")), ids=lambda path: path.parent.name)
def test_plugins_use_public_modules_alone(path):
    named = {module for file in path.rglob("*.py") for module in modules_named_in(file)}
    ours = {module for module in named if module.split(".")[0] == "haulier"}
    assert ours, "the plugin uses the core"
    assert {module for module in ours - public_modules() if not module.startswith("haulier.testing.")} == set()


def test_the_public_modules_are_there():
    assert {name for name in public_modules() if importlib.util.find_spec(name) is None} == set()


def test_every_public_name_is_there():
    for name in haulier.__all__:
        assert getattr(haulier, name) is not None
    assert sorted(haulier.__all__) == haulier.__all__


def test_versions_are_equal_in_all_distributions():
    files = [ROOT / "pyproject.toml", *sorted((ROOT / "plugins").glob("*/pyproject.toml"))]
    versions = {path: tomllib.loads(path.read_text("utf-8"))["project"]["version"] for path in files}
    assert set(versions.values()) == {haulier.__version__}, versions


HEAVY = {"apsw", "boto3", "click", "cryptography", "fsspec", "pluggy", "pydantic", "requests", "rich", "starlette"}


def loaded_by(code):
    ran = subprocess.run(
        [sys.executable, "-c", f"{code}\nimport sys; print(' '.join(sys.modules))"],
        check=True,
        capture_output=True,
        text=True,
    )
    return HEAVY & {name.split(".")[0] for name in ran.stdout.split()}


def test_importing_haulier_imports_nothing_heavy():
    assert loaded_by("import haulier") == set()


def test_the_manager_imports_no_validation_no_network_no_terminal():
    assert loaded_by("from haulier import UploadManager") <= {"pluggy"}
