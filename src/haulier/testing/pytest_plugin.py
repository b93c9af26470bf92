"""What pytest does for the conformance suites: explains their failed assertions, reports what does not apply and why.

Loaded through the entry point of the group ``pytest11``. It imports no suite: a test file that uses one does.
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from collections.abc import Generator

__all__ = ["pytest_report_teststatus", "pytest_runtest_makereport", "pytest_terminal_summary"]

CATEGORY = "not applicable"
_KIND = "NotApplicable"

pytest.register_assert_rewrite(
    "haulier.testing.backend_suite",
    "haulier.testing.journal_claims",
    "haulier.testing.journal_records",
    "haulier.testing.journal_tasks",
    "haulier.testing.journal_writes",
)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Mark the report of a test that does not apply to its backend."""
    report = yield
    raised = call.excinfo.value if call.excinfo is not None else None
    if raised is not None and type(raised).__name__ == _KIND:
        suite = item.parent.name if item.parent is not None else ""
        report.user_properties.append((CATEGORY, str(raised)))
        report.user_properties.append(("suite", suite))
    return report


def pytest_report_teststatus(report: Any) -> tuple[str, str, str] | None:
    """Give such tests a category of their own: they were neither passed nor skipped."""
    if _reason(report) is None:
        return None
    return CATEGORY, "-", "NOT APPLICABLE"


def pytest_terminal_summary(terminalreporter: Any) -> None:
    """Say what did not apply to which suite, and why."""
    reports = terminalreporter.stats.get(CATEGORY, [])
    if not reports:
        return
    counts = Counter((dict(report.user_properties)["suite"], _reason(report)) for report in reports)
    terminalreporter.section(CATEGORY)
    for (suite, reason), count in sorted(counts.items()):
        terminalreporter.write_line(f"{suite}: {count} x {reason}")


def _reason(report: Any) -> str | None:
    reason: str | None = dict(getattr(report, "user_properties", ())).get(CATEGORY)
    return reason
