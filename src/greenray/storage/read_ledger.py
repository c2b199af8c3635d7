"""The journal as a Gateway sees it that counts what is downloaded."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Protocol

from greenray.protocol.read_quota import Read, ReadBucket, ReadRecord, RecordsWanted
from greenray.seam.travel import alone, grouped


def month_of(unix_s: float) -> str:
    """``YYYY-MM``, in UTC."""
    return datetime.fromtimestamp(unix_s, UTC).strftime("%Y-%m")


class ReadLedger(Protocol):
    """A part of the journal. Every call returns after its commit is durable, and raises
    JournalError when it fails; the time of a read is that of the store's own clock."""

    @grouped
    async def count_reads(
        self, bucket: ReadBucket, reads: tuple[Read, ...], quota_bytes: int | None
    ) -> int:
        """Count these reads, in their order, and keep their records in the place of the oldest
        beyond ``KEPT_RECORDS``. Returns what was read of the bucket in this month, in bytes.

        ``quota_bytes``: what may be; None: they have begun already. Raises QuotaExceeded; nothing
        is counted then.
        """

    @grouped
    async def consumed_bytes(self, bucket: ReadBucket, month: str) -> int:
        """What was read of the bucket in a month (``YYYY-MM``)."""

    @alone
    async def list_reads(self, bucket: ReadBucket, wanted: RecordsWanted) -> tuple[ReadRecord, ...]:
        """In the order of their times."""
