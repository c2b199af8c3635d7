"""Results of benchmarks: one schema for all of them, as JSON and as Parquet.

A row is one metric of one case over all repeats. ``PARQUET_COLUMNS`` is the documented schema; the
environment and the summary are in the Parquet file's metadata, as JSON under ``METADATA_KEYS``.
"""

from __future__ import annotations

import io
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from greenray.bench.spread import Spread
from greenray.files.whole_file import write_whole
from greenray.protocol.errors import InvalidInput
from greenray.storage.direct_io import store_errors

CPU_METRIC = "CPU"
"""Time of all processes, in seconds per GB of payload."""

METADATA_KEYS = ("bench", "environment", "summary")

PARQUET_COLUMNS: Mapping[str, str] = {
    "bench": "string: which benchmark",
    "quick": "bool: few repeats and little data; for a first look only",
    "kind": "string: what was measured: a side (pipeline, floor) or an operation",
    "worker_kind": "string or null: threads, processes, ray tasks, ray actors, ...",
    "codec": "string or null",
    "k": "int64 or null: data shards",
    "m": "int64 or null: parity shards",
    "segment_size_bytes": "int64 or null",
    "column_size_bytes": "int64 or null",
    "object_size_bytes": "int64 or null",
    "workers": "int64 or null: threads or processes that worked side by side",
    "objects_in_parallel": "int64 or null: objects that were on their way at once",
    "batch_segments": "int64 or null: segments that are stored, encoded and sent together",
    "durable": "bool or null: whether what was written would survive a power loss",
    "metric": "string",
    "unit": "string; MB is 10^6 and GB 10^9 bytes",
    "higher_is_better": "bool",
    "repeats": "int64: measured ones, the warm-up not counted",
    "median": "double",
    "p99": "double: 99 % of the repeats were at least as good",
    "minimum": "double",
    "maximum": "double",
    "values": "list<double>: every repeat, in order",
}
_ROW_KEYS = PARQUET_COLUMNS.keys()
_DOCUMENT_KEYS = {"bench", "quick", "environment", "rows", "summary", "failures"}
_TYPES = {"string": "string", "bool": "bool_", "int64": "int64", "double": "float64"}


@dataclass(frozen=True, slots=True)
class Case:
    """What was measured; None is what does not apply."""

    kind: str
    worker_kind: str | None = None
    codec: str | None = None
    k: int | None = None
    m: int | None = None
    segment_size_bytes: int | None = None
    column_size_bytes: int | None = None
    object_size_bytes: int | None = None
    workers: int | None = None
    objects_in_parallel: int | None = None
    batch_segments: int | None = None
    durable: bool | None = None


EVERYTHING = Case("all processes")
"""What a run used as a whole."""


@dataclass(frozen=True, slots=True)
class Row:
    case: Case
    metric: str
    unit: str
    values: tuple[float, ...]
    higher_is_better: bool = True

    @property
    def spread(self) -> Spread:
        return Spread.of(self.values, higher_is_better=self.higher_is_better)

    def to_json(self) -> dict[str, Any]:
        return {
            **asdict(self.case),
            "metric": self.metric,
            "unit": self.unit,
            "higher_is_better": self.higher_is_better,
            "repeats": len(self.values),
            **asdict(self.spread),
            "values": list(self.values),
        }


@dataclass(frozen=True, slots=True)
class BenchResult:
    """One run of one benchmark. ``failures``: why it must not be believed (a spill, ...)."""

    bench: str
    quick: bool
    environment: Mapping[str, Any]
    rows: Sequence[Row]
    summary: Mapping[str, Any]
    failures: tuple[str, ...] = ()

    def to_json(self) -> dict[str, Any]:
        return {
            "bench": self.bench,
            "quick": self.quick,
            "environment": dict(self.environment),
            "rows": [{"bench": self.bench, "quick": self.quick, **r.to_json()} for r in self.rows],
            "summary": dict(self.summary),
            "failures": list(self.failures),
        }


def write_result(result: BenchResult, directory: Path) -> tuple[Path, Path]:
    """``<bench>.json`` and ``<bench>.parquet`` in ``directory``, which is made if needed.

    Raises NoSpaceLeft, StoreError.
    """
    document = result.to_json()
    json_file = directory / f"{result.bench}.json"
    parquet_file = json_file.with_suffix(".parquet")
    with store_errors(directory, "write the result"):
        directory.mkdir(parents=True, exist_ok=True)
        write_whole(json_file, (json.dumps(document, indent=1) + "\n").encode())
        write_parquet(document, parquet_file)
    return json_file, parquet_file


def write_parquet(document: Mapping[str, Any], path: Path) -> None:
    """The rows of a result document (``BenchResult.to_json``)."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    metadata = {key: json.dumps(document[key]) for key in METADATA_KEYS}
    written = io.BytesIO()
    pq.write_table(pa.Table.from_pylist(document["rows"], rows_schema(metadata)), written)
    write_whole(path, written.getvalue())


def rows_schema(metadata: Mapping[str, str] | None = None) -> Any:
    """Of the rows as an Arrow table (``pyarrow.Schema``): ``PARQUET_COLUMNS``."""
    import pyarrow as pa

    def field(name: str, text: str) -> Any:
        kind = text.partition(":")[0].partition(" ")[0].rstrip(";")
        if kind == "list<double>":
            return pa.field(name, pa.list_(pa.float64()))
        return pa.field(name, getattr(pa, _TYPES[kind])())

    return pa.schema(
        [field(*item) for item in PARQUET_COLUMNS.items()], metadata=dict(metadata or {})
    )


def read_results(path: Path) -> list[dict[str, Any]]:
    """The result document ``path``, or those of all ``*.json`` in that directory, by name.

    Raises InvalidInput.
    """
    if not path.exists():
        raise InvalidInput("there is no such file or directory", str(path))
    files = sorted(path.glob("*.json")) if path.is_dir() else [path]
    documents = [_read_result(file) for file in files]
    if not documents:
        raise InvalidInput("there are no results of benchmarks", str(path), "Make some with --out")
    return documents


def _read_result(path: Path) -> dict[str, Any]:
    try:
        document = json.loads(path.read_bytes())
    except (OSError, ValueError) as error:
        raise InvalidInput(f"cannot be read as JSON ({error})", str(path)) from None
    if not isinstance(document, dict) or not document.keys() >= _DOCUMENT_KEYS:
        raise InvalidInput("is not the result of a benchmark", str(path))
    if not all(isinstance(row, dict) and row.keys() == _ROW_KEYS for row in document["rows"]):
        raise InvalidInput(
            "is the result of another version's benchmark", str(path), "Measure again"
        )
    return document
