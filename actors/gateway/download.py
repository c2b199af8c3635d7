"""Reading objects back from the primary's store (protocol 06 §3.2), never unverified."""

from __future__ import annotations

import asyncio
import hashlib
import re
from collections.abc import AsyncGenerator
from concurrent.futures import Executor
from dataclasses import dataclass

from greenray.actors.credit.buffers import BufferPool
from greenray.actors.ports import Column
from greenray.actors.uploader.ingest import run_in
from greenray.protocol.errors import CorruptPiece
from greenray.protocol.integrity import integrity_hash
from greenray.protocol.layout import SEGMENTS, PayloadLayout
from greenray.protocol.objects import ObjectInfo, StorageParams
from greenray.storage.ports import Buffer, ColumnKey, IntegrityRecord, PieceStore

_RANGE = re.compile(r"bytes=([0-9]+)-([0-9]*)")
_U64_MAX = 2**64 - 1


@dataclass(frozen=True, slots=True)
class ByteRange:
    """Inclusive on both ends, inside the payload."""

    first: int
    last: int

    @property
    def size_bytes(self) -> int:
        return self.last - self.first + 1


def parse_range(header: str, payload_size: int) -> ByteRange | None:
    """The range of a ``Range`` header; None when it asks for the whole object (no header, or a
    form that is not supported: suffixes, lists, other units).

    Raises:
        ValueError: the range does not lie in the payload.
    """
    match = _RANGE.fullmatch(header.lower().replace(" ", ""))
    if match is None:
        return None
    first = int(match[1])
    last = int(match[2]) if match[2] else payload_size - 1
    if first > _U64_MAX or last > _U64_MAX:
        return None
    last = min(last, payload_size - 1)
    if first > last:
        raise ValueError("the range begins behind its end")
    return ByteRange(first, last)


class SegmentReader:
    """Verified segments of one stored object, read ahead by one."""

    def __init__(
        self,
        store: PieceStore,
        record: IntegrityRecord,
        object_info: ObjectInfo,
        params: StorageParams,
        buffers: BufferPool,
        pool: Executor,
    ) -> None:
        """Raises CorruptPiece when the record is not the chain's object."""
        if integrity_hash(record.piece_checksums) != object_info.checksums[0]:
            raise CorruptPiece(
                "the recorded checksums are not those of the object on chain", object_info.name
            )
        self._store = store
        self._record = record
        self._name = object_info.name
        self._key = ColumnKey(object_info.id, SEGMENTS)
        self._layout = PayloadLayout.of(object_info, params)
        self._buffers = buffers
        self._pool = pool
        if len(record.piece_checksums) != self._layout.segment_count:
            raise CorruptPiece(
                f"{len(record.piece_checksums)} checksums are recorded for "
                f"{self._layout.segment_count} segments",
                object_info.name,
            )

    async def read(self, wanted: ByteRange) -> AsyncGenerator[Buffer, None]:
        """The range's bytes, one view per segment; a view is valid until the next is asked for.

        Raises: CorruptPiece, NoSuchPiece, StoreError; before anything of the bad segment is given.
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

    def _give_back(self, load: asyncio.Task[Column]) -> None:
        if not load.cancelled() and load.exception() is None:
            self._buffers.release(load.result())

    async def _load(self, segment: int) -> Column:
        buffer = await self._buffers.acquire(self._layout.segment_length(segment))
        try:
            await run_in(self._pool, self._read_verified, segment, buffer)
        except BaseException:
            self._buffers.release(buffer)
            raise
        return buffer

    def _read_verified(self, segment: int, buffer: Column) -> None:
        view = buffer.data[: self._layout.segment_length(segment)]
        segments = self._layout.segments
        self._store.read_into(self._key, segments, segments.piece_offset(segment), [view])
        if hashlib.sha256(view).digest() != self._record.piece_checksums[segment]:
            raise CorruptPiece(
                f"segment {segment} does not have its recorded checksum",
                self._name,
                "Restore it from the secondaries.",
            )
