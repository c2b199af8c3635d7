"""The picture of ``bench ec``: what each way to work side by side reaches, and what it costs.

A row of panels per k+m and codec, a column per operation, one for CPU time and one for the rate
beside that of as many threads, which are the floor: nothing but the codec. Of several segment sizes
the largest is drawn, and of many codecs the fastest; what is left out is named.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, NullFormatter, StrMethodFormatter

from greenray.bench.panels import ratio_row
from greenray.bench.records import CPU_METRIC, EVERYTHING
from greenray.display.plot_parts import COLOURS, caption, left_out_text, notes
from greenray.display.units import size

_MARKERS = {
    "threads": "o",
    "processes": "s",
    "ray shared actors": "P",
    "ray shared tasks": "X",
    "ray batch tasks": "D",
    "ray actors": "v",
    "ray tasks": "^",
}
"""By kind of worker, about from fast to slow; what a kind is, docs/benchmarking.md says."""
_OPERATIONS = {
    "encode": "encode",
    "reconstruct 1": "rebuild 1 lost shard",
    "reconstruct 2": "rebuild 2 lost shards",
}
_MOST_ROWS = 6
_SPREAD = 0.06
"""Kinds stand beside each other (in workers), so that their whiskers can be told apart."""
_TICK_STEPS = (1.0, 2.0, 5.0)
_MOST_TICKS = 30

Rows = Sequence[Mapping[str, Any]]


def draw_ec(document: Mapping[str, Any]) -> Figure:
    measured = [row for row in document["rows"] if row["kind"] in _OPERATIONS]
    drawn, left_out = _drawn(measured)
    left_out += _not_operations(document["rows"])
    operations = [name for name in _OPERATIONS if any(row["kind"] == name for row in drawn)]
    panels = list(dict.fromkeys((row["k"], row["m"], row["codec"]) for row in drawn))
    columns = len(operations) + 2
    figure = Figure(figsize=(2.6 + 3.3 * columns, 2.2 + 2.6 * len(panels)), layout="constrained")
    figure.set_layout_engine("constrained", w_pad=0.1, h_pad=0.08)
    axes = figure.subplots(len(panels), columns, squeeze=False)
    for of_panel, (k, m, codec) in zip(axes, panels, strict=True):
        rows = [r for r in drawn if (r["k"], r["m"], r["codec"]) == (k, m, codec)]
        for axis, operation in zip(of_panel, operations, strict=False):
            axis.set_title(f"{_OPERATIONS[operation]}, {k}+{m}, {codec}", fontsize=10)
            _rates(axis, [r for r in rows if r["kind"] == operation])
        of_panel[0].set_ylabel("GB/s of payload")
        first = [row for row in rows if row["kind"] == operations[0]]
        for axis in of_panel[-2:]:
            axis.set_title(f"{_OPERATIONS[operations[0]]}, {k}+{m}, {codec}", fontsize=10)
        _cpu(of_panel[-2], first)
        of_panel[-2].set_ylabel("CPU seconds per GB (lower is better)", fontsize=8)
        _of_threads(of_panel[-1], first)
        of_panel[-1].set_ylabel("of the rate of as many threads")
    for axis in axes[-1]:
        axis.set_xlabel("workers side by side")
    handles, labels = axes[0][0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside right upper", fontsize=9, frameon=False)
    figure.suptitle(
        f"Erasure coding, segments of {size(drawn[0]['segment_size_bytes'])}: what workers reach, "
        "and what they cost\nthreads have nothing to do but the codec's work: they are the floor; "
        "every axis is logarithmic, with a scale of its own",
        fontsize=11,
    )
    notes(
        figure,
        caption(document, "markers are medians"),
        left_out_text(left_out, figure.get_figwidth()),
    )
    return figure


def _drawn(rows: Rows) -> tuple[Rows, list[str]]:
    """Which rows, and what of them all is left out."""
    sizes = sorted({row["segment_size_bytes"] for row in rows})
    left_out = [f"segments of {size(smaller)}" for smaller in sizes[:-1]]
    rows = [row for row in rows if row["segment_size_bytes"] == sizes[-1]]
    if len({(row["k"], row["m"], row["codec"]) for row in rows}) > _MOST_ROWS:
        fastest = max(_rates_of(rows), key=lambda row: row["median"])["codec"]
        others = sorted({row["codec"] for row in rows} - {fastest})
        left_out += [f"codec {codec}" for codec in others]
        rows = [row for row in rows if row["codec"] == fastest]
    return rows, left_out


def _not_operations(rows: Rows) -> list[str]:
    """What is no way to encode or rebuild: steps of a call, what the run used as a whole."""
    named = [
        f"{row['metric']} of the whole run"
        if row["kind"] == EVERYTHING.kind
        else "what a call of an actor is made of"
        for row in rows
        if row["kind"] not in _OPERATIONS
    ]
    return list(dict.fromkeys(named))


def _rates_of(rows: Rows) -> Rows:
    return [row for row in rows if row["unit"] == "MB/s"]


def _rates(axis: Axes, rows: Rows) -> None:
    rates = _rates_of(rows)
    _lines(axis, rates, lambda value: value / 1e3)
    one = [r["median"] for r in rates if r["worker_kind"] == "threads" and r["workers"] == 1]
    if one:
        workers = sorted({row["workers"] for row in rates})
        ideal = [one[0] * count / 1e3 for count in workers]
        axis.plot(workers, ideal, "--", color="0.55", label="one thread,\ntimes workers")


def _cpu(axis: Axes, rows: Rows) -> None:
    _lines(axis, [row for row in rows if row["metric"] == CPU_METRIC], lambda value: value)


def _of_threads(axis: Axes, rows: Rows) -> None:
    """Each kind beside as many threads: they took turns, so it is known repeat by repeat."""
    rates = _rates_of(rows)
    threads = {row["workers"]: row["values"] for row in rates if row["worker_kind"] == "threads"}
    ratios = [
        ratio_row(row, "ratio to threads", [a / b for a, b in pairs])
        for row in rates
        if row["workers"] in threads
        for pairs in [list(zip(row["values"], threads[row["workers"]], strict=False))]
    ]
    if not ratios:
        axis.text(0.5, 0.5, "no threads were measured", ha="center", transform=axis.transAxes)
        return
    axis.axhline(1.0, linestyle="--", color="0.55")
    _lines(axis, ratios, lambda value: value)


def _lines(axis: Axes, rows: Rows, scaled: Callable[[float], float]) -> None:
    workers = sorted({row["workers"] for row in rows})
    for number, (kind, marker) in enumerate(_MARKERS.items()):
        of_kind = sorted(
            (row for row in rows if row["worker_kind"] == kind), key=lambda row: row["workers"]
        )
        if not of_kind:
            continue
        shift = (number - (len(_MARKERS) - 1) / 2) * _SPREAD
        axis.errorbar(
            [row["workers"] + shift for row in of_kind],
            [scaled(row["median"]) for row in of_kind],
            yerr=(
                [scaled(row["median"] - row["minimum"]) for row in of_kind],
                [scaled(row["maximum"] - row["median"]) for row in of_kind],
            ),
            color=COLOURS[kind],
            marker=marker,
            capsize=3,
            label=kind,
        )
    axis.set_yscale("log")
    axis.yaxis.set_major_locator(LogLocator(subs=_TICK_STEPS, numticks=_MOST_TICKS))
    axis.yaxis.set_major_formatter(StrMethodFormatter("{x:g}"))
    axis.yaxis.set_minor_formatter(NullFormatter())
    axis.set_xticks(workers)
    axis.set_xlim(workers[0] - 0.4, workers[-1] + 0.4)
    axis.grid(alpha=0.3, which="both")
