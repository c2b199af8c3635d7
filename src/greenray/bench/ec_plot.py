"""The picture of ``bench ec``: what each way to work side by side reaches, and what it costs.

A row of panels per k+m and codec, a column per operation and one for CPU time. Of several segment
sizes the largest is drawn, and of many codecs the fastest; what is left out is named.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, NullFormatter, StrMethodFormatter

from greenray.bench.records import CPU_METRIC
from greenray.display.plot_parts import caption
from greenray.display.units import size

_STYLES = {
    "threads": ("#0072B2", "o"),
    "processes": ("#E69F00", "s"),
    "ray shared actors": ("#56B4E9", "P"),
    "ray shared tasks": ("#CC79A7", "X"),
    "ray batch tasks": ("#000000", "D"),
    "ray actors": ("#009E73", "v"),
    "ray tasks": ("#D55E00", "^"),
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
_TICKS = LogLocator(subs=(1.0, 2.0, 5.0))

Rows = Sequence[Mapping[str, Any]]


def draw_ec(document: Mapping[str, Any]) -> Figure:
    measured = [row for row in document["rows"] if row["kind"] in _OPERATIONS]
    drawn, left_out = _drawn(measured)
    operations = [name for name in _OPERATIONS if any(row["kind"] == name for row in drawn)]
    panels = list(dict.fromkeys((row["k"], row["m"], row["codec"]) for row in drawn))
    figure = Figure(
        figsize=(2.6 + 3.3 * (len(operations) + 1), 2.2 + 2.6 * len(panels)), layout="constrained"
    )
    axes = figure.subplots(len(panels), len(operations) + 1, squeeze=False)
    for of_panel, (k, m, codec) in zip(axes, panels, strict=True):
        rows = [r for r in drawn if (r["k"], r["m"], r["codec"]) == (k, m, codec)]
        for axis, operation in zip(of_panel, operations, strict=False):
            axis.set_title(f"{_OPERATIONS[operation]}, {k}+{m}, {codec}", fontsize=10)
            _rates(axis, [r for r in rows if r["kind"] == operation])
        of_panel[0].set_ylabel("GB/s of payload")
        of_panel[-1].set_title(f"{_OPERATIONS[operations[0]]}, {k}+{m}, {codec}", fontsize=10)
        _cpu(of_panel[-1], [r for r in rows if r["kind"] == operations[0]])
        of_panel[-1].set_ylabel("CPU seconds per GB (lower is better)")
    for axis in axes[-1]:
        axis.set_xlabel("workers side by side")
    handles, labels = axes[0][0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside right upper", fontsize=9, frameon=False)
    figure.suptitle(
        f"Erasure coding, segments of {size(drawn[0]['segment_size_bytes'])}: what workers reach, "
        "and what they cost\nevery axis is logarithmic, with a scale of its own",
        fontsize=11,
    )
    notes = [caption(document, "markers are medians")]
    if left_out:
        notes.append(f"Not drawn, in the table only: {', '.join(left_out)}.")
    figure.supxlabel("\n".join(notes), fontsize=8, color="0.35")
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


def _lines(axis: Axes, rows: Rows, scaled: Callable[[float], float]) -> None:
    workers = sorted({row["workers"] for row in rows})
    for number, (kind, (colour, marker)) in enumerate(_STYLES.items()):
        of_kind = sorted(
            (row for row in rows if row["worker_kind"] == kind), key=lambda row: row["workers"]
        )
        if not of_kind:
            continue
        shift = (number - (len(_STYLES) - 1) / 2) * _SPREAD
        axis.errorbar(
            [row["workers"] + shift for row in of_kind],
            [scaled(row["median"]) for row in of_kind],
            yerr=(
                [scaled(row["median"] - row["minimum"]) for row in of_kind],
                [scaled(row["maximum"] - row["median"]) for row in of_kind],
            ),
            color=colour,
            marker=marker,
            capsize=3,
            label=kind,
        )
    axis.set_yscale("log")
    axis.yaxis.set_major_locator(_TICKS)
    axis.yaxis.set_major_formatter(StrMethodFormatter("{x:g}"))
    axis.yaxis.set_minor_formatter(NullFormatter())
    axis.set_xticks(workers)
    axis.set_xlim(workers[0] - 0.4, workers[-1] + 0.4)
    axis.grid(alpha=0.3, which="both")
