from __future__ import annotations

import json
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from greenray.bench.records import (
    PARQUET_COLUMNS,
    BenchResult,
    Case,
    Row,
    read_results,
    write_result,
)
from greenray.protocol.errors import InvalidInput

RESULT = BenchResult(
    bench="ec",
    quick=True,
    environment={"cores": 2},
    rows=(
        Row(
            Case("encode", "threads", "isal", 4, 2, 1 << 20, workers=2),
            "payload",
            "MB/s",
            (3, 1, 2),
        ),
        Row(Case("pipeline"), "peak memory", "bytes", (5, 7), higher_is_better=False),
    ),
    summary={"best": 3.0},
    failures=("it spilled",),
)


def test_document_has_the_repeats_and_their_spread() -> None:
    first, second = RESULT.to_json()["rows"]
    assert first["values"] == [3.0, 1.0, 2.0]
    assert (first["median"], first["p99"], first["minimum"], first["maximum"]) == (2, 1, 1, 3)
    assert (first["bench"], first["quick"], first["repeats"]) == ("ec", True, 3)
    assert (first["codec"], first["object_size_bytes"]) == ("isal", None)
    assert second["p99"] == 7


def test_every_row_has_exactly_the_documented_columns() -> None:
    for row in RESULT.to_json()["rows"]:
        assert list(row) == list(PARQUET_COLUMNS)


def test_parquet_holds_what_the_document_holds(tmp_path: Path) -> None:
    json_file, parquet_file = write_result(RESULT, tmp_path / "new" / "results")
    document = json.loads(json_file.read_text())
    assert document == RESULT.to_json()
    table = pq.read_table(parquet_file)
    assert table.schema.names == list(PARQUET_COLUMNS)
    assert table.to_pylist() == document["rows"]
    metadata = {k.decode(): json.loads(v) for k, v in table.schema.metadata.items()}
    assert metadata["environment"] == {"cores": 2}
    assert (metadata["summary"], metadata["bench"]) == ({"best": 3.0}, "ec")


def test_columns_without_a_value_keep_their_type(tmp_path: Path) -> None:
    result = BenchResult("hash", False, {}, [Row(Case("streams"), "payload", "MB/s", (1.0,))], {})
    _, parquet_file = write_result(result, tmp_path)
    schema = pq.read_schema(parquet_file)
    assert [str(schema.field(name).type) for name in ("codec", "k", "values")] == [
        "string",
        "int64",
        "list<element: double>",
    ]


def test_results_are_read_back_by_name(tmp_path: Path) -> None:
    write_result(RESULT, tmp_path)
    write_result(BenchResult("a", False, {}, (), {}), tmp_path)
    assert [document["bench"] for document in read_results(tmp_path)] == ["a", "ec"]


def test_one_result_is_read_by_its_file(tmp_path: Path) -> None:
    json_file, _ = write_result(RESULT, tmp_path)
    write_result(BenchResult("a", False, {}, (), {}), tmp_path)
    assert read_results(json_file) == [RESULT.to_json()]


def test_results_with_other_columns_are_refused(tmp_path: Path) -> None:
    json_file, parquet_file = write_result(RESULT, tmp_path)
    document = json.loads(json_file.read_text())
    del document["rows"][0]["p99"]
    json_file.write_text(json.dumps(document))
    with pytest.raises(InvalidInput, match="another version"):
        read_results(tmp_path)
    with pytest.raises(InvalidInput, match="cannot be read"):
        read_results(parquet_file)
    with pytest.raises(InvalidInput, match="no such file"):
        read_results(tmp_path / "nowhere")


@pytest.mark.parametrize("content", [None, "{", "[]", '{"rows": []}'])
def test_what_is_no_result_is_refused(tmp_path: Path, content: str | None) -> None:
    if content is not None:
        (tmp_path / "x.json").write_text(content)
    with pytest.raises(InvalidInput):
        read_results(tmp_path)
