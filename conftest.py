"""What every test run does: where random tests begin is another number each time, and printed."""

from __future__ import annotations

import os
import random

import pytest

pytest.register_assert_rewrite("haulier.testing")

BASES = (
    "HAULIER_SIMULATION_BASE",
    "HAULIER_MATRIX_BASE",
    "HAULIER_POWER_BASE",
    "HAULIER_PLANTED_BASE",
    "HAULIER_SOAK_BASE",
)


def pytest_configure() -> None:
    """Choose where random tests begin, unless the environment says it."""
    for name in BASES:
        os.environ.setdefault(name, str(random.randrange(10**9)))  # noqa: S311


def pytest_report_header() -> str:
    """Say it, so that a failure can be repeated."""
    return "random tests begin at " + " ".join(f"{name}={os.environ[name]}" for name in BASES)
