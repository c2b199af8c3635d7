"""All checksums of a payload in one pass, with flat memory, on all cores (protocol 01 §6).

The caller's thread fills reused buffers; a pool hashes segments and data columns, and makes and
hashes parity. Small segments are transposed into columns, many at a time, so that a codec is called
once for all of them; a large segment's columns are slices of what was read.
"""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, Protocol, TypeAlias

import numpy as np
from numpy.typing import NDArray

from greenray.coding.buffers import Shard
from greenray.coding.codec import Codec
from greenray.coding.hashing import hash_messages, hash_pieces, start_digests
from greenray.coding.matrix import check_shape
from greenray.protocol.errors import InvalidInput
from greenray.protocol.integrity import integrity_hash

_BATCH_BYTES = 4 << 20
"""Small segments are read and coded together up to this many bytes of data and parity."""

_PARITY_BYTES = 4 << 20
_MAX_STRIP_BYTES = 1 << 18
"""Parity of a large segment is made in strips that stay in the cache: bytes of all m, of one."""

_BUFFER_BUDGET_BYTES = 256 << 20
"""No more buffers than fit in here, apart from the two that any segment size needs."""


class Reader(Protocol):
    """Any binary reader; it may return fewer bytes than asked for, and b"" at the end."""

    def read(self, size: int, /) -> bytes: ...


@dataclass(frozen=True, slots=True)
class PayloadChecksums:
    """What protocol 01 §6 defines over one payload. Every checksum is 32 raw bytes.

    ``integrity_hashes`` has 1 + n entries in the order of the chain: the primary's, then one per
    redundancy index. ``piece_checksums[i][s]`` is of the piece of segment s with index i. An empty
    payload has no segments, and n + 1 times the SHA-256 of nothing.
    """

    payload_size_bytes: int
    segment_size_bytes: int
    k: int
    m: int
    codec: str
    integrity_hashes: tuple[bytes, ...]
    segment_checksums: tuple[bytes, ...]
    piece_checksums: tuple[tuple[bytes, ...], ...]


def hash_payload(
    reader: Reader,
    segment_size_bytes: int,
    k: int,
    m: int,
    codec: Codec,
    replica: bool = False,
    on_progress: Callable[[int], None] | None = None,
    workers: int | None = None,
) -> PayloadChecksums:
    """Read a payload to its end, in full whatever each read returns, and compute its checksums.

    ``on_progress`` is called in this thread with the payload bytes that are done so far; it never
    goes back. ``workers`` are threads (default: the cores this process may use). Memory does not
    grow with the payload, but for the checksums themselves.
    Raises InvalidShape, InvalidInput (a segment size below 1), and what the reader raises.
    """
    check_shape(k, m)
    if segment_size_bytes < 1:
        raise InvalidInput(f"a segment size of {segment_size_bytes} bytes is not positive")
    with _PayloadPass(segment_size_bytes, k, m, codec, replica, workers or _cores()) as one_pass:
        one_pass.run(reader, on_progress or (lambda done_bytes: None))
    segments = tuple(one_pass.segment_checksums)
    pieces = (segments,) * (k + m) if replica else tuple(map(tuple, one_pass.piece_checksums))
    return PayloadChecksums(
        payload_size_bytes=one_pass.done_bytes,
        segment_size_bytes=segment_size_bytes,
        k=k,
        m=m,
        codec=codec.name,
        integrity_hashes=tuple(map(integrity_hash, (segments, *pieces))),
        segment_checksums=segments,
        piece_checksums=pieces,
    )


def report(checksums: PayloadChecksums) -> dict[str, Any]:
    """The document of ``greenray hash --json``; checksums in hex."""
    return {
        "payload_size_bytes": checksums.payload_size_bytes,
        "segment_size_bytes": checksums.segment_size_bytes,
        "k": checksums.k,
        "m": checksums.m,
        "codec": checksums.codec,
        "integrity_hashes": [value.hex() for value in checksums.integrity_hashes],
        "segment_checksums": [value.hex() for value in checksums.segment_checksums],
        "piece_checksums": [[value.hex() for value in row] for row in checksums.piece_checksums],
    }


def read_fully(reader: Reader, target: memoryview) -> int:
    """Fill ``target`` as far as the reader has bytes; returns how many there were.

    Raises InvalidInput when the reader has nothing *yet* (non-blocking mode).
    """
    readinto = getattr(reader, "readinto", None)
    filled = 0
    while filled < len(target):
        if readinto is not None:
            count = readinto(target[filled:])
        else:
            part = reader.read(len(target) - filled)
            count = None if part is None else len(part)
            target[filled : filled + len(part or b"")] = part or b""
        if count is None:
            raise InvalidInput("the reader does not block", "", "Open it in blocking mode")
        if count == 0:
            break
        filled += count
    return filled


# --- one pass ------------------------------------------------------------------------------------


Columns: TypeAlias = list[list[bytes]]
"""The piece checksums of some columns, in the order of their index."""


@dataclass(frozen=True, slots=True)
class _Run:
    """Segments of one length, in the pool's hands: their checksums and those of the first columns,
    and of the columns that follow."""

    first: Future[tuple[list[bytes], Columns]]
    rest: Future[Columns] | None


@dataclass(frozen=True, slots=True)
class _Batch:
    """One filled buffer: its whole segments, then the payload's remainder."""

    buffer: Shard
    size_bytes: int
    runs: list[_Run]


class _PayloadPass:
    def __init__(
        self, segment_size_bytes: int, k: int, m: int, codec: Codec, replica: bool, workers: int
    ) -> None:
        self._segment_size_bytes = segment_size_bytes
        self._k, self._m = k, m
        self._codec = codec
        self._replica = replica
        self._pool = ThreadPoolExecutor(workers)
        self._batch_segments = self._choose_batch_segments()
        self._batch_bytes = segment_size_bytes * self._batch_segments
        count = max(2, min(workers + 1, _BUFFER_BUDGET_BYTES // self._batch_bytes))
        # k - 1 bytes more: room for the zero padding of a segment that is alone in its batch
        self._idle = [np.empty(self._batch_bytes + k - 1, np.uint8) for _ in range(count)]
        self._running: deque[_Batch] = deque()
        self.done_bytes = 0
        self.segment_checksums: list[bytes] = []
        self.piece_checksums: list[list[bytes]] = [[] for _ in range(k + m)]

    def __enter__(self) -> _PayloadPass:
        return self

    def __exit__(self, *_: object) -> None:
        self._pool.shutdown(cancel_futures=True)

    def _choose_batch_segments(self) -> int:
        if self._replica:
            return max(1, _BATCH_BYTES // self._segment_size_bytes)
        shard_size = -(-self._segment_size_bytes // self._k)
        return max(1, _BATCH_BYTES // (shard_size * (self._k + self._m)))

    def run(self, reader: Reader, on_progress: Callable[[int], None]) -> None:
        size_bytes = self._batch_bytes
        while size_bytes == self._batch_bytes:
            if not self._idle:
                self._finish_oldest(on_progress)
            buffer = self._idle.pop()
            size_bytes = read_fully(reader, buffer.data[: self._batch_bytes])
            if size_bytes:
                self._running.append(self._start(buffer, size_bytes))
        while self._running:
            self._finish_oldest(on_progress)

    def _start(self, buffer: Shard, size_bytes: int) -> _Batch:
        count, remainder = divmod(size_bytes, self._segment_size_bytes)
        runs = []
        if count:
            runs.append(self._start_run(buffer, 0, count, self._segment_size_bytes))
        if remainder:
            runs.append(self._start_run(buffer, size_bytes - remainder, 1, remainder))
        return _Batch(buffer, size_bytes, runs)

    def _start_run(self, buffer: Shard, start: int, count: int, length: int) -> _Run:
        submit, k, m = self._pool.submit, self._k, self._m
        segments = buffer[start : start + count * length]
        if self._replica:
            return _Run(submit(_hash_segments, segments, length), None)
        if self._batch_segments > 1:
            rows = segments.reshape(count, length)
            return _Run(submit(_hash_small_segments, rows, k, m, self._codec), None)
        shard_size = -(-length // k)
        buffer[start + length : start + k * shard_size] = 0
        data = list(buffer[start : start + k * shard_size].reshape(k, shard_size))
        return _Run(
            submit(_hash_segment_and_data, segments, data),
            submit(_hash_parity, data, m, self._codec),
        )

    def _finish_oldest(self, on_progress: Callable[[int], None]) -> None:
        batch = self._running.popleft()
        for run in batch.runs:
            segments, columns = run.first.result()
            self.segment_checksums += segments
            if run.rest is not None:
                columns = columns + run.rest.result()
            for checksums, column in zip(self.piece_checksums, columns, strict=False):
                checksums += column
        self._idle.append(batch.buffer)
        self.done_bytes += batch.size_bytes
        on_progress(self.done_bytes)


def _hash_segments(segments: Shard, length: int) -> tuple[list[bytes], Columns]:
    return hash_pieces([segments], length), []


def _hash_segment_and_data(segment: Shard, data: Sequence[Shard]) -> tuple[list[bytes], Columns]:
    """Together: the segment in one lane takes as long as all of its data shards in the other."""
    segment_checksum, *checksums = hash_messages([[segment], *([shard] for shard in data)])
    return [segment_checksum], [[checksum] for checksum in checksums]


def _hash_parity(data: Sequence[Shard], m: int, codec: Codec) -> Columns:
    """The parity checksums of one segment, without ever holding its parity."""
    strip_bytes = min(_MAX_STRIP_BYTES, _PARITY_BYTES // max(m, 1), data[0].size)
    strips = [np.empty(strip_bytes, np.uint8) for _ in range(m)]
    digests = start_digests(m)
    for start in range(0, data[0].size, strip_bytes):
        part = [shard[start : start + strip_bytes] for shard in data]
        parity = [strip[: part[0].size] for strip in strips]
        codec.encode_into(part, parity)
        digests.update([[shard] for shard in parity])
    return [[checksum] for checksum in digests.digests()]


def _hash_small_segments(
    segments: NDArray[np.uint8], k: int, m: int, codec: Codec
) -> tuple[list[bytes], Columns]:
    """The checksums of the segments and of the pieces of all n columns; ``segments`` has one row
    per segment."""
    count, length = segments.shape
    shard_size = -(-length // k)
    data = np.zeros((k, count, shard_size), np.uint8)
    for j in range(k):
        part = segments[:, j * shard_size : (j + 1) * shard_size]
        data[j, :, : part.shape[1]] = part
    columns = list(data.reshape(k, count * shard_size))
    columns += codec.encode(columns, m)
    checksums = hash_pieces([segments.reshape(count * length)], length)
    return checksums, [hash_pieces([column], shard_size) for column in columns]


def _cores() -> int:
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
