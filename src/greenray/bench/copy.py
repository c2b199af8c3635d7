"""Copying memory by threads side by side: the bandwidth that all other work shares."""

from __future__ import annotations

import os
import statistics
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial

import numpy as np

from greenray.bench.accounting import ProcessTrees
from greenray.bench.records import CPU_METRIC, BenchResult, Case, Row
from greenray.bench.runner import Meter, OnStep, Repeats, Work, result_of
from greenray.bench.side_by_side import side_by_side
from greenray.capacity.environment import describe_environment
from greenray.display.units import size
from greenray.protocol.errors import IntegrityHashMismatch


@dataclass(frozen=True, slots=True)
class CopyOptions:
    """``segment_sizes_bytes``: of what is copied at once; it is read and written."""

    segment_sizes_bytes: tuple[int, ...]
    workers: tuple[int, ...]
    repeats: Repeats
    quick: bool = False


def run_copy(options: CopyOptions, on_step: OnStep) -> BenchResult:
    """Rates count each copied byte once. Raises IntegrityHashMismatch: a copy is another one."""
    environment = describe_environment(
        {"repeats": options.repeats.count, "slot_s": options.repeats.slot_s}
    )
    meter = Meter(ProcessTrees([os.getpid()]))
    rows: list[Row] = []
    for size_bytes in options.segment_sizes_bytes:
        on_step(f"copies of {size(size_bytes)}")
        rows += _of_size(size_bytes, options, meter)
    return result_of(
        "copy", options.quick, environment, rows, _summary(rows), meter.peak_memory_bytes, 0
    )


def _of_size(size_bytes: int, options: CopyOptions, meter: Meter) -> list[Row]:
    source = np.frombuffer(np.random.default_rng(size_bytes).bytes(size_bytes), np.uint8)
    with ExitStack() as stack:
        works, copies = [], []
        for workers in options.workers:
            own = [(np.empty_like(source), source.copy()) for _ in range(workers)]
            run = stack.enter_context(side_by_side([partial(np.copyto, *pair) for pair in own]))
            case = Case("copy", segment_size_bytes=size_bytes, workers=workers)
            works.append(Work(case, run, workers * size_bytes))
            copies += [copy for copy, _ in own]
        rows = meter.measure(works, options.repeats)
    if not all(np.array_equal(copy, source) for copy in copies):
        raise IntegrityHashMismatch("a copy is not what was copied", "bench copy")
    return rows


def _summary(rows: Sequence[Row]) -> dict[str, float]:
    """The best median by number of threads, over all sizes."""
    best: dict[str, float] = {}
    for row in rows:
        if row.metric != CPU_METRIC:
            workers = str(row.case.workers)
            best[workers] = max(best.get(workers, 0.0), statistics.median(row.values))
    return best
