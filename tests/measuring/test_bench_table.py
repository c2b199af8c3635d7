"""What ``greenray bench`` prints is read in pipes, files and terminals of any width."""

from __future__ import annotations

import os
import pty
import subprocess
import sys
from pathlib import Path

import pytest

from greenray.bench.records import BenchResult, Case, Row, write_result
from greenray.cli.bench_table import table_text

HEADINGS = ("case", "metric", "unit", "median", "min - max")
NUMERIC = ("median", "min - max")
LONG = "encode, ray shared tasks, isal, 16+4, segments of 16 MiB, 2 workers, batches of 4"
ROWS = [
    (LONG, "payload", "MB/s", "19247", "18847 - 19605"),
    (LONG, "ratio", "", "0.97", "0.95 - 0.98"),
    ("encode, threads", "payload", "MB/s", "30208", "26739 - 30214"),
]


def lines(columns: int | None) -> list[str]:
    return table_text("a title", HEADINGS, ROWS, NUMERIC, columns).splitlines()


def test_without_a_width_nothing_is_folded_or_cut() -> None:
    text = lines(None)
    assert len([line for line in text if LONG in line]) == 2
    assert len(text) == 1 + 3 + len(ROWS) + 1, "a title, a head, a line for each row, an end"


@pytest.mark.parametrize("columns", [100, 80])
def test_where_there_is_less_room_only_the_first_column_is_folded(columns: int) -> None:
    text = lines(columns)
    assert max(map(len, text)) <= columns
    assert any("19247" in line and "18847 - 19605" in line for line in text)
    assert not any(LONG in line for line in text)


@pytest.mark.parametrize("columns", [60, 30])
def test_on_a_narrow_terminal_values_stand_below_their_case(columns: int) -> None:
    text = lines(columns)
    assert max(map(len, text)) <= columns
    joined = " ".join(" ".join(text).split())
    assert joined.count(LONG) == 1, "once, for both of its rows"
    assert "payload: unit MB/s, median 19247, min - max 18847 - 19605" in joined
    assert "ratio: median 0.97" in joined


def test_a_title_that_is_wider_than_its_table_is_one_line() -> None:
    title = "a title of many words " * 9
    first, *_ = table_text(title, ("a", "b"), [("1", "2")], (), None).splitlines()
    assert first.strip() == title.strip()


def compare_command(tmp_path: Path) -> list[str]:
    for name, values in (("a", (1.0, 2.0, 3.0)), ("b", (10.0, 20.0, 30.0))):
        row = Row(Case(LONG), "payload", "MB/s", values)
        write_result(BenchResult("ec", False, {"cores": 2}, [row], {}), tmp_path / name)
    both = [str(tmp_path / "a"), str(tmp_path / "b")]
    return [sys.executable, "-m", "greenray", "bench", "compare", *both]


def test_a_command_in_a_pipe_folds_no_row_whatever_width_is_told(tmp_path: Path) -> None:
    environment = {**os.environ, "COLUMNS": "40"}
    ran = subprocess.run(
        compare_command(tmp_path), capture_output=True, text=True, check=True, env=environment
    )
    assert f"│ ec: {LONG} │" in ran.stdout


def test_a_command_on_a_terminal_keeps_to_its_width(tmp_path: Path) -> None:
    ours, theirs = pty.openpty()
    environment = {**os.environ, "COLUMNS": "60"}
    with os.fdopen(ours, "rb", buffering=0) as shown:
        subprocess.run(compare_command(tmp_path), stdout=theirs, check=True, env=environment)
        os.close(theirs)
        text = shown.read(1 << 16).decode()
    assert "  payload, MB/s: first 2, second 20.0, change +900%" in text
    assert "│" not in text
