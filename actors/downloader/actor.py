"""Downloader: gives out what the primary stores, and repairs it from the secondaries.

Plain code in the Gateway's process: payload bytes go from the store into the socket without a call
to another process. Only pieces for a broken segment come from elsewhere.
"""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from greenray.actors.credit.lending import OURSELVES, Borrower
from greenray.actors.credit.lending_pool import LendingPool
from greenray.actors.downloader.lost_record import LostRecord, RecordMaker
from greenray.actors.downloader.rebuilt_feed import RebuiltFeed
from greenray.actors.downloader.recovery import RecoveryTools, SegmentRecovery
from greenray.actors.downloader.segment_reader import SegmentReader
from greenray.actors.downloader.segment_repair import rewrite_segments
from greenray.actors.downloader.settings import DownloaderSettings
from greenray.actors.ports import PieceSource
from greenray.chain.ports import ChainClient
from greenray.coding.codec import Codec
from greenray.protocol.errors import ComponentUnavailable, GreenrayError
from greenray.protocol.layout import SEGMENTS, PayloadLayout
from greenray.protocol.objects import ObjectInfo
from greenray.storage.ports import (
    IntegrityRecord,
    JobStore,
    PieceStore,
)

log = logging.getLogger(__name__)

_PATIENCE_S = 0.25
_JUDGED_S = 0.5
"""Of a segment's memory most readers need not be asked back more than once."""


@dataclass(frozen=True, slots=True)
class _Stored:
    """A sealed object, as its primary has it."""

    sp_address: str
    info: ObjectInfo
    layout: PayloadLayout
    record: IntegrityRecord


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
        records: RecordMaker,
        settings: DownloaderSettings | None = None,
    ) -> None:
        """``piece_stores``: by operator address. ``codec``: called when something is rebuilt."""
        self._settings = settings = settings or DownloaderSettings()
        self._chain = chain
        self._jobs = job_store
        self._stores = piece_stores
        self._records = records
        self._pool = ThreadPoolExecutor(settings.download_threads, "download")
        self._buffers = LendingPool(
            settings.download_budget_bytes,
            settings.lending,
            what="downloads",
            least_bytes_per_s=settings.least_download_bytes_per_s,
            patience_s=_PATIENCE_S,
            judged_s=_JUDGED_S,
        )
        slots = asyncio.Semaphore(settings.parallel_rebuilds)
        self._tools = RecoveryTools(pieces, codec, self._pool, slots, settings)
        self._repairs: dict[tuple[str, int], asyncio.Task[None]] = {}
        self._repaired: Counter[tuple[str, int]] = Counter()
        self._restorations: dict[tuple[str, int], asyncio.Task[IntegrityRecord]] = {}

    async def open(
        self, sp_address: str, info: ObjectInfo, borrower: Borrower = OURSELVES
    ) -> SegmentReader:
        """For ``borrower``. ``info``: of an object that is sealed. What its reader finds broken is
        repaired in the store beside the reading. A record that the journal has lost is made again
        before.

        Raises: CorruptPiece (what is recorded or stored is not the chain's), SegmentLost (there is
        no record, and too little to make it again), ChainError, StoreError, ComponentUnavailable.
        """
        if sp_address not in self._stores:
            raise ComponentUnavailable("no store of this storage provider here", sp_address)
        job = await self._jobs.job_of(sp_address, info.identity)
        params = job.params if job else await self._chain.storage_params()
        layout = PayloadLayout.of(info, params)
        record = await self._jobs.get_integrity(sp_address, info.id, SEGMENTS)
        if record is None:
            record = await self._restored(sp_address, info, layout)
        stored = _Stored(sp_address, info, layout, record)
        repaired = self._repaired[sp_address, info.id]
        return self._reader(
            stored,
            lambda segments: self._begin_repair(stored, segments, repaired),
            borrower=borrower,
        )

    async def close(self) -> None:
        """Wait for repairs, close connections, stop the threads. Readings must have ended."""
        if running := {*self._repairs.values(), *self._restorations.values()}:
            await asyncio.wait(running)
        await self._tools.source.close()
        self._pool.shutdown()

    def _reader(
        self,
        stored: _Stored,
        on_broken: Callable[[range], RebuiltFeed | None] = lambda segments: None,
        rebuilt: RebuiltFeed | None = None,
        borrower: Borrower = OURSELVES,
    ) -> SegmentReader:
        """``on_broken``, ``rebuilt``, ``borrower``: see ``SegmentReader``."""
        return SegmentReader(
            self._stores[stored.sp_address],
            stored.record,
            stored.info,
            stored.layout,
            self._buffers,
            self._pool,
            SegmentRecovery(stored.sp_address, stored.info, stored.layout, self._tools),
            on_broken=on_broken,
            rebuilt=rebuilt,
            borrower=borrower,
        )

    async def _restored(
        self, sp_address: str, info: ObjectInfo, layout: PayloadLayout
    ) -> IntegrityRecord:
        """One restoration for all who wait for it."""
        key = (sp_address, info.id)
        if key not in self._restorations:
            lost = LostRecord(
                sp_address,
                info,
                layout,
                store=self._stores[sp_address],
                recovery=SegmentRecovery(sp_address, info, layout, self._tools),
                buffers=self._buffers,
                pool=self._pool,
                maker=self._records,
            )
            task = self._restorations[key] = asyncio.create_task(lost.restored())
            task.add_done_callback(lambda _: self._restorations.pop(key))
        return await asyncio.shield(self._restorations[key])

    # --- repairing -------------------------------------------------------------------------------

    def _begin_repair(self, stored: _Stored, segments: range, repaired: int) -> RebuiltFeed | None:
        """One at a time for each object, and none for a reading that began before the last one
        ended: what it finds broken was so before. ``repaired``: how often it was when it began."""
        key = (stored.sp_address, stored.info.id)
        if key in self._repairs or self._repaired[key] != repaired:
            return None
        feed = RebuiltFeed(segments, self._settings.parallel_rebuilds)
        repair = self._repairs[key] = asyncio.create_task(self._repair(stored, feed))
        repair.add_done_callback(lambda _: self._repairs.pop(key))
        return feed

    async def _repair(self, stored: _Stored, feed: RebuiltFeed) -> None:
        info, store = stored.info, self._stores[stored.sp_address]
        reader = self._reader(stored, rebuilt=feed)
        try:
            await rewrite_segments(reader, store, info.id, stored.layout, self._pool)
        except GreenrayError as error:
            log.warning("%s stays broken until the next download: %s", info.name, error)
        else:
            self._repaired[stored.sp_address, info.id] += 1
            log.warning("%s is whole again", info.name)
