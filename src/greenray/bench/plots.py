"""Pictures of results, to be read without the text (``--plot``). Only they import matplotlib."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from greenray.bench.ec_plot import draw_ec
from greenray.bench.records import EVERYTHING
from greenray.bench.table import case_parts, shared_parts, size_part
from greenray.display.plot_parts import caption
from greenray.display.units import number
from greenray.files.whole_file import write_whole
from greenray.storage.direct_io import store_errors
from greenray.timeline.plot import draw_timeline

_PANELS = {
    "MB/s": "MB/s of payload (longer is better)",
    "seals/s": "seals per second (longer is better)",
    "objects/s": "objects per second (longer is better)",
    "ms": "milliseconds (shorter is better)",
    "s": "seconds (shorter is better)",
    "s/GB": "CPU seconds of all processes per GB of payload (shorter is better)",
    "bytes": "memory of all processes, MB (shorter is better)",
}
"""By unit, from top to bottom; what is in no panel is in the tables only."""

_TITLES = {
    "hash": "SHA-256: one stream, many, and segments with their pieces",
    "store": "Piece stores: writing and reading columns",
    "gateway": "HTTP gateway beside a plain process",
    "scrub": "Scrubs, beside a plain loop, and beside uploads",
    "scaling": "What more cores and nodes bring",
    "seal": "Seals per second",
    "small": "Small objects: from put to sealed",
    "bundle": "Small files as one object: whole commands",
    "pipeline": "Upload to sealed, beside plain processes that do only the unavoidable",
    "memory": "Peak memory by object size",
}
_BY_SIZE = ("hash", "store", "gateway")
"""What has a panel for each size."""
_DRAWN_OTHERWISE = {"ec": draw_ec, "timeline": draw_timeline}
_COLOURS = ("#0072B2", "#E69F00", "#009E73", "#CC79A7", "#56B4E9", "#D55E00")
_DOTS_PER_INCH = 90
_BAR_INCHES = 0.32
_PANEL_INCHES = 1.0
_WIDTH_INCHES = 11


def draw(document: Mapping[str, Any], directory: Path) -> Path:
    """``<bench>.png`` of one result document. The directory is made if needed.

    Raises NoSpaceLeft, StoreError.
    """
    figure = _DRAWN_OTHERWISE.get(document["bench"], bars)(document)
    FigureCanvasAgg(figure)
    path = directory / f"{document['bench']}.png"
    png = io.BytesIO()
    figure.savefig(png, format="png", dpi=_DOTS_PER_INCH)
    with store_errors(directory, "write the picture"):
        directory.mkdir(parents=True, exist_ok=True)
        write_whole(path, png.getvalue())
    return path


def bars(document: Mapping[str, Any]) -> Figure:
    """One panel per unit, one bar per row."""
    panels = _panels(document)
    heights = [_PANEL_INCHES + _BAR_INCHES * len(rows) for _, rows in panels]
    figure = Figure(figsize=(_WIDTH_INCHES, sum(heights) + 1.0), layout="constrained")
    axes = figure.subplots(len(panels), 1, height_ratios=heights, squeeze=False)[:, 0]
    shared = shared_parts(row for _, rows in panels for row in rows)
    subtitle = f"\n{', '.join(shared)}" if shared else ""
    figure.suptitle(_TITLES.get(document["bench"], document["bench"]) + subtitle)
    for axis, (axis_label, rows) in zip(axes, panels, strict=True):
        _panel(axis, axis_label, rows, shared)
    figure.supxlabel(
        caption(document, "bars are medians, dots single ones"), fontsize=8, color="0.35"
    )
    return figure


def _panels(document: Mapping[str, Any]) -> list[tuple[str, list[Mapping[str, Any]]]]:
    """(axis label, rows) by unit and, where sizes are not what is compared, by size."""
    of_cases = [row for row in document["rows"] if row["kind"] != EVERYTHING.kind]
    panels: dict[tuple[str, str], list[Mapping[str, Any]]] = {}
    for row in of_cases:
        if row["unit"] in _PANELS:
            part = size_part(row) if document["bench"] in _BY_SIZE else ""
            panels.setdefault((row["unit"], part), []).append(row)
    by_unit = sorted(panels.items(), key=lambda item: list(_PANELS).index(item[0][0]))
    return [
        (f"{part}: {_PANELS[unit]}" if part else _PANELS[unit], rows)
        for (unit, part), rows in by_unit
    ]


def _panel(
    axis: Axes, axis_label: str, rows: Sequence[Mapping[str, Any]], shared: Sequence[str]
) -> None:
    kinds = list(dict.fromkeys(row["kind"] for row in rows))
    metrics = {row["metric"] for row in rows}
    scale = 1e-6 if rows[0]["unit"] == "bytes" else 1.0
    largest = max(row["maximum"] for row in rows) * scale
    for position, row in enumerate(rows):
        median, low, high = (row[name] * scale for name in ("median", "minimum", "maximum"))
        colour = _COLOURS[kinds.index(row["kind"]) % len(_COLOURS)]
        axis.barh(position, median, color=colour, height=0.62, alpha=0.75)
        axis.hlines(position, low, high, color="black", linewidth=1.2)
        repeats = [value * scale for value in row["values"]]
        axis.plot(repeats, [position] * len(repeats), "o", color="black", markersize=2.5)
        axis.text(high + 0.01 * largest, position, number(median), va="center", fontsize=9)
    axis.set_yticks(
        range(len(rows)),
        [_label(row, shared, with_metric=len(metrics) > 1) for row in rows],
        fontsize=9,
    )
    axis.invert_yaxis()
    axis.set_xlim(0, largest * 1.12)
    axis.set_xlabel(axis_label)
    axis.grid(axis="x", alpha=0.3)


def _label(row: Mapping[str, Any], shared: Sequence[str], *, with_metric: bool) -> str:
    hidden = {*shared, size_part(row)} if row["bench"] in _BY_SIZE else {*shared}
    case = ", ".join(part for part in case_parts(row) if part not in hidden)
    if not with_metric:
        return case or row["metric"]
    return f"{case}: {row['metric']}" if case else row["metric"]
