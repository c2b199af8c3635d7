"""The batches of an upload: their bytes as payload, as segments and as columns."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from itertools import groupby

from greenray.actors.credit.lending_pool import LentBuffer
from greenray.actors.ports import BlockSlice, ColumnRef, ObjectSpace
from greenray.actors.uploader.payload_source import ReferencedPayload
from greenray.protocol.layout import PayloadLayout
from greenray.protocol.placement import place_batch
from greenray.storage.ports import Buffer


def batch_memory_bytes(layout: PayloadLayout, index: int) -> int:
    """What the columns of a whole batch take, with their padding."""
    return layout.data_columns * layout.pieces.batch_size_bytes(index)


class BufferedBatch:
    """One batch while it is filled, and its memory seen as columns, payload and segments."""

    has_columns = True

    def __init__(self, layout: PayloadLayout, index: int, lent: LentBuffer) -> None:
        placement = place_batch(layout, index)
        size = placement.column_size_bytes
        buffer = lent.buffer
        self.index = index
        self.lent = lent
        self.column_size_bytes = size
        self._columns = tuple(
            buffer[j * size : (j + 1) * size] for j in range(placement.column_count)
        )
        for hole in placement.padding:
            self._columns[hole.column][hole.offset : hole.offset + hole.length] = 0
        memory = buffer.data
        views: list[tuple[int, Buffer]] = []
        for slot in placement.slots:
            start = slot.column * size + slot.offset
            views.append((slot.segment, memory[start : start + slot.length]))
        self.payload: tuple[Buffer, ...] = tuple(view for _, view in views)
        self.segments = _by_segment(views)
        self._slot = 0
        self._filled = 0

    @property
    def is_full(self) -> bool:
        return self._slot == len(self.payload)

    @property
    def size_bytes(self) -> int:
        return sum(len(column) for column in self._columns)

    @property
    def payload_bytes(self) -> int:
        return sum(len(slot) for slot in self.payload)

    def next_view(self) -> Buffer:
        """Where the next bytes belong."""
        return self.payload[self._slot][self._filled :]

    def filled(self, size_bytes: int) -> None:
        """The first ``size_bytes`` of ``next_view`` are there."""
        self._filled += size_bytes
        if self._filled == len(self.payload[self._slot]):
            self._slot += 1
            self._filled = 0

    def begin_with(self, payload: Buffer) -> None:
        """These bytes of it are there already, in other memory."""
        while payload:
            view = self.next_view()[: len(payload)]
            view[:] = payload[: len(view)]
            self.filled(len(view))
            payload = payload[len(view) :]

    async def columns_in(self, space: ObjectSpace) -> tuple[ColumnRef, ...]:
        """Copy the columns there. Raises StoreError."""
        return tuple(await asyncio.gather(*map(space.put, self._columns)))


class BatchPart:
    """A run of a batch's payload, in memory that is smaller than the batch."""

    def __init__(self, lent: LentBuffer, left_bytes: int) -> None:
        """``left_bytes``: of the batch, from where the part begins."""
        self.lent = lent
        self.payload: Buffer = lent.buffer.data[:left_bytes]
        self._filled = 0

    @property
    def is_full(self) -> bool:
        return self._filled == len(self.payload)

    def next_view(self) -> Buffer:
        """Where the next bytes belong."""
        return self.payload[self._filled :]

    def filled(self, size_bytes: int) -> None:
        """The first ``size_bytes`` of ``next_view`` are there."""
        self._filled += size_bytes


class ReferencedBatch:
    """One batch of a payload that lies in blocks of the object space; only looks at them."""

    def __init__(
        self, layout: PayloadLayout, index: int, payload: ReferencedPayload, start: int
    ) -> None:
        """``start``: of the batch in the payload, which is fetched up to its end."""
        placement = place_batch(layout, index)
        self.index = index
        self.column_size_bytes = placement.column_size_bytes
        self.payload_bytes = placement.payload_size_bytes
        self.size_bytes = placement.column_count * placement.column_size_bytes
        whole = payload.runs(start, self.payload_bytes)
        self.payload: tuple[Buffer, ...] = tuple(run.view for run in whole)
        self.has_columns = not placement.padding and not any(run.is_copy for run in whole)
        """Columns with padding are no slices of the payload."""
        self._columns: list[list[BlockSlice]] = [[] for _ in range(placement.column_count)]
        views: list[tuple[int, Buffer]] = []
        for slot in placement.slots:
            for run in payload.runs(start, slot.length):
                self._columns[slot.column].append(run.where)
                views.append((slot.segment, run.view))
            start += slot.length
        self.segments = _by_segment(views)

    async def columns_in(self, space: ObjectSpace) -> tuple[ColumnRef, ...]:
        """The columns, which are there already. Raises NoSuchPiece."""
        return tuple(await asyncio.gather(*map(space.splice, self._columns)))


def _by_segment(views: Sequence[tuple[int, Buffer]]) -> tuple[tuple[Buffer, ...], ...]:
    """The slices of each segment, from (segment, slice) in order."""
    return tuple(
        tuple(view for _, view in group) for _, group in groupby(views, key=lambda view: view[0])
    )
