"""However a payload is cut on its way in, the same segments and columns are stored."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import AsyncIterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from greenray.actors.credit.lending_pool import unshared_pool
from greenray.actors.uploader.hot_columns import HotColumnCache
from greenray.actors.uploader.ingest import IngestTools, PayloadIngest
from greenray.actors.uploader.payload_source import ChunkedPayload, ReferencedPayload
from greenray.coding.segments import split_segment
from greenray.protocol.errors import PayloadSizeMismatch
from greenray.protocol.layout import PayloadLayout
from greenray.storage.ports import Buffer
from greenray.timeline.stage_trace import StageTrace
from tests.support.spaces import MemorySpace

BUDGET_BYTES = 256 * 1024


class ListWriter:
    """A column that keeps every append apart."""

    def __init__(self) -> None:
        self.appends: list[bytes] = []

    @property
    def size_bytes(self) -> int:
        return sum(map(len, self.appends))

    def append(self, buffers: Sequence[Buffer]) -> None:
        self.appends.append(b"".join(buffers))

    def sync(self) -> None: ...

    def finish(self) -> None: ...

    def close(self) -> None: ...

    def abort(self) -> None: ...


class Bench:
    def __init__(self, layout: PayloadLayout) -> None:
        self.layout = layout
        self.pool = ThreadPoolExecutor(2)
        self.space = MemorySpace()
        self.hot = HotColumnCache(1 << 20, 60.0, clock=lambda: 0.0)
        self.spliced = HotColumnCache(1 << 20, 60.0, clock=lambda: 0.0)
        self.buffers = unshared_pool(BUDGET_BYTES)
        self.writer = ListWriter()
        tools = IngestTools(self.buffers, self.hot, self.spliced, self.space, self.pool, self.pool)
        self.ingest = PayloadIngest(tools, layout, "sp", 1, self.writer, StageTrace().of(1, "sp"))

    async def receive(self, chunks: Sequence[bytes]) -> tuple[bytes, ...]:
        try:
            return await self.ingest.receive(ChunkedPayload(_stream(chunks)))
        finally:
            await self.ingest.drain()
            self.pool.shutdown()

    async def take(self, blocks: Sequence[bytes]) -> tuple[bytes, ...]:
        refs = [await self.space.put(np.frombuffer(block, np.uint8)) for block in blocks]
        try:
            return await self.ingest.take(ReferencedPayload(self.space, refs))
        finally:
            await self.ingest.drain()
            self.pool.shutdown()


async def _stream(chunks: Sequence[bytes]) -> AsyncIterator[bytes | Buffer]:
    for chunk in chunks:
        yield chunk


def _cut(payload: bytes, cuts: Sequence[int]) -> list[bytes]:
    edges = [0, *sorted(cut % (len(payload) + 1) for cut in cuts), len(payload)]
    return [payload[a:b] for a, b in pairwise(edges)]


def payload_of(layout: PayloadLayout, seed: bytes) -> tuple[bytes, list[bytes]]:
    """Any payload of that size, and its segments."""
    payload = hashlib.shake_128(seed).digest(layout.payload_size_bytes)
    size = layout.segment_size_bytes
    return payload, [payload[i : i + size] for i in range(0, len(payload), size)]


def columns_of(layout: PayloadLayout, segments: Sequence[bytes], batch: int) -> list[bytes]:
    """The data columns of one batch."""
    indices = layout.segments.batch_range(batch)
    columns = layout.data_columns
    shards = [[bytes(s) for s in split_segment(segments[i], columns)] for i in indices]
    return [b"".join(segment[j] for segment in shards) for j in range(columns)]


LAYOUTS = st.builds(
    PayloadLayout,
    payload_size_bytes=st.integers(1, 5000),
    segment_size_bytes=st.integers(1, 2000).map(lambda n: max(n, 200)),
    k=st.integers(1, 7),
    m=st.integers(0, 3),
    replica=st.booleans(),
    batch_segments=st.integers(1, 5),
)


@settings(max_examples=150, deadline=None)
@given(layout=LAYOUTS, cuts=st.lists(st.integers(0, 5000), max_size=30), seed=st.binary(max_size=8))
def test_any_chunking_gives_the_same_segments_and_columns(
    layout: PayloadLayout, cuts: list[int], seed: bytes
) -> None:
    payload, segments = payload_of(layout, seed)
    bench = Bench(layout)

    async def upload() -> list[list[bytes]]:
        checksums = await bench.receive(_cut(payload, cuts))
        assert checksums == tuple(hashlib.sha256(s).digest() for s in segments)
        columns: list[list[bytes]] = []
        for batch in range(layout.batch_count):
            refs = bench.hot.get("sp", 1, batch)
            assert refs is not None
            columns.append([bytes(await bench.space.get(ref)) for ref in refs])
        return columns

    columns = asyncio.run(upload())
    assert b"".join(bench.writer.appends) == payload
    assert len(bench.writer.appends) == layout.batch_count
    for batch, found in enumerate(columns):
        assert found == columns_of(layout, segments, batch)
    assert bench.buffers.lent_bytes == 0
    assert bench.buffers.allocated_bytes <= BUDGET_BYTES


@settings(max_examples=150, deadline=None)
@given(layout=LAYOUTS, cuts=st.lists(st.integers(0, 5000), max_size=30), seed=st.binary(max_size=8))
def test_any_blocks_are_stored_from_where_they_lie(
    layout: PayloadLayout, cuts: list[int], seed: bytes
) -> None:
    payload, segments = payload_of(layout, seed)
    bench = Bench(layout)
    k = 1 if layout.replica else layout.k

    async def upload() -> None:
        checksums = await bench.take(_cut(payload, cuts))
        assert checksums == tuple(hashlib.sha256(s).digest() for s in segments)
        for batch in range(layout.batch_count):
            indices = layout.segments.batch_range(batch)
            refs = bench.spliced.get("sp", 1, batch)
            # Padding is in no block: such columns are read from the store.
            assert (refs is None) == any(len(segments[i]) % k for i in indices)
            if refs is not None:
                found = [bytes(await bench.space.get(ref)) for ref in refs]
                assert found == columns_of(layout, segments, batch)

    asyncio.run(upload())
    assert b"".join(bench.writer.appends) == payload
    assert bench.buffers.allocated_bytes == 0
    assert bench.hot.held_bytes == 0


@settings(max_examples=60, deadline=None)
@given(
    layout=LAYOUTS,
    cuts=st.lists(st.integers(0, 5000), max_size=9),
    wrong=st.integers(-4999, 4999).filter(bool),
)
def test_blocks_that_make_another_size_are_refused(
    layout: PayloadLayout, cuts: list[int], wrong: int
) -> None:
    payload = bytes(max(0, layout.payload_size_bytes + wrong))
    bench = Bench(layout)
    with pytest.raises(PayloadSizeMismatch, match="only" if wrong < 0 else "more"):
        asyncio.run(bench.take(_cut(payload, cuts)))


@settings(max_examples=60, deadline=None)
@given(
    layout=LAYOUTS, cuts=st.lists(st.integers(0, 5000), max_size=9), missing=st.integers(1, 4999)
)
def test_a_payload_that_is_too_short_is_refused_and_gives_its_memory_back(
    layout: PayloadLayout, cuts: list[int], missing: int
) -> None:
    payload = bytes(layout.payload_size_bytes - min(missing, layout.payload_size_bytes))
    bench = Bench(layout)
    with pytest.raises(PayloadSizeMismatch, match="only"):
        asyncio.run(bench.receive(_cut(payload, cuts)))
    assert bench.buffers.lent_bytes == 0


@settings(max_examples=60, deadline=None)
@given(layout=LAYOUTS, cuts=st.lists(st.integers(0, 5000), max_size=9))
def test_one_byte_too_many_is_refused_before_the_rest_is_read(
    layout: PayloadLayout, cuts: list[int]
) -> None:
    bench = Bench(layout)
    read: list[int] = []

    async def chunks() -> AsyncIterator[bytes | Buffer]:
        for index, chunk in enumerate([*_cut(bytes(layout.payload_size_bytes), cuts), b"x", b"y"]):
            read.append(index)
            yield chunk

    async def upload() -> None:
        try:
            await bench.ingest.receive(ChunkedPayload(chunks()))
        finally:
            await bench.ingest.drain()

    with pytest.raises(PayloadSizeMismatch, match="more"):
        asyncio.run(upload())
    bench.pool.shutdown()
    assert len(read) == len(cuts) + 2
    assert bench.buffers.lent_bytes == 0
