"""Buffers that are lent to peers: who gets them, and how they come back."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from greenray.actors.credit.lending import Borrower
from greenray.actors.credit.lending_pool import FIRST_BYTES, LendingPool
from greenray.actors.credit.settings import LendingSettings
from greenray.protocol.errors import Overloaded

KIB = 1024
ALICE, BOB = Borrower("alice", "10.0.0.1"), Borrower("bob", "10.0.0.2")


def pool_of(budget_bytes: int, **options: Any) -> LendingPool:
    given: dict[str, Any] = {"what": "uploads", "least_bytes_per_s": 0, "judged_s": 0.02}
    settings = options.pop("settings", LendingSettings())
    return LendingPool(budget_bytes, settings, **(given | {"patience_s": 0.02} | options))


async def _settle() -> None:
    for _ in range(5):
        await asyncio.sleep(0)


async def test_what_is_given_back_is_handed_out_again() -> None:
    pool = pool_of(128 * KIB)
    first = await pool.lend(50_000)
    buffer = first.buffer
    first.give_back()
    first.give_back()
    assert (await pool.lend(60_000)).buffer is buffer
    assert pool.allocated_bytes == pool.lent_bytes == 64 * KIB


async def test_the_second_half_is_for_who_has_waited() -> None:
    pool = pool_of(128 * KIB, at_once_bytes=64 * KIB)
    quick = await pool.lend(1)
    patient = asyncio.create_task(pool.lend(1))
    await _settle()
    assert not patient.done()
    assert (await patient).buffer is not quick.buffer
    assert pool.lent_bytes == 128 * KIB
    late = asyncio.create_task(pool.lend(1))
    await asyncio.sleep(0.05)
    assert not late.done()
    quick.give_back()
    await late


async def test_who_keeps_a_buffer_for_long_keeps_nobody_waiting() -> None:
    pool = pool_of(256 * KIB, at_once_bytes=128 * KIB, patience_s=0.05)
    kept = [await pool.lend(1, ALICE) for _ in range(2)]
    await asyncio.sleep(0.06)
    for _ in range(2):
        quick = asyncio.create_task(pool.lend(1, BOB))
        await asyncio.sleep(0)
        assert quick.done(), "without patience"
    assert pool.lend_at_once(1, ALICE) is None, "who has something grows within the first half"
    assert not any(one.is_over for one in kept)


async def test_what_was_given_beyond_the_first_half_is_not_kept() -> None:
    pool = pool_of(128 * KIB, at_once_bytes=64 * KIB, patience_s=0.0)
    first, second = await pool.lend(1), await pool.lend(1)
    first.give_back()
    assert pool.allocated_bytes == 64 * KIB
    kept = second.buffer
    second.give_back()
    assert pool.allocated_bytes == 64 * KIB
    assert (await pool.lend(1)).buffer is kept


async def test_a_request_that_is_cancelled_gives_its_place_and_its_buffer_back() -> None:
    pool = pool_of(64 * KIB)
    held = await pool.lend(1)
    first = asyncio.create_task(pool.lend(1))
    second = asyncio.create_task(pool.lend(1))
    await _settle()
    held.give_back()
    first.cancel()
    await second
    assert pool.lent_bytes == 64 * KIB


async def test_who_waits_for_too_long_is_told_to_come_later() -> None:
    pool = pool_of(64 * KIB, settings=LendingSettings(memory_wait_s=0.05))
    held = await pool.lend(1, ALICE)
    with pytest.raises(Overloaded, match="uploads have all the memory"):
        await pool.lend_first(1, BOB)
    held.give_back()
    assert await pool.lend_first(1, BOB)


async def test_a_peer_that_stands_still_loses_what_others_wait_for() -> None:
    pool = pool_of(64 * KIB)
    slow = await pool.lend(1, ALICE)
    slow.may_be_taken_back(lambda: 0, slow.give_back, 60.0)
    assert (await pool.lend(1, BOB)).buffer is not None
    assert slow.is_over


async def test_who_moves_or_is_not_waited_for_loses_nothing() -> None:
    pool = pool_of(128 * KIB)
    moved = iter(range(0, 1 << 40, 1 << 20))
    fast, ours = await pool.lend(1, ALICE), await pool.lend(1)
    fast.may_be_taken_back(lambda: next(moved), fast.give_back, 60.0)
    waiting = asyncio.create_task(pool.lend(1, BOB))
    await asyncio.sleep(0.2)
    assert not waiting.done()
    ours.give_back()
    await waiting
    assert not fast.is_over


async def test_who_holds_more_than_a_share_gives_it_to_who_holds_nothing() -> None:
    pool = pool_of(256 * KIB, settings=LendingSettings(account_share=0.5, address_share=1.0))
    moved = iter(range(0, 1 << 40, 1 << 20))
    many = [await pool.lend(1, ALICE) for _ in range(4)]
    for one in many:
        one.may_be_taken_back(lambda: next(moved), one.give_back, 60.0)
    await pool.lend(1, BOB)
    assert [one.is_over for one in many].count(True) == 1
    greedy = asyncio.create_task(pool.lend(1, ALICE))
    modest = asyncio.create_task(pool.lend(1, BOB))
    await modest
    assert not greedy.done()
    greedy.cancel()


async def test_who_begins_is_not_kept_waiting_by_who_is_at_work() -> None:
    pool = pool_of(8 * FIRST_BYTES)
    large = [await pool.lend(2 * FIRST_BYTES, ALICE) for _ in range(3)]
    waiting = asyncio.create_task(pool.lend(2 * FIRST_BYTES, ALICE))
    await _settle()
    assert await pool.lend_first(1 << 30, BOB)
    assert not waiting.done()
    large[0].give_back()
    await waiting


async def test_nobody_loses_anything_in_vain() -> None:
    pool = pool_of(8 * FIRST_BYTES)
    small = await pool.lend(1, ALICE)
    small.may_be_taken_back(lambda: 0, small.give_back, 60.0)
    await pool.lend(4 * FIRST_BYTES)
    waiting = asyncio.create_task(pool.lend(4 * FIRST_BYTES, BOB))
    await asyncio.sleep(0.2)
    assert not small.is_over
    waiting.cancel()
