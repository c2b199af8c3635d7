"""protocol 01: segments, shards, integrity hashes and piece keys."""

from __future__ import annotations

import json
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest

from greenray.protocol.integrity import integrity_hash
from greenray.protocol.layout import PayloadLayout
from greenray.protocol.piece_keys import piece_key, segment_key

_REDUNDANCY = json.loads((Path(__file__).parent / "data" / "redundancy.json").read_text())
_CASES: list[dict[str, Any]] = _REDUNDANCY["cases"]


@pytest.mark.parametrize("case", _CASES, ids=lambda c: c["name"])
def test_layout_cuts_the_payload_as_the_go_reference_does(case: dict[str, Any]) -> None:
    layout = PayloadLayout(case["size"], case["segment_size"], case["k"], case["m"])

    assert layout.segment_count == case["segment_count"]
    for segment in case["segments"]:
        index = segment["index"]
        assert layout.segments.piece_offset(index) == segment["offset"]
        assert layout.segment_length(index) == segment["length"]
        assert layout.shard_size(index) == segment["shard_size"]


@pytest.mark.parametrize(
    "case", [c for c in _CASES if c["segments_listed"] == "all"], ids=lambda c: c["name"]
)
def test_integrity_hashes_follow_from_the_piece_checksums(case: dict[str, Any]) -> None:
    segments = case["segments"]
    primary = integrity_hash(bytes.fromhex(s["checksum"]) for s in segments)
    assert primary.hex() == case["checksums"][0]
    for index in range(case["k"] + case["m"]):
        pieces = (bytes.fromhex(s["piece_checksums"][index]) for s in segments)
        assert integrity_hash(pieces).hex() == case["checksums"][index + 1]


def test_integrity_hash_of_an_empty_payload_is_that_of_the_empty_string() -> None:
    assert integrity_hash(()) == sha256(b"").digest()


def test_padding_can_span_several_shards() -> None:
    layout = PayloadLayout(5, 16, 4, 2)
    assert layout.shard_size(0) == 2


def test_an_exact_multiple_has_no_empty_last_segment() -> None:
    layout = PayloadLayout(32, 16, 4, 2)
    assert [layout.segment_length(i) for i in range(layout.segment_count)] == [16, 16]


def test_an_empty_payload_has_no_segments() -> None:
    layout = PayloadLayout(0, 16, 4, 2)
    assert (layout.segment_count, layout.batch_count, layout.pieces.size_bytes) == (0, 0, 0)


def test_a_replica_group_holds_whole_segments() -> None:
    layout = PayloadLayout(33, 16, 4, 2, replica=True)
    assert layout.pieces == layout.segments
    assert layout.n == 6


def test_piece_keys_are_those_of_v0_2() -> None:
    assert segment_key(15, 2) == "15_s2"
    assert piece_key(15, 2, 3) == "15_s2_p3"
