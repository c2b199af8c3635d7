"""The buffer pool: reuse, budget, and who is served first."""

from __future__ import annotations

import asyncio

from greenray.actors.credit.buffers import BufferPool, capacity_for

KIB = 1024


async def _settle() -> None:
    for _ in range(5):
        await asyncio.sleep(0)


def test_capacities_are_powers_of_two_from_64_kib_up() -> None:
    assert [capacity_for(n) for n in (1, 64 * KIB, 64 * KIB + 1, 200 * KIB)] == [
        64 * KIB,
        64 * KIB,
        128 * KIB,
        256 * KIB,
    ]


async def test_a_released_buffer_is_handed_out_again() -> None:
    pool = BufferPool(128 * KIB)
    first = await pool.acquire(50_000)
    pool.release(first)
    assert await pool.acquire(60_000) is first
    assert pool.allocated_bytes == 64 * KIB


async def test_nobody_gets_more_than_the_budget() -> None:
    pool = BufferPool(128 * KIB)
    first = await pool.acquire(128 * KIB)
    waiting = asyncio.create_task(pool.acquire(1))
    await _settle()
    assert not waiting.done()
    pool.release(first)
    await waiting
    assert pool.allocated_bytes <= 128 * KIB


async def test_kept_buffers_of_other_sizes_make_room() -> None:
    pool = BufferPool(128 * KIB)
    small = [await pool.acquire(1), await pool.acquire(1)]
    for buffer in small:
        pool.release(buffer)
    large = await pool.acquire(128 * KIB)
    assert len(large) == 128 * KIB
    assert pool.allocated_bytes == 128 * KIB


async def test_a_large_request_is_not_overtaken_by_small_ones() -> None:
    pool = BufferPool(128 * KIB)
    held = [await pool.acquire(1), await pool.acquire(1)]
    large = asyncio.create_task(pool.acquire(128 * KIB))
    await _settle()
    small = asyncio.create_task(pool.acquire(1))
    pool.release(held[0])
    await _settle()
    assert not large.done()
    assert not small.done()
    pool.release(held[1])
    await _settle()
    assert large.done()
    assert not small.done()
    pool.release(large.result())
    await small


async def test_a_request_that_is_cancelled_gives_its_place_and_its_buffer_back() -> None:
    pool = BufferPool(64 * KIB)
    held = await pool.acquire(1)
    first = asyncio.create_task(pool.acquire(1))
    second = asyncio.create_task(pool.acquire(1))
    await _settle()
    first.cancel()
    pool.release(held)
    await second
    assert pool.leased_bytes == 64 * KIB


async def test_a_buffer_larger_than_the_budget_is_had_alone() -> None:
    pool = BufferPool(64 * KIB)
    small = await pool.acquire(1)
    large = asyncio.create_task(pool.acquire(65 * KIB))
    await _settle()
    assert not large.done()
    pool.release(small)
    buffer = await large
    assert len(buffer) == pool.allocated_bytes == 128 * KIB
    after = asyncio.create_task(pool.acquire(1))
    await _settle()
    assert not after.done()
    pool.release(buffer)
    await after
    assert pool.allocated_bytes == 64 * KIB
