"""``bench hash``: SHA-256 of one stream, of many, and of a segment with its pieces, each by hashlib
and all at once."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import replace
from hashlib import sha256
from io import BytesIO
from typing import Any

import numpy as np

from greenray.bench.by_segment_size import SegmentOptions, run_by_segment_size
from greenray.bench.machine_watch import watched
from greenray.bench.records import CPU_METRIC, BenchResult, Case, Row
from greenray.bench.runner import Meter, OnStep, Work
from greenray.bench.side_by_side import side_by_side
from greenray.coding.buffers import Shard, as_view
from greenray.coding.checksums import hash_payload
from greenray.coding.codec import get_codec
from greenray.coding.hashing import hash_messages, kernel_name
from greenray.coding.segments import encode_segment
from greenray.protocol.errors import IntegrityHashMismatch

_K, _M = 4, 2


@watched
def run_hash(options: SegmentOptions, on_step: OnStep) -> BenchResult:
    """Rates are of payload: with its pieces, a payload byte is hashed 2.5 times at 4+2.

    Raises IntegrityHashMismatch when the checksums are not those of the payload.
    """
    return run_by_segment_size("hash", "segments", options, on_step, _of_size, _summary)


def _of_size(size_bytes: int, options: SegmentOptions, meter: Meter) -> list[Row]:
    segment = np.frombuffer(np.random.default_rng(size_bytes).bytes(size_bytes), np.uint8)
    pieces = encode_segment(segment, _K, _M, get_codec())
    streams = Case("streams", segment_size_bytes=size_bytes)
    mix = Case("segment and pieces", k=_K, m=_M, segment_size_bytes=size_bytes)
    together = replace(mix, kind=f"segment and pieces together, {kernel_name()}")
    all_buffers = [segment, *pieces]
    with ExitStack() as stack:
        works = []
        known = _known_checksums(segment)
        hashers: list[tuple[list[bytes], _Hasher]] = []
        for workers in options.workers:
            for case, buffers, hash_buffers in (
                (streams, [segment], _one_by_one),
                (mix, all_buffers, _one_by_one),
                (together, all_buffers, _together),
            ):
                copies = [[buffer.copy() for buffer in buffers] for _ in range(workers)]
                own = [_Hasher(hash_buffers, of_worker) for of_worker in copies]
                run = stack.enter_context(side_by_side([hasher.run for hasher in own]))
                works.append(Work(replace(case, workers=workers), run, workers * size_bytes))
                hashers += [(known[: len(buffers)], hasher) for hasher in own]
        rows = meter.measure(works, options.repeats)
    for expected, hasher in hashers:
        if hasher.digests != expected:
            raise IntegrityHashMismatch("the checksums are not those of the payload", "bench hash")
    return rows


class _Hasher:
    """One worker with memory of its own."""

    def __init__(
        self, hash_buffers: Callable[[Sequence[Shard]], list[bytes]], buffers: Sequence[Shard]
    ) -> None:
        self._hash_buffers = hash_buffers
        self._buffers = buffers
        self.digests: list[bytes] = []

    def run(self) -> None:
        self.digests = self._hash_buffers(self._buffers)


def _one_by_one(buffers: Sequence[Shard]) -> list[bytes]:
    return [sha256(as_view(buffer)).digest() for buffer in buffers]


def _together(buffers: Sequence[Shard]) -> list[bytes]:
    return hash_messages([[buffer] for buffer in buffers])


def _known_checksums(segment: Shard) -> list[bytes]:
    """Of the segment and of its pieces, as a client puts them on chain."""
    known = hash_payload(BytesIO(segment.tobytes()), segment.size, _K, _M, get_codec())
    return [known.segment_checksums[0], *(column[0] for column in known.piece_checksums)]


def _summary(rows: Sequence[Row]) -> dict[str, Any]:
    """The best median per kind and number of threads, over all sizes."""
    best: dict[str, dict[str, float]] = {}
    for row in rows:
        if row.metric == CPU_METRIC:
            continue
        of_kind = best.setdefault(row.case.kind.replace(" ", "_") + "_mb_s", {})
        workers = str(row.case.workers)
        of_kind[workers] = max(of_kind.get(workers, 0.0), statistics.median(row.values))
    return best
