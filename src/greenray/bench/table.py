"""Rows as cells for people: the same on the terminal and in documents."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any

from greenray.bench.records import CPU_METRIC, EVERYTHING
from greenray.display.units import number, size

HEADINGS = ("case", "metric", "unit", "median", "p99", "min - max", "repeats", "CPU s/GB")
_BYTES_PER_MB = 1e6
_SIZED = {
    "segment_size_bytes": "segments",
    "column_size_bytes": "columns",
    "object_size_bytes": "objects",
}


def table_rows(
    rows: Sequence[Mapping[str, Any]], without: Collection[str] = ()
) -> list[tuple[str, ...]]:
    """Cells for ``HEADINGS`` of the rows of ``BenchResult.to_json``, whose cases do not repeat the
    parts ``without`` (see ``shared_parts``).

    The CPU time of a case stands (as its median) behind what else was measured of it first.
    """
    cpu = {case_text(row): row["median"] for row in rows if _is_cpu(row)}
    shown, seen = [], set()
    for row in rows:
        case = case_text(row)
        if not _is_cpu(row):
            has_cpu = case in cpu and case not in seen
            shown.append((_short(row, without), *_cells(row), number(cpu[case]) if has_cpu else ""))
            seen.add(case)
    return shown


def _short(row: Mapping[str, Any], without: Collection[str]) -> str:
    return ", ".join(part for part in case_parts(row) if part not in without) or row["kind"]


def shared_parts(rows: Iterable[Mapping[str, Any]]) -> list[str]:
    """What every row but those of the run as a whole says of its case."""
    parts = [case_parts(row) for row in rows if row["kind"] != EVERYTHING.kind]
    return [part for part in parts[0] if all(part in other for other in parts)] if parts else []


def _is_cpu(row: Mapping[str, Any]) -> bool:
    return bool(row["metric"] == CPU_METRIC and row["unit"] == "s/GB")


def _cells(row: Mapping[str, Any]) -> tuple[str, ...]:
    scale, unit = shown_unit(row["unit"])
    median, p99, minimum, maximum = (
        number(row[name] / scale) for name in ("median", "p99", "minimum", "maximum")
    )
    spread = f"{minimum} - {maximum}"
    return row["metric"], unit, median, p99, spread, str(row["repeats"])


def shown_unit(unit: str) -> tuple[float, str]:
    """What to divide values by, and the unit then: bytes are shown in MB."""
    return (_BYTES_PER_MB, "MB") if unit == "bytes" else (1.0, unit)


def case_text(row: Mapping[str, Any]) -> str:
    return ", ".join(case_parts(row))


def case_parts(row: Mapping[str, Any]) -> list[str]:
    """What was measured, word by word."""
    parts = [row["kind"]]
    for name in ("worker_kind", "codec"):
        if row[name] is not None:
            parts.append(row[name])
    if row["k"] is not None:
        parts.append(f"{row['k']}+{row['m']}")
    for name, unit in _SIZED.items():
        if row[name] is not None:
            parts.append(f"{unit} of {size(row[name])}")
    if row["workers"] is not None:
        parts.append(f"{row['workers']} workers" if row["workers"] > 1 else "1 worker")
    if row["objects_in_parallel"] is not None:
        parts.append(f"{row['objects_in_parallel']} at once")
    if row["batch_segments"] is not None:
        parts.append(f"batches of {row['batch_segments']}")
    if row["durable"] is not None:
        parts.append("durable" if row["durable"] else "not durable")
    return parts


def size_part(row: Mapping[str, Any]) -> str:
    """The part of ``case_parts`` that tells the smallest unit of payload that has a size."""
    sized = (f"{unit} of {size(row[name])}" for name, unit in _SIZED.items() if row[name])
    return next(sized, "")
