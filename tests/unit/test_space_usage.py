"""Bytes are counted by bucket and by provider, and what waits among them."""

from __future__ import annotations

from greenray.protocol.collection import Cause, Collectable, Holding
from greenray.protocol.layout import SEGMENTS
from greenray.protocol.space_usage import UNKNOWN_BUCKET, Occupied, Usage, space_usage

A, B = "0xA", "0xB"
OCCUPIED = [
    Occupied(Holding(A, 1, SEGMENTS), 100),
    Occupied(Holding(B, 1, 0), 25),
    Occupied(Holding(B, 1, 3), 25),
    Occupied(Holding(A, 2, SEGMENTS, is_finished=False), 7),
    Occupied(Holding(B, 9, 4), 1000),
]
BUCKETS = {1: "photos", 2: "films"}


def test_bytes_are_added_up_by_bucket_and_by_provider() -> None:
    usage = space_usage(OCCUPIED, BUCKETS, [])
    assert usage.by_bucket == {
        UNKNOWN_BUCKET: Usage(1, 1, 1000, 0),
        "films": Usage(1, 1, 7, 0),
        "photos": Usage(1, 3, 150, 0),
    }
    assert usage.by_provider == {A: Usage(2, 2, 107, 0), B: Usage(2, 3, 1050, 0)}
    assert usage.total == Usage(3, 5, 1157, 0)


def test_what_waits_is_counted_as_a_whole_or_by_group() -> None:
    waiting = [
        Collectable(2, Cause.DELETED, 0.0, 1),
        Collectable(1, Cause.REPLACED, 0.0, 1, B, 3),
    ]
    usage = space_usage(OCCUPIED, BUCKETS, waiting)
    assert usage.total.collectable_bytes == 7 + 25
    assert usage.by_bucket["films"].collectable_bytes == 7
    assert usage.by_provider[B].collectable_bytes == 25


def test_one_bucket_alone_is_counted_when_it_is_asked_for() -> None:
    usage = space_usage(OCCUPIED, BUCKETS, [], "photos")
    assert set(usage.by_bucket) == {"photos"}
    assert usage.total.size_bytes == 150
    assert space_usage(OCCUPIED, BUCKETS, [], "none").by_bucket == {}


def test_the_document_has_a_row_for_each() -> None:
    document = space_usage(OCCUPIED, BUCKETS, []).to_json()
    assert [row["bucket"] for row in document["buckets"]] == ["", "films", "photos"]
    assert document["storage_providers"][0] == {
        "operator_address": A,
        "objects": 2,
        "columns": 2,
        "size_bytes": 107,
        "collectable_bytes": 0,
    }
