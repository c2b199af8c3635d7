"""A Collector at work while objects are put, replaced secondaries leave groups, objects are
deleted, nodes lag and the chain is restored from older copies, after which ids go to objects of
other primaries: no column is ever missing that a sealed object needs, and in the end nothing is
left that nobody needs."""

from __future__ import annotations

import asyncio
from contextlib import suppress

from hypothesis import given, settings
from hypothesis import strategies as st

from greenray.protocol.errors import AlreadyUploaded, ChainNotComparable
from tests.support.chain_history import BUCKET
from tests.support.collector_world import OTHER_BUCKET, SECONDARIES, SPARE, CollectorWorld

Step = tuple[str, int]

steps = st.lists(
    st.one_of(
        st.tuples(st.just("put"), st.integers(1, 2)),
        st.tuples(st.just("put at another primary"), st.integers(1, 2)),
        st.tuples(st.just("create only at another primary"), st.integers(1, 2)),
        st.tuples(st.just("put with a replaced secondary"), st.integers(0, 5)),
        st.tuples(st.just("create only"), st.integers(1, 2)),
        st.tuples(st.just("delete"), st.integers(1, 8)),
        st.tuples(st.just("restore"), st.integers(1, 8)),
        st.tuples(st.just("empty blocks"), st.integers(1, 4)),
        st.tuples(st.just("lag"), st.integers(0, 3)),
        st.tuples(st.just("time passes"), st.just(0)),
    ),
    max_size=25,
)


class Run:
    def __init__(self) -> None:
        self.world = CollectorWorld()
        self.excused: set[tuple[int, str, int]] = set()
        """Missing since the chain went back to where a deleted object still lived."""

    async def take(self, step: Step) -> None:
        world = self.world
        match step:
            case ("put", count):
                first = world.created(count)
                await asyncio.gather(*(self._put(first + i) for i in range(count)))
            case ("put with a replaced secondary", index):
                object_id = world.created()
                await world.store(SPARE, object_id, index)
                await self._put(object_id)
            case ("put at another primary", count):
                first = world.created(count, OTHER_BUCKET)
                await asyncio.gather(*(self._put(first + i, OTHER_BUCKET) for i in range(count)))
            case ("create only", count):
                world.created(count)
            case ("create only at another primary", count):
                world.created(count, OTHER_BUCKET)
            case ("delete", object_id):
                world.chain.write(deleted={object_id})
            case ("restore", blocks):
                world.chain.restore(blocks)
                self.excused = set(world.missing_of_the_living())
            case ("empty blocks", count):
                for _ in range(count):
                    world.chain.write()
            case ("lag", blocks):
                world.node.lag = blocks
            case ("time passes", _):
                world.now += world.settings.delay_s

    async def _put(self, object_id: int, bucket: str = BUCKET) -> None:
        self.excused = {one for one in self.excused if one[0] != object_id}
        with suppress(AlreadyUploaded):  # an object of this number was, before the chain went back
            await self.world.upload(object_id, bucket)
            await self.world.replicate(object_id)
            self.world.chain.write(seals={object_id: SECONDARIES})

    async def collect(self) -> None:
        with suppress(ChainNotComparable):
            await self.world.collect()

    def check(self) -> None:
        assert set(self.world.missing_of_the_living()) <= self.excused


async def run(taken: list[Step]) -> None:
    one = Run()
    world = one.world
    await one.collect()
    for step in taken:
        await asyncio.gather(one.take(step), one.collect())
        one.check()
    # The chain goes on, ids and heights beyond all that ever was, and nothing is in the way.
    world.node.lag = 0
    world.created(40)
    while len(world.chain.states) < 200:
        world.chain.write()
    for _ in range(3):
        await world.collect_after_the_delay()
    one.check()
    assert list(world.useless_to_the_living()) == []
    gone = set(range(1, world.chain.states[-1].next_id)) - world.chain.states[-1].living
    assert [world.columns(object_id) for object_id in gone] == [[]] * len(gone)
    recorded = await world.journal.list_recorded(0, 10_000)
    assert not gone & {holding.object_id for holding in recorded.holdings}
    await world.journal.close()


@settings(max_examples=60, deadline=None)
@given(steps)
def test_what_is_needed_stays_and_what_is_not_goes(taken: list[Step]) -> None:
    asyncio.run(run(taken))
