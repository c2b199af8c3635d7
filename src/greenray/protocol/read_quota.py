"""What downloads take of a bucket's read quota (protocol 06 §1), as the provider of v0.2.0 counts.

A bucket may be read, in a month (UTC), for its charged quota, which its owner pays for on chain,
and for what its primary gives for nothing. The bytes that were asked for count, once the request
may have them, however many the client takes; challenges and what providers read of one another do
not.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from greenray.protocol.errors import InvalidQuery, QuotaExceeded

FREE_READ_QUOTA_BYTES = 10 * 1024**3
"""What a provider of v0.2.0 gives to every bucket, each month."""

KEPT_RECORDS = 100_000
"""Of each bucket; anybody may add to those of a public one."""

MAX_LISTED_RECORDS = 1000

_MONTH = re.compile(r"[0-9]{4}-(0[1-9]|1[0-2])")
_INTEGER = re.compile(r"[+-]?[0-9]+")
_I64_MAX = 2**63 - 1


@dataclass(frozen=True, slots=True)
class ReadBucket:
    """A bucket whose reads are counted. Ids begin anew on a chain that was put back, hence the
    name."""

    sp_address: str
    """Its primary."""
    id: int
    name: str


@dataclass(frozen=True, slots=True)
class Read:
    """A download, or a range of one, that is about to be sent."""

    object_id: int
    object_name: str
    account: str
    """EIP-55; empty for anybody."""
    size_bytes: int


@dataclass(frozen=True, slots=True)
class ReadRecord:
    """A read that was counted. No two of a bucket have the same time."""

    read: Read
    at_us: int
    """Unix microseconds."""


@dataclass(frozen=True, slots=True)
class RecordsWanted:
    """Records from ``start_us`` on, before ``end_us`` (unix microseconds), at most ``limit``."""

    start_us: int
    end_us: int
    limit: int


def is_month(text: str) -> bool:
    return _MONTH.fullmatch(text) is not None


def is_far_from(quota_bytes: int, consumed_bytes: int) -> bool:
    """Whether so much of a quota is left that what other gateways count meanwhile does not matter:
    a sixteenth."""
    return consumed_bytes <= quota_bytes - quota_bytes // 16


def check_quota(bucket: ReadBucket, consumed_bytes: int, size_bytes: int, quota_bytes: int) -> None:
    """``consumed_bytes``: of this month, before ``size_bytes``. Raises QuotaExceeded."""
    if consumed_bytes + size_bytes > quota_bytes:
        raise QuotaExceeded(
            f"{consumed_bytes} of {quota_bytes} bytes of the bucket's read quota of this month are "
            f"used, and {size_bytes} more are asked for",
            bucket.name,
            "Wait for the next month (UTC), or have the bucket's owner raise its charged read "
            "quota",
        )


def records_wanted(max_records: str, start: str, end: str) -> RecordsWanted:
    """What a query asks for. No limit, or one beyond ``MAX_LISTED_RECORDS``, is that one.

    Raises InvalidQuery for what is no integer of 64 bits.
    """
    limit = _integer("max-records", max_records)
    if not 0 < limit <= MAX_LISTED_RECORDS:
        limit = MAX_LISTED_RECORDS
    return RecordsWanted(_integer("start-timestamp", start), _integer("end-timestamp", end), limit)


def next_start_us(records: tuple[ReadRecord, ...]) -> int:
    """Where the next page begins; 0 when there was nothing."""
    return records[-1].at_us + 1 if records else 0


def _integer(name: str, text: str) -> int:
    if not _INTEGER.fullmatch(text) or len(text) > 20 or abs(int(text)) > _I64_MAX:
        raise InvalidQuery(f"{name} is no integer of 64 bits", "", "Give unix microseconds.")
    return int(text)
