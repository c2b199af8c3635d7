"""Kept results as frames. Those of pandas and Polars are tested where these are installed."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

import greenray
from greenray.bench.records import PARQUET_COLUMNS, BenchResult, Case, Row, write_result
from greenray.protocol.errors import InvalidInput

PUBLISHED = Path(__file__).parents[2] / "docs" / "performance"
AROUND = ["measured_at", "processor", "cores", "busy_machine"]


@pytest.fixture
def kept(tmp_path: Path) -> Path:
    """Two results, one of them of a busy machine."""
    for bench, taken in (("ec", 1.0), ("hash", 0.0)):
        environment = {
            "measured_at": "2026-01-02",
            "processor": "a processor",
            "cores": 2,
            "other_programs_cores": taken,
        }
        rows = [Row(Case("encode", codec="isal", k=4, m=2), "payload", "MB/s", (1.0, 3.0, 2.0))]
        write_result(BenchResult(bench, False, environment, rows, {}), tmp_path)
    return tmp_path


def test_a_directory_becomes_a_row_for_each_metric_with_what_is_known_of_its_run(
    kept: Path,
) -> None:
    table = greenray.bench_frame(kept, "pyarrow")
    assert table.column_names == [*PARQUET_COLUMNS, *AROUND]
    first, second = table.to_pylist()
    assert (first["bench"], first["k"], first["median"], first["cores"]) == ("ec", 4, 2.0, 2)
    assert first["busy_machine"].startswith("busy machine: ")
    assert second["busy_machine"] == ""


def test_one_file_is_one_run_and_published_ones_are_read(kept: Path) -> None:
    assert len(greenray.bench_frame(str(kept / "hash.json"), "pyarrow")) == 1
    assert len(greenray.bench_frame(PUBLISHED, "pyarrow")) > 400


def test_pandas_has_it_in_two_lines(kept: Path) -> None:
    pytest.importorskip("pandas")
    frame = greenray.bench_frame(kept)
    assert list(frame.columns) == [*PARQUET_COLUMNS, *AROUND]
    assert frame.groupby("bench")["median"].max().to_dict() == {"ec": 2.0, "hash": 2.0}


def test_polars_has_it_in_two_lines(kept: Path) -> None:
    pytest.importorskip("polars")
    frame = greenray.bench_frame(kept, "polars")
    assert frame.columns == [*PARQUET_COLUMNS, *AROUND]
    assert frame["values"].to_list() == [[1.0, 3.0, 2.0]] * 2


def test_a_library_that_is_not_there_is_one_clear_error(
    kept: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "polars", None)
    with pytest.raises(InvalidInput, match="pip install polars"):
        greenray.bench_frame(kept, "polars")
    with pytest.raises(InvalidInput, match="pandas, polars, pyarrow"):
        greenray.bench_frame(kept, "excel")
    with pytest.raises(InvalidInput, match="no such file"):
        greenray.bench_frame(kept / "nowhere")
