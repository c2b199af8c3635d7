"""What may be read of a bucket in a month, and how it is told."""

from __future__ import annotations

import pytest

from greenray.protocol.errors import InvalidQuery, QuotaExceeded
from greenray.protocol.go_xml import element
from greenray.protocol.read_quota import (
    MAX_LISTED_RECORDS,
    Read,
    ReadBucket,
    ReadRecord,
    RecordsWanted,
    check_quota,
    is_far_from,
    is_month,
    next_start_us,
    records_wanted,
)
from greenray.storage.read_ledger import month_of

BUCKET = ReadBucket("0xSp", 7, "album")


def read_of(size_bytes: int) -> Read:
    return Read(1, "photo", "0xUser", size_bytes)


def test_a_bucket_may_be_read_to_the_last_byte_of_its_quota_and_no_further() -> None:
    check_quota(BUCKET, 90, 10, 100)
    with pytest.raises(QuotaExceeded, match=r"90 of 100 bytes .* 11 more"):
        check_quota(BUCKET, 90, 11, 100)


def test_a_quota_is_far_until_a_sixteenth_of_it_is_left() -> None:
    assert is_far_from(1600, 1500)
    assert not is_far_from(1600, 1501)
    assert not is_far_from(0, 1)


def test_a_month_is_one_of_utc() -> None:
    assert month_of(1685577599.9) == "2023-05"
    assert month_of(1685577600) == "2023-06"


@pytest.mark.parametrize(
    ("text", "expected"),
    [("2023-05", True), ("2023-13", False), ("2023-5", False), ("", False), ("2023-05-01", False)],
)
def test_a_month_is_told_by_four_digits_and_two(text: str, expected: bool) -> None:
    assert is_month(text) is expected


@pytest.mark.parametrize(
    ("given", "limit"), [("10", 10), ("0", MAX_LISTED_RECORDS), ("-1", MAX_LISTED_RECORDS)]
)
def test_a_limit_of_records_is_what_was_asked_for_or_the_largest(given: str, limit: int) -> None:
    assert records_wanted(given, "-5", "+7") == RecordsWanted(-5, 7, limit)
    assert records_wanted("1001", "0", "1").limit == MAX_LISTED_RECORDS


@pytest.mark.parametrize("text", ["", "1.5", "x", "1_0", "9" * 19, "9" * 5000, "\u0663"])
def test_what_is_no_integer_of_64_bits_is_refused_by_the_name_of_its_query(text: str) -> None:
    with pytest.raises(InvalidQuery, match="end-timestamp"):
        records_wanted("1", "0", text)


def test_the_next_page_begins_behind_the_last_record() -> None:
    assert next_start_us(()) == 0
    assert next_start_us((ReadRecord(read_of(1), 5), ReadRecord(read_of(2), 9))) == 10


def test_text_in_xml_is_escaped_as_go_does() -> None:
    text = "a&b<c>\"'\t\n\r\x00\x1f\ud800\U0001f600 z"
    assert element("Name", text) == (
        "<Name>a&amp;b&lt;c&gt;&#34;&#39;&#x9;&#xA;&#xD;\ufffd\ufffd\ufffd\U0001f600 z</Name>"
    )
