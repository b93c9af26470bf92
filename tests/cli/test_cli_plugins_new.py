"""``haulier plugins new``: a distribution whose tests pass at once."""

import json
import os
import re
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


@pytest.mark.full
def test_the_steps_of_its_readme_work_in_an_environment_of_its_own(written, tmp_path):
    def run(*command, **more):
        return subprocess.run(command, check=True, capture_output=True, text=True, **more).stdout

    home = tmp_path / "venv"
    run("uv", "venv", "--seed", "--python", sys.executable, str(home))
    run("uv", "build", "--wheel", "--package", "haulier", "-o", str(tmp_path), str(ROOT))
    (wheel,) = tmp_path.glob("haulier-*.whl")
    programs = home / ("Scripts" if sys.platform == "win32" else "bin")
    run("uv", "pip", "install", "--python", str(programs / "python"), str(wheel))
    alone = json.loads(run("uv", "pip", "list", "--python", str(programs / "python"), "--format", "json"))
    assert not [one["name"] for one in alone if re.search("boto|aws|azure|google|requests|starlette", one["name"])]

    (tmp_path / "haulier.toml").write_text(
        '[upload]\nstate_dir = "state"\n[backends.s3]\nbucket = "recordings"\n', "utf-8"
    )
    refused = subprocess.run(
        [programs / "haulier", "send", "a.mp4"], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert refused.returncode == 4
    assert "Install the package haulier-s3" in refused.stderr

    steps = re.findall(r"^\$ (.+)$", (written / "README.md").read_text("utf-8"), re.MULTILINE)
    assert steps == ["pip install -e . pytest", "pytest", "haulier plugins"]
    environ = {
        name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "PYTEST", "HAULIER"))
    }
    environ |= {"PATH": f"{programs}{os.pathsep}{environ['PATH']}", "VIRTUAL_ENV": str(home)}
    outputs = [run(step, cwd=written, env=environ, shell=True) for step in steps]
    assert " passed" in outputs[1]
    listed = json.loads(run("haulier plugins --json", cwd=written, env=environ, shell=True))["plugins"]
    (found,) = [one for one in listed if one["name"] == "cold-shelf"]
    assert (found["distribution"], found["version"], found["backends"]) == (
        "haulier-cold-shelf",
        "0.1.0",
        ["cold-shelf"],
    )
    assert found["error"] is None
