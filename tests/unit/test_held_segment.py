"""A verified segment while it is sent: with memory, and without."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

import pytest

from greenray.actors.credit.lending_pool import LendingPool, unshared_pool
from greenray.actors.downloader.held_segment import (
    SLICE_BYTES,
    HeldSegment,
    LoadedSegment,
    SegmentSource,
)
from greenray.protocol.errors import NoSuchPiece
from greenray.storage.ports import Buffer

LENGTH = 2 * SLICE_BYTES + 100
SEGMENT = bytes(number % 251 for number in range(LENGTH))


@dataclass
class Stored:
    pool: ThreadPoolExecutor
    buffers: LendingPool = field(default_factory=lambda: unshared_pool(4 * LENGTH))
    content: bytearray | None = field(default_factory=lambda: bytearray(SEGMENT))
    loads: int = 0

    def read(self, offset: int, view: Buffer) -> None:
        if self.content is None:
            raise NoSuchPiece("gone")
        view[:] = self.content[offset : offset + len(view)]

    async def load(self) -> LoadedSegment:
        """What was rebuilt."""
        self.loads += 1
        return await self.loaded({"0xholder": LENGTH})

    async def loaded(self, piece_bytes: dict[str, int] | None = None) -> LoadedSegment:
        lent = await self.buffers.lend(LENGTH)
        lent.buffer.data[:LENGTH] = SEGMENT
        return LoadedSegment(lent, piece_bytes)

    async def held(self, start: int = 0, end: int = LENGTH) -> HeldSegment:
        source = SegmentSource(LENGTH, self.read, self.load, self.pool)
        return HeldSegment(source, await self.loaded(), start, end)


@pytest.fixture
async def stored() -> AsyncIterator[Stored]:
    with ThreadPoolExecutor(1) as pool:
        yield Stored(pool)


async def all_of(segment: HeldSegment) -> bytes:
    parts: list[bytes] = []
    position = segment.start
    while position < segment.end:
        memory = segment.memory(position, segment.end)
        part = bytes(await segment.slice_at(position) if memory is None else memory)
        assert part
        parts.append(part)
        position += len(part)
    return b"".join(parts)


RANGES = [(0, LENGTH), (5, 6), (SLICE_BYTES - 1, SLICE_BYTES + 1), (SLICE_BYTES, LENGTH - 1)]


@pytest.mark.parametrize(("start", "end"), RANGES)
async def test_without_memory_the_same_bytes_are_given(
    stored: Stored, start: int, end: int
) -> None:
    segment = await stored.held(start, end)
    assert await all_of(segment) == SEGMENT[start:end]
    await segment.let_go()
    assert segment.was_let_go
    assert stored.buffers.lent_bytes == 0
    assert await all_of(segment) == SEGMENT[start:end]


@pytest.mark.parametrize("is_gone", [False, True])
async def test_what_is_not_stored_as_it_was_is_loaded_anew(stored: Stored, is_gone: bool) -> None:
    segment = await stored.held()
    await segment.let_go()
    if is_gone:
        stored.content = None
    else:
        assert stored.content is not None
        stored.content[SLICE_BYTES + 1] ^= 1
    assert await all_of(segment) == SEGMENT
    assert stored.loads == 1
    segment.close()
    assert stored.buffers.lent_bytes == 0


async def test_a_rebuilt_segment_keeps_its_memory_and_its_reader_is_cut_off(
    stored: Stored,
) -> None:
    source = SegmentSource(LENGTH, stored.read, stored.load, stored.pool)
    segment = HeldSegment(source, await stored.load(), 0, LENGTH)
    cut_off = asyncio.Event()
    segment.begin_sending(lambda: 0, cut_off.set)
    await segment.let_go()
    assert not segment.was_let_go
    assert await all_of(segment) == SEGMENT
    segment.close()


async def test_memory_that_is_let_go_when_the_sending_ends_is_given_back_once(
    stored: Stored,
) -> None:
    segment = await stored.held()
    letting_go = asyncio.create_task(segment.let_go())
    await asyncio.sleep(0)
    segment.close()
    await letting_go
    assert stored.buffers.lent_bytes == 0
