"""One segment to its shards and back, with the reference's semantics (protocol 01 §3)."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from greenray.coding.buffers import Buffer, Shard, as_shard
from greenray.coding.codec import Codec, present_shards
from greenray.coding.matrix import check_shape
from greenray.protocol.errors import InvalidInput


def split_segment(segment: Buffer, k: int) -> list[Shard]:
    """The k data shards of ceil(L / k) bytes; only those that need padding are copies.

    An empty segment has k empty shards. Raises InvalidShape.
    """
    check_shape(k, 0)
    data = as_shard(segment)
    size_bytes = -(-data.size // k)
    shards = [data[j * size_bytes : (j + 1) * size_bytes] for j in range(k)]
    return [
        shard if shard.size == size_bytes else np.pad(shard, (0, size_bytes - shard.size))
        for shard in shards
    ]


def encode_segment(segment: Buffer, k: int, m: int, codec: Codec) -> list[Shard]:
    """All n = k + m shards of a segment; n empty ones for an empty segment. Raises InvalidShape."""
    check_shape(k, m)
    data = split_segment(segment, k)
    return data + codec.encode(data, m)


def decode_segment(
    shards: Sequence[Buffer | None], length: int, k: int, m: int, codec: Codec
) -> Shard:
    """The segment of ``length`` bytes from any k of its n shards (protocol 01 §3.2).

    A missing shard is None or empty. Nothing in the coding detects a wrong byte: compare each shard
    with its piece checksum before.
    Raises InvalidShape, TooFewShards, ShardSizeMismatch, InvalidInput (a length that the shards
    cannot hold).
    """
    check_shape(k, m)
    given = [None if shard is None else as_shard(shard) for shard in shards]
    nothing_present = all(shard is None or shard.size == 0 for shard in given)
    if length == 0 and nothing_present and len(given) == k + m:
        return np.empty(0, np.uint8)
    size_bytes = next(iter(present_shards(given, k, m).values())).size
    if not 0 <= length <= k * size_bytes:
        raise InvalidInput(
            f"a segment of {length} bytes does not fit {k} shards of {size_bytes} bytes",
            "",
            "Give the segment's own length, which is shorter for the last one",
        )
    return np.concatenate(codec.reconstruct(given, k, m, range(k)))[:length]
