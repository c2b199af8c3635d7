"""``bench hash``: SHA-256 of one stream, of many, and of a segment with its pieces."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from hashlib import sha256
from io import BytesIO
from typing import Any

import numpy as np

from cluster.bench.environment import describe_environment
from cluster.bench.records import BenchResult, Case, Row
from cluster.bench.throughput import throughput_mb_s
from coding.buffers import Buffer, Shard, as_view
from coding.checksums import hash_payload
from coding.codec import get_codec
from coding.segments import encode_segment
from protocol.errors import IntegrityHashMismatch

_K, _M = 4, 2


@dataclass(frozen=True, slots=True)
class HashOptions:
    segment_sizes_bytes: tuple[int, ...]
    workers: tuple[int, ...]
    repeats: int
    slot_s: float = 0.1
    quick: bool = False


def run_hash(options: HashOptions, on_step: Callable[[str], None]) -> BenchResult:
    """Rates are of payload: with its pieces, a payload byte is hashed 2.5 times at 4+2."""
    environment = describe_environment({"repeats": options.repeats, "slot_s": options.slot_s})
    rows = []
    for size_bytes in options.segment_sizes_bytes:
        on_step(f"segments of {size_bytes} bytes")
        segment = np.frombuffer(np.random.default_rng(size_bytes).bytes(size_bytes), np.uint8)
        pieces = encode_segment(segment, _K, _M, get_codec())
        _check(segment, pieces)
        for workers in options.workers:
            streams = [partial(_digests, [segment.copy()]) for _ in range(workers)]
            mix = [partial(_digests, [segment.copy(), *pieces]) for _ in range(workers)]
            for case, tasks in (
                (Case("streams", segment_size_bytes=size_bytes, workers=workers), streams),
                (Case("segment and pieces", None, _K, _M, size_bytes, workers=workers), mix),
            ):
                rates = throughput_mb_s(tasks, size_bytes, options.repeats, options.slot_s)
                rows.append(Row(case, "payload", "MB/s", rates))
    return BenchResult("hash", options.quick, environment, rows, _summary(rows))


def _digests(buffers: Sequence[Buffer]) -> list[bytes]:
    return [sha256(as_view(buffer)).digest() for buffer in buffers]


def _check(segment: Shard, pieces: Sequence[Shard]) -> None:
    known = hash_payload(BytesIO(segment.tobytes()), segment.size, _K, _M, get_codec())
    expected = [known.segment_checksums[0], *(row[0] for row in known.piece_checksums)]
    if _digests([segment, *pieces]) != expected:
        raise IntegrityHashMismatch("the checksums are not those of the payload", "bench hash")


def _summary(rows: Sequence[Row]) -> dict[str, Any]:
    """The best median per kind and number of threads, over all sizes."""
    best: dict[str, dict[str, float]] = {}
    for row in rows:
        of_kind = best.setdefault(row.case.kind.replace(" ", "_") + "_mb_s", {})
        workers = str(row.case.workers)
        of_kind[workers] = max(of_kind.get(workers, 0.0), statistics.median(row.values))
    return best
