"""Rows as cells for people: the same on the terminal and in documents."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

HEADINGS = ("case", "metric", "unit", "median", "p99", "min - max", "repeats")
_BYTES_PER_MB = 1e6


def cells(row: Mapping[str, Any]) -> tuple[str, ...]:
    """One per heading; bytes are shown in MB. ``row``: of ``BenchResult.to_json``."""
    scale, unit = (_BYTES_PER_MB, "MB") if row["unit"] == "bytes" else (1.0, row["unit"])
    median, p99, minimum, maximum = (
        number(row[name] / scale) for name in ("median", "p99", "minimum", "maximum")
    )
    spread = f"{minimum} - {maximum}"
    return case_text(row), row["metric"], unit, median, p99, spread, str(row["repeats"])


def case_text(row: Mapping[str, Any]) -> str:
    parts = [row["kind"]]
    if row["codec"] is not None:
        parts.append(row["codec"])
    if row["k"] is not None:
        parts.append(f"{row['k']}+{row['m']}")
    if row["segment_size_bytes"] is not None:
        parts.append(f"segments of {size(row['segment_size_bytes'])}")
    if row["object_size_bytes"] is not None:
        parts.append(f"objects of {size(row['object_size_bytes'])}")
    if row["workers"] is not None:
        parts.append(f"{row['workers']} workers" if row["workers"] > 1 else "1 worker")
    return ", ".join(parts)


def number(value: float) -> str:
    """Three significant digits, without an exponent."""
    if value == 0:
        return "0"
    if abs(value) >= 100:
        return f"{value:.0f}"
    return f"{value:.1f}" if abs(value) >= 10 else f"{value:.3g}"


def size(size_bytes: int) -> str:
    for unit, scale in (("GiB", 1 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10)):
        if size_bytes >= scale:
            return f"{size_bytes / scale:.4g} {unit}"
    return f"{size_bytes} B"
