"""The benchmarks that need no network, as functions for notebooks. Results are tables that can be
narrowed, drawn and asked for what limits their scaling."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Any

from greenray.api.notebook_logging import hide_widget_hints
from greenray.bench.answer import serial_share
from greenray.bench.by_segment_size import SegmentOptions
from greenray.bench.copy import run_copy
from greenray.bench.ec import EcOptions, run_ec
from greenray.bench.hash import run_hash
from greenray.bench.records import CPU_METRIC, EVERYTHING, BenchResult, Row
from greenray.bench.runner import Repeats
from greenray.bench.table import HEADINGS, case_parts, table_rows
from greenray.bench.trust import busy_mark
from greenray.capacity.environment import worker_counts
from greenray.display.html_table import html_table
from greenray.display.plot import Line, Plot, draw_lines, finished, new_axes
from greenray.display.units import size
from greenray.protocol.errors import InvalidInput

_MIB = 1 << 20
_QUICK_REPEATS = 3
_RATE = "MB/s"
_MB_PER_GB = 1e3
_AXES: Mapping[str, str] = {
    "workers": "workers side by side",
    "segment_size_bytes": "segment size",
    "shape": "k+m",
}


def bench_ec(
    *,
    codecs: Sequence[str] = ("isal", "numpy", "zfec"),
    shapes: Sequence[tuple[int, int]] = ((4, 2),),
    segment_sizes_bytes: Sequence[int] = (16 * _MIB,),
    workers: Sequence[int] = (),
    worker_kinds: Sequence[str] = ("threads",),
    losses: Sequence[int] = (0,),
    repeats: int = _QUICK_REPEATS,
    slot_s: float = 0.05,
) -> BenchTable:
    """Encode ("encode") and rebuild ("reconstruct 1", ...); absent codecs are left out.

    A script that asks for processes needs ``if __name__ == "__main__":`` around its own work.

    Args:
        shapes: (k, m).
        workers: how many side by side; when empty: 1, 2, 4 ... and all cores.
        worker_kinds: "threads", "processes", "ray tasks", "ray batch tasks", "ray actors", "ray
            shared tasks", "ray shared actors".
        losses: data shards that are lost; 0: encode.
        slot_s: about how long each repeat lasts.

    Raises: what ``greenray bench ec`` does.
    """
    options = EcOptions(
        codecs=tuple(codecs),
        shapes=tuple(shapes),
        segment_sizes_bytes=tuple(segment_sizes_bytes),
        workers=tuple(workers) or worker_counts(),
        worker_kinds=tuple(worker_kinds),
        losses=tuple(losses),
        repeats=Repeats(repeats, slot_s),
        quick=repeats <= _QUICK_REPEATS,
    )
    hide_widget_hints()
    return BenchTable.of(run_ec(options, _silent))


def bench_hash(
    *,
    segment_sizes_bytes: Sequence[int] = (16 * _MIB,),
    workers: Sequence[int] = (),
    repeats: int = _QUICK_REPEATS,
    slot_s: float = 0.05,
) -> BenchTable:
    """SHA-256 of segments ("streams") and of segments with their six pieces."""
    options = _segment_options(segment_sizes_bytes, workers, repeats, slot_s)
    return BenchTable.of(run_hash(options, _silent))


def bench_copy(
    *,
    segment_sizes_bytes: Sequence[int] = (16 * _MIB,),
    workers: Sequence[int] = (),
    repeats: int = _QUICK_REPEATS,
    slot_s: float = 0.05,
) -> BenchTable:
    """Copies in memory: the bandwidth that everything else has to share."""
    options = _segment_options(segment_sizes_bytes, workers, repeats, slot_s)
    return BenchTable.of(run_copy(options, _silent))


def _segment_options(
    segment_sizes_bytes: Sequence[int], workers: Sequence[int], repeats: int, slot_s: float
) -> SegmentOptions:
    return SegmentOptions(
        tuple(segment_sizes_bytes),
        tuple(workers) or worker_counts(),
        Repeats(repeats, slot_s),
        quick=repeats <= _QUICK_REPEATS,
    )


def _silent(step: str) -> None:
    """Steps of a benchmark are for a terminal."""


@dataclass(frozen=True, slots=True)
class BenchTable:
    """Rows of one run. ``environment``: hardware, kernel, versions, settings."""

    bench: str
    quick: bool
    environment: Mapping[str, Any]
    rows: tuple[Row, ...]

    @classmethod
    def of(cls, result: BenchResult) -> BenchTable:
        """Raises InvalidInput when the run does not count (it spilled)."""
        if result.failures:
            raise InvalidInput("; ".join(result.failures), f"bench {result.bench}")
        rows = tuple(row for row in result.rows if row.case != EVERYTHING)
        return cls(result.bench, result.quick, result.environment, rows)

    def where(self, **wanted: object) -> BenchTable:
        """The rows whose case has these values, for example
        ``where(kind="encode", codec="isal", k=4, m=2)``. Raises InvalidInput when none has."""
        try:
            rows = tuple(
                row
                for row in self.rows
                if all(getattr(row.case, name) == value for name, value in wanted.items())
            )
        except AttributeError as error:
            raise InvalidInput(f"cases have no such value ({error})", str(wanted)) from None
        if not rows:
            raise InvalidInput("no row is of this case", str(wanted))
        return BenchTable(self.bench, self.quick, self.environment, rows)

    @property
    def rates(self) -> tuple[Row, ...]:
        """Those in MB/s of payload."""
        return tuple(row for row in self.rows if row.unit == _RATE)

    @property
    def gb_s(self) -> float:
        """The median of the only rate. Raises InvalidInput when there are others: use ``where``."""
        if len(self.rates) != 1:
            raise InvalidInput(f"{len(self.rates)} rates, not one", f"bench {self.bench}")
        return median(self.rates[0].values) / _MB_PER_GB

    @property
    def cpu_s_per_gb(self) -> float:
        """The median CPU time of the only case; other programs disturb it less than a rate. Raises
        InvalidInput like ``gb_s``."""
        found = [row for row in self.rows if row.metric == CPU_METRIC]
        if len(found) != 1:
            raise InvalidInput(f"{len(found)} cases, not one", f"bench {self.bench}")
        return median(found[0].values)

    def scaling(self) -> ScalingTable:
        """What workers add, by everything else that differs."""
        return ScalingTable(
            tuple(
                Scaling.of(label, series)
                for label, series in self._series("workers").items()
                if len(series) > 1
            )
        )

    def plot(self, x: str = "workers", title: str = "") -> Plot:
        """Rates over "workers", "segment_size_bytes" or "shape"; a line for all else that differs.

        Raises InvalidInput (no such axis).
        """
        if x not in _AXES:
            raise InvalidInput(f"cannot be drawn over {x!r}", "", f"Use one of: {', '.join(_AXES)}")
        ticks = list(dict.fromkeys(_value(row, x) for row in self.rates))
        axes = new_axes(title or f"bench_{self.bench}")
        draw_lines(axes, [_line(*item, x, ticks) for item in self._series(x).items()])
        axes.set_xlabel(_AXES[x])
        axes.set_xticks(range(len(ticks)), [_tick(tick) for tick in ticks])
        axes.set_ylabel("GB/s of payload")
        axes.set_ylim(bottom=0)
        return finished(axes, self._caption())

    def _series(self, x: str) -> dict[str, list[Row]]:
        """Rates that differ in ``x`` only, by what they differ in from the others."""
        parts = [_parts_without(row, x) for row in self.rates]
        found: dict[str, list[Row]] = {}
        for row, own in zip(self.rates, parts, strict=True):
            differing = [part for part in own if not all(part in other for other in parts)]
            found.setdefault(", ".join(differing) or row.case.kind, []).append(row)
        return found

    def _caption(self) -> str:
        repeats = max(len(row.values) for row in self.rows)
        mark = busy_mark(self.environment)
        return (
            f"medians of {repeats} repeats, whiskers from the smallest to the largest\n"
            f"{_machine(self.environment)}, {self.environment['measured_at'][:10]}"
            + (f"\n{mark}" if mark else "")
        )

    def _repr_html_(self) -> str:
        rows = [{"bench": self.bench, "quick": self.quick, **r.to_json()} for r in self.rows]
        title = f"bench_{self.bench}, {_machine(self.environment)}"
        mark = busy_mark(self.environment)
        title += f"; {mark}" if mark else ""
        return html_table(title, HEADINGS, table_rows(rows))


def _machine(environment: Mapping[str, Any]) -> str:
    return f"{environment['processor']}, {environment['cores']} cores, {environment['kernel']}"


def _parts_without(row: Row, x: str) -> list[str]:
    case = row.to_json() | ({"k": None, "m": None} if x == "shape" else {x: None})
    return case_parts(case)


def _value(row: Row, x: str) -> object:
    return (row.case.k, row.case.m) if x == "shape" else getattr(row.case, x)


def _tick(value: object) -> str:
    if isinstance(value, tuple):
        return "{}+{}".format(*value)
    assert isinstance(value, int)
    return size(value) if value >= 1 << 10 else str(value)


def _line(label: str, series: Sequence[Row], x: str, ticks: Sequence[object]) -> Line:
    spreads = [row.spread for row in series]
    return Line(
        label,
        [ticks.index(_value(row, x)) for row in series],
        [spread.median / _MB_PER_GB for spread in spreads],
        [spread.minimum / _MB_PER_GB for spread in spreads],
        [spread.maximum / _MB_PER_GB for spread in spreads],
    )


@dataclass(frozen=True, slots=True)
class Scaling:
    """How one kind of work grows with workers. ``gb_s``: medians by number of workers."""

    label: str
    gb_s: Mapping[int, float]

    @classmethod
    def of(cls, label: str, rows: Sequence[Row]) -> Scaling:
        rates = {row.case.workers or 1: median(row.values) / _MB_PER_GB for row in rows}
        return cls(label, dict(sorted(rates.items())))

    @property
    def workers(self) -> int:
        """The most."""
        return max(self.gb_s)

    @property
    def speedup(self) -> float:
        """The most workers, against the fewest."""
        return self.gb_s[self.workers] / self.gb_s[min(self.gb_s)]

    @property
    def serial_share(self) -> float:
        """The share of one worker's time that workers do not share; below zero when more workers
        are more than that many times faster."""
        return serial_share(self.speedup, self.workers / min(self.gb_s))

    @property
    def limit_gb_s(self) -> float:
        """What endlessly many workers would reach by that law; infinite when nothing is serial."""
        if self.serial_share <= 0:
            return float("inf")
        return self.gb_s[min(self.gb_s)] / self.serial_share


@dataclass(frozen=True, slots=True)
class ScalingTable:
    series: tuple[Scaling, ...]

    def _repr_html_(self) -> str:
        return html_table(
            "what workers add",
            ("", "workers", "GB/s", "speedup", "serial share", "limit GB/s"),
            (
                (
                    one.label,
                    " / ".join(map(str, one.gb_s)),
                    " / ".join(f"{rate:.2f}" for rate in one.gb_s.values()),
                    f"{one.speedup:.2f}",
                    f"{one.serial_share:.1%}",
                    "none" if one.limit_gb_s == float("inf") else f"{one.limit_gb_s:.1f}",
                )
                for one in self.series
            ),
        )
