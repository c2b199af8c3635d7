"""Downloader: gives out what the primary stores, and repairs it from the secondaries.

Plain code in the Gateway's process: payload bytes go from the store into the socket without a call
to another process. Only pieces for a broken segment come from elsewhere.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import aclosing
from dataclasses import dataclass

from greenray.actors.credit.buffers import BufferPool
from greenray.actors.downloader.recovery import RecoveryTools, SegmentRecovery
from greenray.actors.downloader.segment_reader import ByteRange, SegmentReader
from greenray.actors.downloader.settings import DownloaderSettings
from greenray.actors.ports import PieceSource
from greenray.actors.uploader.ingest import run_in
from greenray.chain.ports import ChainClient
from greenray.coding.codec import Codec
from greenray.protocol.errors import ComponentUnavailable, GreenrayError, NoSuchPiece
from greenray.protocol.layout import SEGMENTS, PayloadLayout
from greenray.protocol.objects import ObjectInfo
from greenray.storage.ports import (
    LONE_WRITER,
    ColumnKey,
    Fence,
    IntegrityRecord,
    JobStore,
    PieceStore,
)

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class _Stored:
    """A sealed object, as its primary has it."""

    sp_address: str
    info: ObjectInfo
    layout: PayloadLayout
    record: IntegrityRecord
    fence: Fence
    """Of its upload, which is over: nobody else writes segments under it any more."""


class Downloader:
    """Reads sealed objects of the SPs whose stores it has, from any number of requests at once."""

    def __init__(
        self,
        *,
        chain: ChainClient,
        job_store: JobStore,
        piece_stores: Mapping[str, PieceStore],
        pieces: PieceSource,
        codec: Callable[[], Codec],
        settings: DownloaderSettings | None = None,
    ) -> None:
        """``piece_stores``: by operator address. ``codec``: called when something is rebuilt."""
        settings = settings or DownloaderSettings()
        self._chain = chain
        self._jobs = job_store
        self._stores = piece_stores
        self._pool = ThreadPoolExecutor(settings.download_threads, "download")
        self._buffers = BufferPool(settings.download_budget_bytes)
        slots = asyncio.Semaphore(settings.parallel_rebuilds)
        self._tools = RecoveryTools(pieces, codec, self._pool, slots, settings)
        self._repairs: dict[tuple[str, int], asyncio.Task[None]] = {}

    async def open(self, sp_address: str, info: ObjectInfo) -> SegmentReader:
        """``info``: of an object that is sealed. What its reader finds broken is repaired in the
        store once the reading has ended.

        Raises: NoSuchPiece (this SP has no record of the object), CorruptPiece (it is not the
        chain's), ChainError, StoreError.
        """
        if sp_address not in self._stores:
            raise ComponentUnavailable("no store of this storage provider here", sp_address)
        record = await self._jobs.get_integrity(sp_address, info.id, SEGMENTS)
        if record is None:
            raise NoSuchPiece("this provider holds no payload of the object", info.name)
        job = await self._jobs.get_job(sp_address, info.id)
        params = job.params if job else await self._chain.storage_params()
        fence = Fence(job.epoch) if job else LONE_WRITER
        layout = PayloadLayout.of(info, params)
        stored = _Stored(sp_address, info, layout, record, fence)
        return self._reader(stored, lambda: self._begin_repair(stored))

    async def close(self) -> None:
        """Wait for repairs, close connections, stop the threads. Readings must have ended."""
        if self._repairs:
            await asyncio.wait(set(self._repairs.values()))
        await self._tools.source.close()
        self._pool.shutdown()

    def _reader(self, stored: _Stored, on_rebuilt: Callable[[], None]) -> SegmentReader:
        recovery = SegmentRecovery(stored.sp_address, stored.info, stored.layout, self._tools)
        return SegmentReader(
            self._stores[stored.sp_address],
            stored.record,
            stored.info,
            stored.layout,
            self._buffers,
            self._pool,
            recovery,
            on_rebuilt,
        )

    # --- repairing -------------------------------------------------------------------------------

    def _begin_repair(self, stored: _Stored) -> None:
        """One at a time for each object: whoever finds it broken meanwhile changes nothing."""
        key = (stored.sp_address, stored.info.id)
        if key not in self._repairs:
            repair = self._repairs[key] = asyncio.create_task(self._repair(stored))
            repair.add_done_callback(lambda _: self._repairs.pop(key))

    async def _repair(self, stored: _Stored) -> None:
        try:
            await self._write_again(stored)
        except GreenrayError as error:
            log.warning("%s stays broken until the next download: %s", stored.info.name, error)
        else:
            log.warning("%s is whole again", stored.info.name)

    async def _write_again(self, stored: _Stored) -> None:
        """Write the whole column anew, good segments from the broken one, and put it in its place
        in one step. Who reads the old one meanwhile goes on with it."""
        key, layout = ColumnKey(stored.info.id, SEGMENTS), stored.layout
        store = self._stores[stored.sp_address]
        writer = await run_in(self._pool, store.create, key, layout.segments, stored.fence)
        reader = self._reader(stored, on_rebuilt=lambda: None)
        try:
            everything = ByteRange(0, layout.payload_size_bytes - 1)
            async with aclosing(reader.read(everything)) as segments:
                async for segment in segments:
                    await run_in(self._pool, writer.append, [segment])
            await run_in(self._pool, writer.finish)
        except BaseException:
            await run_in(self._pool, writer.abort)
            raise
