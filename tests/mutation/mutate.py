"""Mutate the state machine of an upload and see whether its pure tests notice: prints the score and what survived.

Run it from the repository: ``uv run --group mutation python tests/mutation/mutate.py``. It takes some minutes. The
mutants live in a temporary folder. A survivor whose difference stands in ``equivalent.toml`` changes nothing that could
be seen, for the reason given there; any other makes the exit code 1.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import tempfile
import tomllib
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
EQUIVALENT = Path(__file__).with_name("equivalent.toml")
MODULES = ("machine", "policy", "states", "proof", "parts")
PROCESSES = 2
PYTEST = """
[project]
name = "mutated"
version = "0"

[tool.pytest.ini_options]
addopts = ["--import-mode=importlib"]
filterwarnings = ["error"]
"""


@dataclass(frozen=True)
class Survivor:
    """A mutant that no test noticed: its name, the line that was there, the one in its place (empty for none)."""

    name: str
    before: str
    after: str

    @property
    def function(self) -> str:
        """The function's name without the tool's additions."""
        return self.name.rpartition(".")[2].rpartition("__mutmut_")[0].split("ǁ")[-1].removeprefix("x_")


def _prepare(folder: Path) -> None:
    shutil.copytree(ROOT / "src", folder / "src", ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "conftest.py", folder)
    tests = folder / "tests" / "transfer"
    tests.mkdir(parents=True)
    for path in (ROOT / "tests" / "transfer").glob("test_transfer_machine_*.py"):
        shutil.copy(path, tests)
    (folder / "pyproject.toml").write_text(PYTEST, "utf-8")
    mutated = "".join(f"\n    src/haulier/transfer/{module}.py" for module in MODULES)
    settings = (
        f"[mutmut]\nsource_paths=src/\nonly_mutate={mutated}\nalso_copy=\n    conftest.py\n"
        "pytest_add_cli_args_test_selection=\n    tests/transfer\n"
        "track_dependencies=false\nuse_git_change_detection=false\n"
    )
    (folder / "setup.cfg").write_text(settings, "utf-8")


def _mutmut(folder: Path, *arguments: str) -> str:
    done = subprocess.run(
        [sys.executable, "-m", "mutmut", *arguments], cwd=folder, capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise SystemExit(
            f"mutmut {' '.join(arguments)} ended with {done.returncode}:\n{(done.stdout + done.stderr)[-4000:]}"
        )
    return done.stdout


def _survivors(folder: Path) -> list[Survivor]:
    found = []
    for line in _mutmut(folder, "results").splitlines():
        name, _, fate = line.strip().partition(": ")
        if fate:
            found.append(Survivor(name, *_difference(_mutmut(folder, "show", name))))
    return found


def _difference(shown: str) -> tuple[str, str]:
    lines = shown.splitlines()
    before = [line[1:].strip() for line in lines if line.startswith("-") and not line.startswith("---")]
    after = [line[1:].strip() for line in lines if line.startswith("+") and not line.startswith("+++")]
    return " ".join(before), " ".join(after)


def _reasons() -> dict[tuple[str, str], str]:
    entries = tomllib.loads(EQUIVALENT.read_text("utf-8"))["equivalent"]
    return {(entry["function"], entry["after"]): entry["reason"] for entry in entries}


def main() -> int:
    """The command; 0 when every survivor is explained."""
    with tempfile.TemporaryDirectory(prefix="haulier-mutated-") as name:
        folder = Path(name)
        _prepare(folder)
        _mutmut(folder, "run", "--max-children", str(PROCESSES))
        _mutmut(folder, "export-cicd-stats")
        stats = json.loads((folder / "mutants" / "mutmut-cicd-stats.json").read_text("utf-8"))
        survivors = _survivors(folder)
    reasons = _reasons()
    open_ones = [one for one in survivors if (one.function, one.after) not in reasons]
    for one in survivors:
        why = reasons.get((one.function, one.after), "NOT EXPLAINED")
        print(f"{one.name}\n    - {one.before}\n    + {one.after}\n    {why}")
    print(f"\n{stats['killed']} of {stats['total']} killed, {len(survivors) - len(open_ones)} survivors change nothing")
    print(f"{len(open_ones)} not explained")
    return 1 if open_ones else 0


if __name__ == "__main__":
    sys.exit(main())
