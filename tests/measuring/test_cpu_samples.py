"""How busy the cores were."""

from __future__ import annotations

import asyncio

import pytest

from greenray.timeline.cpu_samples import CpuSample, CpuSampler, core_use, parse_proc_stat

MS = 10**6
PROC_STAT = """\
cpu  130 10 40 900 100 5 5 10 50 0
cpu0 100 10 20 400 90 5 5 10 50 0
cpu1 30 0 20 500 10 0 0 0 0 0
intr 1 2 3
ctxt 12
"""


def sample(at_ms: int, *idle_of_all: tuple[int, int]) -> CpuSample:
    idle, total = zip(*idle_of_all, strict=True)
    return CpuSample(at_ms * MS, tuple(idle), tuple(total))


def test_a_core_is_idle_in_its_idle_and_its_waiting_time_and_guests_count_once() -> None:
    assert parse_proc_stat(PROC_STAT, 5) == CpuSample(5, (490, 510), (640, 560))


def test_the_busy_share_of_each_core_lies_between_two_samples() -> None:
    samples = [sample(100, (0, 0), (50, 100)), sample(200, (5, 10), (50, 110))]
    [use] = core_use(samples, 40 * MS)
    assert (use.begin_ns, use.end_ns) == (100 * MS, 200 * MS)
    assert use.busy_shares == pytest.approx((0.5, 1.0))


def test_samples_of_two_processes_are_one_row_without_steps_too_short_to_mean_anything() -> None:
    one = [sample(at, (at // 10, at // 5)) for at in (0, 50, 100, 150)]
    other = [sample(at, (at // 10, at // 5)) for at in (3, 53, 103)]
    uses = core_use([*other, *one], 40 * MS)
    assert [(use.begin_ns // MS, use.end_ns // MS) for use in uses] == [
        (0, 50),
        (50, 100),
        (100, 150),
    ]


def test_idle_time_that_the_kernel_counts_back_is_no_negative_share() -> None:
    [use] = core_use([sample(0, (10, 10), (7, 7)), sample(50, (9, 15), (7, 7))], 1)
    assert use.busy_shares == (1.0, 0.0)


async def over() -> None:
    """Until it has taken its last sample."""
    await asyncio.gather(*(asyncio.all_tasks() - {asyncio.current_task()}))


async def test_samples_are_taken_while_somebody_works_and_once_more() -> None:
    enough = asyncio.Event()
    taken = 0

    def read() -> CpuSample:
        nonlocal taken
        taken += 1
        if taken == 100:
            enough.set()
        return sample(taken, (0, 0))

    sampler = CpuSampler(read, interval_s=0.001, capacity=50)
    for _ in range(2):
        with sampler.working(), sampler.working():
            await enough.wait()
            before = taken
        await over()
        assert taken == before + 1
    assert taken > 100
    assert len(sampler.samples(0, 10**12)) == 50


async def test_where_the_kernel_does_not_tell_there_are_no_samples() -> None:
    sampler = CpuSampler(lambda: None)
    with sampler.working():
        await asyncio.sleep(0)
    assert sampler.samples(0, 10**12) == ()


async def test_samples_are_chosen_by_time_with_a_neighbour_on_either_side() -> None:
    moments = iter(range(0, 1000, 100))
    last = asyncio.Event()

    def read() -> CpuSample:
        at_ms = next(moments)
        if at_ms == 800:
            last.set()
        return sample(at_ms, (0, 0))

    sampler = CpuSampler(read, interval_s=0.001)
    with sampler.working():
        await last.wait()
    await over()
    chosen = [s.at_ns // MS for s in sampler.samples(250 * MS, 450 * MS)]
    assert chosen == [200, 300, 400, 500]
