"""What was downloaded of buckets, inside a transaction (see ``greenray.storage.job_rows``)."""

from __future__ import annotations

import sqlite3

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


def count_read(
    db: sqlite3.Connection, bucket: ReadBucket, read: Read, quota_bytes: int, now: float
) -> None:
    month = month_of(now)
    check_quota(bucket, consumed_bytes(db, bucket, month), read, quota_bytes)
    log_id, kept, last_us = _log_of(db, bucket)
    at_us = max(int(now * 1e6), last_us + 1)
    db.execute(
        "INSERT INTO bucket_months VALUES (?, ?, ?) ON CONFLICT DO UPDATE SET "
        "consumed_bytes = consumed_bytes + excluded.consumed_bytes",
        (log_id, month, read.size_bytes),
    )
    db.execute(
        "INSERT INTO read_records VALUES (?, ?, ?, ?, ?, ?)",
        (log_id, at_us, str(read.object_id), read.object_name, read.account, read.size_bytes),
    )
    if kept >= KEPT_RECORDS:
        db.execute(
            "DELETE FROM read_records WHERE log_id = ? AND at_us = "
            "(SELECT min(at_us) FROM read_records WHERE log_id = ?)",
            (log_id, log_id),
        )
    db.execute(
        "UPDATE read_logs SET kept_records = ?, last_us = ? WHERE log_id = ?",
        (min(kept + 1, KEPT_RECORDS), at_us, log_id),
    )


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
