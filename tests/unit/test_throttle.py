"""An even rate of bytes."""

from __future__ import annotations

import pytest

from greenray.actors.credit.throttle import Throttle


class Time:
    """Passes when somebody sleeps."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now

    async def sleep(self, seconds: float) -> None:
        self.now += seconds


@pytest.fixture
def time() -> Time:
    return Time()


async def test_bytes_pass_at_the_rate_and_the_first_at_once(time: Time) -> None:
    throttle = Throttle(lambda: 10, clock=time, sleep=time.sleep)
    at = []
    for size_bytes in (5, 20, 1, 10):
        await throttle.take(size_bytes)
        at.append(time.now)
    assert at == [100.0, 100.5, 102.5, pytest.approx(102.6)]


async def test_time_in_which_nothing_passed_is_not_saved_up(time: Time) -> None:
    throttle = Throttle(lambda: 10, clock=time, sleep=time.sleep)
    await throttle.take(10)
    time.now += 60.0
    await throttle.take(10)
    assert time.now == 160.0
    await throttle.take(10)
    assert time.now == 161.0


async def test_without_a_rate_nobody_waits(time: Time) -> None:
    throttle = Throttle(lambda: 0, clock=time, sleep=time.sleep)
    for _ in range(3):
        await throttle.take(1 << 40)
    assert time.now == 100.0


async def test_a_rate_that_changes_holds_from_the_next_bytes_on(time: Time) -> None:
    rates = [10, 10, 2, 2]
    throttle = Throttle(lambda: rates.pop(0), clock=time, sleep=time.sleep)
    at = []
    for _ in range(4):
        await throttle.take(10)
        at.append(time.now)
    assert at == [100.0, 101.0, 102.0, 107.0]
