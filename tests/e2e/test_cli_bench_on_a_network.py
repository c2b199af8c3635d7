"""The commands of ``greenray bench`` that need a network, all on one, with very little data."""

from __future__ import annotations

import json
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from typer.testing import CliRunner

from greenray.actors.scrubber.settings import ScrubberSettings
from greenray.bench.plans import Plan
from greenray.bench.records import PARQUET_COLUMNS
from greenray.bench.runner import Repeats
from greenray.bench.site import Site, opened_site
from greenray.cli.bench import app
from greenray.cluster.config.settings_loading import load_settings

KIB, MIB = 1 << 10, 1 << 20
ASKED = ("hash", "ec", "store", "seal", "gateway", "small", "pipeline")

pytestmark = pytest.mark.timeout(300)


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    settings = load_settings(
        None, chain={"block_interval_s": 0.1}, budget={"payload_bytes": 64 * MIB}
    )
    directory = tmp_path_factory.mktemp("bench")
    with opened_site(settings, directory, 0, lambda step: None) as opened:
        yield opened


@pytest.fixture(autouse=True)
def on_that_network(site: Site, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Commands find it instead of starting their own, and leave the signals as they are."""

    @contextmanager
    def found(*_: object) -> Iterator[Site]:
        yield site

    for module in (
        "bundle",
        "gateway",
        "memory",
        "pipeline",
        "plans",
        "scrub",
        "small",
        "timeline",
    ):
        monkeypatch.setattr(f"greenray.bench.{module}.opened_site", found)
    handler = signal.getsignal(signal.SIGTERM)
    yield
    signal.signal(signal.SIGTERM, handler)


def result_of(*arguments: object) -> dict[str, Any]:
    ran = CliRunner().invoke(app, [*map(str, arguments), "--repeats", "1", "--json"])
    assert ran.exit_code == 0, ran.output
    document: dict[str, Any] = json.loads(ran.stdout)
    assert document["rows"]
    assert all(row.keys() == PARQUET_COLUMNS.keys() for row in document["rows"])
    assert {"environment", "rows", "summary"} <= document.keys()
    return document


def test_scrub_is_measured_beside_a_plain_loop_and_beside_an_upload() -> None:
    document = result_of("scrub", "--object-size", "33MiB")
    summary = document["summary"]
    ratio = summary["scrub_mb_s"] / summary["floor_mb_s"]
    assert summary["ratio_to_floor"] == pytest.approx(ratio)
    kept = summary["upload_beside_mb_s"] / summary["upload_mb_s"]
    assert summary["upload_kept_ratio"] == pytest.approx(kept)
    assert summary["upload_alone_ratio_spread"] == [summary["upload_alone_ratio"]] * 2
    beside_uploads = ScrubberSettings().background_bytes_s(beside_uploads=True)
    settings = document["environment"]["settings"]
    assert settings["scrub_bandwidth_bytes_s"] == beside_uploads


def test_gateway_is_measured_beside_a_plain_process() -> None:
    sizes = ("--object-size", "33MiB", "--object-size", "1KiB")
    summary = result_of("gateway", *sizes)["summary"]
    small, large = summary["cases"]
    assert (small["object_size_bytes"], large["object_size_bytes"]) == (KIB, 33 * MIB)
    for case in (small, large):
        put, get, floor_put, floor_get = (
            case[name] for name in ("put_mb_s", "get_mb_s", "floor_put_mb_s", "floor_get_mb_s")
        )
        assert case["put_ratio_to_floor"] == pytest.approx(put / floor_put)
        assert case["get_ratio_to_floor"] == pytest.approx(get / floor_get)
        assert case["get_broken_mb_s"] > 0
        assert case["get_lost_mb_s"] > 0
        assert case["get_lost_ratio_to_floor"] > 0
    assert summary["put_mb_s"] == large["put_mb_s"]
    assert summary["peak_memory_bytes"] > 0
    assert summary["spilled_bytes"] == 0


def summary_of(document: dict[str, Any], whose: str) -> float:
    """CPU for each object, in milliseconds."""
    found: float = document["summary"][f"{whose}_cpu_ms_per_object"]
    return found


def test_small_objects_are_counted_from_put_to_sealed_and_their_creation_apart() -> None:
    document = result_of("small", "--objects", 3, "--parallel", 1, "--parallel", 2)
    found = {(row["metric"], row["objects_in_parallel"]) for row in document["rows"]}
    for at_once in (1, 2):
        assert {("put to sealed", at_once), ("created before", at_once)} <= found
    acts = {
        (row["kind"], row["object_size_bytes"])
        for row in document["rows"]
        if row["metric"] == "created, put and sealed"
    }
    act = "small objects, creation included"
    assert acts == {
        (act, 10_000),
        (act, MIB),
        (f"{act}, two clients of one user", 10_000),
        (f"{act}, two users", 10_000),
    }
    assert min(summary_of(document, "servers"), summary_of(document, "client")) > 0
    summary = document["summary"]
    assert summary["created_put_and_sealed_objects_s"] > 0
    assert summary["put_answered_objects_s"] >= summary["put_to_sealed_objects_s"] > 0


def test_a_bundle_of_files_is_put_and_got_by_whole_commands() -> None:
    document = result_of("bundle", "--files", 20, "--file-size", 1000)
    found = {(row["kind"], row["metric"], row["unit"]) for row in document["rows"]}
    assert {("bundle", "command to sealed", "s"), ("floor", "read, hash and write", "s")} <= found
    summary = document["summary"]
    assert (summary["objects"], summary["transactions_one_by_one"]) == (1, 40)
    assert summary["command_to_sealed_s"] > summary["floor_s"] > 0


def test_pipeline_has_a_case_per_size_and_number_of_objects_at_once() -> None:
    sizes = ("--object-size", "64KiB", "--object-size", "1MiB")
    document = result_of("pipeline", *sizes, "--parallel", 1, "--parallel", 2, "--in-turn", 1)
    rates = [row for row in document["rows"] if row["metric"] == "upload to sealed"]
    found = [(row["object_size_bytes"], row["objects_in_parallel"]) for row in rates]
    assert found == [(64 * KIB, 1), (64 * KIB, 2), (MIB, 1), (MIB, 2)]
    for case in document["summary"]["cases"]:
        assert case["floor_mb_s"] > 0
        assert case["ratio_to_floor"] > 0
    ratios = [r for r in document["rows"] if r["metric"] == "upload to sealed / 1 at once"]
    assert [r["objects_in_parallel"] for r in ratios] == [2, 2]


def test_pipeline_has_a_case_per_way() -> None:
    ways = ("--way", "http", "--way", "object-store")
    document = result_of("pipeline", "--object-size", "1MiB", "--in-turn", 1, *ways)
    kinds = {row["kind"] for row in document["rows"] if row["metric"] == "upload to sealed"}
    assert kinds == {"pipeline", "pipeline from the object store"}


def test_pipeline_sums_up_objects_that_follow_each_other_and_shows_their_memory() -> None:
    document = result_of("pipeline", "--object-size", "1MiB", "--in-turn", 1, "--in-turn", 3)
    rates = [row["kind"] for row in document["rows"] if row["metric"] == "upload to sealed"]
    assert rates == ["pipeline", "pipeline, 3 in turn"]
    assert all(case["ratio_to_floor"] > 0 for case in document["summary"]["cases"])
    one, in_turn = document["summary"]["cases"]
    assert "last_object_peak_memory_bytes" not in one
    peaks = [in_turn[f"{which}_object_peak_memory_bytes"] for which in ("first", "last")]
    assert all(0 < peak <= in_turn["peak_memory_bytes"] for peak in peaks)
    summary = document["summary"]
    assert summary["case"] == in_turn["case"]
    assert "3 in turn" in summary["case"]
    assert summary["ratio_to_floor"] == in_turn["ratio_to_floor"]


def test_memory_is_measured_by_object_size() -> None:
    summary = result_of("memory", "--object-size", "64KiB", "--object-size", "1MiB")["summary"]
    assert summary["object_sizes_bytes"] == [64 * KIB, MIB]
    assert all(peak > 0 for peak in summary["peak_memory_bytes"])


def test_the_timeline_of_an_object_is_kept_and_drawn(tmp_path: Path) -> None:
    document = result_of("timeline", "--object-size", "1MiB", "--plot", "--out", tmp_path)
    timeline = document["summary"]["timeline"]
    assert timeline["payload_size_bytes"] == MIB
    assert timeline["missing"] == []
    seconds = {row["kind"]: row["median"] for row in document["rows"] if row["unit"] == "s"}
    stages = {"received", "encoded", "stored, all secondaries", "sealed"}
    assert stages <= seconds.keys()
    assert all(seconds[kind] > 0 for kind in stages)
    assert (tmp_path / "timeline.png").read_bytes().startswith(b"\x89PNG")


def test_all_keeps_shows_and_draws_every_benchmark(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    least(monkeypatch)
    work_dir, out = tmp_path / "disk", tmp_path / "out"
    work_dir.mkdir()
    document = result_of("all", "--quick", "--plot", "--work-dir", work_dir, "--out", out)
    assert (document["bench"], document["quick"]) == ("all", True)
    assert tuple(document["summary"]) == ASKED
    assert {row["bench"] for row in document["rows"]} == set(ASKED)
    seals = ("chain_alone_seals_s", "through_the_signer_seals_s")
    assert all(document["summary"]["seal"][name] > 0 for name in seals)
    for bench in ASKED:
        kept = json.loads((out / f"{bench}.json").read_text())
        assert pq.read_table(out / f"{bench}.parquet").to_pylist() == kept["rows"]
        assert (out / f"{bench}.png").read_bytes().startswith(b"\x89PNG")
    assert list(work_dir.iterdir()) == []
    same = CliRunner().invoke(app, ["compare", str(out), str(out), "--json"])
    assert json.loads(same.stdout)["summary"]["too_few_repeats"] == len(document["rows"])


def least(monkeypatch: pytest.MonkeyPatch) -> None:
    """Plans of next to nothing."""
    once = Repeats(1, slot_s=0.0)
    usual = Plan(load_settings(None))
    less = {
        "hash": replace(usual.hash(), segment_sizes_bytes=(KIB,), workers=(1,), repeats=once),
        "ec": replace(
            usual.ec(),
            codecs=("numpy",),
            shapes=((4, 2),),
            segment_sizes_bytes=(KIB,),
            workers=(1,),
            worker_kinds=("threads",),
            repeats=once,
        ),
        "store": replace(usual.store(), column_sizes_bytes=(KIB,), workers=(1,), repeats=once),
        "seal": replace(usual.seal(), seals=2, repeats=1),
        "gateway": replace(usual.gateway(), object_sizes_bytes=(KIB,), repeats=1),
        "small": replace(
            usual.small(),
            objects=2,
            act_objects=2,
            mib_objects=1,
            objects_in_parallel=(2,),
            repeats=1,
        ),
        "pipeline": replace(usual.pipeline(), object_sizes_bytes=(KIB,), in_turn=(2,), repeats=1),
    }
    for name, options in less.items():

        def planned(plan: Plan, options: Any = options) -> Any:
            given = {"quick": plan.quick, "work_dir": plan.work_dir}
            return replace(options, **{k: v for k, v in given.items() if hasattr(options, k)})

        monkeypatch.setattr(Plan, name, planned)
