"""The columns of a stored object, batch by batch, for whoever replicates it.

Hot batches are still in the object space because the Uploader has just put them there; cold ones
are read back from the PieceStore. The reader of this port does not know which it gets, and a hot
batch may turn cold at any time (its owner died).
"""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Mapping
from dataclasses import dataclass

import numpy as np

from actors.ports import Column, ColumnRef, Encoder, HotColumns, ObjectSpace
from protocol.errors import NoSuchPiece
from protocol.layout import SEGMENTS, PayloadLayout
from storage.ports import ColumnKey, PieceStore


@dataclass(frozen=True, slots=True)
class StoredObject:
    """An object whose segments the primary has stored."""

    sp_address: str
    object_id: int
    layout: PayloadLayout


class BatchSource:
    """Data columns as they are, parity columns computed beside them."""

    def __init__(
        self,
        stored: StoredObject,
        *,
        piece_store: PieceStore,
        hot_columns: HotColumns,
        object_space: ObjectSpace,
        encoder: Encoder,
    ) -> None:
        self._stored = stored
        self._layout = stored.layout
        self._store = piece_store
        self._hot = hot_columns
        self._space = object_space
        self._encoder = encoder

    async def columns(
        self, batch_index: int, wanted: Collection[int], *, cold: bool = False
    ) -> Mapping[int, ColumnRef]:
        """References by redundancy index, for the ``wanted`` indices.

        ``cold`` skips the object space. Raises NoSuchPiece, StoreError, CodingError.
        """
        if cold:
            return await self._from(await self._cold(batch_index, wanted), wanted)
        hot = await self._hot.hot_columns(
            self._stored.sp_address, self._stored.object_id, batch_index
        )
        if hot is None:
            return await self._from(await self._cold(batch_index, wanted), wanted)
        try:
            return await self._from(dict(enumerate(hot)), wanted)
        except NoSuchPiece:  # lost between the look-up and the encoding
            return await self.columns(batch_index, wanted, cold=True)

    async def _from(
        self, data: Mapping[int, ColumnRef], wanted: Collection[int]
    ) -> Mapping[int, ColumnRef]:
        layout = self._layout
        if layout.replica:
            return dict.fromkeys(wanted, data[0])
        columns = dict(data)
        if any(index >= layout.k for index in wanted):
            ordered = tuple(data[j] for j in range(layout.k))
            parity = await self._encoder.encode(ordered, layout.m)
            columns.update({layout.k + p: ref for p, ref in enumerate(parity)})
        return {index: columns[index] for index in wanted}

    async def _cold(self, batch_index: int, wanted: Collection[int]) -> dict[int, ColumnRef]:
        layout = self._layout
        if layout.replica or any(index >= layout.k for index in wanted):
            needed = list(range(layout.data_columns))
        else:
            needed = sorted(wanted)
        columns = await asyncio.to_thread(self._read, batch_index, needed)
        refs = await asyncio.gather(*(self._space.put(column) for column in columns))
        return dict(zip(needed, refs, strict=True))

    def _read(self, batch_index: int, needed: list[int]) -> list[Column]:
        """Fill the needed data columns of a batch from the stored segments."""
        layout = self._layout
        segments = layout.segments.batch_range(batch_index)
        size_bytes = sum(layout.shard_size(i) for i in segments)
        columns = [np.zeros(size_bytes, dtype=np.uint8) for _ in needed]
        position = 0
        for segment in segments:
            shard_bytes = layout.shard_size(segment)
            length = layout.segment_length(segment)
            for column, j in zip(columns, needed, strict=True):
                present = max(0, min(shard_bytes, length - j * shard_bytes))
                if present:
                    target = column[position : position + present].data
                    offset = layout.segments.piece_offset(segment) + j * shard_bytes
                    key = ColumnKey(self._stored.object_id, SEGMENTS)
                    self._store.read_into(key, layout.segments, offset, [target])
            position += shard_bytes
        return columns
