"""Integrity records and replicate groups inside a transaction (see
``greenray.storage.job_rows``)."""

from __future__ import annotations

import sqlite3
from dataclasses import replace

from greenray.protocol.errors import GroupNotOpen, InvalidInput, StaleJob
from greenray.protocol.layout import PayloadLayout
from greenray.storage.job_codec import (
    decode_checksums,
    decode_object_info,
    decode_params,
    encode_checksums,
    encode_value,
)
from greenray.storage.ports import Fence, GroupKey, GroupRow, IntegrityRecord

_COLUMN = "sp_address = ? AND object_id = ? AND redundancy_index = ?"
_GROUP_KEY = f"{_COLUMN} AND attempt = ?"


def put_integrity(db: sqlite3.Connection, record: IntegrityRecord) -> None:
    db.execute(
        "INSERT OR REPLACE INTO integrity_records VALUES (?, ?, ?, ?, ?, ?)",
        (
            record.sp_address,
            str(record.object_id),
            record.redundancy_index,
            encode_checksums(record.piece_checksums),
            record.integrity_hash,
            record.signature,
        ),
    )


def get_integrity(
    db: sqlite3.Connection, sp_address: str, object_id: int, redundancy_index: int
) -> IntegrityRecord | None:
    row = db.execute(
        "SELECT piece_checksums, integrity_hash, signature FROM integrity_records "
        "WHERE sp_address = ? AND object_id = ? AND redundancy_index = ?",
        (sp_address, str(object_id), redundancy_index),
    ).fetchone()
    if row is None:
        return None
    return IntegrityRecord(
        sp_address,
        object_id,
        redundancy_index,
        decode_checksums(row["piece_checksums"]),
        row["integrity_hash"],
        row["signature"],
    )


def open_group(db: sqlite3.Connection, row: GroupRow, now: float) -> GroupRow:
    existing = _get_group(db, row.key)
    if existing is not None:
        return existing
    opened = replace(row, updated_at=now)
    db.execute(
        "INSERT INTO groups VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        (
            *_key_values(row.key),
            encode_value(row.object_info),
            encode_value(row.params),
            row.batch_segments,
            row.batches_acknowledged,
            encode_checksums(row.piece_checksums),
            now,
        ),
    )
    return opened


def acknowledge_batch(
    db: sqlite3.Connection,
    key: GroupKey,
    batch_index: int,
    piece_checksums: tuple[bytes, ...],
    now: float,
) -> GroupRow:
    row = _get_group(db, key)
    if row is None:
        raise GroupNotOpen("no open group", _group_text(key), "Open the group, then send it again")
    pieces = PayloadLayout.of(row.object_info, row.params, row.batch_segments).pieces
    batch = pieces.batch_range(batch_index)
    if len(piece_checksums) != len(batch):
        raise InvalidInput(
            f"batch {batch_index} has {len(batch)} pieces and {len(piece_checksums)} checksums",
            _group_text(key),
        )
    if batch_index < row.batches_acknowledged:
        if row.piece_checksums[batch.start : batch.stop] != piece_checksums:
            raise StaleJob(
                f"batch {batch_index} was acknowledged with other checksums", _group_text(key)
            )
        return row
    if batch_index > row.batches_acknowledged:
        raise StaleJob(
            f"batch {batch_index} cannot follow {row.batches_acknowledged} acknowledged batches",
            _group_text(key),
        )
    after = replace(
        row,
        batches_acknowledged=batch_index + 1,
        piece_checksums=row.piece_checksums + piece_checksums,
        updated_at=now,
    )
    db.execute(
        "UPDATE groups SET batches_acknowledged = ?, piece_checksums = ?, updated_at = ? "
        f"WHERE {_GROUP_KEY}",
        (
            after.batches_acknowledged,
            encode_checksums(after.piece_checksums),
            now,
            *_key_values(key),
        ),
    )
    return after


def finish_group(db: sqlite3.Connection, key: GroupKey, record: IntegrityRecord) -> None:
    put_integrity(db, record)
    db.execute(f"DELETE FROM groups WHERE {_COLUMN} AND attempt <= ?", _key_values(key))


def drop_group(db: sqlite3.Connection, key: GroupKey) -> None:
    db.execute(f"DELETE FROM groups WHERE {_GROUP_KEY}", _key_values(key))


def list_groups(
    db: sqlite3.Connection, sp_address: str, idle_for_s: float, now: float
) -> tuple[GroupRow, ...]:
    rows = db.execute(
        "SELECT * FROM groups WHERE sp_address = ? AND updated_at <= ? ORDER BY rowid",
        (sp_address, now - idle_for_s),
    )
    return tuple(map(_decode_group, rows))


def _get_group(db: sqlite3.Connection, key: GroupKey) -> GroupRow | None:
    row = db.execute(f"SELECT * FROM groups WHERE {_GROUP_KEY}", _key_values(key)).fetchone()
    return None if row is None else _decode_group(row)


def _decode_group(row: sqlite3.Row) -> GroupRow:
    return GroupRow(
        GroupKey(
            row["sp_address"], int(row["object_id"]), row["redundancy_index"], Fence(row["attempt"])
        ),
        decode_object_info(row["object_info"]),
        decode_params(row["params"]),
        row["batch_segments"],
        row["batches_acknowledged"],
        decode_checksums(row["piece_checksums"]),
        row["updated_at"],
    )


def _key_values(key: GroupKey) -> tuple[str, str, int, int]:
    return key.sp_address, str(key.object_id), key.redundancy_index, key.fence


def _group_text(key: GroupKey) -> str:
    return (
        f"group of object {key.object_id}, redundancy index {key.redundancy_index}, "
        f"fence {key.fence}"
    )
