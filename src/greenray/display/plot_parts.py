"""What all pictures of measurements have: what a colour means, and what stands below them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from textwrap import fill
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from matplotlib.figure import Figure
    from matplotlib.patches import Patch

OURS = "greenray"
FLOOR = "floor: plain processes,\nonly the unavoidable"
SIMULATED = "simulated"
COLOURS: Mapping[str, str] = {
    OURS: "#0072B2",
    "threads": "#E69F00",
    "processes": "#A6761D",
    "ray tasks": "#D55E00",
    "ray batch tasks": "#CC79A7",
    "ray actors": "#009E73",
    "ray shared tasks": "#56B4E9",
    "ray shared actors": "#000000",
    FLOOR: "#C8C8C8",
    SIMULATED: "#FFFFFF",
}
"""By who did the work, the same in all pictures. The floor is hatched as well, what is simulated
has an outline only."""
_HATCHED = "///"
_NOTE_COLOUR = "0.35"
_NOTE_CHARACTERS_PER_INCH = 14
_WARNING_COLOUR = "#B00020"


def bar_style(who: str) -> dict[str, Any]:
    """Of bars and patches of matplotlib."""
    if who == SIMULATED:
        return {"facecolor": COLOURS[who], "edgecolor": COLOURS[OURS], "linestyle": "--"}
    if who == FLOOR:
        return {"facecolor": COLOURS[who], "edgecolor": "0.45", "hatch": _HATCHED, "linewidth": 0.6}
    return {"facecolor": COLOURS[who], "edgecolor": COLOURS[who], "alpha": 0.85}


def legend_patches(those: Iterable[str]) -> list[Patch]:
    """One for each of ``COLOURS`` that is among ``those``."""
    from matplotlib.patches import Patch

    found = set(those)
    return [Patch(label=who, **bar_style(who)) for who in COLOURS if who in found]


def mark_figure(figure: Figure, marks: Sequence[str]) -> None:
    """What makes the numbers worth less stands below the title, and the picture is red with it."""
    if marks:
        told = "\n".join([figure.get_suptitle(), *marks])
        figure.suptitle(told, fontsize=12, color=_WARNING_COLOUR)
        figure.patch.set(edgecolor=_WARNING_COLOUR, linewidth=6)


def notes(figure: Figure, *lines: str) -> None:
    """In grey, below everything."""
    figure.supxlabel("\n".join(line for line in lines if line), fontsize=8, color=_NOTE_COLOUR)


def caption(document: Mapping[str, Any], marks: str) -> str:
    """How to read it, and where and when it was measured. ``marks``: what shows what."""
    repeats = max((row["repeats"] for row in document["rows"]), default=0)
    return (
        f"Up to {repeats} repeats: {marks}, whiskers go from the smallest to the largest.\n"
        f"{origin(document)}"
    )


def origin(document: Mapping[str, Any]) -> str:
    """Where and when it was measured."""
    environment = document["environment"]
    quick = "quick run, for a first look only; " if document["quick"] else ""
    return (
        f"{quick}greenray bench {document['bench']}, "
        f"{environment['processor']}, {environment['cores']} cores, {environment['kernel']}, "
        f"{environment['measured_at'][:10]}"
    )


def left_out_text(what: Iterable[str], width_inches: float) -> str:
    """Lines that fit into so wide a picture; empty when nothing is left out."""
    named = ", ".join(what)
    if not named:
        return ""
    return fill(
        f"Not drawn, in the table only: {named}.", int(width_inches * _NOTE_CHARACTERS_PER_INCH)
    )
