"""The whole run of the benchmarks finds its places and its modules; what it draws from others' figures is right."""

import importlib
import json
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs" / "explanation" / "measurements.md"


@pytest.fixture
def module(monkeypatch):
    """Gives a module of the benchmarks, which are not installed."""
    monkeypatch.syspath_prepend(str(ROOT))
    return lambda name: importlib.import_module(f"benchmarks.{name}")


def test_results_are_replaced_and_words_stay(module, tmp_path):
    page = tmp_path / "page.md"
    page.write_text("before\n<!-- results: rest -->\nold \\1\n<!-- end of rest -->\nafter\n")

    module("page").write(page, "rest", "| new \\2 |")
    module("page").write(page, "rest", "| newer \\2 |")

    assert page.read_text() == "before\n<!-- results: rest -->\n\n| newer \\2 |\n\n<!-- end of rest -->\nafter\n"


def test_every_part_has_a_place_in_the_page_and_a_module(module):
    text = PAGE.read_text("utf-8")
    parts = module("plan").PARTS

    for name in ("machine", "bars", "memory", *(part.name for part in parts)):
        assert "NEW" in module("page").replaced(text, name, "NEW"), name
    for command in {command.split()[0] for part in parts for command in (*part.commands, *part.quick)}:
        assert (ROOT / "benchmarks" / f"{command}.py").exists()


def test_a_link_lets_no_more_pass_than_its_rate(module):
    now = [0.0]
    bucket = module("limited_link").Bucket(1000.0, lambda: now[0], lambda seconds: now.__setitem__(0, now[0] + seconds))

    for _ in range(10):
        bucket.take(500)

    assert bucket.passed == 5000
    assert now[0] == pytest.approx(5.0)


def test_bars_are_drawn_from_what_was_noted(module, tmp_path, monkeypatch):
    figures, place = module("figures"), tmp_path / "figures"
    monkeypatch.setenv(figures.PLACE, str(place))
    figures.note(figures.Reached("1 GiB", "wall beside boto3", "<= 0.75", "0.80", met=False))
    figures.note(figures.Held("1 GiB", 100.0, 16.0))
    journal = "| tasks | queued/s | claim p99 ms | status ms |\n|---|---|---|---|\n| 1,000 | 9 | 1.00 | 1 |\n| 2,000 | 25,000 | 2.00 | 2 |"

    told = module("summary").bars(figures.noted(place), journal)

    assert "| 1 GiB | wall beside boto3 | <= 0.75 | 0.80 | no |" in told
    assert "| every workload | process | < 150 MB | 105 MB (1 GiB) | yes |" in told
    assert "| journal of 2,000 tasks | claim p99 beside 1,000 tasks | <= 3 | 2.00 | yes |" in told
    assert json.loads(place.read_text().splitlines()[0])["kind"] == "Reached"


def test_a_simulated_day_is_the_same_for_the_same_figures_and_longer_with_less_of_a_station(module):
    scale = module("scale")
    figures = scale.Figures()
    slow = scale.Figures(disk_mb=1.0)

    one, again = (scale.day(figures, scale.setups(figures)["one server"], 20) for _ in range(2))
    late = scale.day(slow, scale.setups(slow)["one server"], 20)

    assert one == again
    assert late.busiest == "server's disk"
    assert late.median > one.median
