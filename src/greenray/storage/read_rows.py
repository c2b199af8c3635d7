"""What was downloaded of buckets, inside a transaction (see ``greenray.storage.job_rows``)."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence

from greenray.protocol.read_quota import (
    KEPT_RECORDS,
    Read,
    ReadBucket,
    ReadRecord,
    RecordsWanted,
    check_quota,
)
from greenray.storage.read_ledger import month_of

_OF_BUCKET = "sp_address = ? AND bucket_id = ? AND bucket_name = ?"


def count_reads(
    db: sqlite3.Connection,
    bucket: ReadBucket,
    reads: Sequence[Read],
    quota_bytes: int | None,
    now: float,
) -> int:
    month = month_of(now)
    before = consumed_bytes(db, bucket, month)
    size_bytes = sum(read.size_bytes for read in reads)
    if quota_bytes is not None:
        check_quota(bucket, before, size_bytes, quota_bytes)
    log_id, kept, last_us = _log_of(db, bucket)
    first_us = max(int(now * 1e6), last_us + 1)
    db.execute(
        "INSERT INTO bucket_months VALUES (?, ?, ?) ON CONFLICT DO UPDATE SET "
        "consumed_bytes = consumed_bytes + excluded.consumed_bytes",
        (log_id, month, size_bytes),
    )
    db.executemany(
        "INSERT INTO read_records VALUES (?, ?, ?, ?, ?, ?)",
        [
            (log_id, at_us, str(read.object_id), read.object_name, read.account, read.size_bytes)
            for at_us, read in enumerate(reads, first_us)
        ],
    )
    kept += len(reads)
    if kept > KEPT_RECORDS:
        db.execute(
            "DELETE FROM read_records WHERE log_id = ? AND at_us IN (SELECT at_us FROM "
            "read_records WHERE log_id = ? ORDER BY at_us LIMIT ?)",
            (log_id, log_id, kept - KEPT_RECORDS),
        )
    db.execute(
        "UPDATE read_logs SET kept_records = ?, last_us = ? WHERE log_id = ?",
        (min(kept, KEPT_RECORDS), first_us + len(reads) - 1, log_id),
    )
    return before + size_bytes


def _log_of(db: sqlite3.Connection, bucket: ReadBucket) -> tuple[int, int, int]:
    """Its id, how many records it has, and the time of the newest (unix microseconds)."""
    key = _key(bucket)
    row = db.execute(
        f"SELECT log_id, kept_records, last_us FROM read_logs WHERE {_OF_BUCKET}", key
    ).fetchone()
    if row is not None:
        return row["log_id"], row["kept_records"], row["last_us"]
    inserted = db.execute(
        "INSERT INTO read_logs (sp_address, bucket_id, bucket_name, kept_records, last_us) "
        "VALUES (?, ?, ?, 0, 0)",
        key,
    )
    assert inserted.lastrowid is not None
    return inserted.lastrowid, 0, 0


def consumed_bytes(db: sqlite3.Connection, bucket: ReadBucket, month: str) -> int:
    row = db.execute(
        f"SELECT consumed_bytes FROM read_logs JOIN bucket_months USING (log_id) "
        f"WHERE {_OF_BUCKET} AND month = ?",
        (*_key(bucket), month),
    ).fetchone()
    return row["consumed_bytes"] if row else 0


def list_reads(
    db: sqlite3.Connection, bucket: ReadBucket, wanted: RecordsWanted
) -> tuple[ReadRecord, ...]:
    rows = db.execute(
        f"SELECT read_records.* FROM read_logs JOIN read_records USING (log_id) "
        f"WHERE {_OF_BUCKET} AND at_us >= ? AND at_us < ? ORDER BY at_us LIMIT ?",
        (*_key(bucket), wanted.start_us, wanted.end_us, wanted.limit),
    )
    return tuple(
        ReadRecord(
            Read(int(row["object_id"]), row["object_name"], row["account"], row["size_bytes"]),
            row["at_us"],
        )
        for row in rows
    )


def _key(bucket: ReadBucket) -> tuple[str, str, str]:
    return bucket.sp_address, str(bucket.id), bucket.name
