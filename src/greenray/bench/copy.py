"""Copying memory by threads side by side: the bandwidth that all other work shares."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from contextlib import ExitStack
from functools import partial

import numpy as np

from greenray.bench.by_segment_size import SegmentOptions, run_by_segment_size
from greenray.bench.machine_watch import watched
from greenray.bench.records import CPU_METRIC, BenchResult, Case, Row
from greenray.bench.runner import Meter, OnStep, Work
from greenray.bench.side_by_side import side_by_side
from greenray.protocol.errors import IntegrityHashMismatch


@watched
def run_copy(options: SegmentOptions, on_step: OnStep) -> BenchResult:
    """Rates count each copied byte once. Raises IntegrityHashMismatch: a copy is another one."""
    return run_by_segment_size("copy", "copies", options, on_step, _of_size, _summary)


def _of_size(size_bytes: int, options: SegmentOptions, meter: Meter) -> list[Row]:
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
