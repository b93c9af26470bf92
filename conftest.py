"""What every test run does: random tests begin elsewhere each time and say where; what they proved ends as a table."""

from __future__ import annotations

import os
import random
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable

BASES = (
    "HAULIER_SIMULATION_BASE",
    "HAULIER_MATRIX_BASE",
    "HAULIER_POWER_BASE",
    "HAULIER_PLANTED_BASE",
    "HAULIER_SOAK_BASE",
)
ROWS = pytest.StashKey[dict[str, dict[str, int | str]]]()
OUTPUT = "haulier_proof"  # what a worker process hands to the one that prints
COLUMNS = ("cases", "faults", "lost", "doubled", "wrongly reported", "deleted without proof", "sent again at most")
HOSTILE = "bad inputs"
HOSTILE_FILES = frozenset(
    {
        "test_config_options.py",
        "test_config_strictness.py",
        "test_config_sealing.py",
        "test_hooks_bad_plugins.py",
        "test_hooks_loading.py",
        "test_service_bad_plugins.py",
        "test_service_bad_backends.py",
        "test_wats_client_addresses.py",
        "test_wats_client_origin.py",
        "test_wats_client_wire.py",
        "test_wats_server_fuzz.py",
        "test_wats_server_limits.py",
        "test_wats_token_text.py",
    }
)


def pytest_configure(config: pytest.Config) -> None:
    """Choose where random tests begin, unless the environment says it."""
    config.stash[ROWS] = {}
    for name in BASES:
        os.environ.setdefault(name, str(random.randrange(10**9)))  # noqa: S311 - workers inherit it


def pytest_report_header() -> str:
    """Say it, so that a failure can be repeated."""
    return "random tests begin at " + " ".join(f"{name}={os.environ[name]}" for name in BASES)


@pytest.fixture(scope="session")
def proof_table(request: pytest.FixtureRequest) -> Callable[..., None]:
    """Adds a row to the table that ends the run: a name, and figures by the names of the columns."""

    def add(name: str, **figures: int | str) -> None:
        row = {column: figures.pop(column.replace(" ", "_"), "") for column in COLUMNS}
        if figures:
            raise ValueError(f"no such columns: {', '.join(figures)}")
        request.config.stash[ROWS][name] = row

    return add


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark the tests of bad inputs, and whole conformance suites."""
    for item in items:
        if "BackendSuite" in {base.__name__ for base in getattr(getattr(item, "cls", None), "__mro__", ())}:
            item.add_marker(pytest.mark.conformance)
        if item.path.name in HOSTILE_FILES or "hostile" in item.name:
            item.add_marker(pytest.mark.hostile)
            item.add_marker(pytest.mark.proof)


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> object:
    """Count the tests of bad inputs."""
    outcome = yield
    report = outcome.get_result()
    if report.when == "call" and item.get_closest_marker("hostile"):
        row = item.config.stash[ROWS].setdefault(HOSTILE, dict.fromkeys(COLUMNS, ""))
        row["cases"] = int(row["cases"] or 0) + 1
        row["wrongly reported"] = int(row["wrongly reported"] or 0) + report.failed


def pytest_sessionfinish(session: pytest.Session) -> None:
    """Hand the rows of this process to the one that prints, if that is another."""
    if hasattr(session.config, "workeroutput"):
        session.config.workeroutput[OUTPUT] = session.config.stash[ROWS]


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: Any) -> None:
    """Take in the rows of a worker process; one that died has none."""
    rows = node.config.stash[ROWS]
    for name, row in getattr(node, "workeroutput", {}).get(OUTPUT, {}).items():
        if name != HOSTILE or name not in rows:
            rows[name] = row
            continue
        for column in ("cases", "wrongly reported"):
            rows[name][column] = int(rows[name][column] or 0) + int(row[column] or 0)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    """Print the table, if anything was proven."""
    rows = config.stash[ROWS]
    if not rows:
        return
    terminalreporter.section("proof")
    width = max(map(len, rows))
    terminalreporter.write_line(f"{'':{width}}  " + "  ".join(COLUMNS))
    for name, row in sorted(rows.items()):
        cells = "  ".join(f"{row[column]!s:>{len(column)}}" for column in COLUMNS)
        terminalreporter.write_line(f"{name:{width}}  {cells}")
