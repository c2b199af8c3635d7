"""``greenray bench`` as a command, on very little data: what it says, not how fast it is."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import psutil
import pyarrow.parquet as pq
import pytest

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
    assert document["environment"]["writes"]["durable"] is True
    assert json.loads((out / "pipeline.json").read_text()) == document
    assert pq.read_table(out / "pipeline.parquet").to_pylist() == document["rows"]
    assert list(work_dir.iterdir()) == []


def test_hash_and_report_from_its_result(tmp_path: Path) -> None:
    document = result_of("hash", "--quick", "--repeats", 1, "--out", tmp_path)
    assert {row["kind"] for row in document["rows"]} == {"streams", "segment and pieces"}
    report = bench("report", tmp_path)
    assert report.returncode == 0, report.stderr
    assert "## SHA-256" in report.stdout


def test_ec_measures_every_codec_and_operation() -> None:
    document = result_of("ec", "--quick", "--repeats", 1)
    kinds = {"encode", "reconstruct 1", "reconstruct 2"}
    assert {row["kind"] for row in document["rows"]} == kinds
    assert {row["codec"] for row in document["rows"]} >= {"numpy", "zfec"}
    assert all(row["median"] > 0 for row in document["rows"])


def test_too_large_an_object_is_one_clear_error(tmp_path: Path) -> None:
    ran = bench("pipeline", "--object-size", "900000GiB", "--work-dir", tmp_path, "--json")
    assert ran.returncode == 1
    assert json.loads(ran.stdout)["error"]["reason"] == "no-space-left"
    assert len(ran.stderr.strip().splitlines()) == 1
    assert list(tmp_path.iterdir()) == []


@pytest.mark.timeout(300)
def test_interrupted_run_stops_its_network_and_leaves_nothing_behind(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "greenray", "bench", "pipeline", "--work-dir", str(tmp_path)]
    running = subprocess.Popen(
        [*command, "--object-size", "4MiB"], stderr=subprocess.PIPE, text=True
    )
    assert running.stderr is not None
    while running.stderr.readline() != "starting the floor\n":
        assert running.poll() is None
    family = psutil.Process(running.pid).children(recursive=True)
    assert len(family) > 5
    running.terminate()
    assert running.wait(120) == 130
    _, alive = psutil.wait_procs(family, timeout=30)
    assert alive == []
    assert list(tmp_path.iterdir()) == []
