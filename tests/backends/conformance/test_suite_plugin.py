"""The suite as a third party meets it: the example of the documentation, in a folder of its own, by the pytest plugin."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

PAGE = Path(__file__).parents[3] / "docs" / "write-a-backend.md"
PROBE = "import sys; before = set(sys.modules); import haulier.testing.pytest_plugin; print(*set(sys.modules) - before)"


def example(name):
    text = PAGE.read_text("utf-8")
    found = re.search(rf"<!-- example: {re.escape(name)} -->\n```python\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)
    return found[1]


def run_pytest(folder, *arguments):
    return subprocess.run(
        [sys.executable, "-m", "pytest", "-p", "haulier.testing.pytest_plugin", "--color=no", *arguments],
        cwd=folder,
        env={**os.environ, "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1", "PYTHONPATH": str(folder)},
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.fixture
def folder(tmp_path):
    for name in ("shelf.py", "test_shelf_suite.py"):
        (tmp_path / name).write_text(example(name), "utf-8")
    (tmp_path / "pytest.ini").write_text("[pytest]\n", "utf-8")
    return tmp_path


def test_the_example_of_the_documentation_passes_the_suite(folder):
    ran = run_pytest(folder, "-q")
    assert ran.returncode == 0, ran.stdout
    last = ran.stdout.splitlines()[-1]
    assert re.search(r"^\d+ passed, \d+ not applicable in ", last), last
    assert "TestShelf: 1 x it has not the ability 'delete'" in ran.stdout
    assert "x the world has no `faults`: nothing stands between client and server" in ran.stdout


def test_a_failure_is_explained_with_the_values(folder):
    broken = example("shelf.py").replace("return Stored(key, ", 'return Stored("x" + key, ')
    (folder / "shelf.py").write_text(broken, "utf-8")
    ran = run_pytest(folder, "-q", "-k", "test_the_object_can_be_asked_for")
    assert ran.returncode == 1
    assert re.search(r"E +\+ x2026/11/clip.mp4", ran.stdout), ran.stdout


def test_a_suite_without_a_world_says_what_is_missing(folder):
    text = "from haulier.testing.backend_suite import BackendSuite\n\nclass TestNothing(BackendSuite):\n    pass\n"
    (folder / "test_nothing.py").write_text(text, "utf-8")
    ran = run_pytest(folder, "-q", "test_nothing.py", "-k", "test_many_parts")
    assert ran.returncode == 1
    assert "define the fixture `world`" in ran.stdout


def test_the_plugin_imports_nothing_heavy():
    ran = subprocess.run([sys.executable, "-c", f"import pytest; {PROBE}"], capture_output=True, text=True, check=True)
    heavy = {"apsw", "boto3", "click", "cryptography", "fsspec", "pydantic", "requests", "rich"}
    assert not heavy & {name.split(".")[0] for name in ran.stdout.split()}
    assert "haulier.testing.backend_suite" not in ran.stdout.split()
