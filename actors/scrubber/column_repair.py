"""Makes a broken column of one object whole again."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from concurrent.futures import Executor
from dataclasses import dataclass

import numpy as np

from greenray.actors.credit.lending_pool import LendingPool
from greenray.actors.downloader.lost_record import LostRecord, RecordMaker
from greenray.actors.downloader.recovery import RecoveryTools, SegmentRecovery
from greenray.actors.downloader.segment_reader import SegmentReader
from greenray.actors.downloader.segment_repair import rewrite_segments
from greenray.actors.ports import Column, ReceiverPort
from greenray.actors.uploader.ingest import run_in
from greenray.chain.ports import ChainClient
from greenray.coding.codec import Codec
from greenray.coding.segments import split_segment
from greenray.protocol.errors import WrongObjectStatus
from greenray.protocol.layout import SEGMENTS, ColumnLayout, PayloadLayout
from greenray.protocol.objects import ObjectInfo, StorageParams
from greenray.protocol.scrub import ColumnVerdict, Mending, is_scrubbed
from greenray.storage.ports import (
    ColumnKey,
    IntegrityRecord,
    JobStore,
    PieceStore,
)


@dataclass(frozen=True, slots=True)
class RepairTools:
    """What every repair of a Scrubber shares; ``stores`` and ``receivers``: of the SPs whose
    columns it repairs, by operator address."""

    chain: ChainClient
    jobs: JobStore
    stores: Mapping[str, PieceStore]
    receivers: Mapping[str, ReceiverPort]
    recovery: RecoveryTools
    records: RecordMaker
    codec: Callable[[], Codec]
    pool: Executor


@dataclass(frozen=True, slots=True)
class ScrubbedObject:
    """A sealed object. ``batch_segments``: as its primary has stored it, if that is known."""

    info: ObjectInfo
    primary: str
    params: StorageParams
    batch_segments: int

    @property
    def layout(self) -> PayloadLayout:
        return PayloadLayout.of(self.info, self.params, self.batch_segments)


class ColumnRepair:
    """Of the columns of one object; ``broken``: indices of those that are, as far as is known."""

    def __init__(
        self, of: ScrubbedObject, broken: frozenset[int], tools: RepairTools, buffers: LendingPool
    ) -> None:
        self._object = of
        self._broken = broken
        self._tools = tools
        self._buffers = buffers

    async def repair(self, sp_address: str, index: int, verdict: ColumnVerdict) -> None:
        """Raises SegmentLost (too little is left), NoSuchObject, WrongObjectStatus (it is not to be
        repaired any more), and whatever a store, the journal or the Signer fails with: the column
        is as it was then."""
        if verdict.mending is Mending.RECORD:
            assert verdict.checksums is not None
            await self._tools.records.make(sp_address, self._object.info, index, verdict.checksums)
        elif index == SEGMENTS:
            await self._repair_segments(sp_address, verdict)
        else:
            await self._repair_group(sp_address, index, verdict)

    async def check_still_sealed(self) -> None:
        """Ask the chain once more. Raises NoSuchObject, WrongObjectStatus."""
        info = await self._tools.chain.head_object_by_id(self._object.info.id)
        if not is_scrubbed(info):
            raise WrongObjectStatus(f"the object is {info.object_status.name} now", info.name)

    def _recovery(self, sp_address: str, index: int) -> SegmentRecovery:
        return SegmentRecovery(
            sp_address,
            self._object.info,
            self._object.layout,
            self._tools.recovery,
            primary="" if index == SEGMENTS else self._object.primary,
            repaired_index=index,
            suspects=self._broken - {index},
        )

    # --- the primary's ---------------------------------------------------------------------------

    async def _repair_segments(self, sp_address: str, verdict: ColumnVerdict) -> None:
        of, tools = self._object, self._tools
        info, layout, store = of.info, of.layout, tools.stores[sp_address]
        recovery = self._recovery(sp_address, SEGMENTS)
        record = await self._record(sp_address, verdict, recovery)
        reader = SegmentReader(store, record, info, layout, self._buffers, tools.pool, recovery)
        await rewrite_segments(reader, store, info.id, layout, tools.pool, self.check_still_sealed)

    async def _record(
        self, sp_address: str, verdict: ColumnVerdict, recovery: SegmentRecovery
    ) -> IntegrityRecord:
        of, tools = self._object, self._tools
        if verdict.checksums is not None:
            record = await tools.jobs.get_integrity(sp_address, of.info.id, SEGMENTS)
            if record is not None:
                return record
        lost = LostRecord(
            sp_address,
            of.info,
            of.layout,
            store=tools.stores[sp_address],
            recovery=recovery,
            buffers=self._buffers,
            pool=tools.pool,
            maker=tools.records,
        )
        return await lost.restored()

    # --- a secondary's ---------------------------------------------------------------------------

    async def _repair_group(self, sp_address: str, index: int, verdict: ColumnVerdict) -> None:
        of, receiver = self._object, self._tools.receivers[sp_address]
        group = await receiver.begin_repair(
            sp_address, of.info.id, index, of.params, of.batch_segments
        )
        try:
            pieces = _GroupPieces(
                self._tools,
                self._recovery(sp_address, index),
                self._buffers,
                of.layout,
                ColumnKey(of.info.id, index),
                self._tools.stores[sp_address],
                verdict.good,
            )
            for batch in range(of.layout.batch_count):
                column = await pieces.batch(batch)
                await receiver.write_batch(sp_address, group, batch, column)
            await self.check_still_sealed()
            await receiver.finish(sp_address, group)
        except BaseException:
            await receiver.abort(sp_address, group)
            raise


@dataclass(frozen=True, slots=True)
class _GroupPieces:
    """The pieces of a group as they must be: ``good`` ones from the store, the others made."""

    tools: RepairTools
    recovery: SegmentRecovery
    buffers: LendingPool
    layout: PayloadLayout
    key: ColumnKey
    store: PieceStore
    good: frozenset[int]

    async def batch(self, batch_index: int) -> Column:
        pieces = self.layout.pieces
        column = np.empty(pieces.batch_size_bytes(batch_index), np.uint8)
        start = 0
        for segment in pieces.batch_range(batch_index):
            place = column[start : start + pieces.piece_length(segment)]
            await self._fill(segment, place)
            start += len(place)
        return column

    async def _fill(self, segment: int, place: Column) -> None:
        if segment in self.good:
            await run_in(self.tools.pool, self._read, segment, place)
            return
        lent = await self.buffers.lend(self.layout.segment_length(segment))
        buffer = lent.buffer
        try:
            await self.recovery.rebuild(segment, None, buffer)
            whole = buffer[: self.layout.segment_length(segment)]
            await run_in(self.tools.pool, self._encode, whole, place)
        finally:
            lent.give_back()

    def _read(self, segment: int, place: Column) -> None:
        pieces: ColumnLayout = self.layout.pieces
        self.store.read_into(self.key, pieces, pieces.piece_offset(segment), [place.data])

    def _encode(self, segment: Column, place: Column) -> None:
        layout = self.layout
        if layout.replica:
            place[:] = segment
            return
        shards = [*split_segment(segment, layout.k), *([None] * layout.m)]
        [piece] = self.tools.codec().reconstruct(
            shards, layout.k, layout.m, [self.key.redundancy_index]
        )
        place[:] = piece
