"""``bench memory``: the peak memory of all server processes for a small and a large object.

Each size has a network of its own, so that nothing is left from the other.
"""

from __future__ import annotations

import statistics
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cluster.bench.environment import describe_environment
from cluster.bench.pipeline import spill_failures, started_network
from cluster.bench.records import BenchResult, Case, Row
from cluster.bench.work_dir import file_system_of, work_dir
from cluster.demo import make_payload
from cluster.settings import Settings

_SPARE_BYTES = 1 << 30


@dataclass(frozen=True, slots=True)
class MemoryOptions:
    """``object_sizes_bytes``: from small to large; the ratio is of the last to the first."""

    settings: Settings
    object_sizes_bytes: tuple[int, ...]
    repeats: int
    work_dir: Path
    quick: bool = False


def run_memory(options: MemoryOptions, on_step: Callable[[str], None]) -> BenchResult:
    settings = options.settings
    environment = describe_environment(
        {
            "repeats": options.repeats,
            "sps": settings.sps,
            "durable": settings.durable,
            "batch_segments": settings.batch_segments,
            "memory_budget_bytes": settings.budget.memory_bytes,
            "object_store_bytes": settings.budget.object_store_bytes,
        }
    )
    rows, spilled_bytes = [], 0
    for size_bytes in options.object_sizes_bytes:
        peaks, spilled = _measure(options, size_bytes, on_step)
        spilled_bytes += spilled
        case = Case("pipeline", object_size_bytes=size_bytes)
        rows.append(Row(case, "peak memory", "bytes", peaks, higher_is_better=False))
    return BenchResult(
        "memory",
        options.quick,
        {**environment, "file_system": file_system_of(options.work_dir)},
        rows,
        _summary(options, rows, spilled_bytes),
        spill_failures(spilled_bytes),
    )


def _measure(
    options: MemoryOptions, size_bytes: int, on_step: Callable[[str], None]
) -> tuple[tuple[float, ...], int]:
    """(peak of every put, spilled bytes)."""
    needed_bytes = int(size_bytes * (2.5 * options.repeats + 1)) + _SPARE_BYTES
    with work_dir(options.work_dir, needed_bytes) as root:
        source = root / "payload.bin"
        make_payload(source, size_bytes)
        on_step(f"starting a network for objects of {size_bytes >> 20} MiB")
        peaks = []
        with started_network(options.settings, root) as network:
            for repeat in range(options.repeats):
                put = network.put(source, f"object-{repeat}", dense_sampling=True)
                on_step(f"put {repeat}: peak {put.peak_memory_bytes / 1e6:.0f} MB")
                peaks.append(float(put.peak_memory_bytes))
            return tuple(peaks), network.spilled_bytes()


def _summary(options: MemoryOptions, rows: list[Row], spilled_bytes: int) -> dict[str, Any]:
    medians = [statistics.median(row.values) for row in rows]
    return {
        "object_sizes_bytes": list(options.object_sizes_bytes),
        "peak_memory_bytes": [int(max(row.values)) for row in rows],
        "ratio_of_largest_to_smallest": medians[-1] / medians[0],
        "spilled_bytes": spilled_bytes,
    }
