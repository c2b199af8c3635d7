"""Verified reading of stored segments: what is given out, and that memory comes back."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import AsyncIterator, Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor

import pytest

from greenray.actors.credit.lending_pool import unshared_pool
from greenray.actors.downloader.recovery import RecoveryTools, SegmentRecovery
from greenray.actors.downloader.segment_reader import ByteRange, SegmentReader
from greenray.actors.downloader.segment_repair import rewrite_segments
from greenray.actors.downloader.settings import DownloaderSettings
from greenray.coding.codec import get_codec
from greenray.protocol.errors import CorruptPiece
from greenray.protocol.integrity import integrity_hash
from greenray.protocol.layout import SEGMENTS, PayloadLayout
from greenray.protocol.objects import StorageParams
from greenray.storage.memory_store import MemoryPieceStore
from greenray.storage.ports import ColumnKey, IntegrityRecord
from tests.support.fake_chain import FakeChain
from tests.support.faulty_secondaries import NoPieces

PARAMS = StorageParams(max_segment_size_bytes=100)
PAYLOAD = bytes(range(250)) * 2
BUDGET_BYTES = 1 << 20


class Stored:
    def __init__(self, stored: bytes = PAYLOAD, recorded: bytes = PAYLOAD) -> None:
        self.buffers = unshared_pool(BUDGET_BYTES)
        self.pool = ThreadPoolExecutor(2)
        checksums = tuple(
            hashlib.sha256(recorded[i : i + 100]).digest() for i in range(0, len(recorded), 100)
        )
        self.record = IntegrityRecord("sp", 1, SEGMENTS, checksums, integrity_hash(checksums), b"")
        chain = FakeChain(params=PARAMS)
        chain.add_bucket("0xowner", "album", "sp")
        self.info = chain.add_object("album", "o", len(PAYLOAD), (self.record.integrity_hash,) * 7)
        self.store = MemoryPieceStore()
        layout = PayloadLayout.of(self.info, PARAMS).segments
        writer = self.store.create(ColumnKey(1, SEGMENTS), layout)
        writer.append([memoryview(stored)])
        writer.finish()

    def reader(self) -> SegmentReader:
        """Of an object that nobody else has a piece of."""
        tools = RecoveryTools(
            NoPieces(),
            get_codec,
            self.pool,
            asyncio.Semaphore(1),
            DownloaderSettings(),
        )
        layout = PayloadLayout.of(self.info, PARAMS)
        return SegmentReader(
            self.store,
            self.record,
            self.info,
            layout,
            self.buffers,
            self.pool,
            SegmentRecovery("sp", self.info, layout, tools),
        )

    async def all_memory_is_back(self) -> None:
        """Return when the whole budget can be had at once."""
        (await self.buffers.lend(BUDGET_BYTES)).give_back()


async def _collect(reader: SegmentReader, given: list[bytes]) -> None:
    async for view in reader.read(ByteRange(0, len(PAYLOAD) - 1)):
        given.append(bytes(view))


@pytest.fixture
async def stored() -> AsyncIterator[Stored]:
    stored = Stored()
    yield stored
    stored.pool.shutdown()


@pytest.mark.parametrize(("first", "last"), [(0, 499), (0, 0), (99, 100), (150, 449), (499, 499)])
async def test_every_range_gives_exactly_its_bytes(stored: Stored, first: int, last: int) -> None:
    parts = [bytes(view) async for view in stored.reader().read(ByteRange(first, last))]
    assert b"".join(parts) == PAYLOAD[first : last + 1]
    await stored.all_memory_is_back()


async def test_a_reader_that_is_left_in_the_middle_gives_its_memory_back(stored: Stored) -> None:
    segments = stored.reader().read(ByteRange(0, 499))
    assert bytes(await anext(segments)) == PAYLOAD[:100]
    await segments.aclose()
    await stored.all_memory_is_back()


async def test_nothing_of_a_damaged_segment_is_given_out() -> None:
    damaged = bytearray(PAYLOAD)
    damaged[250] ^= 1
    stored = Stored(stored=bytes(damaged))
    given: list[bytes] = []
    with pytest.raises(CorruptPiece, match="segment 2"):
        await _collect(stored.reader(), given)
    assert b"".join(given) == PAYLOAD[:200]
    await stored.all_memory_is_back()
    stored.pool.shutdown()


async def test_a_record_that_is_not_the_chains_object_is_refused(stored: Stored) -> None:
    other = Stored(recorded=PAYLOAD[::-1])
    stored.record = other.record
    with pytest.raises(CorruptPiece, match="on chain"):
        stored.reader()
    other.pool.shutdown()


async def test_two_repairs_of_one_column_do_not_meet(stored: Stored) -> None:
    async def repair(before_finish: Callable[[], Awaitable[None]]) -> None:
        layout = PayloadLayout.of(stored.info, PARAMS)
        await rewrite_segments(
            stored.reader(), stored.store, stored.info.id, layout, stored.pool, before_finish
        )

    async def another_comes_in() -> None:
        await repair(nothing)

    async def nothing() -> None:
        """Nobody comes in."""

    await repair(another_comes_in)
    assert [column.fence for column in stored.store.list_stored()] == [None]
    given: list[bytes] = []
    await _collect(stored.reader(), given)
    assert b"".join(given) == PAYLOAD
