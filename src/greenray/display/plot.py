"""Pictures for notebooks: modest PNGs, without pyplot's global figures."""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from greenray.files.whole_file import write_whole

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

COLOURS = ("#0072B2", "#E69F00", "#009E73", "#D55E00", "#CC79A7", "#56B4E9", "#000000")
MARKERS = "osv^DPX"
_DPI = 80


@dataclass(frozen=True, slots=True)
class Plot:
    """A drawn figure; a notebook shows it as a picture."""

    figure: Figure

    def _repr_png_(self) -> bytes:
        png = io.BytesIO()
        self.figure.savefig(png, format="png", dpi=_DPI)
        return png.getvalue()

    def save(self, path: str | Path) -> Path:
        """As a PNG file."""
        target = Path(path)
        write_whole(target, self._repr_png_())
        return target


@dataclass(frozen=True, slots=True)
class Line:
    """Points with their smallest and largest values; ``lows`` and ``highs`` may be the values."""

    label: str
    xs: Sequence[float]
    ys: Sequence[float]
    lows: Sequence[float]
    highs: Sequence[float]


def new_axes(title: str, width_inches: float = 8.0, height_inches: float = 4.0) -> Axes:
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width_inches, height_inches), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.subplots()
    axes.set_title(title, fontsize=11)
    axes.grid(alpha=0.3)
    return axes


def draw_lines(axes: Axes, lines: Sequence[Line]) -> None:
    """Markers are the points, whiskers their ranges."""
    for number, line in enumerate(lines):
        below = [y - low for y, low in zip(line.ys, line.lows, strict=True)]
        above = [high - y for y, high in zip(line.ys, line.highs, strict=True)]
        axes.errorbar(
            line.xs,
            line.ys,
            yerr=(below, above),
            color=COLOURS[number % len(COLOURS)],
            marker=MARKERS[number % len(MARKERS)],
            capsize=3,
            label=line.label,
        )


def finished(axes: Axes, caption: str = "") -> Plot:
    """With a legend beside the axes, and ``caption`` below."""
    figure = axes.figure.get_figure(root=True)
    assert figure is not None  # axes are of a figure
    if len(axes.get_legend_handles_labels()[1]) > 1:
        figure.legend(loc="outside right upper", fontsize=9, frameon=False)
    figure.supxlabel(caption, fontsize=8, color="0.35")
    return Plot(figure)
