"""Who comes when all places are taken waits; the slowest lose theirs, and nobody else."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack

import pytest
from hypothesis import given
from hypothesis import strategies as st

from greenray.actors.credit.places import Pace, PeerTurns, Places, TakenPlace, slowest_first
from greenray.protocol.errors import Overloaded

KIB = 1024


def places(limit: int, *, wait_s: float = 30.0) -> Places:
    return Places(
        limit,
        "uploads are being received",
        wait_s=wait_s,
        least_bytes_per_s=16 * KIB,
        overloaded=lambda what: Overloaded(what, "gateway"),
        judged_s=0.02,
    )


class Peer:
    """Holds a place until it is told to leave."""

    def __init__(self, taken: Places, bytes_per_s: float) -> None:
        self._places = taken
        self._bytes_per_s = bytes_per_s
        self._turns = PeerTurns()
        self.has_place = asyncio.Event()
        self.told = asyncio.Event()
        self.task = asyncio.create_task(self._stay())

    def pace(self) -> Pace:
        waited_s = self._turns.waited_s
        return Pace(int(waited_s * self._bytes_per_s), waited_s)

    async def _stay(self) -> None:
        async with self._places.take() as place:
            with place.may_be_ended(self.pace, self.told.set), self._turns.turn():
                self.has_place.set()
                await self.told.wait()


async def test_who_comes_when_all_are_taken_gets_the_place_of_the_slowest() -> None:
    taken = places(3)
    peers = [Peer(taken, rate) for rate in (900 * KIB, 1 * KIB, 2 * KIB)]
    for peer in peers:
        await peer.has_place.wait()
    async with taken.take():
        assert [peer.told.is_set() for peer in peers] == [False, True, False]
    assert taken.taken == 2
    for peer in peers:
        peer.told.set()
        await peer.task
    assert taken.taken == 0


async def test_nobody_loses_a_place_that_nobody_waits_for() -> None:
    taken = places(2)
    slow = Peer(taken, 0)
    await slow.has_place.wait()
    async with taken.take():
        pass
    assert not slow.told.is_set()
    slow.told.set()
    await slow.task


async def test_who_waits_for_us_is_not_slow_and_who_comes_is_told_so_after_a_while() -> None:
    taken = places(1, wait_s=0.2)
    told: list[str] = []
    async with taken.take() as place:
        # It sends nothing, because nobody asks it to.
        held = place.may_be_ended(lambda: Pace(0, 0.0), lambda: told.append("leave"))
        with held, pytest.raises(Overloaded, match="1 uploads are being received"):
            async with taken.take():
                pass
    assert told == []
    async with taken.take():
        pass


async def test_as_many_wait_as_there_are_places_and_are_served_in_their_order() -> None:
    taken = places(2)
    served: list[int] = []

    async def come(number: int) -> None:
        async with taken.take():
            served.append(number)

    async with AsyncExitStack() as stack:
        for _ in range(2):
            await stack.enter_async_context(taken.take())
        waiting = [asyncio.create_task(come(number)) for number in range(2)]
        await asyncio.sleep(0)
        with pytest.raises(Overloaded):
            async with taken.take():
                pass
        waiting[0].cancel()
        await asyncio.gather(waiting[0], return_exceptions=True)
        waiting.append(asyncio.create_task(come(2)))
        await asyncio.sleep(0)
    await asyncio.gather(*waiting[1:])
    assert served == [1, 2]
    assert taken.taken == 0


async def test_a_place_that_was_given_to_who_gave_up_meanwhile_goes_to_the_next() -> None:
    taken = places(2)
    async with AsyncExitStack() as stack:
        await stack.enter_async_context(taken.take())
        async with taken.take():
            first, second = (asyncio.create_task(_take_and_leave(taken)) for _ in range(2))
            await asyncio.sleep(0)
        first.cancel()
        await second
    assert first.cancelled()
    assert taken.taken == 0


async def _take_and_leave(taken: Places) -> None:
    async with taken.take():
        pass


def test_a_place_is_told_to_end_once_and_not_after_its_peer_is_done() -> None:
    told: list[str] = []
    place = TakenPlace()
    with place.may_be_ended(lambda: Pace(0, 0.0), lambda: told.append("end")):
        place.end()
        place.end()
    assert told == ["end"]
    with place.may_be_ended(lambda: Pace(0, 0.0), lambda: told.append("end")):
        pass
    place.end()
    assert told == ["end"]


@given(
    st.dictionaries(
        st.integers(), st.builds(Pace, st.integers(0, 1 << 30), st.floats(0, 100)), max_size=9
    ),
    st.integers(0, 1 << 20),
)
def test_who_is_slow_is_named_by_its_rate_and_nobody_else(
    paces: dict[int, Pace], least_bytes_per_s: int
) -> None:
    named = slowest_first(paces, least_bytes_per_s)
    rates = [paces[key].moved_bytes / paces[key].waited_s for key in named]
    assert rates == sorted(rates)
    assert all(rate < least_bytes_per_s for rate in rates)
    for key in paces.keys() - set(named):
        pace = paces[key]
        assert not pace.waited_s or pace.moved_bytes / pace.waited_s >= least_bytes_per_s
