"""What is measured in this process for segments of several sizes, in one thread or several."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from greenray.bench.accounting import ProcessTrees
from greenray.bench.records import BenchResult, Row
from greenray.bench.runner import Meter, OnStep, Repeats, result_of
from greenray.capacity.environment import describe_environment
from greenray.display.units import size


@dataclass(frozen=True, slots=True)
class SegmentOptions:
    """``workers``: numbers of threads."""

    segment_sizes_bytes: tuple[int, ...]
    workers: tuple[int, ...]
    repeats: Repeats
    quick: bool = False


def run_by_segment_size(
    kind: str,
    step: str,
    options: SegmentOptions,
    on_step: OnStep,
    measured: Callable[[int, SegmentOptions, Meter], list[Row]],
    summary: Callable[[Sequence[Row]], dict[str, float]],
) -> BenchResult:
    """``measured``: the rows of one size; ``step`` is what is shown before it, with the size."""
    environment = describe_environment(
        {"repeats": options.repeats.count, "slot_s": options.repeats.slot_s}
    )
    meter = Meter(ProcessTrees([os.getpid()]))
    rows: list[Row] = []
    for size_bytes in options.segment_sizes_bytes:
        on_step(f"{step} of {size(size_bytes)}")
        rows += measured(size_bytes, options, meter)
    return result_of(
        kind, options.quick, environment, rows, summary(rows), meter.peak_memory_bytes, 0
    )
