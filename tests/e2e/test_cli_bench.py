"""``greenray bench`` as a command, on very little data: what it says, not how fast it is."""

from __future__ import annotations

import json
import subprocess
import sys
from itertools import product
from pathlib import Path
from typing import Any

import psutil
import pyarrow.parquet as pq
import pytest
from typer.testing import CliRunner

from greenray.bench.ec import WORKER_KINDS
from greenray.bench.records import BenchResult, Case, Row, write_result
from greenray.cli.bench import app

SUMMARY = {
    "upload_to_sealed_mb_s",
    "put_answered_mb_s",
    "floor_mb_s",
    "ratio_to_floor",
    "cpu_s_per_gb",
    "peak_memory_bytes",
    "spilled_bytes",
}


def bench(*arguments: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "greenray", "bench", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True)


def result_of(*arguments: object) -> dict[str, Any]:
    ran = bench(*arguments, "--json")
    assert ran.returncode == 0, ran.stderr
    document: dict[str, Any] = json.loads(ran.stdout)
    assert {"environment", "rows", "summary"} <= document.keys()
    return document


@pytest.mark.timeout(300)
def test_pipeline_measures_both_sides_and_leaves_nothing_behind(tmp_path: Path) -> None:
    work_dir, out = tmp_path / "disk", tmp_path / "out"
    work_dir.mkdir()
    arguments = ["--quick", "--object-size", "4MiB", "--repeats", 1]
    document = result_of("pipeline", *arguments, "--work-dir", work_dir, "--out", out)
    summary = document["summary"]
    assert summary.keys() >= SUMMARY
    assert summary["spilled_bytes"] == 0
    assert all(summary[name] > 0 for name in SUMMARY - {"spilled_bytes"})
    assert summary["put_answered_mb_s"] > summary["upload_to_sealed_mb_s"]
    ratio = summary["upload_to_sealed_mb_s"] / summary["floor_mb_s"]
    assert abs(summary["ratio_to_floor"] - ratio) < 1e-9
    assert document["environment"]["settings"]["writes"]["durable"] is True
    assert json.loads((out / "pipeline.json").read_text()) == document
    assert pq.read_table(out / "pipeline.parquet").to_pylist() == document["rows"]
    assert list(work_dir.iterdir()) == []


def test_hash_and_report_from_its_result(tmp_path: Path) -> None:
    document = result_of("hash", "--quick", "--repeats", 1, "--out", tmp_path)
    assert {row["kind"] for row in document["rows"]} >= {"streams", "segment and pieces"}
    report = bench("report", tmp_path)
    assert report.returncode == 0, report.stderr
    assert "## SHA-256" in report.stdout


@pytest.mark.timeout(300)
def test_ec_measures_every_kind_of_worker_and_operation(tmp_path: Path) -> None:
    little = ("--codec", "numpy", "--codec", "zfec", "--segment-size", "64KiB", "--workers", 2)
    arguments = ("--quick", "--repeats", 1, *little, "--work-dir", tmp_path)
    document = result_of("ec", *arguments)
    rates = [row for row in document["rows"] if row["unit"] == "MB/s"]
    found = {(row["kind"], row["worker_kind"], row["codec"]) for row in rates}
    operations = ("encode", "reconstruct 1", "reconstruct 2")
    steps = {kind for kind, _, _ in found if kind.startswith("call")}
    assert len(steps) == 4
    assert found == {
        *product(operations, WORKER_KINDS, ("numpy", "zfec")),
        *product(steps, ("ray actors",), ("numpy",)),
    }
    assert all(row["median"] > 0 for row in rates)
    assert document["summary"]["spilled_bytes"] == 0
    assert list(tmp_path.iterdir()) == []


def test_store_measures_every_kind_and_whether_it_is_durable(tmp_path: Path) -> None:
    arguments = ("--repeats", 1, "--column-size", "100KB", "--workers", 1)
    document = result_of("store", *arguments, "--work-dir", tmp_path)
    written = {(r["kind"], r["durable"]) for r in document["rows"] if r["kind"][:5] == "write"}
    assert written == {("write file", True), ("write file", False), ("write memory", False)}
    assert {row["kind"] for row in document["rows"]} >= {"read file", "read memory"}
    assert list(tmp_path.iterdir()) == []


def test_compare_says_what_changed_and_by_which_rule(tmp_path: Path) -> None:
    case = Case("encode", codec="isal")
    for name, values in (("a", (1.0, 2.0, 3.0)), ("b", (10.0, 20.0, 30.0))):
        environment = {"cores": 2, "measured_at": name}
        row = Row(case, "payload", "MB/s", values)
        write_result(BenchResult("ec", False, environment, [row], {}), tmp_path / name)
    ran = bench("compare", tmp_path / "a", tmp_path / "b")
    assert ran.returncode == 0, ran.stderr
    assert "better" in ran.stdout
    assert "+900%" in ran.stdout
    assert "A row has changed when" in ran.stdout


def test_plot_draws_what_was_kept(tmp_path: Path) -> None:
    result_of("hash", "--quick", "--repeats", 1, "--workers", 1, "--out", tmp_path)
    ran = bench("plot", tmp_path / "hash.json", "--out", tmp_path / "pictures")
    assert ran.returncode == 0, ran.stderr
    assert (tmp_path / "pictures" / "hash.png").read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (("ec", "--codec", "magic"), "invalid-setting"),
        (("ec", "--worker-kind", "elves"), "invalid-input"),
        (("ec", "--shape", "4+0"), "invalid-input"),
        (("ec", "--shape", "200+100"), "invalid-shape"),
        (("store", "--kind", "s3"), "invalid-setting"),
        (("store", "--kind", "tape"), "invalid-input"),
        (("pipeline", "--codec", "magic"), "invalid-setting"),
        (("compare", "nowhere", "nowhere"), "invalid-input"),
    ],
)
def test_what_cannot_be_measured_is_one_clear_error(
    arguments: tuple[str, ...], reason: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    ran = CliRunner().invoke(app, [*arguments, "--json"])
    assert ran.exit_code == 1
    assert json.loads(ran.stdout)["error"]["reason"] == reason
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "arguments",
    [
        ("ec", "--shape", "4-2"),
        ("ec", "--segment-size", "0"),
        ("pipeline", "--object-size", "big"),
        ("hash", "--repeats", "0"),
        ("small", "--object-size", "0"),
    ],
)
def test_wrong_usage_is_refused_before_anything_starts(arguments: tuple[str, ...]) -> None:
    ran = CliRunner().invoke(app, list(arguments))
    assert (ran.exit_code, ran.stdout) == (2, "")


def test_too_large_an_object_is_one_clear_error(tmp_path: Path) -> None:
    ran = bench("pipeline", "--object-size", "900000GiB", "--work-dir", tmp_path, "--json")
    assert ran.returncode == 1
    assert json.loads(ran.stdout)["error"]["reason"] == "no-space-left"
    assert len(ran.stderr.strip().splitlines()) == 1
    assert list(tmp_path.iterdir()) == []


@pytest.mark.timeout(300)
@pytest.mark.parametrize(
    ("arguments", "step"),
    [
        (("pipeline", "--object-size", "4MiB"), "starting the floor"),
        (
            ("ec", "--worker-kind", "ray tasks", "--segment-size", "64KiB", "--repeats", "1000"),
            "4+2, segments of 64 KiB",
        ),
    ],
    ids=["pipeline", "ec on Ray"],
)
def test_interrupted_run_stops_its_processes_and_leaves_nothing_behind(
    arguments: tuple[str, ...], step: str, tmp_path: Path
) -> None:
    command = [sys.executable, "-m", "greenray", "bench", *arguments, "--work-dir", str(tmp_path)]
    running = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    assert running.stderr is not None
    while running.stderr.readline() != f"{step}\n":
        assert running.poll() is None
    family = psutil.Process(running.pid).children(recursive=True)
    assert len(family) > 2
    running.terminate()
    assert running.wait(120) == 130
    _, alive = psutil.wait_procs(family, timeout=30)
    assert alive == []
    assert list(tmp_path.iterdir()) == []
