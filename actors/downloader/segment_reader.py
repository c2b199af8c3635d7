"""Segments of a stored object, never unverified, and rebuilt where they are broken."""

from __future__ import annotations

import asyncio
import hashlib
import logging
from collections import Counter
from collections.abc import AsyncGenerator, Callable
from concurrent.futures import Executor
from dataclasses import dataclass, field

from greenray.actors.credit.buffers import BufferPool
from greenray.actors.downloader.recovery import SegmentRecovery
from greenray.actors.ports import Column
from greenray.actors.uploader.ingest import run_in
from greenray.protocol.errors import CorruptPiece, GreenrayError, NoSuchPiece, StoreError
from greenray.protocol.integrity import integrity_hash
from greenray.protocol.layout import SEGMENTS, PayloadLayout
from greenray.protocol.objects import ObjectInfo
from greenray.storage.ports import Buffer, ColumnKey, IntegrityRecord, PieceStore

log = logging.getLogger(__name__)


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
    """Where the segments of one download came from, in bytes."""

    primary_bytes: int = 0
    rebuilt_bytes: int = 0
    piece_bytes: Counter[str] = field(default_factory=Counter)
    """By the secondary (operator address) that gave them."""


class SegmentReader:
    """Verified segments of one stored object, read ahead by one."""

    def __init__(
        self,
        store: PieceStore,
        record: IntegrityRecord,
        object_info: ObjectInfo,
        layout: PayloadLayout,
        buffers: BufferPool,
        pool: Executor,
        recovery: SegmentRecovery,
        on_rebuilt: Callable[[], None],
    ) -> None:
        """``on_rebuilt``: called at the end of a reading that met broken segments.

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
        self._on_rebuilt = on_rebuilt
        self.sources = Sources()
        if len(record.piece_checksums) != self._layout.segment_count:
            raise CorruptPiece(
                f"{len(record.piece_checksums)} checksums are recorded for "
                f"{self._layout.segment_count} segments",
                object_info.name,
            )

    async def read(self, wanted: ByteRange) -> AsyncGenerator[Buffer, None]:
        """The range's bytes, one view per segment; a view is valid until the next is asked for.

        Raises: SegmentLost, CodingError; before anything of the bad segment is given.
        """
        size = self._layout.segment_size_bytes
        segments = range(wanted.first // size, wanted.last // size + 1)
        ahead: asyncio.Task[Column] | None = asyncio.create_task(self._load(segments[0]))
        try:
            for segment in segments:
                assert ahead is not None
                buffer = await asyncio.shield(ahead)
                more = segment + 1 in segments
                ahead = asyncio.create_task(self._load(segment + 1)) if more else None
                start = max(wanted.first - segment * size, 0)
                end = min(wanted.last - segment * size + 1, self._layout.segment_length(segment))
                try:
                    yield buffer.data[start:end]
                finally:
                    self._buffers.release(buffer)
        finally:
            if ahead is not None:
                # A thread may be writing into its buffer, so it cannot be cancelled.
                ahead.add_done_callback(self._give_back)
            if self.sources.rebuilt_bytes:
                self._on_rebuilt()

    def _give_back(self, load: asyncio.Task[Column]) -> None:
        if not load.cancelled() and load.exception() is None:
            self._buffers.release(load.result())

    async def _load(self, segment: int) -> Column:
        length = self._layout.segment_length(segment)
        buffer = await self._buffers.acquire(length)
        try:
            try:
                await run_in(self._pool, self._read_verified, segment, buffer)
                self.sources.primary_bytes += length
            except (CorruptPiece, NoSuchPiece, StoreError) as broken:
                await self._rebuild(segment, buffer, broken)
        except BaseException:
            self._buffers.release(buffer)
            raise
        return buffer

    async def _rebuild(self, segment: int, buffer: Column, broken: GreenrayError) -> None:
        if not self.sources.rebuilt_bytes:
            log.warning("%s is rebuilt from segment %d on: %s", self._name, segment, broken)
        checksum = self._record.piece_checksums[segment]
        piece_bytes = await self._recovery.rebuild(segment, checksum, buffer)
        self.sources.rebuilt_bytes += self._layout.segment_length(segment)
        self.sources.piece_bytes.update(piece_bytes)

    def _read_verified(self, segment: int, buffer: Column) -> None:
        view = buffer.data[: self._layout.segment_length(segment)]
        segments = self._layout.segments
        self._store.read_into(self._key, segments, segments.piece_offset(segment), [view])
        if hashlib.sha256(view).digest() != self._record.piece_checksums[segment]:
            raise CorruptPiece(f"segment {segment} does not have its recorded checksum", self._name)
