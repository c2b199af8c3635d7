"""The floor: the unavoidable work of an upload, done by plain processes without Ray.

Every worker process takes an equal run of the payload's segments, and for each reads it, hashes it,
encodes it, hashes the pieces, and writes segments and pieces through the same piece stores as the
network: one root per storage provider, one file per column, past the page cache where possible,
synced at the end. No sockets, no journal, no chain, nothing handed from process to process.
Writing overlaps with the next segment's hashing, from two reused buffers.
"""

from __future__ import annotations

import mmap
from collections.abc import AsyncIterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import asynccontextmanager
from dataclasses import dataclass
from hashlib import sha256
from itertools import chain
from pathlib import Path
from typing import BinaryIO

import numpy as np

from greenray.bench.child import Handler, Tell
from greenray.coding.buffers import Shard, as_view
from greenray.coding.checksums import read_fully
from greenray.coding.codec import Codec, get_codec
from greenray.protocol.layout import SEGMENTS, PayloadLayout
from greenray.storage.file_store import FilePieceStore
from greenray.storage.ports import ColumnKey, ColumnWriter

_BUFFERS = 2
_PAGE_BYTES = mmap.PAGESIZE


@dataclass(frozen=True, slots=True)
class FloorSetup:
    """``root`` gets one piece store per storage provider: the primary and k + m secondaries."""

    source: Path
    root: Path
    segment_size_bytes: int
    k: int
    m: int
    codec: str
    durable: bool


@dataclass(frozen=True, slots=True)
class Share:
    """A run of whole segments; only the payload's last one may be shorter."""

    object_id: int
    offset: int
    size_bytes: int


@dataclass(frozen=True, slots=True)
class RemoveShare:
    object_id: int


@dataclass(frozen=True, slots=True)
class ShareChecksums:
    """Raw SHA-256 per segment, and per redundancy index and segment."""

    segments: tuple[bytes, ...]
    pieces: tuple[tuple[bytes, ...], ...]


def shares_of(
    payload_size_bytes: int, segment_size_bytes: int, workers: int, first_object_id: int
) -> list[Share]:
    """At most ``workers`` shares that differ by one segment at most, in payload order."""
    segment_count = -(-payload_size_bytes // segment_size_bytes)
    shares = []
    start = 0
    for worker in range(min(workers, segment_count)):
        end = segment_count * (worker + 1) // min(workers, segment_count)
        offset = start * segment_size_bytes
        size_bytes = min(end * segment_size_bytes, payload_size_bytes) - offset
        shares.append(Share(first_object_id + worker, offset, size_bytes))
        start = end
    return shares


def joined(shares: Sequence[ShareChecksums]) -> ShareChecksums:
    """The checksums of the whole payload from those of its shares, in order."""
    return ShareChecksums(
        tuple(chain.from_iterable(share.segments for share in shares)),
        tuple(
            tuple(chain.from_iterable(columns))
            for columns in zip(*(share.pieces for share in shares), strict=True)
        ),
    )


@asynccontextmanager
async def floor_service(setup: FloorSetup) -> AsyncIterator[Handler]:
    """One worker: answers a ``Share`` by its ``ShareChecksums`` once all of it is stored."""
    worker = FloorWorker(setup)

    async def handle(message: Share | RemoveShare, tell: Tell) -> ShareChecksums | None:
        if isinstance(message, RemoveShare):
            worker.remove(message.object_id)
            return None
        return worker.store(message)

    try:
        yield handle
    finally:
        worker.close()


class FloorWorker:
    """Does shares one after the other, from the same memory."""

    def __init__(self, setup: FloorSetup) -> None:
        self._setup = setup
        self._codec = get_codec(setup.codec)
        self._stores = {
            index: FilePieceStore(setup.root / f"sp{index}", durable=setup.durable)
            for index in range(SEGMENTS, setup.k + setup.m)
        }
        self._buffers = [_SegmentBuffer(setup) for _ in range(_BUFFERS)]
        self._writing = ThreadPoolExecutor(1, thread_name_prefix="write")

    def store(self, share: Share) -> ShareChecksums:
        """Raises: NoSpaceLeft, StoreError."""
        setup = self._setup
        layout = PayloadLayout(share.size_bytes, setup.segment_size_bytes, setup.k, setup.m)
        writers = {
            index: store.create(ColumnKey(share.object_id, index), layout.column(index))
            for index, store in self._stores.items()
        }
        segments: list[bytes] = []
        pieces: list[list[bytes]] = [[] for _ in range(setup.k + setup.m)]
        written: list[Future[None]] = []
        with setup.source.open("rb", buffering=0) as source:
            source.seek(share.offset)
            for index in range(layout.segment_count):
                if index >= _BUFFERS:
                    written[index - _BUFFERS].result()
                buffer = self._buffers[index % _BUFFERS]
                buffer.fill(source, layout.segment_length(index), self._codec)
                written.append(self._writing.submit(_append, writers, buffer))
                segments.append(sha256(as_view(buffer.segment)).digest())
                for checksums, shard in zip(pieces, buffer.shards, strict=True):
                    checksums.append(sha256(as_view(shard)).digest())
        for future in written:
            future.result()
        for writer in writers.values():
            writer.finish()
        return ShareChecksums(tuple(segments), tuple(map(tuple, pieces)))

    def remove(self, object_id: int) -> None:
        for index, store in self._stores.items():
            store.delete(ColumnKey(object_id, index))

    def close(self) -> None:
        self._writing.shutdown()


class _SegmentBuffer:
    """A segment with the room for its padding, and its parity, each page-aligned."""

    def __init__(self, setup: FloorSetup) -> None:
        self._k, self._m = setup.k, setup.m
        shard_bytes = -(-setup.segment_size_bytes // setup.k)
        self._data = aligned_memory(setup.k * shard_bytes)
        self._parity = [aligned_memory(shard_bytes) for _ in range(setup.m)]
        self.segment: Shard = self._data[:0]
        self.shards: list[Shard] = []

    def fill(self, source: BinaryIO, length: int, codec: Codec) -> None:
        """Read the next segment and encode it."""
        shard_bytes = -(-length // self._k)
        read_fully(source, self._data[:length].data)
        self._data[length : self._k * shard_bytes] = 0
        data = [self._data[j * shard_bytes : (j + 1) * shard_bytes] for j in range(self._k)]
        parity = [shard[:shard_bytes] for shard in self._parity]
        codec.encode_into(data, parity)
        self.segment = self._data[:length]
        self.shards = data + parity


def _append(writers: dict[int, ColumnWriter], buffer: _SegmentBuffer) -> None:
    writers[SEGMENTS].append([buffer.segment.data])
    for index, shard in enumerate(buffer.shards):
        writers[index].append([shard.data])


def aligned_memory(size_bytes: int) -> Shard:
    """At a page's beginning, as writes past the page cache want it."""
    pages = -(-size_bytes // _PAGE_BYTES)
    return np.frombuffer(mmap.mmap(-1, pages * _PAGE_BYTES), np.uint8)[:size_bytes]
