"""How many cores a wanted GB/s takes, from rows that were measured."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from typer.testing import CliRunner

from greenray.bench.answer import ASSUMES, Point, answer, cores_needed
from greenray.bench.records import CPU_METRIC, BenchResult, Case, Row
from greenray.cli.bench import app
from greenray.protocol.errors import InvalidInput

PUBLISHED = Path(__file__).parents[2] / "docs" / "performance"
MIB = 1 << 20


def needed(wanted_gb_s: float, *points: Point, cores: int = 2) -> int | None:
    return cores_needed("a way", points, wanted_gb_s, cores).cores


def test_a_rate_that_was_reached_takes_what_it_cost_then() -> None:
    found = cores_needed("threads", [Point(1, 12.0, 0.1), Point(2, 20.0, 0.15)], 10.0, 2)
    assert (found.cores, found.measured) == (1, True)
    assert needed(18.0, Point(1, 12.0, 0.1), Point(2, 20.0, 0.15)) == 3, "18 GB x 0.15 s"


def test_beyond_that_each_gb_costs_what_it_cost_with_the_most_workers() -> None:
    found = cores_needed("ray", [Point(1, 1.0, 0.9), Point(2, 1.95, 1.02)], 10.0, 2)
    assert (found.cores, found.measured, found.reason) == (11, False, "")


def test_a_way_whose_workers_share_something_does_not_reach_it_and_says_why() -> None:
    found = cores_needed("numpy", [Point(1, 1.0, 1.0), Point(2, 1.1, 1.0)], 10.0, 2)
    assert found.cores is None
    assert "from 1 to 2 of them the rate went from 1 to 1.1 GB/s" in found.reason
    assert "1.1 of 2 cores busy" in found.reason
    assert "ends at about 1.22 GB/s" in found.reason


def test_a_way_that_gets_slower_ends_at_its_best() -> None:
    found = cores_needed("numpy", [Point(1, 1.5, 1.0), Point(2, 1.2, 1.1)], 10.0, 2)
    assert "ends at about 1.5 GB/s" in found.reason


def test_a_machine_that_was_full_is_no_limit_of_the_way() -> None:
    """One worker with Ray's driver beside it takes 1.7 of 2 cores, so a second cannot double it."""
    assert needed(10.0, Point(1, 1.66, 1.03), Point(2, 1.94, 1.03)) == 11


def test_one_number_of_workers_tells_nothing_of_a_limit() -> None:
    assert needed(10.0, Point(4, 5.0, 0.5), cores=8) == 5


def test_without_cpu_time_there_is_no_answer() -> None:
    found = cores_needed("threads", [Point(1, 1.0, 0.0)], 10.0, 2)
    assert (found.cores, found.reason) == (None, "no CPU time was measured")


@given(
    st.floats(0.1, 50),
    st.floats(0.01, 5),
    st.floats(1, 2),
    st.floats(0.01, 500),
    st.integers(1, 64),
)
def test_more_is_never_cheaper_and_nothing_is_free(
    gb_s: float, cpu: float, growth: float, wanted: float, cores: int
) -> None:
    points = [Point(1, gb_s, cpu), Point(2, gb_s * growth, cpu)]
    little, much = (cores_needed("x", points, rate, cores) for rate in (wanted, 2 * wanted))
    assert little.cores is None or little.cores >= max(1, wanted * cpu - 1e-6)
    if much.cores is not None:
        assert little.cores is not None
        assert little.cores <= much.cores
    assert (little.cores is None) == bool(little.reason)


def document(bench: str = "ec") -> dict[str, Any]:
    rows = [
        Row(Case(kind, way, codec, 4, 2, size_bytes, workers=workers), metric, unit, (value,))
        for kind in ("encode", "reconstruct 1")
        for way, codec in (("threads", "isal"), ("ray tasks", "isal"), ("threads", "zfec"))
        for size_bytes in (MIB, 16 * MIB)
        for workers in (1, 2)
        for metric, unit, value in (
            ("payload", "MB/s", 1000.0 * workers),
            (CPU_METRIC, "s/GB", 1.0),
        )
    ]
    step = Row(Case("call", "ray actors", "isal", 4, 2, MIB, workers=1), "payload", "MB/s", (9.0,))
    return BenchResult(bench, False, {"cores": 2}, [*rows, step], {}).to_json()


def test_every_way_to_encode_is_answered_for_and_smaller_segments_are_named() -> None:
    found = answer(document(), 10.0)
    assert [way.way for way in found.ways] == [
        "threads, isal, 4+2, segments of 16 MiB",
        "ray tasks, isal, 4+2, segments of 16 MiB",
        "threads, zfec, 4+2, segments of 16 MiB",
    ]
    assert [way.cores for way in found.ways] == [10, 10, 10]
    assert found.left_out == ("segments of 1 MiB",)
    assert found.to_json()["assumes"] == ASSUMES


def test_what_is_chosen_is_answered_for() -> None:
    found = answer(document(), 10.0, segment_size_bytes=[MIB], codec=["zfec"], worker_kind=())
    assert [way.way for way in found.ways] == ["threads, zfec, 4+2, segments of 1 MiB"]
    assert found.left_out == ()
    with pytest.raises(InvalidInput, match="nothing that was chosen"):
        answer(document(), 10.0, codec=["numpy"])
    with pytest.raises(InvalidInput, match="bench ec"):
        answer(document("hash"), 10.0)


def test_a_kept_result_answers_without_measuring() -> None:
    ran = CliRunner().invoke(app, ["ec", "--answer", "10GB/s", "--from", str(PUBLISHED)])
    assert ran.exit_code == 0, ran.output
    assert "encoding at 10.0 GB/s, from a machine with 2 cores" in ran.stdout
    assert " ".join(ASSUMES.split()) in " ".join(ran.stdout.split())
    arguments = ["--from", str(PUBLISHED / "ec.json"), "--shape", "4+2", "--codec", "isal"]
    ran = CliRunner().invoke(app, ["ec", "--answer", "10GB/s", *arguments, "--json"])
    ways = json.loads(ran.stdout)["answer"]["ways"]
    assert {way["way"].split(", ")[1] for way in ways} == {"isal"}


def test_a_measurement_is_answered_from_and_kept_as_it_is(tmp_path: Path) -> None:
    little = ["--codec", "numpy", "--segment-size", "64KiB", "--worker-kind", "threads"]
    arguments = ["ec", "--quick", "--repeats", "1", "--workers", "1", *little]
    arguments += ["--work-dir", str(tmp_path), "--out", str(tmp_path / "out")]
    ran = CliRunner().invoke(app, [*arguments, "--answer", "1MB/s", "--json"])
    assert ran.exit_code == 0, ran.output
    document = json.loads(ran.stdout)
    [way] = document.pop("answer")["ways"]
    assert (way["cores"], way["measured"]) == (1, True)
    assert json.loads((tmp_path / "out" / "ec.json").read_text()) == document


def test_every_segment_size_that_was_asked_for_is_answered_for(tmp_path: Path) -> None:
    little = ["--codec", "auto", "--shape", "4+2", "--worker-kind", "threads", "--workers", "1"]
    sizes = ["--segment-size", "64KiB", "--segment-size", "128KiB"]
    arguments = ["ec", "--quick", "--repeats", "1", *little, *sizes, "--work-dir", str(tmp_path)]
    ran = CliRunner().invoke(app, [*arguments, "--answer", "1MB/s", "--json"])
    assert ran.exit_code == 0, ran.output
    answer = json.loads(ran.stdout)["answer"]
    assert [way["way"].split("of ")[-1] for way in answer["ways"]] == ["64 KiB", "128 KiB"]
    assert answer["left_out"] == []


@pytest.mark.parametrize(
    ("arguments", "exit_code", "told"),
    [
        (("--answer", "10"), 2, "not a rate, such as 10GB/s"),
        (("--answer", "fast/s"), 2, "fast"),
        (("--answer", "0GB/s"), 2, "nothing to measure"),
        (("--from", str(PUBLISHED)), 2, "needs --answer"),
        (
            ("--answer", "10GB/s", "--from", str(PUBLISHED / "hash.json")),
            1,
            "no result of bench ec",
        ),
        (("--answer", "10GB/s", "--from", "nowhere"), 1, "no such file"),
    ],
)
def test_what_cannot_be_answered_is_one_clear_error(
    arguments: tuple[str, ...], exit_code: int, told: str
) -> None:
    ran = CliRunner().invoke(app, ["ec", *arguments])
    assert (ran.exit_code, ran.stdout) == (exit_code, "")
    assert told in ran.stderr
