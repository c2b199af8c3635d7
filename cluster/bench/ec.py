"""``bench ec``: encode and reconstruct by codec, k+m, segment size and threads."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from hashlib import sha256
from itertools import product
from typing import Any

import numpy as np

from cluster.bench.environment import describe_environment
from cluster.bench.records import BenchResult, Case, Row
from cluster.bench.throughput import throughput_mb_s
from coding.buffers import Shard, as_view
from coding.codec import Codec, get_codec
from coding.segments import encode_segment, split_segment
from protocol.errors import CodecUnavailable, IntegrityHashMismatch


@dataclass(frozen=True, slots=True)
class EcOptions:
    codecs: tuple[str, ...]
    shapes: tuple[tuple[int, int], ...]
    """(k, m)"""
    segment_sizes_bytes: tuple[int, ...]
    workers: tuple[int, ...]
    repeats: int
    slot_s: float = 0.1
    """How long each repeat lasts."""
    quick: bool = False


def run_ec(options: EcOptions, on_step: Callable[[str], None]) -> BenchResult:
    """Raises InvalidSetting (no such codec), IntegrityHashMismatch when the codecs disagree."""
    environment = describe_environment({"repeats": options.repeats, "slot_s": options.slot_s})
    codecs = list(_available(options.codecs, on_step))
    rows: list[Row] = []
    for (k, m), size_bytes in product(options.shapes, options.segment_sizes_bytes):
        on_step(f"{k}+{m}, segments of {size_bytes} bytes")
        segment = np.frombuffer(np.random.default_rng(size_bytes).bytes(size_bytes), np.uint8)
        _check_same_bytes(codecs, segment, k, m)
        for codec, workers in product(codecs, options.workers):
            for kind, tasks in _operations(codec, segment, k, m, workers):
                case = Case(kind, codec.name, k, m, size_bytes, workers=workers)
                rates = throughput_mb_s(tasks, size_bytes, options.repeats, options.slot_s)
                rows.append(Row(case, "payload", "MB/s", rates))
    return BenchResult("ec", options.quick, environment, rows, _summary(rows))


def _available(names: Sequence[str], on_step: Callable[[str], None]) -> Iterator[Codec]:
    for name in names:
        try:
            yield get_codec(name)
        except CodecUnavailable as error:
            on_step(f"left out: {error}")


def _check_same_bytes(codecs: Sequence[Codec], segment: Shard, k: int, m: int) -> None:
    """Each codec has passed its self-test; here they agree on what is measured."""
    digests = {
        codec.name: [sha256(as_view(s)).hexdigest() for s in encode_segment(segment, k, m, codec)]
        for codec in codecs
    }
    if any(found != digests[codecs[0].name] for found in digests.values()):
        raise IntegrityHashMismatch("the codecs do not give the same bytes", f"{k}+{m}")


def _operations(
    codec: Codec, segment: Shard, k: int, m: int, workers: int
) -> Iterator[tuple[str, list[Callable[[], object]]]]:
    """(kind, one task per worker); every worker has memory of its own."""
    data = [[shard.copy() for shard in split_segment(segment, k)] for _ in range(workers)]
    parity = [[np.empty_like(shards[0]) for _ in range(m)] for shards in data]
    yield "encode", [partial(codec.encode_into, d, p) for d, p in zip(data, parity, strict=True)]
    for losses in range(1, min(2, m) + 1):
        lost = range(losses)
        damaged: list[list[Shard | None]] = [
            [None if i in lost else shard for i, shard in enumerate([*d, *p])]
            for d, p in zip(data, parity, strict=True)
        ]
        rebuilt = codec.reconstruct(damaged[0], k, m, lost)
        if not all(map(np.array_equal, rebuilt, data[0])):
            raise IntegrityHashMismatch("what was rebuilt is not what was lost", codec.name)
        yield (
            f"reconstruct {losses}",
            [partial(codec.reconstruct, shards, k, m, lost) for shards in damaged],
        )


def _summary(rows: Sequence[Row]) -> dict[str, Any]:
    """The best median per codec and operation, over all sizes and threads."""
    best: dict[str, Any] = {}
    for row in rows:
        of_codec = best.setdefault(str(row.case.codec), {})
        kind = f"{row.case.kind.replace(' ', '_')}_mb_s"
        of_codec[kind] = max(of_codec.get(kind, 0.0), statistics.median(row.values))
    return {"best": best}
