"""hash_payload against a plain segment-by-segment computation."""

from __future__ import annotations

from hashlib import sha256
from io import BytesIO

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from greenray.coding.checksums import PayloadChecksums, hash_payload
from greenray.coding.codec import Codec, get_codec
from greenray.coding.segments import encode_segment
from tests.support.payloads import ShortReader

CODEC = get_codec("auto")


def plainly(
    payload: bytes, segment_size: int, k: int, m: int, codec: Codec, replica: bool
) -> PayloadChecksums:
    segments = [payload[i : i + segment_size] for i in range(0, len(payload), segment_size)]
    checksums = tuple(sha256(segment).digest() for segment in segments)
    shards = [encode_segment(segment, k, m, codec) for segment in segments]
    pieces = tuple(tuple(sha256(s[i].data).digest() for s in shards) for i in range(k + m))
    if replica:
        pieces = (checksums,) * (k + m)
    hashes = tuple(sha256(b"".join(each)).digest() for each in (checksums, *pieces))
    return PayloadChecksums(len(payload), segment_size, k, m, codec.name, hashes, checksums, pieces)


@settings(max_examples=150, deadline=None)
@given(
    size=st.integers(0, 3000),
    segment_size=st.integers(1, 1200),
    k=st.integers(1, 20),
    m=st.integers(0, 6),
    replica=st.booleans(),
    workers=st.integers(1, 3),
    step=st.none() | st.integers(1, 500),
)
def test_any_chopping_has_the_checksums_of_its_segments(
    size: int, segment_size: int, k: int, m: int, replica: bool, workers: int, step: int | None
) -> None:
    payload = np.random.default_rng(size).bytes(size)
    reader = BytesIO(payload) if step is None else ShortReader(payload, step)
    seen: list[int] = []
    result = hash_payload(
        reader, segment_size, k, m, CODEC, replica, on_progress=seen.append, workers=workers
    )
    assert result == plainly(payload, segment_size, k, m, CODEC, replica)
    assert seen == sorted(seen)
    assert seen[-1:] == ([size] if size else [])


@settings(max_examples=12, deadline=None)
@given(
    segment_size=st.integers(700_000, 6_000_000),
    extra=st.integers(-700_000, 5_000_000),
    shape=st.sampled_from([(4, 2), (1, 1), (3, 0), (200, 56), (2, 30), (7, 3)]),
    codec_name=st.sampled_from(["isal", "zfec", "numpy"]),
)
def test_segments_larger_than_a_batch_or_a_strip_have_the_same_checksums(
    segment_size: int, extra: int, shape: tuple[int, int], codec_name: str
) -> None:
    payload = np.random.default_rng(segment_size).bytes(2 * segment_size + extra)
    codec = get_codec(codec_name)
    result = hash_payload(ShortReader(payload, 1 << 20), segment_size, *shape, codec)
    assert result == plainly(payload, segment_size, *shape, codec, replica=False)
