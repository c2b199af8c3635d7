"""A Collector over a modelled chain, stores in memory and a real journal, with SPs that upload and
replicate at the same time."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path

from greenray.actors.collector.actor import Collector
from greenray.actors.collector.settings import CollectorSettings
from greenray.actors.ports import CollectionReport
from greenray.protocol.layout import SEGMENTS, ColumnLayout
from greenray.protocol.objects import StorageParams
from greenray.storage.memory_store import MemoryPieceStore
from greenray.storage.ports import ColumnKey, Fence, IntegrityRecord
from greenray.storage.sqlite_store import SqliteJobStore
from tests.support.chain_history import BUCKET, Chain, NodeOfModel, info_of

PRIMARY, *OTHERS = SPS = tuple(f"0xSp{i}" for i in range(9))
SECONDARIES = tuple(OTHERS[:6])
SPARE = OTHERS[6]
OTHER_PRIMARY = OTHERS[7]
OTHER_BUCKET = "bucket of another primary"
LAYOUT = ColumnLayout(1, 4, 4)
DELAY_S = 60.0


class CollectorWorld:
    """Time passes when a test says so."""

    def __init__(self, delay_s: float = DELAY_S, journal: Path = Path(":memory:")) -> None:
        self.now = 1_000.0
        self.chain = Chain()
        self.node = NodeOfModel(self.chain)
        self.node.primaries = {BUCKET: PRIMARY, OTHER_BUCKET: OTHER_PRIMARY}
        self.stores = {sp: MemoryPieceStore() for sp in SPS}
        self.journal = SqliteJobStore.open(journal, clock=lambda: self.now)
        self.settings = CollectorSettings(
            delay_s=delay_s, poll_s=0.01, compare_interval_s=10 * delay_s
        )
        self.collector = self.new_collector()

    def new_collector(self) -> Collector:
        """As after a restart of its process."""
        self.collector = Collector(
            chain=self.node,
            journal=self.journal,
            job_store=self.journal,
            piece_stores=self.stores,
            clock=lambda: self.now,
            settings=self.settings,
        )
        return self.collector

    async def collect(self, *, dry_run: bool = False) -> CollectionReport:
        return await self.collector.collect(dry_run=dry_run)

    async def collect_after_the_delay(self) -> CollectionReport:
        await self.collect()
        self.now += self.settings.delay_s
        return await self.collect()

    # --- what SPs do -----------------------------------------------------------------------------

    def created(self, count: int = 1, bucket: str = BUCKET) -> int:
        """The id of the first of ``count`` new objects."""
        first = self.chain.states[-1].next_id
        self.chain.write(count, bucket=bucket)
        return first

    async def store(self, sp: str, object_id: int, index: int) -> None:
        """A finished column with its record, as the writers make them: step by step."""
        key = ColumnKey(object_id, index)
        writer = self.stores[sp].create(key, LAYOUT)
        await asyncio.sleep(0)
        writer.append([memoryview(content_of(object_id))])
        await asyncio.sleep(0)
        writer.finish()
        await self.journal.put_integrity(
            IntegrityRecord(sp, object_id, index, (bytes(32),), bytes(32), b"signature")
        )

    async def upload(self, object_id: int, bucket: str = BUCKET) -> None:
        """The primary's job, column and record."""
        primary = self.node.primaries[bucket]
        await self.journal.begin_upload(
            primary, info_of(object_id, bucket), StorageParams(), 1, "uploader", 30.0, 3600.0
        )
        await self.store(primary, object_id, SEGMENTS)

    async def replicate(self, object_id: int) -> None:
        for index, sp in enumerate(SECONDARIES):
            await self.store(sp, object_id, index)

    async def put(self, object_id: int, bucket: str = BUCKET) -> None:
        """Uploaded, replicated, sealed."""
        await self.upload(object_id, bucket)
        await self.replicate(object_id)
        self.chain.write(seals={object_id: SECONDARIES})

    def leave_unfinished(self, sp: str, object_id: int, index: int, fence: int) -> None:
        writer = self.stores[sp].create(ColumnKey(object_id, index), LAYOUT, Fence(fence))
        writer.append([memoryview(content_of(object_id)[:2])])
        writer.close()

    # --- what is there ---------------------------------------------------------------------------

    def columns(self, object_id: int) -> list[tuple[str, int, int | None]]:
        """(SP, redundancy index, fence of an unfinished one) of all columns of an object."""
        return [
            (sp, column.key.redundancy_index, column.fence)
            for sp, store in self.stores.items()
            for column in store.list_stored(object_id)
        ]

    def whole(self, object_id: int, primary: str = PRIMARY) -> list[tuple[str, int, int | None]]:
        """All columns of an object that is sealed, in the order of SPs."""
        groups = [(sp, i, None) for i, sp in enumerate(SECONDARIES)]
        return sorted([(primary, SEGMENTS, None), *groups])

    async def records(self, object_id: int) -> int:
        page = await self.journal.list_recorded(0, 10_000)
        return sum(holding.object_id == object_id for holding in page.holdings)

    def missing_of_the_living(self) -> Iterator[tuple[int, str, int]]:
        """Columns that sealed objects need and do not have: (object, SP, index)."""
        for object_id, info in self.chain.states[-1].objects.items():
            secondaries = info.secondary_sp_addresses
            primary = self.node.primaries[info.bucket_name]
            needed = [(primary, SEGMENTS), *((sp, i) for i, sp in enumerate(secondaries))]
            for sp, index in needed if secondaries else ():
                if not self.stores[sp].exists(ColumnKey(object_id, index)):
                    yield object_id, sp, index

    def useless_to_the_living(self) -> Iterator[tuple[int, str]]:
        """Segments of living objects at another SP than their primary: (object, SP)."""
        for object_id, info in self.chain.states[-1].objects.items():
            for sp, index, _ in self.columns(object_id):
                if index == SEGMENTS and sp != self.node.primaries[info.bucket_name]:
                    yield object_id, sp


def content_of(object_id: int) -> bytes:
    return object_id.to_bytes(4, "big")
