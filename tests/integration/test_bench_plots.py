"""Pictures have titles, labelled axes with units, and the spread of the repeats."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from matplotlib.axes import Axes
from matplotlib.colors import to_rgb
from matplotlib.container import ErrorbarContainer
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Rectangle, StepPatch
from matplotlib.text import Text

from greenray.bench import plots
from greenray.bench.bundle import BundleBenchOptions, BundleCost, bundle_rows
from greenray.bench.ec_plot import draw_ec
from greenray.bench.panels import panels_of
from greenray.bench.records import (
    CPU_METRIC,
    EVERYTHING,
    BenchResult,
    Case,
    Row,
    read_results,
)
from greenray.bench.scrub import Reading, ScrubRound, scrub_rows
from greenray.cluster.config.settings import Settings
from greenray.display.plot_parts import COLOURS, FLOOR, OURS, SIMULATED
from greenray.protocol.errors import InvalidInput
from greenray.timeline.plot import draw_timeline
from tests.support.timelines import timeline_document

ENVIRONMENT = {
    "processor": "a processor",
    "cores": 2,
    "kernel": "Linux 6",
    "measured_at": "2026-01-02T03:04:05+00:00",
}


def document(bench: str, *rows: Row, quick: bool = False) -> dict[str, Any]:
    return BenchResult(bench, quick, ENVIRONMENT, rows, {}).to_json()


def ec_document(
    shapes: Sequence[tuple[int, int]] = ((4, 2),), sizes_bytes: Sequence[int] = (16 << 20,)
) -> dict[str, Any]:
    rows = [
        Row(
            Case(operation, kind, codec, k, m, size_bytes, workers=workers),
            metric,
            unit,
            (0.9 * workers, 1.0 * workers, 1.3 * workers),
        )
        for k, m in shapes
        for size_bytes in sizes_bytes
        for operation in ("encode", "reconstruct 1")
        for codec in ("isal", "zfec")
        for kind in ("threads", "ray tasks")
        for workers in (1, 2)
        for metric, unit in (("payload", "MB/s"), (CPU_METRIC, "s/GB"))
    ]
    step = Case("call", "ray actors", "isal", 4, 2, 16 << 20, workers=1)
    return document("ec", *rows, Row(step, "payload", "MB/s", (9.0,)))


PUBLISHED = Path(__file__).parents[2] / "docs" / "performance"
SEAL_ROW = Row(Case("chain alone"), "seals", "seals/s", (100.0, 110.0, 90.0))
SEAL = document(
    "seal",
    SEAL_ROW,
    Row(Case("through the signer"), "seals", "seals/s", (50.0, 55.0, 45.0)),
    Row(Case("chain alone"), "CPU per seal", "ms", (5.0,), higher_is_better=False),
    quick=True,
)


def lines_of(axis: Axes) -> dict[str, Line2D]:
    """By label, those with whiskers."""
    found = {}
    for container in axis.containers:
        assert isinstance(container, ErrorbarContainer)
        assert isinstance(container.lines[0], Line2D)
        found[str(container.get_label())] = container.lines[0]
    return found


def texts(figure: Figure) -> str:
    return "\n".join(found.get_text() for found in figure.findobj(Text) if isinstance(found, Text))


@pytest.mark.parametrize("of", [SEAL, ec_document()], ids=["bars", "ec"])
def test_a_result_becomes_a_png(tmp_path: Path, of: dict[str, Any]) -> None:
    path = plots.draw(of, tmp_path / "new")
    assert path == tmp_path / "new" / f"{of['bench']}.png"
    assert path.read_bytes().startswith(b"\x89PNG\r\n\x1a\n")


def test_bars_have_a_panel_for_each_measure_and_a_label_for_each_case() -> None:
    figure = plots.bars(SEAL)
    seals, of_chain, cpu = figure.axes
    assert seals.get_xlabel() == "seals/s (longer is better)"
    assert cpu.get_xlabel() == "ms (shorter is better)"
    labels = [label.get_text() for label in seals.get_yticklabels()]
    assert labels == ["chain alone", "through the signer"]
    assert seals.get_xlim()[0] == 0
    assert of_chain.get_title() == "Of the chain alone"


def test_bars_show_the_median_and_every_repeat() -> None:
    seals, *_ = plots.bars(SEAL).axes
    bars = [patch for patch in seals.patches if isinstance(patch, Rectangle)]
    assert [bar.get_width() for bar in bars] == [100.0, 50.0]
    assert {text.get_text() for text in seals.texts} == {"100", "50.0"}
    assert sorted(np.asarray(seals.lines[0].get_xdata())) == [90.0, 100.0, 110.0]


def test_the_ratio_of_two_sides_that_took_turns_is_drawn_with_the_line_of_the_floor() -> None:
    _, of_chain, _ = plots.bars(SEAL).axes
    [bar] = [patch for patch in of_chain.patches if isinstance(patch, Rectangle)]
    assert bar.get_width() == 0.5, "repeat by repeat, as they took turns"
    dashed = [line for line in of_chain.lines if line.get_linestyle() == "--"]
    assert [list(np.asarray(line.get_xdata())) for line in dashed] == [[1.0, 1.0]]
    assert "chain alone" in {text.get_text() for text in of_chain.texts}


def test_what_all_rows_share_stands_in_the_title_once() -> None:
    rows = [
        Row(Case(kind, object_size_bytes=1 << 20), "payload", "MB/s", (1.0,))
        for kind in ("PUT", "GET")
    ]
    figure = plots.bars(document("gateway", *rows))
    assert "objects of 1 MiB" in texts(figure)
    assert [label.get_text() for label in figure.axes[0].get_yticklabels()] == ["PUT", "GET"]


def test_sizes_have_panels_of_their_own_where_they_are_not_what_is_compared() -> None:
    rows = [
        Row(Case(kind, column_size_bytes=size_bytes), "payload", "MB/s", (1.0,))
        for size_bytes in (10_000, 1 << 20)
        for kind in ("write file", "read file")
    ]
    figure = plots.bars(document("store", *rows))
    assert [axis.get_title().partition("\n")[0] for axis in figure.axes] == [
        "columns of 10 KB",
        "columns of 1 MiB",
    ]
    for axis in figure.axes:
        labels = [label.get_text() for label in axis.get_yticklabels()]
        assert labels == ["write file", "read file"]


def test_stages_of_different_magnitude_have_axes_of_their_own() -> None:
    encode = Case("encode", "threads", "isal", 4, 2, workers=1)
    rows = [
        Row(encode, "payload", "MB/s", (20_000.0,)),
        Row(Case("pipeline, 8 in turn", workers=1), "upload to sealed", "MB/s", (300.0,)),
        Row(Case("floor, 8 in turn", workers=1), "stored", "MB/s", (500.0,)),
        Row(Case("simulated, 2 nodes, limited by links"), "throughput", "GB/s", (1.3,)),
    ]
    encoding, pipeline, simulated = plots.bars(document("scaling", *rows)).axes
    assert encoding.get_xlim()[1] > 20_000
    assert 500 < pipeline.get_xlim()[1] < 1000
    assert simulated.get_xlim()[1] < 3


def test_a_colour_has_one_meaning_in_all_pictures() -> None:
    """What bars and lines are painted with is told by who did the work, and by nothing else."""
    scaling = plots.bars(
        document(
            "scaling",
            Row(Case("encode", "ray tasks", workers=1), "payload", "MB/s", (1.0,)),
            Row(Case("floor", workers=1), "stored", "MB/s", (1.0,)),
        )
    )
    painted = [axis.patches[0].get_facecolor()[:3] for axis in scaling.axes]
    assert painted == [to_rgb(COLOURS["ray tasks"]), to_rgb(COLOURS[FLOOR])]
    lines = lines_of(draw_ec(ec_document()).axes[0])
    assert to_rgb(lines["ray tasks"].get_color()) == to_rgb(COLOURS["ray tasks"])
    assert len(set(COLOURS.values())) == len(COLOURS)
    assert plots.who_of(ec_document()["rows"][0]) == "threads"


@pytest.mark.parametrize(
    ("kind", "who"),
    [
        ("PUT", OURS),
        ("PUT, floor", FLOOR),
        ("GET, floor that rebuilds", FLOOR),
        ("floor, 8 in turn", FLOOR),
        ("chain alone", FLOOR),
        ("simulated, 1 node, limited by links", SIMULATED),
    ],
)
def test_the_floor_looks_like_the_floor_everywhere(kind: str, who: str) -> None:
    assert plots.who_of(Row(Case(kind), "x", "MB/s", (1.0,)).to_json()) == who


def test_a_busy_machine_is_told_in_the_picture_and_makes_it_red() -> None:
    busy = {**SEAL, "environment": {**ENVIRONMENT, "other_programs_cores": 1.0}}
    figure = plots.marked(busy)
    assert "busy machine: other programs took 1 of 2 cores" in figure.get_suptitle()
    assert to_rgb(figure.get_edgecolor()) == to_rgb("#B00020")
    alone = plots.marked(SEAL)
    assert "busy" not in alone.get_suptitle()
    assert figure.get_edgecolor() != alone.get_edgecolor()


def test_pictures_of_results_of_several_machines_say_so() -> None:
    assert (
        "of another machine" in plots.marked(SEAL, "others are of another machine").get_suptitle()
    )


def scrub_document() -> dict[str, Any]:
    reading = Reading(2 << 30, 2.0, 3.0)
    one = ScrubRound(reading, reading, 2.0, 2.5, 2.0, 2.0)
    return document("scrub", *scrub_rows(1 << 30, True, [one, one]))


def bundle_document() -> dict[str, Any]:
    options = BundleBenchOptions(Settings(), 10_000, 100, 1, Path())
    return document("bundle", *bundle_rows(options, True, [BundleCost(8, 5, 1, 3, 4, 1)], [2.0]))


@pytest.mark.parametrize(
    "of",
    [
        *(of for of in read_results(PUBLISHED) if of["bench"] not in ("ec", "timeline")),
        scrub_document(),
        bundle_document(),
    ],
    ids=lambda of: str(of["bench"]),
)
def test_every_row_is_drawn_or_named(of: dict[str, Any]) -> None:
    panels = panels_of(of)
    drawn = [
        (row["kind"], row["metric"], row["unit"], tuple(row["values"]))
        for group in panels.groups
        for line in group.lines
        for row in line.rows.values()
    ]
    for row in of["rows"]:
        is_drawn = (row["kind"], row["metric"], row["unit"], tuple(row["values"])) in drawn
        assert is_drawn or any(name.startswith(row["metric"]) for name in panels.left_out)


def test_the_loss_beside_a_scrub_and_the_noise_are_in_one_panel() -> None:
    *_, kept = plots.bars(scrub_document()).axes
    bars = [patch for patch in kept.patches if isinstance(patch, Rectangle)]
    assert [bar.get_width() for bar in bars] == [0.8, 1.0]
    assert "nothing lost" in {text.get_text() for text in kept.texts}


def test_a_bundle_is_drawn_beside_its_floor_whose_time_is_less() -> None:
    panels = panels_of(bundle_document())
    [ratio] = [
        row["median"]
        for group in panels.groups
        for line in group.lines
        for row in line.rows.values()
        if row["unit"] == "ratio"
    ]
    assert ratio == 0.25, "the floor took 2 s and the command 8 s"
    assert "command to sealed in files/s" in panels.left_out


def test_what_is_not_drawn_is_named_below() -> None:
    more = Row(Case("chain alone"), "something else", "furlongs", (1.0,))
    run = Row(EVERYTHING, "peak memory", "bytes", (1.0,))
    figure = plots.bars(document("seal", SEAL_ROW, more, run))
    shown = texts(figure)
    assert "Not drawn, in the table only: something else, peak memory of the whole run." in shown


def test_a_benchmark_that_nobody_planned_has_a_panel_for_each_metric() -> None:
    rows = [Row(Case("x"), metric, unit, (1.0,)) for metric, unit in (("a", "s"), ("b", "bytes"))]
    titles = [axis.get_title() for axis in plots.bars(document("new", *rows)).axes]
    assert titles == ["a", "b"]


def test_a_result_without_cases_is_one_clear_error() -> None:
    with pytest.raises(InvalidInput, match="nothing to draw"):
        plots.bars(document("seal"))


def test_caption_says_where_it_was_measured_and_that_it_was_quick() -> None:
    shown = texts(plots.bars(SEAL))
    assert "a processor, 2 cores, Linux 6, 2026-01-02" in shown
    assert "quick run" in shown
    assert "whiskers" in shown


def test_ec_has_a_row_of_panels_per_shape_and_codec_and_panels_for_what_it_costs() -> None:
    figure = draw_ec(ec_document())
    assert [(axis.get_title(), axis.get_ylabel()) for axis in figure.axes] == [
        ("encode, 4+2, isal", "GB/s of payload"),
        ("rebuild 1 lost shard, 4+2, isal", ""),
        ("encode, 4+2, isal", "CPU seconds per GB (lower is better)"),
        ("encode, 4+2, isal", "of the rate of as many threads"),
        ("encode, 4+2, zfec", "GB/s of payload"),
        ("rebuild 1 lost shard, 4+2, zfec", ""),
        ("encode, 4+2, zfec", "CPU seconds per GB (lower is better)"),
        ("encode, 4+2, zfec", "of the rate of as many threads"),
    ]
    assert figure.axes[-1].get_xlabel() == "workers side by side"
    for name in ("threads", "ray tasks", "one thread,\ntimes workers"):
        assert name in texts(figure)
    named = "Not drawn, in the table only: what a call of an actor is made of."
    assert named in texts(figure)


def test_ec_shows_what_ray_reaches_of_as_many_threads() -> None:
    rows = [
        Row(Case("encode", kind, "isal", 4, 2, 1 << 20, workers=1), metric, unit, values)
        for kind, values in (("threads", (10.0, 20.0, 40.0)), ("ray tasks", (1.0, 4.0, 4.0)))
        for metric, unit in (("payload", "MB/s"), (CPU_METRIC, "s/GB"))
    ]
    of_threads = draw_ec(document("ec", *rows)).axes[-1]
    lines = lines_of(of_threads)
    shares = np.asarray(lines["ray tasks"].get_ydata())
    assert list(shares) == [0.1], "the median of 0.1, 0.2 and 0.1"
    assert list(np.asarray(lines["threads"].get_ydata())) == [1.0]


def test_every_shape_of_ec_is_drawn_and_what_is_not_is_named() -> None:
    shapes = ((10, 4), (4, 2), (8, 3), (16, 4))
    figure = draw_ec(ec_document(shapes, (1 << 20, 16 << 20)))
    drawn = {axis.get_title() for axis in figure.axes}
    assert drawn >= {f"encode, {k}+{m}, isal" for k, m in shapes}
    assert "Not drawn, in the table only: segments of 1 MiB, codec zfec, what a" in texts(figure)


def test_a_timeline_has_a_row_for_every_stage_and_one_for_idle_cores() -> None:
    drawn = document("timeline", Row(Case("sealed"), "in progress", "s", (2.0,)))
    figure = draw_timeline({**drawn, "summary": {"timeline": timeline_document()}})
    stages, idle = figure.axes
    labels = [label.get_text() for label in stages.get_yticklabels()]
    assert labels == ["received", "hashed", "sent 0", "stored 0", "sent 1", "sealed"]
    assert "SEAL_OBJECT_TX_DOING" in {text.get_text() for text in stages.texts}
    assert idle.get_ylabel() == "idle of\n2 cores"
    assert "seconds" in idle.get_xlabel()
    [steps] = idle.patches
    assert isinstance(steps, StepPatch)
    values, _, _ = steps.get_data()
    assert list(values) == [1.0, 2.0]


def test_a_timeline_without_samples_is_drawn_all_the_same() -> None:
    drawn = document("timeline", Row(Case("sealed"), "in progress", "s", (2.0,)))
    figure = draw_timeline({**drawn, "summary": {"timeline": timeline_document(cpu=[])}})
    assert not figure.axes[1].patches
