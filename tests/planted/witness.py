"""A pytest plugin for the runs of ``plant.py``: sees to it that the copy is what is tested, and says what failed."""

from __future__ import annotations

import importlib
import json
import os
from pathlib import Path

import pytest

WRONG_REASONS = (ImportError, SyntaxError, NameError)


def pytest_sessionstart():
    """Import what was changed, from the copy: a defect that cannot be imported, or is not there, proves nothing."""
    copy = Path(os.environ["PLANTED_COPY"])
    for package in ("haulier", "haulier_wats"):
        found = Path(importlib.import_module(package).__file__)
        if not found.is_relative_to(copy):
            pytest.exit(f"{package} is imported from {found}, not from the copy", returncode=9)
    for name in filter(None, os.environ["PLANTED_FILES"].split(os.pathsep)):
        path = Path(name)
        if path.suffix == ".py":
            module = ".".join(path.with_suffix("").parts[path.parts.index("src", len(copy.parts)) + 1 :])
            found = importlib.import_module(module.removesuffix(".__init__")).__file__
            if found != name:
                pytest.exit(f"{module} is imported from {found}, not from {name}", returncode=9)


class Witness:
    """Which tests failed and of what, and what went wrong that is no failure of a test."""

    def __init__(self):
        self.failed = {}
        self.errors = []

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_makereport(self, item, call):
        report = yield
        wrong = call.excinfo is not None and call.excinfo.errisinstance(WRONG_REASONS)
        if report.failed and (call.when == "setup" or wrong):
            self.errors.append(f"{item.nodeid} ({call.when}): {call.excinfo.exconly()}")
        elif report.failed:
            self.failed[item.nodeid.partition("[")[0]] = call.excinfo.typename
        return report

    def pytest_collectreport(self, report):
        if report.failed:
            self.errors.append(f"{report.nodeid} cannot be collected")

    def pytest_sessionfinish(self):
        seen = {"failed": self.failed, "errors": self.errors}
        Path(os.environ["PLANTED_REPORT"]).write_text(json.dumps(seen), "utf-8")


def pytest_configure(config):
    config.pluginmanager.register(Witness())
