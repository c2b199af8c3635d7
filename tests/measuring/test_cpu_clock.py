"""CPU time of other processes, finer than the ticks of /proc."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Iterator
from itertools import pairwise

import psutil
import pytest

from greenray.capacity.cpu_clock import process_cpu_s, resolution_s
from greenray.capacity.environment import describe_environment

TICK_S = 0.01
WORKS = "import sys\nprint(flush=True)\nwhile True: pass"


@pytest.fixture
def worker() -> Iterator[psutil.Process]:
    """A process that works all the time."""
    with subprocess.Popen([sys.executable, "-c", WORKS], stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        process.stdout.readline()
        yield psutil.Process(process.pid)
        process.kill()


def test_a_process_that_works_moves_on_in_steps_smaller_than_a_tick(worker: psutil.Process) -> None:
    assert resolution_s() < TICK_S / 1000
    seen = {process_cpu_s(worker)}
    while len(seen) < 100:
        seen.add(process_cpu_s(worker))
    ordered = sorted(seen)
    steps = [later - earlier for earlier, later in pairwise(ordered)]
    assert min(steps) < TICK_S / 10


def test_it_is_the_time_that_the_ticks_count(worker: psutil.Process) -> None:
    while sum(worker.cpu_times()[:2]) < 0.1:
        time.sleep(0)
    before = process_cpu_s(worker)
    ticks = sum(worker.cpu_times()[:2])
    after = process_cpu_s(worker)
    assert before - 2 * TICK_S <= ticks <= after + 2 * TICK_S


def test_where_there_is_no_such_clock_it_is_in_ticks_and_says_so(
    worker: psutil.Process, monkeypatch: pytest.MonkeyPatch
) -> None:
    def no_clock(clock: int) -> float:
        raise OSError(f"no clock {clock}")

    monkeypatch.setattr("greenray.capacity.cpu_clock.time.clock_gettime", no_clock)
    monkeypatch.setattr("greenray.capacity.cpu_clock.time.clock_getres", no_clock)
    ticks = process_cpu_s(worker) / TICK_S
    assert ticks == pytest.approx(round(ticks))
    assert describe_environment({})["cpu_time_resolution_s"] == resolution_s() == TICK_S


def test_a_process_that_has_ended_has_no_time(worker: psutil.Process) -> None:
    worker.kill()
    worker.wait()
    with pytest.raises(psutil.NoSuchProcess):
        process_cpu_s(worker)


def test_the_environment_tells_kinds_of_processor_with_one_name_apart() -> None:
    environment = describe_environment({})
    assert environment["processor_kind"]
    assert environment["processor"] != environment["processor_kind"]
