"""``bench ec --answer``: how many cores a wanted rate of encoding takes, way by way. Pure.

An extrapolation from what was measured: each GB costs the CPU time that it cost with the most
workers. A way whose rate grew less from few workers to many than the machine's cores allowed has a
limit, by the share of its time that workers do not share (Karp and Flatt, 1990).
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from greenray.bench.records import CPU_METRIC
from greenray.bench.table import case_parts
from greenray.display.units import number, size
from greenray.protocol.errors import InvalidInput

ASSUMES = (
    "Beyond what was measured this is an extrapolation. It assumes that a GB costs as much CPU "
    "time with more workers as with the most that were measured, that memory bandwidth grows with "
    "the cores, that these are as fast as the measured ones, and that they do nothing else. Where "
    "a way ends is estimated from how its rate grew over the workers that were measured."
)
_OPERATION = "encode"
_MB_PER_GB = 1e3
_LEAST_ROOM_TO_GROW = 1.2
"""A way that could not grow by more, as the machine was full, tells nothing by how it grew."""
_LEAST_SERIAL_SHARE = 0.05
"""Less is noise."""

Rows = Sequence[Mapping[str, Any]]


@dataclass(frozen=True, slots=True)
class Point:
    """One way with so many workers: medians."""

    workers: int
    gb_s: float
    cpu_s_per_gb: float

    @property
    def busy_cores(self) -> float:
        return self.gb_s * self.cpu_s_per_gb


@dataclass(frozen=True, slots=True)
class CoresNeeded:
    """``cores`` None: the way does not reach the rate, for the ``reason``. ``measured``: whether
    one of the points was as fast; otherwise ``cores`` is extrapolated."""

    way: str
    points: tuple[Point, ...]
    cores: int | None
    measured: bool = False
    reason: str = ""

    def to_json(self) -> dict[str, Any]:
        return {
            "way": self.way,
            "workers": [point.workers for point in self.points],
            "gb_s": [point.gb_s for point in self.points],
            "cpu_s_per_gb": [point.cpu_s_per_gb for point in self.points],
            "cores": self.cores,
            "measured": self.measured,
            "reason": self.reason,
        }


@dataclass(frozen=True, slots=True)
class Answer:
    """``left_out``: what else was measured and is not answered for."""

    wanted_gb_s: float
    cores_measured_on: int
    ways: tuple[CoresNeeded, ...]
    left_out: tuple[str, ...]

    def to_json(self) -> dict[str, Any]:
        return {
            "wanted_gb_s": self.wanted_gb_s,
            "cores_measured_on": self.cores_measured_on,
            "operation": _OPERATION,
            "ways": [way.to_json() for way in self.ways],
            "left_out": list(self.left_out),
            "assumes": ASSUMES,
        }


def answer(document: Mapping[str, Any], wanted_gb_s: float, **chosen: Sequence[Any]) -> Answer:
    """``document``: the result of ``bench ec``. ``chosen``: by name of a column the values to
    answer for, as ``codec=["isal"]``; of none all, but of segment sizes the largest.

    Raises InvalidInput: not of ``bench ec``, nothing left.
    """
    if document["bench"] != "ec":
        raise InvalidInput(
            "only results of bench ec say what encoding takes", document["bench"], "Take ec.json"
        )
    rows = [row for row in document["rows"] if row["kind"] == _OPERATION]
    rows = [row for row in rows if all(row[name] in of for name, of in chosen.items() if of)]
    if not rows:
        raise InvalidInput(
            "nothing that was chosen was measured", "--answer", "Choose less, or measure it"
        )
    left_out = []
    if not chosen.get("segment_size_bytes"):
        sizes = sorted({row["segment_size_bytes"] for row in rows})
        left_out = [f"segments of {size(smaller)}" for smaller in sizes[:-1]]
        rows = [row for row in rows if row["segment_size_bytes"] == sizes[-1]]
    cores = document["environment"]["cores"]
    ways = [cores_needed(way, points, wanted_gb_s, cores) for way, points in _points(rows).items()]
    return Answer(wanted_gb_s, cores, tuple(ways), tuple(left_out))


def _points(rows: Rows) -> dict[str, list[Point]]:
    """By way, from few workers to many."""
    found: dict[str, dict[int, dict[str, float]]] = {}
    for row in rows:
        way = ", ".join(case_parts({**row, "workers": None})[1:])
        of_workers = found.setdefault(way, {}).setdefault(row["workers"], {})
        of_workers["cpu" if row["metric"] == CPU_METRIC else "rate"] = row["median"]
    return {
        way: [
            Point(workers, medians["rate"] / _MB_PER_GB, medians.get("cpu", 0.0))
            for workers, medians in sorted(by_workers.items())
        ]
        for way, by_workers in found.items()
    }


def cores_needed(way: str, points: Sequence[Point], wanted_gb_s: float, cores: int) -> CoresNeeded:
    """``points``: from few workers to many; ``cores``: of the machine they were measured on."""
    seen = tuple(points)
    if any(point.cpu_s_per_gb <= 0 for point in points):
        return CoresNeeded(way, seen, None, reason="no CPU time was measured")
    reached = next((point for point in points if point.gb_s >= wanted_gb_s), None)
    if reached is not None:
        return CoresNeeded(way, seen, _whole(wanted_gb_s * reached.cpu_s_per_gb), measured=True)
    most = points[-1]
    limit_gb_s = _limit_gb_s(points, cores)
    if limit_gb_s < wanted_gb_s:
        return CoresNeeded(way, seen, None, reason=_limit_text(points, limit_gb_s, cores))
    return CoresNeeded(way, seen, _whole(wanted_gb_s * most.cpu_s_per_gb))


def _limit_gb_s(points: Sequence[Point], cores: int) -> float:
    """What endlessly many workers would reach by how their rate grew; infinite when it grew as far
    as the cores allowed, or when they left no room to grow."""
    few, most = points[0], points[-1]
    room = min(most.workers / few.workers, cores / most.cpu_s_per_gb / few.gb_s)
    if room < _LEAST_ROOM_TO_GROW:
        return math.inf
    share = serial_share(most.gb_s / few.gb_s, room)
    if share <= _LEAST_SERIAL_SHARE:
        return math.inf
    return max(few.gb_s / share, *(point.gb_s for point in points))


def serial_share(speedup: float, times: float) -> float:
    """The share of the fewest workers' time that workers do not share, if Amdahl's law were all
    (Karp and Flatt, 1990), of what became so much faster with so many ``times`` as much to work
    with; below zero when it became more than that many times faster."""
    return (1 / speedup - 1 / times) / (1 - 1 / times)


def _limit_text(points: Sequence[Point], limit_gb_s: float, cores: int) -> str:
    few, most = points[0], points[-1]
    return (
        f"workers share something: from {few.workers} to {most.workers} of them the rate went from "
        f"{number(few.gb_s)} to {number(most.gb_s)} GB/s, with {number(most.busy_cores)} of "
        f"{cores} cores busy, so that it ends at about {number(limit_gb_s)} GB/s however many "
        "there are"
    )


def _whole(cores: float) -> int:
    return max(1, math.ceil(cores))
