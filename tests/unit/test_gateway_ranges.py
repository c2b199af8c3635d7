"""Ranges of GetObject (protocol 06 §3.2)."""

from __future__ import annotations

import pytest

from greenray.actors.downloader.segment_reader import ByteRange
from greenray.actors.gateway.ranges import parse_range


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        ("bytes=0-1", ByteRange(0, 1)),
        ("BYTES = 2 - 4", ByteRange(2, 4)),
        ("bytes=3-", ByteRange(3, 9)),
        ("bytes=9-9", ByteRange(9, 9)),
        ("bytes=5-500", ByteRange(5, 9)),
        ("", None),
        ("bytes=-3", None),
        ("bytes=0-1,3-4", None),
        ("items=0-1", None),
        ("bytes=a-b", None),
        (f"bytes={2**64}-", None),
    ],
)
def test_ranges_of_ten_bytes(header: str, expected: ByteRange | None) -> None:
    assert parse_range(header, 10) == expected


@pytest.mark.parametrize("header", ["bytes=2-1", "bytes=10-", "bytes=10-20"])
def test_a_range_outside_of_the_payload_is_an_error(header: str) -> None:
    with pytest.raises(ValueError, match="range"):
        parse_range(header, 10)
