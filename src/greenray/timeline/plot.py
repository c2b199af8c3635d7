"""The picture of ``bench timeline``: a row for each stage, a colour for each batch, idle cores."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from greenray.display.plot_parts import origin
from greenray.display.units import size
from greenray.timeline.values import StageRow, Timeline

_ROW_INCHES = 0.22
_WIDTH_INCHES = 12
_HEAD_INCHES = 3.2
_ONCE_COLOUR = "0.2"
_IDLE_COLOUR = "#B8A9C9"
_BATCH_COLOURS = "Purples"
_LIGHTEST = 0.35
"""Batches are shades of one colour, which means nothing else in any picture: light is early."""
_STATE_COLOURS = ("0.75", "0.87")


def draw_timeline(document: Mapping[str, Any]) -> Figure:
    timeline = Timeline.from_json(document["summary"]["timeline"])
    rows = timeline.rows
    heights = (_ROW_INCHES * (len(rows) + 1), 1.1)
    figure = Figure(figsize=(_WIDTH_INCHES, sum(heights) + _HEAD_INCHES / 2), layout="constrained")
    stages, idle = figure.subplots(2, 1, sharex=True, height_ratios=heights)
    _draw_states(stages, timeline)
    _draw_stages(stages, rows, timeline.batches)
    _draw_idle(idle, timeline)
    idle.set_xlim(0, timeline.end_s)
    idle.set_xlabel(
        "seconds; a shade of purple is a batch, later ones are darker, black is what is done once"
    )
    figure.suptitle(
        f"One object of {size(timeline.payload_size_bytes)} in {timeline.batches} batches, "
        "from its first byte to the seal"
    )
    figure.supxlabel(origin(document), fontsize=8, color="0.35")
    return figure


def _draw_states(axes: Axes, timeline: Timeline) -> None:
    """As bands behind the stages, named where there is room."""
    for number, state in enumerate(timeline.states):
        end_s = timeline.end_s if state.end_s is None else state.end_s
        axes.axvspan(state.start_s, end_s, color=_STATE_COLOURS[number % 2], alpha=0.5, lw=0)
        if end_s - state.start_s > timeline.end_s / 8:
            middle_s = (state.start_s + end_s) / 2
            axes.text(middle_s, -0.85, state.state.name, ha="center", va="center", fontsize=8)


def _draw_stages(axes: Axes, rows: Sequence[StageRow], batches: int) -> None:
    colours = colormaps[_BATCH_COLOURS]
    for position, row in enumerate(rows):
        axes.broken_barh(
            [(span.start_s, span.end_s - span.start_s) for span in row.spans],
            (position - 0.4, 0.8),
            facecolors=[
                _ONCE_COLOUR if span.batch is None else colours(_shade(span.batch, batches))
                for span in row.spans
            ],
            edgecolor="white",
            linewidth=0.3,
        )
    axes.set_yticks(range(len(rows)), [row.label for row in rows], fontsize=8)
    axes.set_ylim(len(rows) - 0.4, -1.4)
    axes.grid(axis="x", alpha=0.3)


def _shade(batch: int, batches: int) -> float:
    return _LIGHTEST + (1 - _LIGHTEST) * (batch + 0.5) / batches


def _draw_idle(axes: Axes, timeline: Timeline) -> None:
    cores = 1
    for node in timeline.cpu:
        if node.use:
            cores = max(cores, len(node.use[0].busy_shares))
            edges = [use.start_s for use in node.use] + [node.use[-1].end_s]
            axes.stairs([use.idle_cores for use in node.use], edges, fill=True, color=_IDLE_COLOUR)
    axes.set_ylim(0, cores)
    axes.set_ylabel(f"idle of\n{cores} cores", fontsize=8)
    axes.grid(alpha=0.3)
