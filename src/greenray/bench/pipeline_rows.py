"""What the repeats of ``bench pipeline`` say, as rows and as a summary."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from greenray.bench.measured_network import PutCost
from greenray.bench.records import CPU_METRIC, Case, Row

FLOOR = "floor"
"""What kinds of cases of the floor begin with."""

_OVER = "upload to sealed /"
_SPILLED = "spilled"
_FIRST_PEAK = "peak memory, first object"
_LAST_PEAK = "peak memory, last object"
_PEAKS_IN_TURN = {
    "first_object_peak_memory_bytes": _FIRST_PEAK,
    "last_object_peak_memory_bytes": _LAST_PEAK,
}


@dataclass(frozen=True, slots=True)
class Round:
    """What is put in one repeat: ``at_once`` objects, or ``in_turn`` by one client, each as soon as
    the one before is answered."""

    at_once: int
    in_turn: int = 1

    @property
    def objects(self) -> int:
        return self.at_once * self.in_turn

    @property
    def text(self) -> str:
        return f"{self.at_once} at once" if self.in_turn == 1 else f"{self.in_turn} in turn"

    def named(self, kind: str) -> str:
        """The kind of a case, for these objects."""
        return kind if self.in_turn == 1 else f"{kind}, {self.in_turn} in turn"


@dataclass(frozen=True, slots=True)
class FloorCost:
    """One run of the floor over the same bytes."""

    seconds: float
    cpu_s: float
    peak_memory_bytes: int


def pipeline_rows(
    case: Case,
    put_round: Round,
    floor_workers: int,
    puts: Sequence[PutCost],
    floors: Sequence[FloorCost],
) -> list[Row]:
    """``case``: the pipeline's; the floor's is the same but for its workers. The first of ``puts``
    and of ``floors`` is the warm-up, which counts for memory only."""
    assert case.object_size_bytes is not None
    size_bytes = case.object_size_bytes * put_round.objects
    mb, gb = size_bytes / 1e6, size_bytes / 1e9
    floor_case = replace(case, kind=put_round.named(FLOOR), workers=floor_workers)
    timed, pairs = puts[1:], list(zip(puts[1:], floors[1:], strict=True))

    def of_puts(
        metric: str, unit: str, value: Callable[[PutCost], float], *, higher: bool = False
    ) -> Row:
        return Row(case, metric, unit, tuple(map(value, timed)), higher)

    def of_floor(
        metric: str, unit: str, value: Callable[[FloorCost], float], *, higher: bool = False
    ) -> Row:
        return Row(floor_case, metric, unit, tuple(map(value, floors[1:])), higher)

    ratios = tuple(floor.seconds / put.upload_to_sealed_s for put, floor in pairs)
    peaks = tuple(float(put.peak_memory_bytes) for put in puts)
    spilled = tuple(float(put.spilled_bytes) for put in puts)
    peaks_in_turn = [
        of_puts(_FIRST_PEAK, "bytes", lambda p: p.first_object_peak_bytes),
        of_puts(_LAST_PEAK, "bytes", lambda p: p.last_object_peak_bytes),
    ]
    floor_peaks = tuple(float(floor.peak_memory_bytes) for floor in floors)
    return [
        of_puts("upload to sealed", "MB/s", lambda p: mb / p.upload_to_sealed_s, higher=True),
        of_puts("put answered", "MB/s", lambda p: mb / p.put_answered_s, higher=True),
        of_floor("stored", "MB/s", lambda f: mb / f.seconds, higher=True),
        Row(case, "upload to sealed / floor", "ratio", ratios),
        of_puts(CPU_METRIC, "s/GB", lambda p: p.cpu.servers_s / gb),
        of_puts("CPU of the client", "s/GB", lambda p: p.cpu.client_s / gb),
        of_floor(CPU_METRIC, "s/GB", lambda f: f.cpu_s / gb),
        Row(case, "peak memory", "bytes", peaks, higher_is_better=False),
        Row(floor_case, "peak memory", "bytes", floor_peaks, higher_is_better=False),
        *(peaks_in_turn if put_round.in_turn > 1 else ()),
        Row(case, _SPILLED, "bytes", spilled, higher_is_better=False),
        of_puts("client hashes", "s", lambda p: p.times.hashing_s),
        of_puts("client creates the objects on chain", "s", lambda p: p.times.creating_s),
        of_puts("upload", "s", lambda p: p.last.stored_at - p.uploading_at),
        of_puts("replication after it", "s", lambda p: p.last.replicated_at - p.last.stored_at),
        of_puts("seal after that", "s", lambda p: p.last.sealed_at - p.last.replicated_at),
    ]


def over_one_client_row(
    case: Case,
    put_round: Round,
    puts: Sequence[PutCost],
    one_client: Round,
    one_client_puts: Sequence[PutCost],
) -> Row:
    """How many times the throughput of one client is that of ``put_round``, repeat by repeat."""
    times = put_round.objects / one_client.objects
    pairs = zip(puts[1:], one_client_puts[1:], strict=True)
    ratios = tuple(times * one.upload_to_sealed_s / put.upload_to_sealed_s for put, one in pairs)
    return Row(case, f"{_OVER} {one_client.text}", "ratio", ratios)


def pipeline_summary(rows: Sequence[Row]) -> dict[str, Any]:
    """Medians over the repeats of the one case that ``rows`` are of; the largest peak of memory."""
    values = {(row.case.kind.startswith(FLOOR), row.metric): row.values for row in rows}

    def median(metric: str, *, of_floor: bool = False) -> float:
        return statistics.median(values[of_floor, metric])

    in_turn = {
        name: int(median(metric))
        for name, metric in _PEAKS_IN_TURN.items()
        if (False, metric) in values
    }
    return {
        "upload_to_sealed_mb_s": median("upload to sealed"),
        "put_answered_mb_s": median("put answered"),
        "floor_mb_s": median("stored", of_floor=True),
        "ratio_to_floor": median("upload to sealed / floor"),
        "cpu_s_per_gb": median(CPU_METRIC),
        "floor_cpu_s_per_gb": median(CPU_METRIC, of_floor=True),
        "peak_memory_bytes": int(max(values[False, "peak memory"])),
        **in_turn,
        "spilled_bytes": int(sum(values[False, _SPILLED])),
    }
