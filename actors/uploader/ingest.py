"""The data path of one upload: socket to columns, columns to disk and object space (design §3).

Incoming bytes are copied once, to their place in the data columns of a batch. While the next batch
is received, the previous one is hashed, written and put into the object space from that same
memory. A payload that lies in the object space already is not copied at all.

A payload begins in a small buffer. Where bytes come fast enough it is lent a whole batch's; who is
slower, or gets none, has what came hashed and written part by part out of what he has.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable
from concurrent.futures import Executor
from dataclasses import dataclass
from itertools import chain
from typing import ParamSpec, TypeVar, cast

from greenray.actors.credit.ending import Ending
from greenray.actors.credit.lending import OURSELVES, Borrower, merits
from greenray.actors.credit.lending_pool import FIRST_BYTES, LendingPool, LentBuffer
from greenray.actors.ports import ObjectSpace
from greenray.actors.uploader.batches import (
    BatchPart,
    BufferedBatch,
    ReferencedBatch,
    batch_memory_bytes,
)
from greenray.actors.uploader.hot_columns import HotColumnCache
from greenray.actors.uploader.payload_source import PayloadSource, ReferencedPayload
from greenray.actors.uploader.segment_hasher import SegmentHasher
from greenray.coding.hashing import TOGETHER, hash_messages
from greenray.protocol.errors import NoSuchPiece, Overloaded, PayloadSizeMismatch, StoreError
from greenray.protocol.layout import PayloadLayout
from greenray.storage.ports import ColumnWriter
from greenray.timeline.stage_trace import ObjectStages, Stage

P = ParamSpec("P")
T = TypeVar("T")

log = logging.getLogger(__name__)

# Below this a hash costs less than handing it to another thread.
_INLINE_HASH_BYTES = 128 * 1024

_PATIENCE_S = 1.0
"""How long an upload waits, once, for replication to use the blocks of its payload where they lie:
to read them back instead costs more time than the upload gains."""


async def run_in(pool: Executor, call: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """``call`` in a thread of ``pool``."""
    return await asyncio.wrap_future(pool.submit(call, *args, **kwargs))


FILL_S = 60.0
"""How long an upload may take to fill what it was lent, while others wait for that."""

_WHOLE_WITHIN_S = FILL_S / 3
"""Who would need longer for a batch is lent no memory for all of it."""

_PART_WITHIN_S = 4.0
"""The same for the larger parts of one that is stored in parts."""

_WAIT_FOR_WHOLE_S = 5.0
"""To store a batch in parts costs more than to wait so long, but never for ever."""

_GROWTH = 8
_LARGEST_PART_BYTES = 4 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class IngestTools:
    """What every upload of an Uploader shares."""

    buffers: LendingPool
    hot: HotColumnCache
    spliced: HotColumnCache
    """Of columns that are slices of a payload's own blocks."""
    space: ObjectSpace
    hash_pool: Executor
    io_pool: Executor
    hot_from_bytes: int = 0
    """Columns of this size and larger ones are kept hot."""


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
        borrower: Borrower = OURSELVES,
    ) -> None:
        self._tools = tools
        self._layout = layout
        self._sp_address = sp_address
        self._object_id = object_id
        self._writer = writer
        self._stages = stages
        self._on_batch_stored = on_batch_stored
        self._borrower = borrower
        self._where = f"object {object_id}"
        self._received_bytes = 0
        self._opened_ns = 0
        self._filled_bytes = 0
        self._filled_s = 0.0
        self._ending = Ending()
        self._batch: BufferedBatch | None = None
        self._small: LentBuffer | None = None
        self._storing: asyncio.Task[None] | None = None
        self._checksums: list[bytes] = []
        self._patience_s = _PATIENCE_S

    async def receive(
        self, payload: PayloadSource, small: LentBuffer | None = None
    ) -> tuple[bytes, ...]:
        """Store the whole payload; returns the SHA-256 of every segment. ``small``: memory to begin
        with, which is this upload's from now on.

        Raises:
            PayloadSizeMismatch: fewer bytes than declared came, or one too many (said at once).
            StoreError: a batch could not be written.
            Overloaded: it was put off.
            Whatever ``payload`` raises.
        """
        self._small = small
        with self._ending:
            return await self._receive(payload)

    def _put_off(self) -> None:
        """Let ``receive`` end with Overloaded."""
        self._ending.end(
            Overloaded(
                "others wait for the memory that this slow upload holds",
                self._where,
                "Send the payload again, faster or later",
            )
        )

    async def _receive(self, payload: PayloadSource) -> tuple[bytes, ...]:
        for index in range(self._layout.batch_count):
            await self._get_memory(index)
            if self._batch is None and not await self._receive_beginning(payload, index):
                continue
            assert self._batch is not None
            await self._fill(payload, self._batch)
            await self._hand_over()
        if await payload.read_into(memoryview(bytearray(1))):
            raise self._wrong_size("more arrived")
        await self._stored()
        return tuple(self._checksums)

    async def _get_memory(self, index: int) -> None:
        """For the next batch: for all of it if what came before came fast, else a small buffer."""
        buffers, size_bytes = self._tools.buffers, batch_memory_bytes(self._layout, index)
        if self._small is None and self._is_fast(size_bytes):
            self._begin_whole(index, await buffers.lend(size_bytes, self._borrower))
            return
        if self._small is None:
            self._small = await buffers.lend(min(size_bytes, FIRST_BYTES), self._borrower)
        if len(self._small.buffer) >= size_bytes:
            small, self._small = self._small, None
            self._begin_whole(index, small)
        self._opened_ns = time.monotonic_ns()

    def _begin_whole(self, index: int, lent: LentBuffer) -> None:
        self._opened_ns = time.monotonic_ns()
        self._batch = BufferedBatch(self._layout, index, lent)

    def _is_fast(self, size_bytes: int, within_s: float = _WHOLE_WITHIN_S) -> bool:
        return self._filled_bytes > 0 and merits(
            size_bytes, self._filled_bytes, self._filled_s, within_s
        )

    async def _receive_beginning(self, payload: PayloadSource, index: int) -> bool:
        """As much of the batch as the small buffer takes. Whether its memory is there then; if not,
        all of the batch is received and stored."""
        assert self._small is not None
        batch_bytes = self._layout.segments.batch_size_bytes(index)
        part = BatchPart(self._small, batch_bytes)
        await self._fill(payload, part)
        lent = await self._whole_memory(index)
        if lent is None:
            await self._receive_in_parts(payload, index, part)
            return False
        opened_ns = self._opened_ns
        self._begin_whole(index, lent)
        assert self._batch is not None
        self._batch.begin_with(part.payload)
        self._opened_ns = opened_ns
        self._small.give_back()
        self._small = None
        return True

    async def _whole_memory(self, index: int) -> LentBuffer | None:
        """For a batch that comes fast enough, and soon: who waits in vain goes on with less."""
        size_bytes = batch_memory_bytes(self._layout, index)
        if not self._is_fast(size_bytes) or not self._tools.buffers.has_room_for(size_bytes):
            return None
        try:
            return await self._tools.buffers.lend(
                size_bytes, self._borrower, wait_s=_WAIT_FOR_WHOLE_S
            )
        except Overloaded:
            return None

    async def _receive_in_parts(self, payload: PayloadSource, index: int, part: BatchPart) -> None:
        """The batch of which ``part`` is the beginning."""
        left_bytes = self._layout.segments.batch_size_bytes(index)
        batch_bytes, hasher = left_bytes, SegmentHasher(self._layout, index)
        while True:
            await self._stored()
            self._storing = asyncio.create_task(self._store_part(part, hasher))
            await self._stored()
            left_bytes -= len(part.payload)
            if not left_bytes:
                break
            part = BatchPart(self._larger(part.lent), left_bytes)
            await self._fill(payload, part)
        for stage in (Stage.RECEIVED, Stage.HASHED, Stage.WRITTEN):
            self._stages.add(stage, index, batch_bytes, self._opened_ns)
        self._on_batch_stored()

    def _larger(self, lent: LentBuffer) -> LentBuffer:
        """A larger buffer in the place of ``lent``, if what came filled that one fast and there is
        one."""
        size_bytes = min(len(lent.buffer) * _GROWTH, _LARGEST_PART_BYTES)
        if size_bytes > len(lent.buffer) and self._is_fast(size_bytes, _PART_WITHIN_S):
            larger = self._tools.buffers.lend_at_once(size_bytes, self._borrower)
            if larger is not None:
                lent.give_back()
                self._small = larger
                return larger
        return lent

    async def _store_part(self, part: BatchPart, hasher: SegmentHasher) -> None:
        tools = self._tools
        written, checksums = await asyncio.gather(
            run_in(tools.io_pool, self._writer.append, [part.payload]),
            run_in(tools.hash_pool, hasher.update, part.payload),
            return_exceptions=True,  # the buffer is free only when both are done
        )
        for outcome in (written, checksums):
            if isinstance(outcome, BaseException):
                raise outcome
        self._checksums += cast("list[bytes]", checksums)

    async def _fill(self, payload: PayloadSource, memory: BufferedBatch | BatchPart) -> None:
        """At the pace of the sender, from whom the memory may be taken back meanwhile."""
        memory.lent.may_be_taken_back(lambda: payload.moved_bytes, self._put_off, FILL_S)
        begun_bytes, begun_ns = self._received_bytes, time.monotonic_ns()
        while not memory.is_full:
            size_bytes = await payload.read_into(memory.next_view())
            if not size_bytes:
                raise self._wrong_size(f"only {self._received_bytes} arrived")
            self._received_bytes += size_bytes
            memory.filled(size_bytes)
            if self._storing is not None and self._storing.done():
                self._storing.result()  # a full disk is said now, not a batch later
        memory.lent.hold()
        self._filled_bytes = self._received_bytes - begun_bytes
        self._filled_s = (time.monotonic_ns() - begun_ns) / 1e9

    async def take(self, payload: ReferencedPayload) -> tuple[bytes, ...]:
        """The same for a payload that is in memory already and is stored from there.

        Raises also InvalidInput, PayloadInterrupted: a block is not bytes, or lost.
        """
        segments, size_bytes = self._layout.segments, self._layout.payload_size_bytes
        for index in range(self._layout.batch_count):
            opened_ns = time.monotonic_ns()
            start, stop = map(segments.prefix_size_bytes, (index, index + 1))
            there_bytes = await payload.fetch(stop)
            if there_bytes < stop:
                raise self._wrong_size(f"only {there_bytes} arrived")
            batch = ReferencedBatch(self._layout, index, payload, start)
            payload.let_go(stop)
            self._stages.add(Stage.RECEIVED, index, batch.payload_bytes, opened_ns)
            await self._stored()
            self._storing = asyncio.create_task(self._store(batch))
        if await payload.fetch(size_bytes + 1) > size_bytes:
            raise self._wrong_size("more arrived")
        await self._stored()
        return tuple(self._checksums)

    async def drain(self) -> None:
        """Return when no thread touches this upload's memory or file any more; never raises what
        storing raised. Afterwards all buffers are back in the pool."""
        if self._storing is not None:
            await asyncio.wait([self._storing])
        if self._batch is not None:
            self._batch.lent.give_back()
            self._batch = None
        if self._small is not None:
            self._small.give_back()
            self._small = None

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

    async def _store(self, batch: BufferedBatch | ReferencedBatch) -> None:
        tools = self._tools
        append = self._stages.timed(
            Stage.WRITTEN, batch.index, batch.payload_bytes, self._writer.append
        )
        try:
            outcomes = await asyncio.gather(
                run_in(tools.io_pool, append, batch.payload),
                self._hash(batch),
                self._keep_hot(batch),
                return_exceptions=True,  # the buffer is free only when all of them are done
            )
        finally:
            if isinstance(batch, BufferedBatch):
                batch.lent.give_back()
        for outcome in outcomes:
            if isinstance(outcome, BaseException):
                raise outcome
        self._on_batch_stored()

    async def _hash(self, batch: BufferedBatch | ReferencedBatch) -> None:
        with self._stages.during(Stage.HASHED, batch.index, batch.payload_bytes):
            if batch.payload_bytes <= _INLINE_HASH_BYTES:
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

    async def _keep_hot(self, batch: BufferedBatch | ReferencedBatch) -> None:
        """Keep the columns hot if there is room; the stored segments stand in for them if not."""
        tools, size_bytes = self._tools, batch.size_bytes
        if batch.column_size_bytes < tools.hot_from_bytes or not batch.has_columns:
            return
        if isinstance(batch, BufferedBatch):
            cache = tools.hot
            has_room = cache.reserve(self._sp_address, self._object_id, size_bytes)
        else:
            cache = tools.spliced
            has_room = await cache.reserve_soon(
                self._sp_address, self._object_id, size_bytes, self._patience_s
            )
        if not has_room:
            self._patience_s = 0.0
            return
        try:
            with self._stages.during(Stage.KEPT_HOT, batch.index, size_bytes):
                columns = await batch.columns_in(tools.space)
        except (StoreError, NoSuchPiece) as error:
            cache.cancel(size_bytes)
            log.warning("%s: batch %d is not kept hot: %s", self._where, batch.index, error)
            return
        except BaseException:
            cache.cancel(size_bytes)
            raise
        cache.keep(self._sp_address, self._object_id, batch.index, columns, size_bytes)

    def _wrong_size(self, how: str) -> PayloadSizeMismatch:
        return PayloadSizeMismatch(
            f"the object declares {self._layout.payload_size_bytes} bytes, {how}",
            self._where,
            "Send exactly the payload whose checksums are on chain.",
        )
