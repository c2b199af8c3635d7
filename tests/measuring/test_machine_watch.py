"""What other programs take from a machine while something is measured."""

from __future__ import annotations

import subprocess
import sys
import time

import pytest

from greenray.bench.machine_watch import (
    CpuSeconds,
    MachineWatch,
    disturbance,
    most_disturbed,
    watched,
)
from greenray.bench.records import BenchResult
from greenray.capacity.environment import cores

BURN_S = 0.4
BURNS = f"import time\nwhile time.process_time() < {BURN_S}: pass"


def test_what_is_busy_and_not_ours_is_others() -> None:
    first, last = CpuSeconds(10.0, 100.0, 5.0, 50.0), CpuSeconds(20.0, 115.0, 6.0, 53.0)
    found = disturbance(first, last)
    assert found == {"other_programs_cores": 1.2, "stolen_cores": 0.1}


@pytest.mark.parametrize(("busy", "at_s"), [(100.0, 20.0), (115.0, 10.0)])
def test_where_no_busy_time_is_counted_nothing_is_claimed(busy: float, at_s: float) -> None:
    assert disturbance(CpuSeconds(10.0, 100.0, 5.0, 50.0), CpuSeconds(at_s, busy, 5.0, 50.0)) == {}


def test_ours_is_never_more_than_all() -> None:
    found = disturbance(CpuSeconds(0.0, 0.0, 0.0, 0.0), CpuSeconds(1.0, 1.0, 0.0, 1.02))
    assert found["other_programs_cores"] == 0.0


def test_children_count_as_ours_also_when_they_came_and_went_between_two_looks() -> None:
    with MachineWatch() as watch:
        before_s = watch.ours_s
        subprocess.run([sys.executable, "-c", BURNS], check=True)
        burnt_at_s = time.process_time() + BURN_S
        while time.process_time() < burnt_at_s:
            pass
    assert watch.ours_s - before_s >= 2 * BURN_S


def test_a_benchmark_tells_how_busy_others_were() -> None:
    @watched
    def run(bench: str) -> BenchResult:
        until_s = time.process_time() + BURN_S
        while time.process_time() < until_s:
            pass
        return BenchResult(bench, True, {"cores": 2}, [], {})

    environment = run("hash").environment
    assert environment["cores"] == 2
    assert 0 <= environment["other_programs_cores"] <= cores() + 0.5
    assert environment.keys() >= {"stolen_cores", "load_average_after"}
    assert environment["run_s"] >= BURN_S


def test_all_benchmarks_together_are_as_disturbed_as_the_worst() -> None:
    names = ("load_average_after", "other_programs_cores", "stolen_cores")
    runs = [dict(zip(names, values, strict=True)) for values in ((1.0, 0.1, 0.2), (2.0, 0.5, 0.0))]
    assert most_disturbed([*runs, {"cores": 2}]) == runs[1]
    assert most_disturbed([{"cores": 2}]) == {}
