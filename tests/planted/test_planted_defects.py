"""The planted defects: the records are true, and the tests notice what they plant."""

from __future__ import annotations

import importlib.util
import os
import random
import sys
from pathlib import Path

import pytest

BASE = int(os.environ.get("HAULIER_PLANTED_BASE", str(random.randrange(10**6))))
AT_ONCE = 2


def _script():
    spec = importlib.util.spec_from_file_location("planted_plant", Path(__file__).with_name("plant.py"))
    module = importlib.util.module_from_spec(spec)
    sys.modules["planted_plant"] = module
    spec.loader.exec_module(module)
    return module


planting = _script()
DEFECTS = planting.all_defects()


@pytest.mark.parametrize("defect", DEFECTS, ids=lambda defect: defect.name)
def test_every_record_fits_the_shipped_code_and_names_tests_that_exist(defect):
    assert planting.objections(defect) == []
    assert defect.loses.endswith(".")


def test_every_invariant_has_a_defect_and_there_are_at_least_twenty_five():
    assert {defect.invariant for defect in DEFECTS} == set(planting.INVARIANTS)
    assert len(DEFECTS) >= 25


def test_two_defects_of_many_are_planted_and_caught(tmp_path):
    quick = [defect for defect in DEFECTS if not defect.slow]
    chosen = [quick[(BASE + number * 7) % len(quick)] for number in range(AT_ONCE)]
    outcomes = planting.plant(chosen, tmp_path)
    verdicts = {defect.name: planting.survived(defect, outcomes[defect.name]) for defect in chosen}
    assert verdicts == dict.fromkeys(verdicts, ""), f"HAULIER_PLANTED_BASE={BASE} repeats it"


def test_what_changes_nothing_or_cannot_be_imported_is_not_called_caught(tmp_path):
    test = "tests/invariants/test_invariants_sources.py::test_invariant_7_the_wait_for_a_changing_source_doubles"
    text = "        restarts = row.restarts + 1\n"

    def defect(name, put):
        edit = planting.Edit("src/haulier/transfer/policy.py", text, put)
        return planting.Defect(name, 7, "Nothing.", (test,), (edit,))

    harmless, broken = defect("harmless", f"{text}        # a remark\n"), defect("broken", "        restarts = = 1\n")
    outcomes = planting.plant([harmless, broken], tmp_path)
    assert planting.survived(harmless, outcomes["harmless"]) == f"still green: {test}"
    assert "SyntaxError" in planting.survived(broken, outcomes["broken"])


@pytest.mark.full
def test_all_defects_are_caught(tmp_path):
    outcomes = planting.plant(DEFECTS, tmp_path)
    verdicts = {defect.name: planting.survived(defect, outcomes[defect.name]) for defect in DEFECTS}
    assert verdicts == dict.fromkeys(verdicts, "")
