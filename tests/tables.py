"""Makes docs/explanation/tables.md: what each backend passes of the conformance suite, and the table of the proof.

Run it with `uv run python tests/tables.py`; it takes up to an hour. As a pytest plugin it gathers the results.
"""

from __future__ import annotations

import os
import platform
import shlex
import subprocess
import sys
from collections import Counter, defaultdict
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Generator

ROOT = Path(__file__).resolve().parents[1]
PAGE = ROOT / "docs/explanation/tables.md"
CLAIM = "conformance"
NOT_APPLICABLE = "not applicable"

HEAD = """# Conformance and proof, in tables

Made by `{command}` on {date}: Haulier {version}, Python {python}, {system}.

## Conformance

One line for each destination that a backend type was tried with: how many tests of the
[conformance suite](../write-a-backend.md) passed, did not apply to what the backend declares, or failed.

| backend type | suite | passed | not applicable | failed |
|---|---|---|---|---|
"""
PROOF = """
## Proof

What was tried on each, and what came of it. [How it is proven](proof.md) tells what the lines are; an empty cell was not
counted there. "Sent again" is in bytes, of one upload.

"""


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Say of each test of a whole conformance suite which backend it was about."""
    report = yield
    bases = {base.__name__ for base in getattr(item, "cls", None).__mro__} if getattr(item, "cls", None) else set()
    world = getattr(item, "funcargs", {}).get("world")
    if report.when == "call" and "BackendSuite" in bases and world is not None:
        report.user_properties.append((CLAIM, f"{world.backend_class.type}/{item.cls.__name__.removeprefix('Test')}"))
    return report


@pytest.hookimpl(trylast=True)
def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    """Write the page."""
    if hasattr(config, "workerinput"):
        return
    counts: dict[str, Counter[str]] = defaultdict(Counter)
    for category in ("passed", NOT_APPLICABLE, "failed"):
        for report in terminalreporter.stats.get(category, []):
            claim = dict(report.user_properties).get(CLAIM)
            if claim is not None:
                counts[claim][category] += 1
    PAGE.write_text(_head() + _conformance(counts) + PROOF + _proof(config), "utf-8")


def _head() -> str:
    from haulier import __version__

    return HEAD.format(
        command=os.environ.get("TABLES_COMMAND", ""),
        date=datetime.now(UTC).date(),
        version=__version__,
        python=platform.python_version(),
        system=f"{platform.system()} {platform.machine()}",
    )


def _conformance(counts: dict[str, Counter[str]]) -> str:
    lines = []
    for claim, found in sorted(counts.items()):
        kind, _, suite = claim.partition("/")
        lines.append(f"| `{kind}` | {suite} | {found['passed']} | {found[NOT_APPLICABLE]} | {found['failed']} |\n")
    return "".join(lines)


def _proof(config: pytest.Config) -> str:
    noted = next(plugin for plugin in config.pluginmanager.get_plugins() if hasattr(plugin, "COLUMNS"))
    rows = config.stash[noted.ROWS]
    head = "| | " + " | ".join(noted.COLUMNS) + " |\n" + "|---" * (len(noted.COLUMNS) + 1) + "|\n"
    cells = (
        f"| {name} | " + " | ".join(str(row[column]) for column in noted.COLUMNS) for name, row in sorted(rows.items())
    )
    return head + "".join(f"{line} |\n" for line in cells)


def main() -> int:
    """Run what the tables are about."""
    tests = ["tests", "plugins", "-m", "proof or conformance", "-p", Path(__file__).stem, "-q", *sys.argv[1:]]
    environ = {
        **os.environ,
        "PYTHONPATH": os.pathsep.join([str(ROOT / "tests"), *filter(None, [os.environ.get("PYTHONPATH")])]),
        "TABLES_COMMAND": shlex.join(["uv", "run", "python", "tests/tables.py", *sys.argv[1:]]),
    }
    return subprocess.run([sys.executable, "-m", "pytest", *tests], cwd=ROOT, env=environ, check=False).returncode


if __name__ == "__main__":
    raise SystemExit(main())
