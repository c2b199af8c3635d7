"""docs/benchmarking.md says what the code does."""

from __future__ import annotations

from math import comb
from pathlib import Path

import pytest

from greenray.bench.compare import MIN_CHANGE, MIN_REPEATS, RULE
from greenray.bench.panels import is_planned
from greenray.bench.plans import QUICK_REPEATS, REPEATS
from greenray.bench.plots import DRAWN_OTHERWISE
from greenray.bench.records import PARQUET_COLUMNS, BenchResult, Case, Row
from greenray.bench.report import Results, render
from greenray.cli.bench import app

OVER_RESULTS = ("compare", "plot", "report")
BENCHMARKS = [
    name
    for command in app.registered_commands
    if (name := command.name or getattr(command.callback, "__name__", "")) not in OVER_RESULTS
]
TEXT = (Path(__file__).parents[2] / "docs" / "benchmarking.md").read_text()
PLAIN = " ".join(TEXT.split())


def test_every_column_of_the_results_is_described() -> None:
    for name, meaning in PARQUET_COLUMNS.items():
        assert f"| {name} | {meaning} |" in TEXT


def test_every_command_is_described() -> None:
    for name in [*BENCHMARKS, *OVER_RESULTS]:
        assert f"`{name}" in TEXT or f"greenray bench {name}" in TEXT, name


def test_the_rule_of_compare_is_the_code_s() -> None:
    assert f"{REPEATS} repeats ({QUICK_REPEATS} with `--quick`)" in PLAIN
    assert f"more than {MIN_CHANGE:.0%}".replace("%", " %") in PLAIN
    assert f"fewer than {MIN_REPEATS} repeats" in PLAIN
    for repeats in (5, 3):
        # Of all ways to deal the values, two have all of one run below the other's.
        one_in = comb(2 * repeats, repeats) // 2
        for text in (PLAIN, RULE):
            assert f"in {one_in} with {repeats}" in text


@pytest.mark.parametrize("bench", [name for name in BENCHMARKS if name != "all"])
def test_every_benchmark_has_a_section_of_the_report_and_a_picture_of_its_own(bench: str) -> None:
    row = Row(
        Case("encode", "threads", "isal", 4, 2, 1 << 20, workers=1), "payload", "MB/s", (1.0,)
    )
    text = render(Results([BenchResult(bench, False, {}, [row], {}).to_json()]))
    title, _, explanation = text[text.index("## ") :].partition(f"`greenray bench {bench}`.")
    assert title.strip() != f"## {bench}"
    assert explanation.strip().partition("\n")[0], "what its numbers are"
    assert is_planned(bench) or bench in DRAWN_OTHERWISE
