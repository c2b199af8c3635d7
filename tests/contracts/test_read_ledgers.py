"""What is downloaded is counted once, kept, and told to nobody's bucket but its own."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from greenray.protocol.errors import QuotaExceeded
from greenray.protocol.read_quota import Read, ReadBucket, RecordsWanted
from greenray.storage import read_rows
from greenray.storage.sqlite_store import SqliteJobStore
from tests.contracts.job_store_contract import Clock

BUCKET = ReadBucket("0xSp", 2**64 - 1, "album")
EVERYTHING = RecordsWanted(0, 2**62, 1000)
MAY = 1684137600.0
JUNE = MAY + 31 * 86400


def read_of(size_bytes: int, name: str = "photo", account: str = "0xUser") -> Read:
    return Read(2**63, name, account, size_bytes)


@pytest.fixture
def clock() -> Clock:
    clock = Clock()
    clock.now = MAY
    return clock


@pytest.fixture
async def ledger(tmp_path: Path, clock: Clock) -> AsyncIterator[SqliteJobStore]:
    store = SqliteJobStore.open(tmp_path / "journal.db", clock)
    yield store
    await store.close()


async def test_reads_add_up_to_the_quota_and_what_is_too_much_is_not_counted(
    ledger: SqliteJobStore,
) -> None:
    await ledger.count_reads(BUCKET, (read_of(60),), 100)
    with pytest.raises(QuotaExceeded):
        await ledger.count_reads(BUCKET, (read_of(41),), 100)
    await ledger.count_reads(BUCKET, (read_of(40),), 100)
    assert await ledger.consumed_bytes(BUCKET, "2023-05") == 100
    assert len(await ledger.list_reads(BUCKET, EVERYTHING)) == 2


async def test_reads_that_have_begun_are_counted_together_and_in_their_order(
    ledger: SqliteJobStore,
) -> None:
    reads = tuple(read_of(number, f"photo-{number}") for number in (60, 50, 40))
    assert await ledger.count_reads(BUCKET, reads, None) == 150
    with pytest.raises(QuotaExceeded):
        await ledger.count_reads(BUCKET, reads, 299)
    assert await ledger.count_reads(BUCKET, (), None) == 150
    records = await ledger.list_reads(BUCKET, EVERYTHING)
    assert tuple(record.read for record in records) == reads
    assert len({record.at_us for record in records}) == 3


async def test_a_new_month_begins_with_nothing_and_the_last_one_stays(
    ledger: SqliteJobStore, clock: Clock
) -> None:
    await ledger.count_reads(BUCKET, (read_of(100),), 100)
    clock.now = JUNE
    await ledger.count_reads(BUCKET, (read_of(7),), 100)
    assert await ledger.consumed_bytes(BUCKET, "2023-05") == 100
    assert await ledger.consumed_bytes(BUCKET, "2023-06") == 7
    assert await ledger.consumed_bytes(BUCKET, "2023-07") == 0


async def test_reads_at_once_are_all_counted_and_never_beyond_the_quota(
    ledger: SqliteJobStore,
) -> None:
    ends = await asyncio.gather(
        *(ledger.count_reads(BUCKET, (read_of(10),), 95) for _ in range(20)), return_exceptions=True
    )
    assert sum(isinstance(end, int) for end in ends) == 9
    assert await ledger.consumed_bytes(BUCKET, "2023-05") == 90


@pytest.mark.parametrize(
    "other",
    [
        ReadBucket("0xOther", 2**64 - 1, "album"),
        ReadBucket("0xSp", 7, "album"),
        ReadBucket("0xSp", 2**64 - 1, "of-another-history"),
    ],
)
async def test_another_bucket_has_another_count(ledger: SqliteJobStore, other: ReadBucket) -> None:
    await ledger.count_reads(BUCKET, (read_of(60),), 100)
    assert await ledger.consumed_bytes(other, "2023-05") == 0
    assert await ledger.list_reads(other, EVERYTHING) == ()
    await ledger.count_reads(other, (read_of(50),), 100)
    assert await ledger.consumed_bytes(BUCKET, "2023-05") == 60


async def test_records_come_in_order_page_by_page_and_none_twice(
    ledger: SqliteJobStore, clock: Clock
) -> None:
    for number in range(7):
        await ledger.count_reads(BUCKET, (read_of(number + 1, f"photo-{number}", ""),), 100)
        clock.now -= 1.0  # a clock that is set back makes no two records of one time
    seen: list[str] = []
    start_us = 0
    while page := await ledger.list_reads(BUCKET, RecordsWanted(start_us, 2**62, 3)):
        seen += [record.read.object_name for record in page]
        start_us = page[-1].at_us + 1
    assert seen == [f"photo-{number}" for number in range(7)]
    first, second, *_ = await ledger.list_reads(BUCKET, EVERYTHING)
    assert first.read == read_of(1, "photo-0", "")
    assert first.at_us == int(MAY * 1e6)
    between = RecordsWanted(first.at_us, second.at_us, 10)
    assert await ledger.list_reads(BUCKET, between) == (first,)


async def test_of_a_bucket_the_last_records_are_kept_and_everything_is_counted(
    ledger: SqliteJobStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(read_rows, "KEPT_RECORDS", 3)
    for number in range(5):
        await ledger.count_reads(BUCKET, (read_of(10, f"photo-{number}"),), 100)
    records = await ledger.list_reads(BUCKET, EVERYTHING)
    assert [record.read.object_name for record in records] == ["photo-2", "photo-3", "photo-4"]
    assert await ledger.consumed_bytes(BUCKET, "2023-05") == 50


async def test_what_was_counted_is_counted_in_the_next_process(
    tmp_path: Path, ledger: SqliteJobStore, clock: Clock
) -> None:
    await ledger.count_reads(BUCKET, (read_of(60),), 100)
    # Not closed: as after a kill, there is only what the commits have left.
    again = SqliteJobStore.open(tmp_path / "journal.db", clock)
    try:
        assert await again.consumed_bytes(BUCKET, "2023-05") == 60
        assert len(await again.list_reads(BUCKET, EVERYTHING)) == 1
    finally:
        await again.close()
