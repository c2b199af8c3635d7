"""Pictures have titles, labelled axes with units, and the spread of the repeats."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle, StepPatch
from matplotlib.text import Text

from greenray.bench import plots
from greenray.bench.ec_plot import draw_ec
from greenray.bench.records import CPU_METRIC, BenchResult, Case, Row
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


SEAL = document(
    "seal",
    Row(Case("chain alone"), "seals", "seals/s", (100.0, 110.0, 90.0)),
    Row(Case("through the signer"), "seals", "seals/s", (50.0, 55.0, 45.0)),
    Row(Case("chain alone"), "CPU per seal", "ms", (5.0,), higher_is_better=False),
    quick=True,
)


def texts(figure: Figure) -> str:
    return "\n".join(found.get_text() for found in figure.findobj(Text) if isinstance(found, Text))


@pytest.mark.parametrize("of", [SEAL, ec_document()], ids=["bars", "ec"])
def test_a_result_becomes_a_png(tmp_path: Path, of: dict[str, Any]) -> None:
    path = plots.draw(of, tmp_path / "new")
    assert path == tmp_path / "new" / f"{of['bench']}.png"
    assert path.read_bytes().startswith(b"\x89PNG\r\n\x1a\n")


def test_bars_have_a_panel_per_unit_and_a_label_per_row() -> None:
    figure = plots.bars(SEAL)
    rates, times = figure.axes
    assert rates.get_xlabel() == "seals per second (longer is better)"
    assert times.get_xlabel() == "milliseconds (shorter is better)"
    labels = [label.get_text() for label in rates.get_yticklabels()]
    assert labels == ["chain alone", "through the signer"]
    assert rates.get_xlim()[0] == 0


def test_bars_show_the_median_and_every_repeat() -> None:
    rates, _ = plots.bars(SEAL).axes
    bars = [patch for patch in rates.patches if isinstance(patch, Rectangle)]
    assert [bar.get_width() for bar in bars] == [100.0, 50.0]
    assert {text.get_text() for text in rates.texts} == {"100", "50.0"}
    assert sorted(np.asarray(rates.lines[0].get_xdata())) == [90.0, 100.0, 110.0]


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
    assert [axis.get_xlabel().partition(":")[0] for axis in figure.axes] == [
        "columns of 10 KB",
        "columns of 1 MiB",
    ]
    for axis in figure.axes:
        labels = [label.get_text() for label in axis.get_yticklabels()]
        assert labels == ["write file", "read file"]


def test_caption_says_where_it_was_measured_and_that_it_was_quick() -> None:
    shown = texts(plots.bars(SEAL))
    assert "a processor, 2 cores, Linux 6, 2026-01-02" in shown
    assert "quick run" in shown
    assert "whiskers" in shown


def test_ec_has_a_row_of_panels_per_shape_and_codec_and_one_panel_for_what_it_costs() -> None:
    figure = draw_ec(ec_document())
    assert [(axis.get_title(), axis.get_ylabel()) for axis in figure.axes] == [
        ("encode, 4+2, isal", "GB/s of payload"),
        ("rebuild 1 lost shard, 4+2, isal", ""),
        ("encode, 4+2, isal", "CPU seconds per GB (lower is better)"),
        ("encode, 4+2, zfec", "GB/s of payload"),
        ("rebuild 1 lost shard, 4+2, zfec", ""),
        ("encode, 4+2, zfec", "CPU seconds per GB (lower is better)"),
    ]
    assert figure.axes[-1].get_xlabel() == "workers side by side"
    for name in ("threads", "ray tasks", "one thread,\ntimes workers"):
        assert name in texts(figure)
    assert "Not drawn" not in texts(figure)


def test_every_shape_of_ec_is_drawn_and_what_is_not_is_named() -> None:
    shapes = ((10, 4), (4, 2), (8, 3), (16, 4))
    figure = draw_ec(ec_document(shapes, (1 << 20, 16 << 20)))
    drawn = {axis.get_title() for axis in figure.axes}
    assert drawn >= {f"encode, {k}+{m}, isal" for k, m in shapes}
    assert "Not drawn, in the table only: segments of 1 MiB, codec zfec." in texts(figure)


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
