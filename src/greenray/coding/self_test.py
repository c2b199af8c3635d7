"""What every codec must reproduce before it may touch a payload: digests of the Go reference."""

from __future__ import annotations

from dataclasses import dataclass
from hashlib import sha256
from typing import TYPE_CHECKING

import numpy as np

from greenray.coding.hashing import hash_slices
from greenray.protocol.integrity import integrity_hash

if TYPE_CHECKING:
    from greenray.coding.buffers import Shard
    from greenray.coding.codec import Codec

_PAYLOAD_SEED = b"goref-public"


@dataclass(frozen=True, slots=True)
class KnownSegment:
    """``digest`` is the SHA-256, in hex, of the n joined piece checksums of one segment."""

    length: int
    k: int
    m: int
    digest: str


KNOWN_SEGMENTS = (
    KnownSegment(5, 3, 2, "6a19fbce3c7c913a0254a966eeda90a12b9c0fde95479059580f66cf078d0141"),
    KnownSegment(33, 10, 4, "4864eb0691fd56877253c20b5ec0d04cf4c67e9e5e137c0b144e6d23fc514c75"),
    KnownSegment(1000, 1, 1, "8805a817fca05fa10e960bd1665d36c3f77b694eaa0a5e56d5ab7bc979b854ca"),
    KnownSegment(4097, 4, 2, "d22c84a7f382f6219581b56fddca50a8dee1771e07d8a786b21a190711e1163f"),
    KnownSegment(65537, 6, 3, "bad3e7b2b00b15d08d4cbd68514dedccf274f8ce67133954e913d54050f1d7de"),
)


def known_payload(size_bytes: int) -> bytes:
    """SHA-256 of seed and counter, joined: the generator ``ctr`` of the reference's cases."""
    blocks = range(-(-size_bytes // 32))
    stream = (sha256(_PAYLOAD_SEED + i.to_bytes(8, "big")).digest() for i in blocks)
    return b"".join(stream)[:size_bytes]


def first_difference(codec: Codec) -> str | None:
    """Where the codec departs from the reference, or None: encoding, verifying, recovering."""
    from greenray.coding.segments import encode_segment

    for known in KNOWN_SEGMENTS:
        k, m = known.k, known.m
        shards = encode_segment(known_payload(known.length), k, m, codec)
        where = f"a segment of {known.length} bytes as {k}+{m}"
        if integrity_hash(hash_slices([shard]) for shard in shards).hex() != known.digest:
            return f"encoding {where}"
        if not codec.verify(shards, k):
            return f"verifying {where}"
        if not _recovers(codec, shards, k):
            return f"recovering {where}"
    return None


def _recovers(codec: Codec, shards: list[Shard], k: int) -> bool:
    """Whether all shards come back when as many as possible are lost, half from either end."""
    m = len(shards) - k
    lost = {*range(m // 2), *range(len(shards) - (m - m // 2), len(shards))}
    remaining = [None if i in lost else shard for i, shard in enumerate(shards)]
    rebuilt = codec.reconstruct(remaining, k, m, range(len(shards)))
    return all(map(np.array_equal, rebuilt, shards))
