from __future__ import annotations

import asyncio

import pytest

from greenray.actors.credit.byte_budget import ByteBudget


async def waits(task: asyncio.Task[object]) -> bool:
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    return not task.done()


async def test_credit_is_granted_up_to_the_budget_and_then_waited_for() -> None:
    budget = ByteBudget(100)
    first = await budget.acquire(60)
    second = asyncio.create_task(budget.acquire(60))
    assert await waits(second)
    first.done()
    (await second).done()


async def test_a_shared_lease_comes_back_with_its_last_holder() -> None:
    budget = ByteBudget(100)
    lease = await budget.acquire(100)
    lease.share(3)
    waiting = asyncio.create_task(budget.acquire(1))
    lease.done()
    lease.done()
    assert await waits(waiting)
    lease.done()
    await waiting


async def test_a_cancelled_lease_comes_back_once() -> None:
    budget = ByteBudget(100)
    lease = await budget.acquire(80)
    lease.share(2)
    lease.done()
    lease.cancel()
    lease.cancel()
    (await budget.acquire(100)).done()
    waiting = asyncio.create_task(budget.acquire(100))
    assert not await waits(waiting)


async def test_who_waits_first_is_served_first_even_if_it_wants_more() -> None:
    budget = ByteBudget(100)
    lease = await budget.acquire(50)
    large = asyncio.create_task(budget.acquire(100))
    small = asyncio.create_task(budget.acquire(10))
    assert await waits(large)
    assert await waits(small)
    lease.done()
    (await large).done()
    await small


async def test_a_request_larger_than_the_budget_runs_alone() -> None:
    budget = ByteBudget(100)
    huge = await budget.acquire(1000)
    other = asyncio.create_task(budget.acquire(1))
    assert await waits(other)
    huge.done()
    await other


@pytest.mark.parametrize("granted_first", [True, False])
async def test_a_cancelled_wait_takes_nothing_with_it(granted_first: bool) -> None:
    budget = ByteBudget(100)
    lease = await budget.acquire(100)
    waiting = asyncio.create_task(budget.acquire(100))
    assert await waits(waiting)
    if granted_first:
        lease.done()
        waiting.cancel()
    else:
        waiting.cancel()
        lease.done()
    await asyncio.gather(waiting, return_exceptions=True)
    async with asyncio.timeout(5):
        (await budget.acquire(100)).done()
