"""The columns of a stored object, batch by batch, for whoever replicates it.

Hot batches are still in the object space because the Uploader has just put them there; cold ones
are read back from the PieceStore. The reader of this port does not know which it gets, and a hot
batch may turn cold at any time (its owner died).
"""

from __future__ import annotations

import asyncio
import hashlib
import logging
from collections.abc import Collection, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass

from greenray.actors.credit.buffers import BufferPool
from greenray.actors.ports import Column, ColumnRef, Encoder, HotColumns, ObjectSpace
from greenray.protocol.errors import ComponentUnavailable, CorruptPiece, NoSuchPiece
from greenray.protocol.layout import SEGMENTS, PayloadLayout
from greenray.protocol.piece_keys import segment_key
from greenray.protocol.placement import BatchPlacement, place_batch
from greenray.storage.ports import Buffer, ColumnKey, Fence, PieceStore
from greenray.timeline.stage_trace import ObjectStages, Stage, WorkTime

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class SourceObject:
    """The object whose segments are read: stored by the primary, or about to be."""

    sp_address: str
    object_id: int
    layout: PayloadLayout
    upload_fence: Fence | None = None
    """Of the upload that may still be writing the segments; None: they are finished."""


class BatchSource:
    """Data columns as they are, parity columns computed beside them."""

    def __init__(
        self,
        stored: SourceObject,
        *,
        piece_store: PieceStore,
        hot_columns: HotColumns,
        object_space: ObjectSpace,
        encoder: Encoder,
        buffers: BufferPool,
        stages: ObjectStages,
        hot_from_bytes: int = 0,
    ) -> None:
        """``buffers``: where cold batches are read into. ``hot_from_bytes``: smaller columns are
        read from the PieceStore at once."""
        self._stored = stored
        self._layout = stored.layout
        self._store = piece_store
        self._hot = hot_columns
        self._space = object_space
        self._encoder = encoder
        self._buffers = buffers
        self._stages = stages
        self._hot_from_bytes = hot_from_bytes

    async def columns(
        self, batch_index: int, wanted: Collection[int], *, cold: bool = False
    ) -> Mapping[int, ColumnRef]:
        """References by redundancy index, for the ``wanted`` indices.

        ``cold`` skips the object space. Raises NoSuchPiece, StoreError, CodingError.
        """
        if cold or not self._may_be_hot(batch_index):
            return await self._from(batch_index, await self._cold(batch_index, wanted), wanted)
        hot = await self._hot.hot_columns(
            self._stored.sp_address, self._stored.object_id, batch_index
        )
        if hot is None:
            return await self.columns(batch_index, wanted, cold=True)
        try:
            return await self._from(batch_index, dict(enumerate(hot)), wanted)
        except NoSuchPiece:  # lost between the look-up and the encoding
            return await self.columns(batch_index, wanted, cold=True)

    async def release(self, batch_index: int) -> None:
        """Everybody has the batch; its room in the object space is better used for another."""
        if not self._may_be_hot(batch_index):
            return
        try:
            await self._hot.release_batch(
                self._stored.sp_address, self._stored.object_id, batch_index
            )
        except ComponentUnavailable as error:
            log.debug("a hot batch was not released, it went with its process: %s", error)

    def _may_be_hot(self, batch_index: int) -> bool:
        return self._layout.pieces.batch_size_bytes(batch_index) >= self._hot_from_bytes

    async def check_segments(self, checksums: Sequence[bytes]) -> None:
        """Read all segments and compare them with what was recorded when they were stored.

        Raises: CorruptPiece naming the first segment that differs; NoSuchPiece, StoreError.
        """
        await asyncio.to_thread(self._check_segments, checksums)

    def _check_segments(self, checksums: Sequence[bytes]) -> None:
        key = ColumnKey(self._stored.object_id, SEGMENTS)
        for index, checksum in enumerate(checksums):
            segment = self._store.read_piece(key, self._layout.segments, index)
            if hashlib.sha256(segment).digest() != checksum:
                raise CorruptPiece(
                    "the stored segment no longer has its checksum",
                    segment_key(self._stored.object_id, index),
                    "Put the payload again under another name",
                )

    async def _from(
        self, batch_index: int, data: Mapping[int, ColumnRef], wanted: Collection[int]
    ) -> Mapping[int, ColumnRef]:
        layout = self._layout
        if layout.replica:
            return dict.fromkeys(wanted, data[0])
        columns = dict(data)
        if any(index >= layout.k for index in wanted):
            ordered = tuple(data[j] for j in range(layout.k))
            column_size_bytes = layout.pieces.batch_size_bytes(batch_index)

            def on_encoded(work: WorkTime) -> None:
                size_bytes = layout.k * column_size_bytes
                work.add_to(self._stages, Stage.ENCODED, batch_index, size_bytes)

            parity = await self._encoder.encode(
                ordered, layout.m, on_encoded, column_size_bytes=column_size_bytes
            )
            columns.update({layout.k + p: ref for p, ref in enumerate(parity)})
        return {index: columns[index] for index in wanted}

    async def _cold(self, batch_index: int, wanted: Collection[int]) -> dict[int, ColumnRef]:
        layout = self._layout
        if layout.replica or any(index >= layout.k for index in wanted):
            needed = list(range(layout.data_columns))
        else:
            needed = sorted(wanted)
        placement = place_batch(layout, batch_index)
        size = placement.column_size_bytes
        buffer = await self._buffers.acquire(len(needed) * size)
        try:
            columns = {j: buffer[i * size : (i + 1) * size] for i, j in enumerate(needed)}
            read = self._stages.timed(Stage.READ, batch_index, len(needed) * size, self._read)
            await asyncio.to_thread(read, batch_index, placement, columns)
            refs = await asyncio.gather(*(self._space.put(columns[j]) for j in needed))
        finally:
            self._buffers.release(buffer)
        return dict(zip(needed, refs, strict=True))

    def _read(
        self, batch_index: int, placement: BatchPlacement, columns: Mapping[int, Column]
    ) -> None:
        """Fill the given data columns of a batch from the stored segments."""
        segments = self._layout.segments
        key = ColumnKey(self._stored.object_id, SEGMENTS)
        for hole in placement.padding:
            if hole.column in columns:
                columns[hole.column][hole.offset : hole.offset + hole.length] = 0
        position = segments.piece_offset(segments.batch_range(batch_index).start)
        runs: list[tuple[int, list[Buffer]]] = []
        follows = False
        for slot in placement.slots:
            if slot.column in columns:
                view = columns[slot.column][slot.offset : slot.offset + slot.length].data
                if follows:
                    runs[-1][1].append(view)
                else:
                    runs.append((position, [view]))
            follows = slot.column in columns
            position += slot.length
        for offset, views in runs:
            self._read_run(key, offset, views)

    def _read_run(self, key: ColumnKey, offset: int, views: Sequence[Buffer]) -> None:
        segments, fence = self._layout.segments, self._stored.upload_fence
        if fence is not None:
            # Not there: finished by now, or not readable before it is.
            with suppress(NoSuchPiece):
                self._store.read_unfinished_into(key, segments, fence, offset, views)
                return
        self._store.read_into(key, segments, offset, views)
