from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from greenray.bench.records import CPU_METRIC, BenchResult, Case, Row
from greenray.bench.report import Results, render, report
from greenray.bench.table import table_rows
from greenray.display.units import number, size
from greenray.protocol.errors import InvalidInput

ROOT = Path(__file__).parents[2]
MEASURED = "docs/measured.md"


def document(row: Row, *, quick: bool = False, failures: tuple[str, ...] = ()) -> dict[str, Any]:
    environment = {"cores": 2, "settings": {"durable": True}, "processor_features": ["a", "b"]}
    return BenchResult("pipeline", quick, environment, [row], {}, failures).to_json()


ROW = Row(
    Case("floor", None, "isal", 4, 2, 16 << 20, object_size_bytes=1 << 30, workers=2),
    "stored",
    "MB/s",
    (600.0, 500.0, 550.0),
)


def test_a_row_says_what_was_measured_and_how_it_spread() -> None:
    [cells] = table_rows(document(ROW)["rows"])
    case = "floor, isal, 4+2, segments of 16 MiB, objects of 1 GiB, 2 workers"
    assert cells == (case, "stored", "MB/s", "550", "500", "500 - 600", "3", "")


def test_what_all_cases_share_is_said_once() -> None:
    other = replace(ROW, case=replace(ROW.case, workers=4))
    result = BenchResult("pipeline", False, {}, [ROW, other], {})
    text = render(Results([result.to_json()]))
    assert "All cases: floor, isal, 4+2, segments of 16 MiB, objects of 1 GiB." in text
    assert "| 2 workers | stored | MB/s | 550 | 500 | 500 - 600 | 3 |  |" in text
    assert "| 4 workers | stored |" in text


def test_the_environment_stands_beside_the_numbers() -> None:
    text = render(Results([document(ROW)]))
    assert "| cores | 2 |" in text
    assert "| settings | durable True |" in text
    assert "| processor_features | a, b |" in text


def test_bytes_are_shown_in_megabytes() -> None:
    row = Row(Case("pipeline"), "peak memory", "bytes", (1.25e9,), higher_is_better=False)
    [shown] = table_rows(document(row)["rows"])
    assert shown[1:4] == ("peak memory", "MB", "1250")


def test_quick_and_failed_runs_say_so() -> None:
    text = render(Results([document(ROW, quick=True, failures=("it spilled",))]))
    assert "**A quick run" in text
    assert "**Failed: it spilled.**" in text
    assert "quick run" not in render(Results([document(ROW)]))


def test_a_benchmark_that_was_drawn_shows_its_picture() -> None:
    assert "![Put to sealed, and the floor](performance/pipeline.png)" in render(
        Results([document(ROW)], {"pipeline"})
    )
    assert "png" not in render(Results([document(ROW)], {"ec"}))


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
    made = report(ROOT / "docs" / "performance", ROOT / MEASURED)
    assert text == made, (
        f"run: greenray bench report docs/performance --peers {MEASURED} > docs/performance.md"
    )


def test_what_was_before_stands_beside_what_is_now() -> None:
    earlier = replace(ROW, values=(200.0, 220.0, 240.0))
    gone = replace(ROW, metric="no longer measured")
    before = BenchResult("pipeline", False, {"measured_at": "then"}, [earlier, gone], {})
    now = BenchResult("pipeline", False, {"measured_at": "now"}, [ROW], {})
    text = render(Results([now.to_json()]), Results([before.to_json()], {"pipeline"}))
    assert "Measured then; what is above now." in text
    assert "![Put to sealed, and the floor, before](performance/before/pipeline.png)" in text
    assert "| floor | stored | MB/s | 220 | 550 | 2.5 |" in text
    assert "no longer measured" not in text


PEERS = """\
## 1. Something
| system | not these |
## 2. Peers, on a machine

| system | PUT MB/s | GET MB/s | CPU s per GB of PUT | durable before answer |
|---|---|---|---|---|
| Another | 36 | 24-40 | 35-38 | no fsync |

## 3. Something else
| system | nor these |
"""


def test_other_systems_stand_beside_medians_of_the_results() -> None:
    put = Case("PUT", object_size_bytes=256 << 20, durable=True)
    gateway = [
        Row(put, "payload", "MB/s", (500.0, 600.0, 550.0)),
        Row(put, CPU_METRIC, "s/GB", (1.5,)),
        Row(replace(put, kind="GET", durable=None), "payload", "MB/s", (700.0,)),
    ]
    sealed = Case("pipeline", codec="isal", object_size_bytes=1 << 30, durable=True)
    pipeline = [
        Row(sealed, "upload to sealed", "MB/s", (300.0,)),
        Row(sealed, "put answered", "MB/s", (400.0,)),
        Row(sealed, CPU_METRIC, "s/GB", (4.5,)),
        Row(replace(sealed, kind="floor"), "stored", "MB/s", (800.0,)),
    ]
    environment = {"settings": {"writes": {"durable": True, "past_the_page_cache": True}}}
    documents = [
        BenchResult("gateway", False, environment, gateway, {}).to_json(),
        BenchResult("pipeline", False, environment, pipeline, {}).to_json(),
    ]
    lines = render(Results(documents), peers=PEERS).splitlines()
    table = [line for line in lines if "Another" in line or "**greenray**" in line]
    assert table == [
        "| Another | 36 | 24-40 | 35-38 | no fsync |",
        "| **greenray**, gateway, objects of 256 MiB | 550 to the answer | 700 | 1.5 to the answer "
        "| O_DIRECT + fdatasync |",
        "| **greenray**, pipeline, objects of 1 GiB | 400 to the answer, **300 to sealed** |  "
        "| 4.5 to sealed | O_DIRECT + fdatasync |",
    ]
    assert not any("these" in line for line in lines)


def test_results_that_do_not_count_are_not_set_beside_other_systems() -> None:
    failed = document(replace(ROW, metric="upload to sealed"), failures=("it spilled",))
    assert "**greenray**" not in render(Results([failed]), peers=PEERS)


def test_a_document_without_other_systems_is_refused() -> None:
    with pytest.raises(InvalidInput, match="no table"):
        render(Results([document(ROW)]), peers="## 1. Something\n")
