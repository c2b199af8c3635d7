"""docs/benchmarking.md says what the code does."""

from __future__ import annotations

from math import comb
from pathlib import Path

from greenray.bench.compare import MIN_CHANGE, MIN_REPEATS, RULE
from greenray.bench.plans import QUICK_REPEATS, REPEATS
from greenray.bench.records import PARQUET_COLUMNS
from greenray.cli.bench import app

TEXT = (Path(__file__).parents[2] / "docs" / "benchmarking.md").read_text()
PLAIN = " ".join(TEXT.split())


def test_every_column_of_the_results_is_described() -> None:
    for name, meaning in PARQUET_COLUMNS.items():
        assert f"| {name} | {meaning} |" in TEXT


def test_every_command_is_described() -> None:
    for command in app.registered_commands:
        assert command.callback is not None
        name = command.name or command.callback.__name__
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
