from __future__ import annotations

from dataclasses import replace

import pytest

from greenray.bench.client_process import PutTimes
from greenray.bench.measured_network import CpuTimes, PutCost
from greenray.bench.pipeline_rows import (
    FloorCost,
    Round,
    over_one_client_row,
    pipeline_rows,
    pipeline_summary,
)
from greenray.bench.records import Case
from greenray.bench.uploads import ObjectTimes

GB = 1_000_000_000


def put(sealed_after_s: float, *, cpu_s: float = 4.0, peak_memory_bytes: int = 100) -> PutCost:
    times = ObjectTimes(
        uploading_at=50.0,
        answered_at=52.0,
        stored_at=51.5,
        replicated_at=53.0,
        sealed_at=50.0 + sealed_after_s,
    )
    cpu = CpuTimes(cpu_s, 1.0)
    return PutCost(PutTimes(1.0, 0.5, (times,), (1,)), cpu, 2.0, peak_memory_bytes, 70, 80, 6)


def floor(seconds: float) -> FloorCost:
    return FloorCost(seconds, 3.0, 10)


CASE = Case("pipeline", None, "isal", 4, 2, 16 << 20, object_size_bytes=GB, objects_in_parallel=1)
ROWS = pipeline_rows(
    CASE,
    Round(1),
    2,
    [put(99.0, cpu_s=99.0, peak_memory_bytes=500), put(4.0), put(5.0), put(10.0)],
    [floor(99.0), floor(2.0), floor(2.0), floor(2.5)],
)


def test_summary_has_the_medians_of_the_repeats_without_the_warm_up() -> None:
    assert pipeline_summary(ROWS) == pytest.approx(
        {
            "upload_to_sealed_mb_s": 200.0,
            "put_answered_mb_s": 500.0,
            "floor_mb_s": 500.0,
            "ratio_to_floor": 0.4,
            "cpu_s_per_gb": 4.0,
            "floor_cpu_s_per_gb": 3.0,
            "peak_memory_bytes": 500,
            "spilled_bytes": 4 * 6,
        }
    )


def test_ratio_compares_each_put_with_the_floor_of_the_same_repeat() -> None:
    [ratio] = [row for row in ROWS if row.unit == "ratio"]
    assert ratio.values == pytest.approx((0.5, 0.4, 0.25))


def test_stages_of_a_put_add_up_to_its_time_to_the_seal() -> None:
    seconds = {row.metric: row.values[0] for row in ROWS if row.unit == "s"}
    stages = ("upload", "replication after it", "seal after that")
    assert sum(seconds[stage] for stage in stages) == pytest.approx(4.0)
    assert seconds["client hashes"] == 1.0


def test_only_rates_and_ratios_are_better_when_higher() -> None:
    for row in ROWS:
        assert row.higher_is_better is (row.unit in ("MB/s", "ratio")), row.metric


def test_objects_that_are_put_together_count_from_the_first_byte_to_the_last_seal() -> None:
    first = ObjectTimes(10.0, 11.0, 11.5, 12.0, 14.0)
    second = ObjectTimes(10.5, 12.0, 11.0, 13.0, 13.5)
    put_times = PutTimes(1.0, 0.5, (first, second), (1, 2))
    cost = PutCost(put_times, CpuTimes(4.0, 1.0), 2.0, 5, 5, 5, 0)
    assert (cost.uploading_at, cost.put_answered_s, cost.upload_to_sealed_s) == (10.0, 2.0, 4.0)
    case = replace(CASE, objects_in_parallel=2)
    rows = pipeline_rows(case, Round(2), 2, [cost, cost], [floor(1.0), floor(1.0)])
    summary = pipeline_summary(rows)
    assert summary["upload_to_sealed_mb_s"] == 2000 / 4.0
    assert summary["cpu_s_per_gb"] == 4.0 / 2


def test_objects_in_turn_are_a_case_of_their_own_with_their_own_floor() -> None:
    in_turn = Round(at_once=1, in_turn=8)
    case = replace(CASE, kind=in_turn.named("pipeline"))
    rows = pipeline_rows(case, in_turn, 2, [put(99.0), put(10.0)], [floor(99.0), floor(8.0)])
    assert {row.case.kind for row in rows} == {"pipeline, 8 in turn", "floor, 8 in turn"}
    summary = pipeline_summary(rows)
    assert (summary["upload_to_sealed_mb_s"], summary["floor_mb_s"]) == (800.0, 1000.0)
    assert summary["ratio_to_floor"] == pytest.approx(0.8)
    assert summary["first_object_peak_memory_bytes"] == 70
    assert summary["last_object_peak_memory_bytes"] == 80


def test_objects_at_once_are_compared_with_one_client_by_throughput() -> None:
    four = replace(CASE, objects_in_parallel=4)
    puts, one = [put(99.0), put(8.0), put(16.0)], [put(9.0), put(4.0), put(1.0)]
    row = over_one_client_row(four, Round(4), puts, Round(1), one)
    assert (row.metric, row.values) == ("upload to sealed / 1 at once", (2.0, 0.25))
    row = over_one_client_row(four, Round(4), puts, Round(1, 8), one)
    assert (row.metric, row.values) == ("upload to sealed / 8 in turn", (0.25, 0.03125))
