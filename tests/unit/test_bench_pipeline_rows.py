from __future__ import annotations

import pytest

from cluster.bench.client_process import PutTimes
from cluster.bench.floor import ShareChecksums
from cluster.bench.pipeline_rows import FloorCost, PutCost, pipeline_rows, pipeline_summary
from cluster.bench.records import Case

GB = 1_000_000_000


def put(sealed_after_s: float, *, cpu_s: float = 4.0, peak_memory_bytes: int = 100) -> PutCost:
    times = PutTimes(
        hashing_s=1.0,
        creating_s=0.5,
        uploading_at=50.0,
        answered_at=52.0,
        stored_at=51.5,
        replicated_at=53.0,
        sealed_at=50.0 + sealed_after_s,
    )
    return PutCost(times, cpu_s, 1.0, peak_memory_bytes)


def floor(seconds: float) -> FloorCost:
    return FloorCost(seconds, 3.0, 10, ShareChecksums((), ()))


ROWS = pipeline_rows(
    Case("pipeline", "isal", 4, 2, 16 << 20, GB),
    2,
    [put(99.0, cpu_s=99.0, peak_memory_bytes=500), put(4.0), put(5.0), put(10.0)],
    [floor(99.0), floor(2.0), floor(2.0), floor(2.5)],
    spilled_bytes=7,
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
            "spilled_bytes": 7,
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
