"""Pictures of results, to be read without the text (``--plot``). Only they import matplotlib."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from itertools import zip_longest
from pathlib import Path
from typing import Any

from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.ticker import StrMethodFormatter

from greenray.bench.ec_plot import draw_ec
from greenray.bench.panels import Group, Measure, PanelLine, panels_of
from greenray.bench.table import shown_unit
from greenray.bench.trust import busy_mark
from greenray.display.plot_parts import (
    COLOURS,
    FLOOR,
    OURS,
    SIMULATED,
    bar_style,
    caption,
    left_out_text,
    legend_patches,
    mark_figure,
    notes,
)
from greenray.display.units import number
from greenray.files.whole_file import write_whole
from greenray.protocol.errors import InvalidInput
from greenray.storage.direct_io import store_errors
from greenray.timeline.plot import draw_timeline

DRAWN_OTHERWISE = {"ec": draw_ec, "timeline": draw_timeline}
"""Not as panels of bars."""
_DOTS_PER_INCH = 90
_LINE_INCHES = 0.3
_GROUP_INCHES = 0.75
_HEAD_INCHES = 1.7
_PANEL_INCHES = 2.9
_LEGEND_INCHES = 2.2
_LEAST_WIDTH_INCHES = 8.5
_LABEL_INCHES = 0.075
"""Of a character."""
_ROOM_FOR_NUMBERS = 1.25


def draw(document: Mapping[str, Any], directory: Path, mark: str = "") -> Path:
    """``<bench>.png`` of one result document. The directory is made if needed. ``mark``: what else
    than the document says makes it worth less.

    Raises InvalidInput (there is nothing to draw), NoSpaceLeft, StoreError.
    """
    figure = marked(document, mark)
    FigureCanvasAgg(figure)
    path = directory / f"{document['bench']}.png"
    png = io.BytesIO()
    figure.savefig(png, format="png", dpi=_DOTS_PER_INCH, edgecolor=figure.get_edgecolor())
    with store_errors(directory, "write the picture"):
        directory.mkdir(parents=True, exist_ok=True)
        write_whole(path, png.getvalue())
    return path


def marked(document: Mapping[str, Any], mark: str = "") -> Figure:
    """The picture, with all that makes it worth less. Raises InvalidInput."""
    figure = DRAWN_OTHERWISE.get(document["bench"], bars)(document)
    marks = [told for told in (busy_mark(document["environment"]), mark) if told]
    mark_figure(figure, marks)
    return figure


def bars(document: Mapping[str, Any]) -> Figure:
    """A row of panels for each group of cases, a panel for each of its measures, a bar for each
    case. Raises InvalidInput: there is no case."""
    panels = panels_of(document)
    if not panels.groups:
        raise InvalidInput("there is nothing to draw", f"bench {document['bench']}")
    heights = [_GROUP_INCHES + _LINE_INCHES * len(group.lines) for group in panels.groups]
    longest = max(len(line.label) for group in panels.groups for line in group.lines)
    columns = max(len(group.measures) for group in panels.groups)
    patches = legend_patches(
        who_of(line.any_row) for group in panels.groups for line in group.lines
    )
    legend_inches = _LEGEND_INCHES if len(patches) > 1 else 0.0
    panels_inches = _LABEL_INCHES * longest + _PANEL_INCHES * columns
    width = max(_LEAST_WIDTH_INCHES, panels_inches) + legend_inches
    figure = Figure(figsize=(width, sum(heights) + _HEAD_INCHES), layout="constrained")
    figure.set_layout_engine("constrained", w_pad=0.08, h_pad=0.08)
    axes = figure.subplots(
        len(heights), columns, height_ratios=heights, squeeze=False, sharey="row"
    )
    for of_group, group in zip(axes, panels.groups, strict=True):
        _draw_group(of_group, group, panels.measures)
    shared = f"\n{', '.join(panels.shared)}" if panels.shared else ""
    figure.suptitle(panels.title + shared, fontsize=12)
    if legend_inches:
        figure.legend(handles=patches, loc="outside right upper", fontsize=9, frameon=False)
    logarithmic = any(m.logarithmic for m in panels.measures)
    bars_are = "bars (diamonds where an axis is logarithmic)" if logarithmic else "bars"
    notes(
        figure,
        caption(document, f"{bars_are} are medians, dots single ones"),
        left_out_text(panels.left_out, width),
    )
    return figure


def _draw_group(axes: Sequence[Axes], group: Group, measures: Sequence[Measure]) -> None:
    """Panels that there are more of in other groups stay empty."""
    for axis, position in zip_longest(axes, group.measures):
        if position is None:
            axis.set_axis_off()
        else:
            _panel(axis, measures[position], group.lines, position)
    axes[0].set_yticks(range(len(group.lines)), [line.label for line in group.lines], fontsize=9)
    axes[0].set_ylim(len(group.lines) - 0.5, -0.5)
    if group.name:
        axes[0].set_title(f"{group.name}\n{axes[0].get_title()}", fontsize=10)


def who_of(row: Mapping[str, Any]) -> str:
    """Who did the work: one of ``COLOURS``."""
    kind = str(row["kind"])
    if kind.startswith(SIMULATED):
        return SIMULATED
    if kind.startswith("floor") or ", floor" in kind or kind == "chain alone":
        return FLOOR
    return row["worker_kind"] if row["worker_kind"] in COLOURS else OURS


def _panel(axis: Axes, measure: Measure, lines: Sequence[PanelLine], position: int) -> None:
    if measure.logarithmic:
        axis.set_xscale("log")
        axis.xaxis.set_major_formatter(StrMethodFormatter("{x:g}"))
    for place, line in enumerate(lines):
        if position in line.rows:
            _bar(axis, measure, place, line.rows[position])
    _reference(axis, measure)
    axis.set_title(measure.title, fontsize=10)
    axis.set_xlabel(measure.axis, fontsize=9)
    axis.grid(axis="x", alpha=0.3)
    _limit(axis, measure, [line.rows[position] for line in lines if position in line.rows])


def _bar(axis: Axes, measure: Measure, place: int, row: Mapping[str, Any]) -> None:
    scale, _ = shown_unit(measure.unit)
    median, low, high = (row[name] / scale for name in ("median", "minimum", "maximum"))
    repeats = [value / scale for value in row["values"]]
    style = bar_style(who_of(row))
    if measure.logarithmic:
        axis.plot([median], [place], "D", color=style["facecolor"], markersize=8)
    else:
        axis.barh(place, median, height=0.62, **style)
    axis.hlines(place, low, high, color="black", linewidth=1.2)
    axis.plot(repeats, [place] * len(repeats), "o", color="black", markersize=2.5)
    axis.annotate(
        number(median),
        (high, place),
        xytext=(6, 0),
        textcoords="offset points",
        va="center",
        fontsize=9,
    )


def _reference(axis: Axes, measure: Measure) -> None:
    if measure.reference is None:
        return
    at, what = measure.reference
    axis.axvline(at, color="0.25", linestyle="--", linewidth=1.2)
    axis.annotate(
        what,
        (at, 0),
        xycoords=("data", "axes fraction"),
        xytext=(-3, 4),
        textcoords="offset points",
        ha="right",
        fontsize=8,
        color="0.25",
        bbox={"facecolor": "white", "edgecolor": "none", "alpha": 0.8, "pad": 1},
    )


def _limit(axis: Axes, measure: Measure, rows: Sequence[Mapping[str, Any]]) -> None:
    """From zero, where it is not logarithmic, and with room for the numbers at the bars."""
    scale, _ = shown_unit(measure.unit)
    largest = max(row["maximum"] for row in rows) / scale
    if measure.reference is not None:
        largest = max(largest, measure.reference[0])
    if measure.logarithmic:
        smallest = min(row["minimum"] for row in rows) / scale
        axis.set_xlim(smallest / 1.6, largest * 4)
    elif largest > 0:
        axis.set_xlim(0, largest * _ROOM_FOR_NUMBERS)
