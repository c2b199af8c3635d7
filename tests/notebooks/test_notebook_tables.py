"""What benchmarks and capacities look like in a notebook, and what their tables can be asked."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

import greenray
from greenray.api.benchmarks import BenchTable
from greenray.bench.records import CPU_METRIC, EVERYTHING, BenchResult, Case, Row
from greenray.capacity.planning import Place
from greenray.capacity.tables import CapacityTable
from greenray.display.plot import Plot
from greenray.protocol.errors import InvalidInput

KIB = 1 << 10
ENVIRONMENT = {
    "processor": "a <processor>",
    "cores": 4,
    "kernel": "Linux",
    "measured_at": "2026-01-02T03:04:05",
}
STAGES = (
    greenray.StageCost("Receivers", Place.NODE, 2.0, 0.01, 0.5, 0.01, 2),
    greenray.StageCost("Task<Node>", Place.CLUSTER, 0.5, 0.02, 0.1, 0.02),
)
NODE = greenray.NodeSize(cores=16, memory_bytes=64 << 30, link_gb_s=1.0, disks=2, disk_gb_s=1.0)


def rate(codec: str, workers: int, *mb_s: float) -> Row:
    case = Case("encode", "threads", codec, 4, 2, 64 * KIB, workers=workers)
    return Row(case, "payload", "MB/s", mb_s)


def table(*rows: Row, failures: tuple[str, ...] = ()) -> BenchTable:
    cpu = Row(rows[0].case, CPU_METRIC, "s/GB", (0.5,), higher_is_better=False)
    peak = Row(EVERYTHING, "peak memory", "bytes", (1.0,), higher_is_better=False)
    result = BenchResult("ec", True, ENVIRONMENT, [*rows, cpu, peak], {}, failures)
    return BenchTable.of(result)


SHARED = table(
    rate("isal", 1, 1000, 900, 1100),
    rate("isal", 4, 2000, 2000, 2000),
    rate("zfec", 1, 100, 100, 100),
    rate("zfec", 4, 400, 400, 400),
)


def is_png(plot: Plot) -> bool:
    return plot._repr_png_().startswith(b"\x89PNG")


def test_a_table_is_narrowed_to_one_rate() -> None:
    one = SHARED.where(codec="isal", workers=1)
    assert (one.gb_s, one.cpu_s_per_gb) == (1.0, 0.5)
    with pytest.raises(InvalidInput, match="0 cases, not one"):
        _ = SHARED.where(codec="zfec").cpu_s_per_gb
    with pytest.raises(InvalidInput, match="not one"):
        _ = SHARED.gb_s
    with pytest.raises(InvalidInput, match="no row"):
        SHARED.where(codec="other")
    with pytest.raises(InvalidInput, match="no such value"):
        SHARED.where(colour="red")


def test_the_serial_share_is_that_of_amdahl_s_law() -> None:
    isal, zfec = SHARED.scaling().series
    assert (isal.label, isal.speedup) == ("isal", 2.0)
    # A third is serial: 1 / (1/3 + 2/3 / 4) = 2, and never more than 3 times 1 GB/s.
    assert isal.serial_share == pytest.approx(1 / 3)
    assert isal.limit_gb_s == pytest.approx(3.0)
    assert (zfec.serial_share, zfec.limit_gb_s) == (0.0, float("inf"))
    assert SHARED.where(workers=1).scaling().series == ()


def test_what_was_measured_is_a_table_and_a_picture() -> None:
    html = SHARED._repr_html_()
    assert "encode, threads, isal, 4+2, segments of 64 KiB, 1 worker" in html
    assert "a &lt;processor&gt;" in html
    assert "peak memory" not in html
    assert "33.3%" in SHARED.scaling()._repr_html_()
    assert all(is_png(SHARED.plot(x)) for x in ("workers", "segment_size_bytes", "shape"))
    with pytest.raises(InvalidInput, match="Use one of"):
        SHARED.plot("codec")


def test_a_run_that_does_not_count_is_no_table() -> None:
    with pytest.raises(InvalidInput, match="spilled"):
        table(rate("isal", 1, 1.0), failures=("spilled",))


def test_the_benchmarks_run_from_python() -> None:
    little: dict[str, Any] = {
        "segment_sizes_bytes": (64 * KIB,),
        "workers": (1, 2),
        "repeats": 1,
        "slot_s": 0.001,
    }
    encoded = greenray.bench_ec(codecs=("zfec",), losses=(0, 1), **little)
    assert {row.case.kind for row in encoded.rows} == {"encode", "reconstruct 1"}
    assert len(greenray.bench_hash(**little).rates) == 6
    assert len(greenray.bench_copy(**little).rates) == 2


def test_stages_and_clusters_are_tables_and_pictures(tmp_path: Path) -> None:
    stages = greenray.StageTable(STAGES, "this machine")
    assert stages.cpu_s_per_gb == 2.5
    assert stages.cpu_s_per_object == pytest.approx(0.03)
    assert "Task&lt;Node&gt;" in stages._repr_html_()
    assert is_png(stages.plot())
    plan = greenray.plan_capacity(STAGES, NODE, greenray.Load(object_size_bytes=1 << 30))
    needs = plan.needed_for(1, 100)
    assert needs.needs[0].nodes == 3
    html = needs._repr_html_()
    assert "no number is enough" in html
    assert "simulated" in html
    grown = plan.scaled()
    assert [one.nodes for one in grown.capacities] == list(range(1, 65))
    assert "simulated" in grown._repr_html_()
    assert grown.plot().save(tmp_path / "plot.png").read_bytes().startswith(b"\x89PNG")


def test_the_readme_s_cluster_is_planned_as_it_says() -> None:
    readme = (Path(__file__).parents[2] / "README.md").read_text()
    measured, _, planned = readme.partition("```py\n")[2].partition("```")[0].partition("node = ")
    assert "costs = net.stage_costs()" in measured
    found: dict[str, object] = {
        "greenray": greenray,
        "costs": greenray.StageTable(STAGES, "this machine"),
    }
    exec(f"node = {planned}".replace("greenray.plan", "shown = greenray.plan"), found)
    shown = found["shown"]
    assert isinstance(shown, CapacityTable)
    assert [one.nodes for one in shown.capacities] == [1, 2, 4, 8, 16, 32]
