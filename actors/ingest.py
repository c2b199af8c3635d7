"""The data path of one upload: socket to columns, columns to disk and object space (design §3).

Incoming bytes are copied once, to their place in the data columns of a batch. While the next batch
is received, the previous one is hashed, written and put into the object space from that same
memory.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass
from itertools import chain, groupby
from typing import ParamSpec, TypeVar

from actors.buffers import BufferPool
from actors.hot_columns import HotColumnCache
from actors.payload_source import PayloadSource
from actors.ports import Column, ColumnRef, ObjectSpace
from actors.stage_trace import ObjectStages, Stage
from coding.hashing import TOGETHER, hash_messages
from protocol.errors import PayloadSizeMismatch, StoreError
from protocol.layout import PayloadLayout
from protocol.placement import place_batch
from storage.ports import Buffer, ColumnWriter

P = ParamSpec("P")
T = TypeVar("T")

log = logging.getLogger(__name__)

# Below this a hash costs less than handing it to another thread.
_INLINE_HASH_BYTES = 128 * 1024


async def run_in(pool: Executor, call: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """``call`` in a thread of ``pool``."""
    return await asyncio.wrap_future(pool.submit(call, *args, **kwargs))


@dataclass(frozen=True, slots=True)
class IngestTools:
    """What every upload of an Uploader shares."""

    buffers: BufferPool
    hot: HotColumnCache
    space: ObjectSpace
    hash_pool: Executor
    io_pool: Executor
    hot_from_bytes: int = 0
    """Columns of this size and larger ones are kept hot."""


class _Batch:
    """One batch while it is filled, and its memory seen as columns, slots and segments."""

    def __init__(self, layout: PayloadLayout, index: int, buffer: Column) -> None:
        placement = place_batch(layout, index)
        size = placement.column_size_bytes
        self.index = index
        self.buffer = buffer
        self.columns = tuple(
            buffer[j * size : (j + 1) * size] for j in range(placement.column_count)
        )
        for hole in placement.padding:
            self.columns[hole.column][hole.offset : hole.offset + hole.length] = 0
        memory = buffer.data
        views: list[tuple[int, Buffer]] = []
        for slot in placement.slots:
            start = slot.column * size + slot.offset
            views.append((slot.segment, memory[start : start + slot.length]))
        self.slots: tuple[Buffer, ...] = tuple(view for _, view in views)
        self.segments: tuple[tuple[Buffer, ...], ...] = tuple(
            tuple(view for _, view in group) for _, group in groupby(views, key=lambda v: v[0])
        )
        self._slot = 0
        self._filled = 0

    @property
    def is_full(self) -> bool:
        return self._slot == len(self.slots)

    @property
    def size_bytes(self) -> int:
        return sum(len(column) for column in self.columns)

    @property
    def payload_bytes(self) -> int:
        return sum(len(slot) for slot in self.slots)

    def next_view(self) -> Buffer:
        """Where the next bytes belong."""
        return self.slots[self._slot][self._filled :]

    def filled(self, size_bytes: int) -> None:
        """The first ``size_bytes`` of ``next_view`` are there."""
        self._filled += size_bytes
        if self._filled == len(self.slots[self._slot]):
            self._slot += 1
            self._filled = 0


class PayloadIngest:
    """Receives one payload. Two batches are in memory at most: one filling, one being stored."""

    def __init__(
        self,
        tools: IngestTools,
        layout: PayloadLayout,
        sp_address: str,
        object_id: int,
        writer: ColumnWriter,
        stages: ObjectStages,
        on_batch_stored: Callable[[], None] = lambda: None,
    ) -> None:
        self._tools = tools
        self._layout = layout
        self._sp_address = sp_address
        self._object_id = object_id
        self._writer = writer
        self._stages = stages
        self._on_batch_stored = on_batch_stored
        self._where = f"object {object_id}"
        self._received_bytes = 0
        self._next_index = 0
        self._opened_ns = 0
        self._batch: _Batch | None = None
        self._storing: asyncio.Task[None] | None = None
        self._checksums: list[bytes] = []

    async def receive(self, payload: PayloadSource) -> tuple[bytes, ...]:
        """Store the whole payload; returns the SHA-256 of every segment.

        Raises:
            PayloadSizeMismatch: fewer bytes than declared came, or one too many (said at once).
            StoreError: a batch could not be written.
            Whatever ``payload`` raises.
        """
        await self._open_batch()
        while self._batch is not None:
            size_bytes = await payload.read_into(self._batch.next_view())
            if not size_bytes:
                raise self._wrong_size(f"only {self._received_bytes} arrived")
            self._received_bytes += size_bytes
            self._batch.filled(size_bytes)
            if self._storing is not None and self._storing.done():
                self._storing.result()  # a full disk is said now, not a batch later
            if self._batch.is_full:
                await self._hand_over()
                if self._next_index < self._layout.batch_count:
                    await self._open_batch()
        if await payload.read_into(memoryview(bytearray(1))):
            raise self._wrong_size("more arrived")
        await self._stored()
        return tuple(self._checksums)

    async def drain(self) -> None:
        """Return when no thread touches this upload's memory or file any more; never raises what
        storing raised. Afterwards all buffers are back in the pool."""
        if self._storing is not None:
            await asyncio.wait([self._storing])
        if self._batch is not None:
            self._tools.buffers.release(self._batch.buffer)
            self._batch = None

    async def _open_batch(self) -> None:
        layout = self._layout
        size_bytes = layout.data_columns * layout.pieces.batch_size_bytes(0)
        buffer = await self._tools.buffers.acquire(size_bytes)
        self._opened_ns = time.monotonic_ns()
        self._batch = _Batch(layout, self._next_index, buffer)
        self._next_index += 1

    async def _hand_over(self) -> None:
        """Store the full batch behind our back. A call of its own: a reference to the batch, if
        only in a variable, keeps its buffer in memory while the next one is waited for."""
        batch, opened_ns = self._batch, self._opened_ns
        assert batch is not None
        self._stages.add(Stage.RECEIVED, batch.index, batch.payload_bytes, opened_ns)
        await self._stored()
        self._batch = None
        self._storing = asyncio.create_task(self._store(batch))

    async def _stored(self) -> None:
        if self._storing is not None:
            await asyncio.shield(self._storing)

    async def _store(self, batch: _Batch) -> None:
        tools = self._tools
        append = self._stages.timed(
            Stage.WRITTEN, batch.index, batch.payload_bytes, self._writer.append
        )
        try:
            outcomes = await asyncio.gather(
                run_in(tools.io_pool, append, batch.slots),
                self._hash(batch),
                self._put(batch),
                return_exceptions=True,  # the buffer is free only when all of them are done
            )
        finally:
            tools.buffers.release(batch.buffer)
        for outcome in outcomes:
            if isinstance(outcome, BaseException):
                raise outcome
        self._on_batch_stored()

    async def _hash(self, batch: _Batch) -> None:
        with self._stages.during(Stage.HASHED, batch.index, batch.payload_bytes):
            if batch.size_bytes <= _INLINE_HASH_BYTES:
                self._checksums += hash_messages(batch.segments)
                return
            pool = self._tools.hash_pool
            together = [
                batch.segments[first : first + TOGETHER]
                for first in range(0, len(batch.segments), TOGETHER)
            ]
            digests = await asyncio.gather(
                *(run_in(pool, hash_messages, some) for some in together)
            )
            self._checksums += chain.from_iterable(digests)

    async def _put(self, batch: _Batch) -> None:
        """Keep the columns hot if there is room; the stored segments stand in for them if not."""
        hot, size_bytes = self._tools.hot, batch.size_bytes
        if len(batch.columns[0]) < self._tools.hot_from_bytes:
            return
        if not hot.reserve(self._sp_address, self._object_id, size_bytes):
            return
        try:
            with self._stages.during(Stage.KEPT_HOT, batch.index, size_bytes):
                columns: Sequence[ColumnRef] = await asyncio.gather(
                    *(self._tools.space.put(column) for column in batch.columns)
                )
        except StoreError as error:
            hot.cancel(size_bytes)
            log.warning("%s: batch %d is not kept hot: %s", self._where, batch.index, error)
            return
        except BaseException:
            hot.cancel(size_bytes)
            raise
        hot.keep(self._sp_address, self._object_id, batch.index, tuple(columns), size_bytes)

    def _wrong_size(self, how: str) -> PayloadSizeMismatch:
        return PayloadSizeMismatch(
            f"the object declares {self._layout.payload_size_bytes} bytes, {how}",
            self._where,
            "Send exactly the payload whose checksums are on chain.",
        )
