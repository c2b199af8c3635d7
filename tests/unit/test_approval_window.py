"""How many approvals are asked for ahead."""

from __future__ import annotations

import asyncio

from greenray.chain.transactions.window import ApprovalWindow


async def test_who_comes_when_it_is_full_waits_for_a_place() -> None:
    window = ApprovalWindow(2)
    inside, leave = [], asyncio.Event()

    async def work(number: int) -> None:
        async with window.place():
            inside.append(number)
            await leave.wait()

    tasks = [asyncio.create_task(work(number)) for number in range(3)]
    for _ in range(10):
        await asyncio.sleep(0)
    assert inside == [0, 1]
    leave.set()
    await asyncio.gather(*tasks)
    assert inside == [0, 1, 2]


def test_an_approval_that_expired_halves_it_and_each_in_time_adds_one() -> None:
    window = ApprovalWindow(64)
    window.has_expired()
    assert window.size == 32
    window.was_in_time()
    assert window.size == 33
    for _ in range(100):
        window.was_in_time()
    assert window.size == 64


def test_it_never_closes() -> None:
    window = ApprovalWindow(64)
    for _ in range(20):
        window.has_expired()
    assert window.size == 4
