"""Every case of the Go reference, with every codec (protocol 01 §3 and §6)."""

from __future__ import annotations

from base64 import b64decode
from collections.abc import Iterator
from hashlib import sha256
from io import BytesIO
from itertools import combinations
from typing import Any

import numpy as np
import pytest

from greenray.coding.buffers import as_shard
from greenray.coding.checksums import hash_payload, report
from greenray.coding.codec import Codec, get_codec
from greenray.coding.segments import decode_segment, encode_segment
from greenray.coding.self_test import KNOWN_SEGMENTS
from tests.support.matrices import parity_rows
from tests.support.payloads import published_payload, redundancy_vectors, vector_payload

CASES: list[dict[str, Any]] = redundancy_vectors()["cases"]
DECODE: list[dict[str, Any]] = redundancy_vectors()["decode"]

PARITY_ROWS = {
    (4, 2): [[27, 28, 18, 20], [28, 27, 20, 18]],
    (2, 1): [[3, 2]],
    (2, 2): [[3, 2], [2, 3]],
    (3, 2): [[1, 1, 1], [15, 8, 6]],
    (4, 1): [[27, 28, 18, 20]],
    (4, 4): [[27, 28, 18, 20], [28, 27, 20, 18], [18, 20, 27, 28], [20, 18, 28, 27]],
    (6, 3): [[7, 6, 5, 4, 3, 2], [6, 7, 4, 5, 2, 3], [160, 223, 223, 183, 254, 232]],
    (1, 1): [[1]],
    (5, 3): [[7, 7, 6, 6, 1], [9, 8, 9, 8, 1], [15, 14, 14, 15, 1]],
    (10, 4): [
        [129, 150, 175, 184, 210, 196, 254, 232, 3, 2],
        [150, 129, 184, 175, 196, 210, 232, 254, 2, 3],
        [191, 214, 98, 10, 6, 111, 223, 183, 5, 4],
        [214, 191, 10, 98, 111, 6, 183, 223, 4, 5],
    ],
    (8, 4): [
        [26, 132, 186, 51, 231, 16, 198, 39],
        [132, 26, 51, 186, 16, 231, 39, 198],
        [186, 51, 26, 132, 198, 39, 231, 16],
        [51, 186, 132, 26, 39, 198, 16, 231],
    ],
}

PUBLISHED_INTEGRITY_HASHES = [
    "6YA/kt2H0pS6+/tyR20LCqqeWmNCelS4wQcEUIhnAko=",
    "C00Wks+pfo6NBQkG8iRGN5M0EtTvUAwMyaQ8+RsG4rA=",
    "Z5AW9CvNIsDo9jtxeQysSpn2ayNml3Kr4ksm/2WUu8s=",
    "dMlsKDw2dGRUygEgkyHJvOHYn9jVtycpUb7zvIGvEEk=",
    "v7vNLlbIg+27zFAOYfT2UDkoAId53Z1gDkcTA7VWT5A=",
    "1b7QsyQ8QT+7UoMU7K1SRhKOfIylogIfrSFsKJUfi4U=",
    "/7A2gwAnaJ5jFuK6sbov6iFAkhfOga4wdAK/NlCuJBo=",
]


@pytest.fixture(params=["isal", "zfec", "numpy"])
def codec(request: pytest.FixtureRequest) -> Codec:
    return get_codec(request.param)


@pytest.mark.parametrize(("shape", "rows"), PARITY_ROWS.items())
def test_parity_rows_are_the_references(shape: tuple[int, int], rows: list[list[int]]) -> None:
    assert [list(row) for row in parity_rows(*shape)] == rows


@pytest.mark.parametrize("case", CASES, ids=lambda case: case["name"])
def test_checksums_are_the_references(case: dict[str, Any], codec: Codec) -> None:
    payload = vector_payload(case["gen"], case["arg"], case["size"])
    assert sha256(payload).hexdigest() == case["payload_sha256"]
    result = report(
        hash_payload(BytesIO(payload), case["segment_size"], case["k"], case["m"], codec)
    )
    assert result["payload_size_bytes"] == case["size"]
    assert result["integrity_hashes"] == case["checksums"]
    assert len(result["segment_checksums"]) == case["segment_count"]
    assert {len(row) for row in result["piece_checksums"]} == {case["segment_count"]}
    for segment in case["segments"]:
        index = segment["index"]
        assert result["segment_checksums"][index] == segment["checksum"]
        pieces = [row[index] for row in result["piece_checksums"]]
        assert pieces == segment["piece_checksums"]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case["name"])
def test_shards_are_the_references(case: dict[str, Any], codec: Codec) -> None:
    payload = vector_payload(case["gen"], case["arg"], case["size"])
    assert len(case["segments"]) > 0 or case["size"] == 0
    for segment in case["segments"]:
        content = payload[segment["offset"] : segment["offset"] + segment["length"]]
        shards = encode_segment(content, case["k"], case["m"], codec)
        assert {shard.size for shard in shards} == {segment["shard_size"]}
        checksums = [sha256(shard.data).hexdigest() for shard in shards]
        assert checksums == segment["piece_checksums"]
        if "shards_hex" in segment:
            assert [shard.tobytes().hex() for shard in shards] == segment["shards_hex"]


@pytest.mark.parametrize(
    "entry", DECODE, ids=lambda entry: f"{entry['segment_length']}-{entry['k']}+{entry['m']}"
)
def test_every_loss_pattern_of_the_reference_is_recovered(
    entry: dict[str, Any], codec: Codec
) -> None:
    k, m, length = entry["k"], entry["m"], entry["segment_length"]
    segment = as_shard(vector_payload(entry["gen"], entry["arg"], length))
    assert sha256(segment.data).hexdigest() == entry["segment_checksum"]
    shards = encode_segment(segment, k, m, codec)
    assert [sha256(shard.data).hexdigest() for shard in shards] == entry["piece_checksums"]
    tried = 0
    for lost in _loss_patterns(k + m, entry["max_lost"]):
        given = [None if i in lost else shard for i, shard in enumerate(shards)]
        assert np.array_equal(decode_segment(given, length, k, m, codec), segment)
        rebuilt = codec.reconstruct(given, k, m, lost)
        assert all(np.array_equal(shards[i], made) for i, made in zip(lost, rebuilt, strict=True))
        tried += 1
    assert tried == entry["loss_patterns_tried"]


def _loss_patterns(n: int, max_lost: int) -> Iterator[tuple[int, ...]]:
    for count in range(max_lost + 1):
        yield from combinations(range(n), count)


def test_the_published_vector_is_reproduced(codec: Codec) -> None:
    payload = published_payload()
    assert len(payload) == 113_194_784
    result = hash_payload(BytesIO(payload), 16 << 20, 4, 2, codec)
    assert list(result.integrity_hashes) == list(map(b64decode, PUBLISHED_INTEGRITY_HASHES))


def test_the_self_test_holds_digests_of_the_reference() -> None:
    recorded = {
        (entry["segment_length"], entry["k"], entry["m"]): sha256(
            b"".join(map(bytes.fromhex, entry["piece_checksums"]))
        ).hexdigest()
        for entry in DECODE
    }
    for known in KNOWN_SEGMENTS:
        assert recorded[known.length, known.k, known.m] == known.digest
