"""The picture of ``bench ec``: how each kind of worker grows with the number of workers.

A row of panels per operation, a column per codec; the largest segment of the first k+m.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from greenray.display.plot_parts import caption
from greenray.display.units import size

_STYLES = {
    "threads": ("#0072B2", "o"),
    "processes": ("#E69F00", "s"),
    "ray tasks": ("#D55E00", "^"),
    "ray actors": ("#009E73", "v"),
}
_OPERATIONS = {
    "encode": "encode",
    "reconstruct 1": "rebuild 1 lost shard",
    "reconstruct 2": "rebuild 2 lost shards",
}
_SPREAD = 0.06
"""Kinds stand beside each other (in workers), so that their whiskers can be told apart."""


def draw_ec(document: Mapping[str, Any]) -> Figure:
    rows = _shown(document)
    operations = [name for name in _OPERATIONS if any(row["kind"] == name for row in rows)]
    codecs = list(dict.fromkeys(row["codec"] for row in rows))
    figure = Figure(
        figsize=(3.0 + 3.4 * len(codecs), 1.9 + 2.7 * len(operations)), layout="constrained"
    )
    axes = figure.subplots(len(operations), len(codecs), squeeze=False)
    for of_operation, operation in zip(axes, operations, strict=True):
        for axis, codec in zip(of_operation, codecs, strict=True):
            of_panel = [r for r in rows if r["kind"] == operation and r["codec"] == codec]
            _panel(axis, of_panel)
            axis.set_title(f"{_OPERATIONS[operation]}, codec {codec}", fontsize=10)
        of_operation[0].set_ylabel("GB/s of payload")
    for axis in axes[-1]:
        axis.set_xlabel("workers side by side")
    handles, labels = axes[0][0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside right upper", fontsize=9, frameon=False)
    first = rows[0]
    figure.suptitle(
        f"Erasure coding {first['k']}+{first['m']}, segments of "
        f"{size(first['segment_size_bytes'])}: what workers add, by kind (higher is better)\n"
        "every panel has a scale of its own",
        fontsize=11,
    )
    figure.supxlabel(caption(document, "markers are medians"), fontsize=8, color="0.35")
    return figure


def _shown(document: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    rates = [row for row in document["rows"] if row["unit"] == "MB/s"]
    shape = (rates[0]["k"], rates[0]["m"])
    largest = max(row["segment_size_bytes"] for row in rates)
    return [
        row
        for row in rates
        if (row["k"], row["m"]) == shape and row["segment_size_bytes"] == largest
    ]


def _panel(axis: Axes, rows: Sequence[Mapping[str, Any]]) -> None:
    workers = sorted({row["workers"] for row in rows})
    for number, (kind, (colour, marker)) in enumerate(_STYLES.items()):
        of_kind = sorted(
            (row for row in rows if row["worker_kind"] == kind), key=lambda row: row["workers"]
        )
        if not of_kind:
            continue
        medians = [row["median"] / 1e3 for row in of_kind]
        below = [(row["median"] - row["minimum"]) / 1e3 for row in of_kind]
        above = [(row["maximum"] - row["median"]) / 1e3 for row in of_kind]
        shift = (number - 1.5) * _SPREAD
        axis.errorbar(
            [row["workers"] + shift for row in of_kind],
            medians,
            yerr=(below, above),
            color=colour,
            marker=marker,
            capsize=3,
            label=kind,
        )
    _ideal(axis, rows, workers)
    axis.set_xticks(workers)
    axis.set_xlim(workers[0] - 0.4, workers[-1] + 0.4)
    axis.set_ylim(bottom=0)
    axis.grid(alpha=0.3)


def _ideal(axis: Axes, rows: Sequence[Mapping[str, Any]], workers: Sequence[int]) -> None:
    """What threads would reach if each added as much as the first."""
    one = [r["median"] for r in rows if r["worker_kind"] == "threads" and r["workers"] == 1]
    if one:
        ideal = [one[0] * count / 1e3 for count in workers]
        axis.plot(workers, ideal, "--", color="0.55", label="one thread,\ntimes workers")
