"""``haulier plugins new``: a distribution whose tests pass at once."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.fixture
def written(work):
    told = work.json("plugins", "new", "cold-shelf")
    folder = Path(told["path"])
    assert folder == work.folder / "haulier-cold-shelf"
    assert sorted(told["files"]) == sorted(
        path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()
    )
    return folder


def ran(folder, *arguments, path=""):
    environ = {**os.environ, "PYTHONPATH": path}
    return subprocess.run(
        [sys.executable, *arguments], cwd=folder, env=environ, capture_output=True, text=True, check=False
    )


def test_what_is_written_passes_its_tests_at_once(written):
    tested = ran(written, "-m", "pytest", "-q", "-p", "no:cacheprovider")
    assert tested.returncode == 0, tested.stdout[-3000:]
    assert "not applicable" in tested.stdout
    assert " passed" in tested.stdout


def test_what_is_written_passes_this_project_s_lint_and_types(written):
    source = written / "src"
    assert ran(ROOT, "-m", "ruff", "check", "--config", "pyproject.toml", str(source)).stdout.endswith("passed!\n")
    assert ran(ROOT, "-m", "ruff", "format", "--check", "--config", "pyproject.toml", str(written)).returncode == 0
    typed = ran(
        ROOT, "-m", "mypy", "--config-file", "pyproject.toml", str(source / "haulier_cold_shelf"), path=str(source)
    )
    assert typed.returncode == 0, typed.stdout


def test_what_is_written_is_a_plugin(real):
    real.run("plugins", "new", "cold-shelf")
    real.environ["PYTHONPATH"] = str(real.folder / "haulier-cold-shelf" / "src")
    real.configure(rest="\n[plugins]\nfiles = ['haulier-cold-shelf/src/haulier_cold_shelf/plugin.py']\n")
    listed = real.json("plugins", "--config", real.config)["plugins"]
    (found,) = [one for one in listed if "cold-shelf" in one["backends"]]
    assert not found["error"]


def test_nothing_is_written_over_and_a_name_must_be_one(work, written):
    before = sorted(path.read_bytes() for path in written.rglob("*") if path.is_file())
    again = work.run("plugins", "new", "cold-shelf", "--json", code=1)
    assert "exists already" in json.dumps(json.loads(again.stderr))
    assert sorted(path.read_bytes() for path in written.rglob("*") if path.is_file()) == before
    for name in ("Cold", "cold_shelf", "-cold", "../cold", "cold--shelf", "1cold", "c" * 41):
        assert "cannot be the name" in work.run("plugins", "new", "--", name, code=1).stderr
    assert [path.name for path in work.folder.iterdir() if path.name.startswith("haulier-")] == ["haulier-cold-shelf"]


@pytest.mark.full
def test_what_is_written_can_be_built(written, tmp_path):
    built = subprocess.run(["uv", "build", "--wheel", "-o", str(tmp_path), "."], cwd=written, check=False)
    assert built.returncode == 0
    assert [path.name for path in tmp_path.glob("*.whl")] == ["haulier_cold_shelf-0.1.0-py3-none-any.whl"]
