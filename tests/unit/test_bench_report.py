from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from cluster.bench.records import BenchResult, Case, Row, read_results
from cluster.bench.report import render
from cluster.bench.table import number, size, table_rows

ROOT = Path(__file__).parents[2]


def document(row: Row, *, quick: bool = False, failures: tuple[str, ...] = ()) -> dict[str, object]:
    environment = {"cores": 2, "settings": {"durable": True}, "processor_features": ["a", "b"]}
    return BenchResult("pipeline", quick, environment, [row], {}, failures).to_json()


ROW = Row(
    Case("floor", None, "isal", 4, 2, 16 << 20, object_size_bytes=1 << 30, workers=2),
    "stored",
    "MB/s",
    (600.0, 500.0, 550.0),
)


def test_a_row_says_what_was_measured_and_how_it_spread() -> None:
    [cells] = table_rows(document(ROW)["rows"])  # type: ignore[arg-type]
    case = "floor, isal, 4+2, segments of 16 MiB, objects of 1 GiB, 2 workers"
    assert cells == (case, "stored", "MB/s", "550", "500", "500 - 600", "3", "")


def test_what_all_cases_share_is_said_once() -> None:
    other = replace(ROW, case=replace(ROW.case, workers=4))
    result = BenchResult("pipeline", False, {}, [ROW, other], {})
    text = render([result.to_json()])
    assert "All cases: floor, isal, 4+2, segments of 16 MiB, objects of 1 GiB." in text
    assert "| 2 workers | stored | MB/s | 550 | 500 | 500 - 600 | 3 |  |" in text
    assert "| 4 workers | stored |" in text


def test_the_environment_stands_beside_the_numbers() -> None:
    text = render([document(ROW)])
    assert "| cores | 2 |" in text
    assert "| settings | durable True |" in text
    assert "| processor_features | a, b |" in text


def test_bytes_are_shown_in_megabytes() -> None:
    row = Row(Case("pipeline"), "peak memory", "bytes", (1.25e9,), higher_is_better=False)
    [shown] = table_rows(document(row)["rows"])  # type: ignore[arg-type]
    assert shown[1:4] == ("peak memory", "MB", "1250")


def test_quick_and_failed_runs_say_so() -> None:
    text = render([document(ROW, quick=True, failures=("it spilled",))])
    assert "**A quick run" in text
    assert "**Failed: it spilled.**" in text
    assert "quick run" not in render([document(ROW)])


def test_a_benchmark_that_was_drawn_shows_its_picture() -> None:
    assert "![Put to sealed, and the floor](performance/pipeline.png)" in render(
        [document(ROW)], {"pipeline"}
    )
    assert "png" not in render([document(ROW)], {"ec"})


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0, "0"),
        (0.02468, "0.0247"),
        (1.5, "1.5"),
        (12.34, "12.3"),
        (123.4, "123"),
        (5678.9, "5679"),
    ],
)
def test_numbers_have_three_digits_and_no_exponent(value: float, text: str) -> None:
    assert number(value) == text


@pytest.mark.parametrize(
    ("size_bytes", "text"),
    [(999, "999 B"), (10_000, "10 KB"), (1 << 20, "1 MiB"), (3 << 19, "1.5 MiB"), (0, "0 B")],
)
def test_sizes_are_in_units_that_make_them_round(size_bytes: int, text: str) -> None:
    assert size(size_bytes) == text


def test_the_performance_document_is_made_from_the_results_beside_it() -> None:
    text = (ROOT / "docs" / "performance.md").read_text()
    results = ROOT / "docs" / "performance"
    pictures = {path.stem for path in results.glob("*.png")}
    assert text == render(read_results(results), pictures), (
        "run: greenray bench report docs/performance > docs/performance.md"
    )
