"""Segments of a stored object, never unverified, and rebuilt where they are broken."""

from __future__ import annotations

import asyncio
import hashlib
import logging
from collections import Counter, deque
from collections.abc import AsyncGenerator, Callable, Mapping
from concurrent.futures import Executor
from contextlib import aclosing
from dataclasses import dataclass, field
from itertools import islice
from typing import Any

import numpy as np

from greenray.actors.credit.lending import OURSELVES, Borrower
from greenray.actors.credit.lending_pool import LendingPool
from greenray.actors.downloader.held_segment import HeldSegment, LoadedSegment, SegmentSource
from greenray.actors.downloader.rebuilt_feed import RebuiltFeed
from greenray.actors.downloader.recovery import SegmentRecovery
from greenray.actors.ports import Column
from greenray.actors.uploader.ingest import run_in
from greenray.protocol.errors import CorruptPiece, NoSuchPiece, StoreError
from greenray.protocol.integrity import integrity_hash
from greenray.protocol.layout import SEGMENTS, PayloadLayout
from greenray.protocol.objects import ObjectInfo
from greenray.storage.ports import Buffer, ColumnKey, IntegrityRecord, PieceStore

log = logging.getLogger(__name__)

_REBUILT_AHEAD = 2
"""Segments that wait for others' disks, one after the other, leave cores idle."""

_AHEAD_S = 1.0
"""What was read ahead, and not sent for so long, is given back when others wait."""


@dataclass(frozen=True, slots=True)
class ByteRange:
    """Inclusive on both ends, inside the payload."""

    first: int
    last: int

    @property
    def size_bytes(self) -> int:
        return self.last - self.first + 1


@dataclass(slots=True)
class Sources:
    """Where the bytes of one download came from."""

    primary_bytes: int = 0
    rebuilt_bytes: int = 0
    piece_bytes: Counter[str] = field(default_factory=Counter)
    """Of pieces, by the secondary (operator address) that gave them: more than what was rebuilt,
    where a range takes a part of a segment, or pieces are padded."""

    def to_json(self) -> dict[str, Any]:
        return {
            "primary_bytes": self.primary_bytes,
            "rebuilt_bytes": self.rebuilt_bytes,
            "piece_bytes": dict(self.piece_bytes),
        }


class SegmentReader:
    """Verified segments of one stored object, read ahead by one, or by ``_REBUILT_AHEAD`` once some
    had to be rebuilt."""

    def __init__(
        self,
        store: PieceStore,
        record: IntegrityRecord,
        object_info: ObjectInfo,
        layout: PayloadLayout,
        buffers: LendingPool,
        pool: Executor,
        recovery: SegmentRecovery,
        *,
        on_broken: Callable[[range], RebuiltFeed | None] = lambda segments: None,
        rebuilt: RebuiltFeed | None = None,
        borrower: Borrower = OURSELVES,
    ) -> None:
        """``on_broken``: called at the first broken segment of a reading, with the segments from
        there on; what it returns is told of them. ``rebuilt``: where a segment may be had that
        another reading has rebuilt. ``borrower``: whom memory is lent to.

        Raises CorruptPiece when the record is not the chain's object.
        """
        if integrity_hash(record.piece_checksums) != object_info.checksums[0]:
            raise CorruptPiece(
                "the recorded checksums are not those of the object on chain", object_info.name
            )
        self._store = store
        self._record = record
        self._name = object_info.name
        self._key = ColumnKey(object_info.id, SEGMENTS)
        self._layout = layout
        self._buffers = buffers
        self._pool = pool
        self._recovery = recovery
        self._on_broken = on_broken
        self._rebuilt = rebuilt
        self._borrower = borrower
        self._met_broken = False
        self._is_slow = False
        self.sources = Sources()
        if len(record.piece_checksums) != self._layout.segment_count:
            raise CorruptPiece(
                f"{len(record.piece_checksums)} checksums are recorded for "
                f"{self._layout.segment_count} segments",
                object_info.name,
            )

    async def read(self, wanted: ByteRange) -> AsyncGenerator[Buffer, None]:
        """The range's bytes for work of our own, one view per segment; a view is valid until the
        next is asked for. Raises what ``segments`` raises."""
        async with aclosing(self.segments(wanted)) as segments:
            async for segment in segments:
                view = segment.memory(segment.start, segment.end)
                assert view is not None, "nobody takes back what is not watched"
                yield view

    async def segments(self, wanted: ByteRange) -> AsyncGenerator[HeldSegment, None]:
        """The range, one segment after the other; each is valid until the next is asked for.

        Raises: SegmentLost, CodingError, JournalError; before anything of the bad segment is given.
        Overloaded, for the first, when there is no memory for it.
        """
        size = self._layout.segment_size_bytes
        segments = range(wanted.first // size, wanted.last // size + 1)
        feed: RebuiltFeed | None = None
        unread = iter(segments)
        ahead: deque[asyncio.Task[LoadedSegment]] = deque()
        wait_s = self._buffers.wait_s
        try:
            for segment in segments:
                if not ahead:
                    ahead.append(asyncio.create_task(self._load(next(unread), wait_s)))
                loaded = await self._next_of(ahead, segment)
                wait_s = None
                depth = _REBUILT_AHEAD if self._met_broken else 0 if self._is_slow else 1
                for following in islice(unread, max(0, depth - len(ahead))):
                    ahead.append(asyncio.create_task(self._load_ahead(following)))
                held = self._held(segment, loaded, wanted)
                try:
                    if loaded.piece_bytes is not None and feed is None:
                        feed = self._on_broken(range(segment, segments.stop))
                    await self._tell(feed, segment, loaded)
                    self._count(held.end - held.start, loaded.piece_bytes)
                    if self._is_slow:
                        await held.let_go()
                    yield held
                    self._is_slow = self._is_slow or held.was_let_go
                finally:
                    held.close()
        finally:
            for load in ahead:
                # A thread may be writing into its buffer, so it cannot be cancelled.
                load.add_done_callback(_give_back)
            if feed is not None:
                feed.end()

    async def _next_of(
        self, ahead: deque[asyncio.Task[LoadedSegment]], segment: int
    ) -> LoadedSegment:
        """The first of ``ahead``; loaded again if its memory was taken back."""
        loaded = await asyncio.shield(ahead[0])
        ahead.popleft()
        loaded.lent.hold()
        return await self._load(segment) if loaded.lent.is_over else loaded

    def _held(self, segment: int, loaded: LoadedSegment, wanted: ByteRange) -> HeldSegment:
        first = segment * self._layout.segment_size_bytes
        length = self._layout.segment_length(segment)

        def read(offset: int, view: Buffer) -> None:
            self._read(segment, offset, view)

        source = SegmentSource(length, read, lambda: self._load(segment), self._pool)
        start, end = max(wanted.first - first, 0), min(wanted.last - first + 1, length)
        return HeldSegment(source, loaded, start, end)

    async def _tell(self, feed: RebuiltFeed | None, segment: int, loaded: LoadedSegment) -> None:
        if feed is None:
            return
        kept: Column | None = None
        if loaded.piece_bytes is not None and feed.has_room:
            whole = loaded.lent.buffer[: self._layout.segment_length(segment)]
            kept = await run_in(self._pool, whole.copy)
        feed.passed(segment, kept)

    def _count(self, size_bytes: int, piece_bytes: Mapping[str, int] | None) -> None:
        if piece_bytes is None:
            self.sources.primary_bytes += size_bytes
        else:
            self.sources.rebuilt_bytes += size_bytes
            self.sources.piece_bytes.update(piece_bytes)

    async def _load_ahead(self, segment: int) -> LoadedSegment:
        """Of which a peer has nothing to send yet."""
        loaded = await self._load(segment)
        if self._borrower != OURSELVES:
            loaded.lent.may_be_taken_back(lambda: 0, loaded.lent.give_back, _AHEAD_S)
        return loaded

    async def _load(self, segment: int, wait_s: float | None = None) -> LoadedSegment:
        # The download that is waited for here may be waiting for a buffer.
        known = await self._rebuilt.take(segment) if self._rebuilt is not None else None
        length = self._layout.segment_length(segment)
        lent = await self._buffers.lend(length, self._borrower, wait_s=wait_s)
        try:
            if known is not None:
                await run_in(self._pool, np.copyto, lent.buffer[: len(known)], known)
                return LoadedSegment(lent, {})
            return LoadedSegment(lent, await self._fill(segment, lent.buffer))
        except BaseException:
            lent.give_back()
            raise

    async def _fill(self, segment: int, buffer: Column) -> Mapping[str, int] | None:
        """Bytes of the pieces that the segment was rebuilt from, None when it was not."""
        try:
            await run_in(self._pool, self._read_verified, segment, buffer)
            return None
        except (CorruptPiece, NoSuchPiece, StoreError) as broken:
            if not self._met_broken:
                self._met_broken = True
                log.warning("%s is rebuilt from segment %d on: %s", self._name, segment, broken)
            checksum = self._record.piece_checksums[segment]
            return await self._recovery.rebuild(segment, checksum, buffer)

    def _read_verified(self, segment: int, buffer: Column) -> None:
        view = buffer.data[: self._layout.segment_length(segment)]
        self._read(segment, 0, view)
        if hashlib.sha256(view).digest() != self._record.piece_checksums[segment]:
            raise CorruptPiece(f"segment {segment} does not have its recorded checksum", self._name)

    def _read(self, segment: int, offset: int, view: Buffer) -> None:
        segments = self._layout.segments
        self._store.read_into(self._key, segments, segments.piece_offset(segment) + offset, [view])


def _give_back(load: asyncio.Task[LoadedSegment]) -> None:
    if not load.cancelled() and load.exception() is None:
        load.result().lent.give_back()
