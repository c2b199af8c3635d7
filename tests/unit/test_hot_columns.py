"""The cache of hot columns: what it refuses, what it lets go."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field

from greenray.actors.uploader.hot_columns import HotColumnCache


@dataclass
class Cache:
    """A cache for 100 bytes whose idle time is 10 s."""

    now: float = 0.0
    cache: HotColumnCache = field(init=False)

    def __post_init__(self) -> None:
        self.cache = HotColumnCache(100, 10.0, clock=lambda: self.now)

    def put(self, object_id: int, batch: int, size_bytes: int, name: str = "column") -> bool:
        if not self.cache.reserve("sp", object_id, size_bytes):
            return False
        self.cache.keep("sp", object_id, batch, (name,), size_bytes)
        return True


def test_what_was_kept_is_found_and_nothing_else() -> None:
    bench = Cache()
    assert bench.put(1, 0, 60)
    assert bench.cache.get("sp", 1, 0) == ("column",)
    assert bench.cache.get("sp", 1, 1) is None
    assert bench.cache.get("other", 1, 0) is None


def test_a_batch_without_room_is_refused_and_earlier_ones_stay() -> None:
    bench = Cache()
    assert bench.put(1, 0, 60)
    assert not bench.put(1, 1, 60)
    assert not bench.put(2, 0, 60)
    assert bench.cache.get("sp", 1, 0) is not None


def test_released_objects_make_room() -> None:
    bench = Cache()
    bench.put(1, 0, 60)
    bench.cache.release("sp", 1)
    assert bench.cache.held_bytes == 0
    assert bench.put(2, 0, 100)
    bench.cache.release("sp", 99)


def test_objects_that_nobody_asked_for_make_room_longest_unused_first() -> None:
    bench = Cache()
    bench.put(1, 0, 40)
    bench.put(2, 0, 40)
    bench.now = 11.0
    bench.cache.get("sp", 1, 0)
    bench.now = 12.0
    assert bench.put(3, 0, 50)
    assert bench.cache.get("sp", 2, 0) is None
    assert bench.cache.get("sp", 1, 0) is not None


def test_an_object_never_pushes_out_its_own_batches() -> None:
    bench = Cache()
    bench.put(1, 0, 60)
    bench.now = 100.0
    assert not bench.put(1, 1, 60)


def test_a_cancelled_reservation_counts_no_more() -> None:
    bench = Cache()
    assert bench.cache.reserve("sp", 1, 100)
    assert not bench.cache.reserve("sp", 1, 1)
    bench.cache.cancel(100)
    assert bench.put(1, 0, 100)


def test_keeping_a_batch_again_replaces_it() -> None:
    bench = Cache()
    bench.put(1, 0, 40, "old")
    bench.put(1, 0, 50, "new")
    assert bench.cache.get("sp", 1, 0) == ("new",)
    assert bench.cache.held_bytes == 50


async def test_who_waits_for_room_has_it_when_another_batch_is_released() -> None:
    bench = Cache()
    bench.put(1, 0, 60)
    bench.put(1, 1, 40)
    waiting = asyncio.create_task(bench.cache.reserve_soon("sp", 2, 50, patience_s=60.0))
    await asyncio.sleep(0)
    bench.cache.release_batch("sp", 1, 1)
    await asyncio.sleep(0)
    assert not waiting.done()
    bench.cache.release_batch("sp", 1, 0)
    assert await waiting
    assert bench.cache.held_bytes == 50


async def test_who_waits_for_room_in_vain_reserves_nothing() -> None:
    bench = Cache()
    bench.put(1, 0, 60)
    assert not await bench.cache.reserve_soon("sp", 2, 50, patience_s=0.01)
    assert not await bench.cache.reserve_soon("sp", 2, 50, patience_s=0.0)
    assert bench.cache.held_bytes == 60


async def test_nobody_waits_for_room_that_there_never_is() -> None:
    assert not await Cache().cache.reserve_soon("sp", 1, 101, patience_s=60.0)
