"""What all benchmarks share: rounds that interleave what is compared, a warm-up, and the rows.

A *round* runs every side once. The first one is the warm-up: it touches all memory, is checked and
is where memory is sampled densely, and its times do not count. So a machine that drifts drifts for
all sides alike, and nobody is measured on memory that the machine has not handed out yet.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from time import perf_counter
from typing import Any, TypeVar

from greenray.bench.accounting import PeakMemory, ProcessTrees
from greenray.bench.records import CPU_METRIC, EVERYTHING, BenchResult, Case, Row

T = TypeVar("T")
OnStep = Callable[[str], None]

_SAMPLING_S = 0.05
_MB, _GB = 1e6, 1e9


@dataclass(frozen=True, slots=True)
class Repeats:
    """``count`` measured ones after the warm-up; each lasts about ``slot_s`` seconds."""

    count: int
    slot_s: float = 0.1


@dataclass(frozen=True, slots=True)
class Work:
    """One side of a comparison: ``run(n)`` does the same n times, ``call_bytes`` of payload each.

    ``reset`` puts back, untimed, what a run has used up. ``cores``: how many all processes of the
    run may use meanwhile; None: all.
    """

    case: Case
    run: Callable[[int], None]
    call_bytes: int
    reset: Callable[[], None] | None = None
    cores: int | None = None


def interleaved(rounds: int, sides: Sequence[Callable[[int], T]]) -> list[list[T]]:
    """What each side returned in each round; sides are told the round, 0 is the warm-up."""
    found: list[list[T]] = [[] for _ in sides]
    for number in range(rounds):
        for side, answers in zip(sides, found, strict=True):
            answers.append(side(number))
    return found


def pair(number: int, one: Callable[[], T], other: Callable[[], T]) -> tuple[T, T]:
    """What both return, in this order; in odd rounds ``other`` is called first, so that what grows
    or fades with time falls on both alike."""
    if number % 2:
        of_other = other()
        return one(), of_other
    return one(), other()


@dataclass(slots=True)
class Meter:
    """The processes of a run, and the most memory that they were seen to hold together."""

    trees: ProcessTrees
    peak_memory_bytes: int = 0

    def measure(self, works: Sequence[Work], repeats: Repeats) -> list[Row]:
        """Rate (MB/s of payload) and CPU time (s/GB of payload, all processes) of every work."""
        counts: list[int] = []
        with PeakMemory(self.trees, _SAMPLING_S) as memory:
            for work in works:
                _seconds(work, 1)
                counts.append(max(1, round(repeats.slot_s / _seconds(work, 1))))
        self.saw(memory.bytes)
        sides = [
            lambda _, work=work, count=count: self._cost(work, count)
            for work, count in zip(works, counts, strict=True)
        ]
        rows: list[Row] = []
        for work, costs in zip(works, interleaved(repeats.count, sides), strict=True):
            rates, cpu = zip(*costs, strict=True)
            rows.append(Row(work.case, "payload", "MB/s", rates))
            rows.append(Row(work.case, CPU_METRIC, "s/GB", cpu, higher_is_better=False))
        return rows

    def saw(self, memory_bytes: int) -> None:
        self.peak_memory_bytes = max(self.peak_memory_bytes, memory_bytes)

    def _cost(self, work: Work, count: int) -> tuple[float, float]:
        """(MB/s, CPU s/GB)"""
        with nullcontext() if work.cores is None else self.trees.on_cores(work.cores):
            before_s = self.trees.cpu_s()
            seconds = _seconds(work, count)
            cpu_s = self.trees.cpu_s() - before_s
        payload_bytes = count * work.call_bytes
        return payload_bytes / _MB / seconds, cpu_s / (payload_bytes / _GB)


def _seconds(work: Work, count: int) -> float:
    began_at = perf_counter()
    work.run(count)
    seconds = perf_counter() - began_at
    if work.reset is not None:
        work.reset()
    return seconds


def result_of(
    bench: str,
    quick: bool,
    environment: Mapping[str, Any],
    rows: Sequence[Row],
    summary: Mapping[str, Any],
    peak_memory_bytes: int,
    spilled_bytes: int,
) -> BenchResult:
    """A run with what it used as a whole. One whose object store spilled does not count."""
    used = {"peak memory": peak_memory_bytes, "spilled": spilled_bytes}
    of_all = [
        Row(EVERYTHING, metric, "bytes", (float(value),), higher_is_better=False)
        for metric, value in used.items()
    ]
    return BenchResult(
        bench,
        quick,
        environment,
        [*rows, *of_all],
        {**summary, "peak_memory_bytes": peak_memory_bytes, "spilled_bytes": spilled_bytes},
        spill_failures(spilled_bytes),
    )


def spill_failures(spilled_bytes: int) -> tuple[str, ...]:
    if not spilled_bytes:
        return ()
    return (f"the object store spilled {spilled_bytes} bytes to disk: this run does not count",)
