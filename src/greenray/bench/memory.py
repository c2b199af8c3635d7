"""``bench memory``: the peak memory of all server processes for a small and a large object.

Each size has a network of its own, so that nothing is left from the other.
"""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from greenray.bench.machine_watch import watched
from greenray.bench.records import BenchResult, Case, Row
from greenray.bench.runner import OnStep, spill_failures
from greenray.bench.site import STORED_PER_BYTE, Site, opened_site
from greenray.capacity.environment import describe_environment
from greenray.cluster.config.settings import Settings
from greenray.cluster.demo import make_payload


@dataclass(frozen=True, slots=True)
class MemoryBenchOptions:
    """``object_sizes_bytes``: from small to large; the ratio is of the last to the first."""

    settings: Settings
    object_sizes_bytes: tuple[int, ...]
    repeats: int
    work_dir: Path
    quick: bool = False


@watched
def run_memory(options: MemoryBenchOptions, on_step: OnStep) -> BenchResult:
    environment = describe_environment({})
    rows: list[Row] = []
    settings: dict[str, Any] = {}
    spilled_bytes = 0
    for size_bytes in options.object_sizes_bytes:
        needed_bytes = int(size_bytes * (STORED_PER_BYTE + 1))
        with opened_site(options.settings, options.work_dir, needed_bytes, on_step) as site:
            peaks = _peaks(site, size_bytes, options.repeats, on_step)
            spilled_bytes += site.network.spilled_bytes()
            settings = site.describe()
        case = Case("pipeline", object_size_bytes=size_bytes)
        rows.append(Row(case, "peak memory", "bytes", peaks, higher_is_better=False))
    return BenchResult(
        "memory",
        options.quick,
        {**environment, "settings": {"repeats": options.repeats, **settings}},
        rows,
        _summary(options, rows, spilled_bytes),
        spill_failures(spilled_bytes),
    )


def _peaks(site: Site, size_bytes: int, repeats: int, on_step: OnStep) -> tuple[float, ...]:
    """Of every put."""
    source = site.root / "payload"
    make_payload(source, size_bytes)
    peaks = []
    for repeat in range(repeats):
        put = site.network.put(source, site.network.new_names(1), at_once=1, warm_up=True)
        site.network.remove_columns(put.times.object_ids)
        on_step(f"put {repeat}: peak {put.peak_memory_bytes / 1e6:.0f} MB")
        peaks.append(float(put.peak_memory_bytes))
    return tuple(peaks)


def _summary(
    options: MemoryBenchOptions, rows: Sequence[Row], spilled_bytes: int
) -> dict[str, Any]:
    medians = [statistics.median(row.values) for row in rows]
    return {
        "object_sizes_bytes": list(options.object_sizes_bytes),
        "peak_memory_bytes": [int(max(row.values)) for row in rows],
        "ratio_of_largest_to_smallest": medians[-1] / medians[0],
        "spilled_bytes": spilled_bytes,
    }
