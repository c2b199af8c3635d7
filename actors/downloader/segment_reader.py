"""Segments of a stored object, never unverified, and rebuilt where they are broken."""

from __future__ import annotations

import asyncio
import hashlib
import logging
from collections import Counter, deque
from collections.abc import AsyncGenerator, Callable, Mapping
from concurrent.futures import Executor
from dataclasses import dataclass, field
from itertools import islice
from typing import Any

import numpy as np

from greenray.actors.credit.buffers import BufferPool
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


@dataclass(frozen=True, slots=True)
class _Loaded:
    """A segment in a buffer of the pool; ``piece_bytes``: of what it was rebuilt from, by holder,
    None when it was not."""

    buffer: Column
    piece_bytes: Mapping[str, int] | None


class SegmentReader:
    """Verified segments of one stored object, read ahead by one, or by ``_REBUILT_AHEAD`` once some
    had to be rebuilt."""

    def __init__(
        self,
        store: PieceStore,
        record: IntegrityRecord,
        object_info: ObjectInfo,
        layout: PayloadLayout,
        buffers: BufferPool,
        pool: Executor,
        recovery: SegmentRecovery,
        *,
        on_broken: Callable[[range], RebuiltFeed | None] = lambda segments: None,
        rebuilt: RebuiltFeed | None = None,
    ) -> None:
        """``on_broken``: called at the first broken segment of a reading, with the segments from
        there on; what it returns is told of them. ``rebuilt``: where a segment may be had that
        another reading has rebuilt.

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
        self._met_broken = False
        self.sources = Sources()
        if len(record.piece_checksums) != self._layout.segment_count:
            raise CorruptPiece(
                f"{len(record.piece_checksums)} checksums are recorded for "
                f"{self._layout.segment_count} segments",
                object_info.name,
            )

    async def read(self, wanted: ByteRange) -> AsyncGenerator[Buffer, None]:
        """The range's bytes, one view per segment; a view is valid until the next is asked for.

        Raises: SegmentLost, CodingError, JournalError; before anything of the bad segment is given.
        """
        size = self._layout.segment_size_bytes
        segments = range(wanted.first // size, wanted.last // size + 1)
        feed: RebuiltFeed | None = None
        unread = iter(segments)
        ahead: deque[asyncio.Task[_Loaded]] = deque()
        try:
            for segment in segments:
                if not ahead:
                    ahead.append(asyncio.create_task(self._load(next(unread))))
                loaded = await asyncio.shield(ahead[0])
                ahead.popleft()
                depth = _REBUILT_AHEAD if self._met_broken else 1
                for following in islice(unread, depth - len(ahead)):
                    ahead.append(asyncio.create_task(self._load(following)))
                start = max(wanted.first - segment * size, 0)
                end = min(wanted.last - segment * size + 1, self._layout.segment_length(segment))
                try:
                    if loaded.piece_bytes is not None and feed is None:
                        feed = self._on_broken(range(segment, segments.stop))
                    await self._tell(feed, segment, loaded)
                    self._count(end - start, loaded.piece_bytes)
                    yield loaded.buffer.data[start:end]
                finally:
                    self._buffers.release(loaded.buffer)
        finally:
            for load in ahead:
                # A thread may be writing into its buffer, so it cannot be cancelled.
                load.add_done_callback(self._give_back)
            if feed is not None:
                feed.end()

    async def _tell(self, feed: RebuiltFeed | None, segment: int, loaded: _Loaded) -> None:
        if feed is None:
            return
        kept: Column | None = None
        if loaded.piece_bytes is not None and feed.has_room:
            whole = loaded.buffer[: self._layout.segment_length(segment)]
            kept = await run_in(self._pool, whole.copy)
        feed.passed(segment, kept)

    def _count(self, size_bytes: int, piece_bytes: Mapping[str, int] | None) -> None:
        if piece_bytes is None:
            self.sources.primary_bytes += size_bytes
        else:
            self.sources.rebuilt_bytes += size_bytes
            self.sources.piece_bytes.update(piece_bytes)

    def _give_back(self, load: asyncio.Task[_Loaded]) -> None:
        if not load.cancelled() and load.exception() is None:
            self._buffers.release(load.result().buffer)

    async def _load(self, segment: int) -> _Loaded:
        # The download that is waited for here may be waiting for a buffer.
        known = await self._rebuilt.take(segment) if self._rebuilt is not None else None
        buffer = await self._buffers.acquire(self._layout.segment_length(segment))
        try:
            if known is not None:
                await run_in(self._pool, np.copyto, buffer[: len(known)], known)
                return _Loaded(buffer, {})
            return _Loaded(buffer, await self._fill(segment, buffer))
        except BaseException:
            self._buffers.release(buffer)
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
        segments = self._layout.segments
        self._store.read_into(self._key, segments, segments.piece_offset(segment), [view])
        if hashlib.sha256(view).digest() != self._record.piece_checksums[segment]:
            raise CorruptPiece(f"segment {segment} does not have its recorded checksum", self._name)
